"""Policies that others put on a stack's IAM roles: found by two lists for each role, taken off, deny-only ones left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.foreign.role_policies import ROLE, RolePolicies
from isthmus.engine.foreign.set_back import check, set_back
from isthmus.engine.project.aws_account import Aws, Denied
from tests.engine.foreign_world import Cluster, search

PROVIDER = "urn:pulumi:s::isthmus::pulumi:providers:aws::frankfurt"
OURS, ADMIN, QUARANTINE = (f"arn:aws:iam::aws:policy/{name}" for name in ("Ours", "Admin", "Quarantine"))
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
NOTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}


class Account(Aws):
    """An account with one role."""

    def __init__(self) -> None:
        super().__init__({"region": "eu-central-1"}, "isthmus/s")
        self.inline: dict[str, Any] = {"ours": ANYTHING}
        self.attached: dict[str, Any] = {OURS: ANYTHING}
        self.asked: list[str] = []
        self.denied: set[str] = set()

    def client(self, service: str) -> Any:
        if "client" in self.denied:
            raise EnvironmentFault("the Python package boto3 is not installed")
        return service

    def ask(self, service: str, call: str, **params: Any) -> dict[str, Any]:
        self.asked.append(call)
        if call in self.denied:
            raise Denied(f"AWS denies {call}")
        name, arn = params.get("PolicyName", ""), params.get("PolicyArn", "")
        if call == "delete_role_policy":
            del self.inline[name]
        if call == "detach_role_policy":
            del self.attached[arn]
        answers: dict[str, Any] = {
            "list_role_policies": {"PolicyNames": list(self.inline)},
            "list_attached_role_policies": {
                "AttachedPolicies": [{"PolicyArn": key} for key in self.attached]
            },
            "get_role_policy": {"PolicyDocument": json.dumps(self.inline.get(name))},
            "get_policy": {"Policy": {"DefaultVersionId": "v1"}},
            "get_policy_version": {"PolicyVersion": {"Document": self.attached.get(arn)}},
        }
        return answers.get(call, {})


def resource(type_: str, id: str, **inputs: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:s::isthmus::{type_}::{id}"
    return {
        **{"urn": urn, "type": type_, "id": id, "custom": True, "inputs": inputs},
        "provider": f"{PROVIDER}::x",
    }


STATE = {
    "resources": [
        {"urn": PROVIDER, "type": "pulumi:providers:aws", "id": "x", "custom": True, "inputs": {}},
        resource(ROLE, "calls"),
        resource("aws:iam/rolePolicy:RolePolicy", "calls:ours"),
        resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", role="calls", policyArn=OURS),
    ]
}


def policies(account: Account, siblings: Sequence[dict[str, Any]] = ()) -> RolePolicies:
    return RolePolicies(STATE, lambda: siblings, "isthmus/s", lambda *_, **__: account)


def test_a_role_without_foreign_policies_is_asked_twice():
    account = Account()
    assert policies(account).find() == ([], [])
    assert account.asked == ["list_role_policies", "list_attached_role_policies"]


def test_foreign_policies_that_allow_anything_are_found_and_taken_off():
    account = Account()
    account.inline |= {"evil": ANYTHING}
    account.attached |= {ADMIN: ANYTHING}
    looked = search(Cluster())
    looked.roles = policies(account)
    (foreign,) = looked.find().objects
    assert [entry.path for entry in foreign.entries] == ['inlinePolicies["evil"]', f'policies["{ADMIN}"]']
    done = set_back(looked, [foreign], lambda _: None)
    assert (set(account.inline), set(account.attached)) == ({"ours"}, {OURS})
    check(looked, done, "s")


def test_a_policy_that_only_denies_is_left_to_who_attached_it():
    account = Account()
    account.inline |= {"stop": NOTHING}
    account.attached |= {QUARANTINE: NOTHING}
    assert policies(account).find() == ([], [])


def test_a_policy_of_another_stack_of_the_estate_is_left():
    account = Account()
    account.attached |= {ADMIN: ANYTHING}
    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    other = {"resources": [resource(attachment, "b", role="calls", policyArn=ADMIN)]}
    assert policies(account, [other]).find() == ([], [])


def test_a_document_that_cannot_be_read_counts_as_one_that_allows():
    account = Account()
    account.attached |= {ADMIN: None}
    (role,), _ = policies(account).find()
    assert role.attached == (ADMIN,)


@pytest.mark.parametrize("denied", ["list_role_policies", "client"])
def test_roles_that_cannot_be_read_are_named(denied: str):
    account = Account()
    account.denied = {denied}
    roles, (line,) = policies(account).find()
    assert roles == []
    assert line.startswith("policies of role")


def test_a_policy_that_aws_does_not_let_go_ends_the_run():
    account = Account()
    account.inline |= {"evil": ANYTHING}
    account.denied = {"delete_role_policy"}
    looked = search(Cluster())
    looked.roles = policies(account)
    done = set_back(looked, looked.find().objects, lambda _: None)
    with pytest.raises(Refused, match=r"inlinePolicies\[.evil.\] \(setting it back was refused: AWS denies"):
        check(looked, done, "s")
