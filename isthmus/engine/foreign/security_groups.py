"""Finds rules that others added to the security groups of a stack, and revokes those that the policies refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

GROUP = "aws:ec2/securityGroup:SecurityGroup"
_RULES = {
    False: "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    True: "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
}
"""Whether it is egress → type of the rule as a resource."""
_PURPOSE = "what others added to security groups"
_MAX_FILTER_VALUES = 200
"""EC2 accepts this many values of a filter."""


@dataclass(frozen=True)
class ForeignRule:
    """A rule that no state has."""

    id: str
    is_egress: bool
    inputs: Mapping[str, Any]
    """As the inputs of a resource, with the names of the stack's groups."""

    def stated(self, group: Stated) -> Stated:
        """The rule as a resource, to be judged by the policies."""
        type_ = _RULES[self.is_egress]
        prefix = group.urn.rsplit("::", 2)[0]
        return Stated(
            f"{prefix}::{type_}::{self.id}", type_, self.id, dict(self.inputs), provider=group.provider
        )


@dataclass(frozen=True)
class ForeignGroup(Foreign):
    """A security group of the stack with foreign rules. Path of an entry: `rules["ID"]`."""

    aws: Aws
    rules: tuple[ForeignRule, ...]

    @property
    def label(self) -> str:
        return f"SecurityGroup {self.resource.id}"

    @property
    def managers(self) -> str:
        return CLOUD_AUTHOR

    def set_back(self) -> None:
        """Revoke the foreign rules. Raises `EnvironmentFault` if AWS refuses."""
        for is_egress in (False, True):
            ids = [rule.id for rule in self.rules if rule.is_egress == is_egress]
            if ids:
                call = f"revoke_security_group_{'egress' if is_egress else 'ingress'}"
                self.aws.ask("ec2", call, GroupId=self.resource.id, SecurityGroupRuleIds=ids)


@dataclass
class SecurityGroups:
    """The search for foreign rules in the security groups of one stack."""

    state: Mapping[str, Any]
    siblings: Callable[[], Sequence[Mapping[str, Any]]]
    """Reads the states of the other stacks of its estate, if a rule is not in this one."""
    stack: str
    """`PROJECT/STACK`."""
    account: Callable[..., Aws] = Aws
    """Makes the account of a provider's inputs, for a stack and a purpose."""

    def find(
        self, is_refused: Callable[[Stated], bool], urns: Iterable[str] | None = None
    ) -> tuple[list[ForeignGroup], list[str]]:
        """Groups with foreign rules that the policies refuse, and what could not be read.

        `is_refused`: whether the policies refuse the stack with one resource more. `urns`: look at these groups only.
        """
        wanted = None if urns is None else set(urns)
        groups: list[ForeignGroup] = []
        unread: list[str] = []
        for aws, resources in by_account(self.state, GROUP, self.stack, _PURPOSE, self.account):
            by_id = {
                resource.id: resource for resource in resources if wanted is None or resource.urn in wanted
            }
            try:
                rules = list(_list_rules(aws, sorted(by_id)))
            except EnvironmentFault as fault:
                unread.append(f"rules of security groups in {aws.region} ({fault.what})")
                continue
            for id, group in sorted(by_id.items()):
                groups += self._foreign(
                    aws, group, [rule for rule in rules if rule["GroupId"] == id], is_refused
                )
        return groups, unread

    def _foreign(
        self,
        aws: Aws,
        group: Stated,
        rules: Sequence[Mapping[str, Any]],
        is_refused: Callable[[Stated], bool],
    ) -> list[ForeignGroup]:
        # A group with rules of its own is compared as a whole by the engine.
        if group.inputs.get("ingress") or group.inputs.get("egress"):
            return []
        unknown = [rule for rule in rules if rule["SecurityGroupRuleId"] not in self._own_ids]
        unknown = [rule for rule in unknown if rule["SecurityGroupRuleId"] not in self._estate_ids]
        foreign = [self._rule(group, rule) for rule in unknown]
        refused = tuple(rule for rule in foreign if is_refused(rule.stated(group)))
        if not refused:
            return []
        entries = tuple(
            FieldDifference("added", f'rules["{rule.id}"]', None, dict(rule.inputs), frozenset())
            for rule in refused
        )
        return [ForeignGroup(group, entries, aws, refused)]

    def _rule(self, group: Stated, rule: Mapping[str, Any]) -> ForeignRule:
        peer = str((rule.get("ReferencedGroupInfo") or {}).get("GroupId") or "")
        values = {
            "securityGroupId": f"${{{group.name}.id}}",
            "ipProtocol": rule.get("IpProtocol"),
            "fromPort": rule.get("FromPort"),
            "toPort": rule.get("ToPort"),
            "cidrIpv4": rule.get("CidrIpv4"),
            "cidrIpv6": rule.get("CidrIpv6"),
            "prefixListId": rule.get("PrefixListId"),
            "referencedSecurityGroupId": self._names.get(peer, peer) or None,
        }
        inputs = {key: value for key, value in values.items() if value is not None}
        return ForeignRule(str(rule["SecurityGroupRuleId"]), bool(rule.get("IsEgress")), inputs)

    @cached_property
    def _own_ids(self) -> set[str]:
        return _ids([self.state])

    @cached_property
    def _estate_ids(self) -> set[str]:
        return _ids(self.siblings())

    @cached_property
    def _names(self) -> dict[str, str]:
        """Id of a group of the estate → its name, as other resources refer to it."""
        states = [state for state in (self.state, *self.siblings()) if state.get("resources")]
        resources = graph_state.from_state_with_ids(*({"deployment": state} for state in states))
        return {resource.id: f"${{{resource.name}.id}}" for resource in resources if resource.type == GROUP}


def _ids(states: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(entry.get("id") or "") for state in states for entry in state.get("resources") or []}


def _list_rules(aws: Aws, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for start in range(0, len(ids), _MAX_FILTER_VALUES):
        filters = [{"Name": "group-id", "Values": list(ids[start : start + _MAX_FILTER_VALUES])}]
        yield from (
            aws.ask("ec2", "describe_security_group_rules", Filters=filters).get("SecurityGroupRules") or ()
        )
