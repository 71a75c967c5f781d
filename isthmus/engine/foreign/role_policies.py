"""Finds policies that others put on the IAM roles of a stack, and takes them off.

The engine compares the policies that the stack made. It does not see one more, inline or attached, which may allow
anything. A policy that only denies is left: AWS Budgets and incident response attach such policies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.engine.foreign.accounts import by_account
from isthmus.engine.foreign.entry import CLOUD_AUTHOR, Foreign
from isthmus.engine.project.aws_account import Aws
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.state import Stated

ROLE = "aws:iam/role:Role"
_INLINE = "aws:iam/rolePolicy:RolePolicy"
_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_PARALLEL_CALLS = 8
_PURPOSE = "what others added to roles"


@dataclass(frozen=True)
class ForeignRole(Foreign):
    """A role of the stack with foreign policies. Path of an entry: `inlinePolicies["NAME"]` or `policies["ARN"]`."""

    aws: Aws
    inline: tuple[str, ...]
    """Names of foreign inline policies."""
    attached: tuple[str, ...]
    """ARNs of foreign attached policies."""

    @property
    def label(self) -> str:
        return f"Role {self.resource.id}"

    @property
    def managers(self) -> str:
        return CLOUD_AUTHOR

    def set_back(self) -> None:
        """Take the foreign policies off the role. Raises `EnvironmentFault` if AWS refuses."""
        role = self.resource.id
        for name in self.inline:
            self.aws.ask("iam", "delete_role_policy", RoleName=role, PolicyName=name)
        for arn in self.attached:
            self.aws.ask("iam", "detach_role_policy", RoleName=role, PolicyArn=arn)


@dataclass
class RolePolicies:
    """The search for foreign policies on the roles of one stack."""

    state: Mapping[str, Any]
    siblings: Callable[[], Sequence[Mapping[str, Any]]]
    """Reads the states of the other stacks of its estate, if something is not in this one."""
    stack: str
    """`PROJECT/STACK`."""
    account: Callable[..., Aws] = Aws
    """Makes the account of a provider's inputs, for a stack and a purpose."""

    def find(self, urns: Iterable[str] | None = None) -> tuple[list[ForeignRole], list[str]]:
        """Roles with foreign policies, of these URNs only if given, and what could not be read."""
        wanted = None if urns is None else set(urns)
        roles: list[ForeignRole] = []
        unread: list[str] = []
        for aws, resources in by_account(self.state, ROLE, self.stack, _PURPOSE, self.account):
            looked = [resource for resource in resources if wanted is None or resource.urn in wanted]
            if not looked:
                continue
            try:
                aws.client("iam")  # Making a client is not thread-safe, using it is.
            except EnvironmentFault as fault:
                unread.append(f"policies of roles in {aws.region} ({fault.what})")
                continue
            with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
                answers = list(pool.map(lambda role, aws=aws: self._look(aws, role), looked))
            roles += [answer for answer in answers if isinstance(answer, ForeignRole)]
            unread += [answer for answer in answers if isinstance(answer, str)]
        return roles, unread

    def _look(self, aws: Aws, role: Stated) -> ForeignRole | str | None:
        try:
            listed = aws.ask("iam", "list_role_policies", RoleName=role.id)
            names = {str(name) for name in listed.get("PolicyNames") or ()}
            listed = aws.ask("iam", "list_attached_role_policies", RoleName=role.id)
            arns = {str(policy["PolicyArn"]) for policy in listed.get("AttachedPolicies") or ()}
            if not (names - self._own[role.id, _INLINE]) and not (arns - self._own[role.id, _ATTACHMENT]):
                return None
            inline = {
                name: _inline_document(aws, role.id, name)
                for name in sorted(names - self._estate[role.id, _INLINE])
            }
            attached = {
                arn: _attached_document(aws, arn) for arn in sorted(arns - self._estate[role.id, _ATTACHMENT])
            }
        except EnvironmentFault as fault:
            return f"policies of role {role.id} ({fault.what})"
        inline, attached = _that_allow(inline), _that_allow(attached)
        entries = (*_entries("inlinePolicies", inline), *_entries("policies", attached))
        return ForeignRole(role, entries, aws, tuple(inline), tuple(attached)) if entries else None

    @cached_property
    def _own(self) -> _Policies:
        return _Policies([self.state])

    @cached_property
    def _estate(self) -> _Policies:
        return _Policies([self.state, *self.siblings()])


class _Policies:
    """The policies that stacks put on roles."""

    def __init__(self, states: Iterable[Mapping[str, Any]]) -> None:
        self._by_role: dict[tuple[str, str], set[str]] = {}
        for resource in (entry for state in states for entry in state.get("resources") or []):
            for role, type_, policy in _policies_of(resource):
                self._by_role.setdefault((role, type_), set()).add(policy)

    def __getitem__(self, role_and_type: tuple[str, str]) -> set[str]:
        """Names (inline) or ARNs (attachments) on a role."""
        return self._by_role.get(role_and_type, set())


def _policies_of(resource: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    inputs = graph_state.plain(resource.get("inputs") or {})
    id = str(resource.get("id") or "")
    if resource["type"] == _INLINE:
        role, _, name = id.partition(":")
        yield role, _INLINE, name
    elif resource["type"] == _ATTACHMENT:
        yield str(inputs.get("role")), _ATTACHMENT, str(inputs.get("policyArn"))
    elif resource["type"] == ROLE:
        for arn in inputs.get("managedPolicyArns") or []:
            yield id, _ATTACHMENT, str(arn)
        for policy in inputs.get("inlinePolicies") or []:
            yield id, _INLINE, str(policy.get("name"))


def allows(document: Any) -> bool:
    """Whether a policy document allows anything. One that cannot be read counts as if it did."""
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list):
        return True
    return any(
        not isinstance(statement, Mapping) or statement.get("Effect") != "Deny" for statement in statements
    )


def _that_allow(documents: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document for name, document in documents.items() if allows(document)}


def _inline_document(aws: Aws, role: str, name: str) -> Any:
    answer = aws.ask("iam", "get_role_policy", RoleName=role, PolicyName=name)
    return _parsed(answer.get("PolicyDocument"))


def _attached_document(aws: Aws, arn: str) -> Any:
    version = (aws.ask("iam", "get_policy", PolicyArn=arn).get("Policy") or {}).get("DefaultVersionId")
    if not version:
        return None
    answer = aws.ask("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
    return _parsed((answer.get("PolicyVersion") or {}).get("Document"))


def _parsed(document: Any) -> Any:
    """A document as data: botocore decodes it, but some endpoints give it as text."""
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document)
    except ValueError:
        return None


def _entries(section: str, documents: Mapping[str, Any]) -> Iterator[FieldDifference]:
    for name, document in documents.items():
        path = f"{section}[{json.dumps(name)}]"
        yield FieldDifference("added", path, None, document or name, frozenset())
