"""Rules that others added to a stack's security groups: only those that the policies refuse are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.foreign.security_groups import GROUP, SecurityGroups
from isthmus.engine.foreign.set_back import check, set_back
from isthmus.engine.project.aws_account import Aws
from isthmus.graph.resources.state import Stated
from tests.engine.foreign_world import Cluster, search

PROVIDER = "urn:pulumi:s::isthmus::pulumi:providers:aws::frankfurt"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def rule(id: str, *, egress: bool = False, group: str = "sg-1", **peer: Any) -> dict[str, Any]:
    ends = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **peer}
    return {"SecurityGroupRuleId": id, "GroupId": group, "IsEgress": egress, **ends}


OURS = rule("sgr-ours", CidrIpv4="10.0.0.0/8")
WORLD = rule("sgr-world", CidrIpv4="0.0.0.0/0")
OUT = rule("sgr-out", egress=True, CidrIpv4="0.0.0.0/0")
OFFICE = rule("sgr-office", CidrIpv4="10.9.0.0/16")


class Account(Aws):
    """An account with the rules of two groups."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        super().__init__({"region": "eu-central-1"}, "isthmus/s")
        self.rules = [OURS, *rules]
        self.asked: list[str] = []
        self.fault: EnvironmentFault | None = None

    def ask(self, service: str, call: str, **params: Any) -> dict[str, Any]:
        self.asked.append(call)
        if self.fault:
            raise self.fault
        if call.startswith("revoke"):
            ids = params["SecurityGroupRuleIds"]
            assert {entry["IsEgress"] for entry in self.rules if entry["SecurityGroupRuleId"] in ids} == {
                call.endswith("egress")
            }
            self.rules = [entry for entry in self.rules if entry["SecurityGroupRuleId"] not in ids]
        return {"SecurityGroupRules": self.rules}


def resource(type_: str, id: str, **inputs: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:s::isthmus::{type_}::name-of-{id}"
    return {
        **{"urn": urn, "type": type_, "id": id, "custom": True, "inputs": inputs},
        "provider": f"{PROVIDER}::x",
    }


STATE = {
    "resources": [
        {"urn": PROVIDER, "type": "pulumi:providers:aws", "id": "x", "custom": True, "inputs": {}},
        resource(GROUP, "sg-1"),
        resource(GROUP, "sg-2"),
        resource(INGRESS, "sgr-ours", securityGroupId="sg-1"),
    ]
}


def everywhere(stated: Stated) -> bool:
    """Policies that refuse every address."""
    assert stated.inputs["securityGroupId"] == "${name-of-sg-1.id}"
    return stated.inputs.get("cidrIpv4") == "0.0.0.0/0"


def groups(account: Account, siblings: Sequence[dict[str, Any]] = ()) -> SecurityGroups:
    return SecurityGroups(STATE, lambda: siblings, "isthmus/s", lambda *_, **__: account)


def test_all_groups_of_an_account_are_read_by_one_request():
    account = Account()
    assert groups(account).find(everywhere) == ([], [])
    assert account.asked == ["describe_security_group_rules"]


def test_a_rule_that_the_policies_refuse_is_revoked_and_another_stays():
    account = Account(WORLD, OUT, OFFICE)
    looked = search(
        Cluster(),
        refused=lambda _, resources: frozenset(
            entry.urn for entry in resources if entry.inputs.get("cidrIpv4") == "0.0.0.0/0"
        ),
    )
    looked.groups = groups(account)
    (foreign,) = looked.find().objects
    assert [entry.path for entry in foreign.entries] == ['rules["sgr-world"]', 'rules["sgr-out"]']
    done = set_back(looked, [foreign], lambda _: None)
    assert account.rules == [OURS, OFFICE]
    check(looked, done, "s")


def test_the_rule_is_judged_with_the_names_of_the_stacks_groups():
    judged: list[Stated] = []

    def note(stated: Stated) -> bool:
        judged.append(stated)
        return False

    peer = rule("sgr-peer", ReferencedGroupInfo={"GroupId": "sg-2"})
    assert groups(Account(peer)).find(note) == ([], [])
    (stated,) = judged
    assert stated.type == INGRESS
    assert stated.inputs["referencedSecurityGroupId"] == "${name-of-sg-2.id}"


def test_a_rule_of_another_stack_of_the_estate_is_left():
    other = {"resources": [resource(INGRESS, "sgr-world", securityGroupId="sg-1")]}
    assert groups(Account(WORLD), [other]).find(everywhere) == ([], [])


def test_rules_that_cannot_be_read_are_named():
    account = Account()
    account.fault = EnvironmentFault("AWS does not answer")
    assert groups(account).find(everywhere) == (
        [],
        ["rules of security groups in eu-central-1 (AWS does not answer)"],
    )
