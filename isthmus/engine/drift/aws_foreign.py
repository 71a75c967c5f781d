"""What stands in an AWS account under a stack's tags, in its networks or on its roles, and no state knows.

The tagging API lists what bears our tags; what hangs on a thing of ours and bears none (a rule of a security group, a
route, a policy of a role, a gateway of a network) is asked for thing by thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.drift import Drifted, Unseen
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project.aws_account import Aws, Denied
from isthmus.engine.recovery.aws.lookup import STACK_TAG, plain, search
from isthmus.graph.resources.state import Stated


@dataclass(frozen=True)
class Hung:
    """What hangs on a thing of ours: how it is asked for, and what is said of it."""

    parent: str
    """The thing's type."""
    service: str
    call: str
    params: Mapping[str, Any]
    """Templates over `{id}`, the thing's."""
    items: str
    """JMESPath over the answer; what AWS itself brings is left out by it."""
    id: str
    """JMESPath over an item."""
    type: str
    """As Pulumi calls it."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What is said of it: path → JMESPath over the item."""


def _in_vpc(call: str, items: str, id: str, type_: str, by: str = "vpc-id", **told: str) -> Hung:
    filters = [{"Name": by, "Values": ["{id}"]}]
    return Hung("aws:ec2/vpc:Vpc", "ec2", call, {"Filters": filters}, items, id, type_, told)


HUNG: tuple[Hung, ...] = (
    _in_vpc(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "aws:ec2/internetGateway:InternetGateway",
        by="attachment.vpc-id",
    ),
    _in_vpc(
        "describe_nat_gateways",
        "NatGateways[?State!='deleted']",
        "NatGatewayId",
        "aws:ec2/natGateway:NatGateway",
        subnetId="SubnetId",
    ),
    _in_vpc(
        "describe_vpc_peering_connections",
        "VpcPeeringConnections[?Status.Code!='deleted' && Status.Code!='rejected']",
        "VpcPeeringConnectionId",
        "aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
        by="requester-vpc-info.vpc-id",
        peerVpcId="AccepterVpcInfo.VpcId",
    ),
    _in_vpc(
        "describe_vpc_endpoints",
        "VpcEndpoints[?State!='deleted']",
        "VpcEndpointId",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        serviceName="ServiceName",
    ),
    _in_vpc(
        "describe_security_groups",
        "SecurityGroups[?GroupName!='default' && !not_null(Tags[?Key=='aws:eks:cluster-name'].Value | [0])]",
        "GroupId",
        "aws:ec2/securityGroup:SecurityGroup",
        name="GroupName",
    ),
    _in_vpc("describe_subnets", "Subnets", "SubnetId", "aws:ec2/subnet:Subnet", cidrBlock="CidrBlock"),
    _in_vpc(
        "describe_route_tables",
        "RouteTables[?!not_null(Associations[?Main==`true`].Main | [0])]",
        "RouteTableId",
        "aws:ec2/routeTable:RouteTable",
    ),
    _in_vpc(
        "describe_instances",
        "Reservations[].Instances[?State.Name!='terminated'"
        " && !not_null(Tags[?Key=='eks:cluster-name'].Value | [0])][]",
        "InstanceId",
        "aws:ec2/instance:Instance",
        ami="ImageId",
        instanceType="InstanceType",
    ),
    Hung(
        "aws:ec2/routeTable:RouteTable",
        "ec2",
        "describe_route_tables",
        {"RouteTableIds": ["{id}"]},
        "RouteTables[].Routes[?Origin=='CreateRoute'][]",
        "not_null(DestinationCidrBlock, DestinationIpv6CidrBlock, DestinationPrefixListId)",
        "aws:ec2/route:Route",
        {
            "target": "not_null(GatewayId, NatGatewayId, TransitGatewayId, VpcPeeringConnectionId, NetworkInterfaceId,"
            " InstanceId)"
        },
    ),
    Hung(
        "aws:ec2/securityGroup:SecurityGroup",
        "ec2",
        "describe_security_group_rules",
        {"Filters": [{"Name": "group-id", "Values": ["{id}"]}]},
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "aws:vpc/securityGroupRule:SecurityGroupRule",
        {
            "egress": "IsEgress",
            "from": "not_null(CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupInfo.GroupId)",
            "protocol": "IpProtocol",
            "fromPort": "FromPort",
            "toPort": "ToPort",
        },
    ),
    Hung(
        "aws:iam/role:Role",
        "iam",
        "list_attached_role_policies",
        {"RoleName": "{id}"},
        "AttachedPolicies",
        "PolicyArn",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    ),
    Hung(
        "aws:iam/role:Role",
        "iam",
        "list_role_policies",
        {"RoleName": "{id}"},
        "PolicyNames[].{name: @}",
        "name",
        "aws:iam/rolePolicy:RolePolicy",
    ),
)


@dataclass
class Account:
    """One account and region, as a provider of the stack's reaches it."""

    aws: Aws
    own: Sequence[Stated]
    """The stack's resources there."""
    known: frozenset[str]
    """Ids and ARNs of all that the estate's states have, and what else their values name."""
    entries: Mapping[str, Mapping[str, Any]]
    """URN → the state's entry, plain: inputs and outputs."""
    masker: Masker
    unseen: list[Unseen] = field(default_factory=list)

    def look(self) -> list[Drifted]:
        """All that is there and not ours; raises `EnvironmentFault` where AWS does not answer."""
        found = {each.urn: each for each in (*self._hanging(), *self._tagged())}
        # What hangs on a thing of ours may bear our tags too: the first to name it says more.
        seen, kept = set[str](), list[Drifted]()
        for each in found.values():
            tail = each.name.rpartition("/")[2]
            if tail not in seen:
                seen.add(tail)
                kept.append(each)
        return kept

    def _hanging(self) -> Iterator[Drifted]:
        for how in HUNG:
            for thing in (each for each in self.own if each.type == how.parent and each.made):
                params = _filled(how.params, thing.id)
                answer = self._asked(how.service, how.call, params, f"what hangs on {thing.name}")
                for item in search(how.items, answer) or []:
                    id = str(search(how.id, item))
                    if not self._state_has(how, thing, id, item):
                        told = {path: search(way, item) for path, way in how.told.items()}
                        yield self._stray(
                            how.type, id, f"it hangs on {thing.name}, and no state knows it", told
                        )

    def _state_has(self, how: Hung, thing: Stated, id: str, item: Mapping[str, Any]) -> bool:
        if how.type.endswith(":Route"):
            return self._route(thing.id, id)
        if how.type.endswith(":RolePolicyAttachment"):
            return f"{thing.id}|{id}" in self._pairs("policyArn")
        if how.type.endswith(":RolePolicy"):
            return f"{thing.id}:{id}" in self.known
        if how.type.endswith(":SecurityGroupRule"):
            return id in self.known or self._within(thing, item)
        return id in self.known

    def _route(self, table: str, to: str) -> bool:
        """Whether a state has the route, by itself or within its table."""
        for each in self.entries.values():
            inputs, kind = each["inputs"], str(each["type"])
            mine = kind == "aws:ec2/route:Route" and inputs.get("routeTableId") == table
            if mine and to in (inputs.get(key) for key in _DESTINATIONS):
                return True
            if kind == "aws:ec2/routeTable:RouteTable" and each["id"] == table:
                routes = [one for one in inputs.get("routes") or [] if isinstance(one, Mapping)]
                if any(to in (one.get("cidrBlock"), one.get("ipv6CidrBlock")) for one in routes):
                    return True
        # What a gateway endpoint brings is a route to its service's own list of prefixes.
        return to.startswith("pl-")

    def _pairs(self, other: str) -> set[str]:
        """A role, and what is attached to it by the states."""
        found = set()
        for each in self.entries.values():
            inputs = each["inputs"]
            if each["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                found.add(f"{inputs.get('role')}|{inputs.get(other)}")
            if each["type"] == "aws:iam/role:Role":
                found |= {f"{each['id']}|{arn}" for arn in inputs.get("managedPolicyArns") or []}
        return found

    def _within(self, group: Stated, item: Mapping[str, Any]) -> bool:
        """Whether a rule is one that its group says itself."""
        rules = self.entries[group.urn]["inputs"].get("egress" if item.get("IsEgress") else "ingress")
        near = (item.get("CidrIpv4"), item.get("CidrIpv6"), item.get("PrefixListId"))
        peer = (item.get("ReferencedGroupInfo") or {}).get("GroupId")
        for one in rules or []:
            ends = [
                *(one.get("cidrBlocks") or []),
                *(one.get("ipv6CidrBlocks") or []),
                *(one.get("prefixListIds") or []),
            ]
            ends += [*(one.get("securityGroups") or []), *([group.id] if one.get("self") else [])]
            ports = str(one.get("protocol")) in ("-1", "all") or (
                (one.get("fromPort"), one.get("toPort")) == (item.get("FromPort"), item.get("ToPort"))
            )
            if ports and any(each and each in ends for each in (*near, peer)):
                return True
        return False

    def _tagged(self) -> Iterator[Drifted]:
        filters = [{"Key": STACK_TAG, "Values": [self.aws.stack]}]
        what = f"what bears the tag {STACK_TAG}"
        answer = self._asked("resourcegroupstaggingapi", "get_resources", {"TagFilters": filters}, what)
        for each in answer.get("ResourceTagMappingList") or []:
            arn = str(each["ResourceARN"])
            if self._knows(arn) or self._ending(arn):
                continue
            tags = {f'tags["{key}"]': value for key, value in sorted(plain(each.get("Tags")).items())}
            service, name = arn.split(":", 5)[2], arn.split(":", 5)[-1]
            said = "it bears this stack's tag, and no state knows it: another's, or kept from an earlier life"
            yield self._stray(f"aws:{service}", name, said, tags, arn=arn)

    def _knows(self, arn: str) -> bool:
        tail = arn.split(":", 5)[-1]
        return bool(
            {arn, arn.removesuffix(":*"), tail, tail.rpartition("/")[2], tail.rpartition(":")[2]} & self.known
        )

    def _ending(self, arn: str) -> bool:
        """A key that waits for its deletion is as good as gone."""
        if ":kms:" not in arn:
            return False
        said = self._asked("kms", "describe_key", {"KeyId": arn}, f"whether {arn} ends")
        return (said.get("KeyMetadata") or {}).get("KeyState") == "PendingDeletion"

    def _asked(self, service: str, call: str, params: Mapping[str, Any], what: str) -> dict[str, Any]:
        try:
            return self.aws.ask(service, call, **params)
        except Denied as no:
            self.unseen.append(
                Unseen(what=what, where=f"AWS, {self.aws.region}", why=self.masker.text(no.what))
            )
            return {}

    def _stray(self, type_: str, name: str, why: str, told: Mapping[str, Any], arn: str = "") -> Drifted:
        seen = self.masker.value({key: value for key, value in told.items() if value is not None})
        return Drifted(
            urn=self.masker.text(arn or f"{type_}::{name}"),
            op="create",
            what="foreign",
            type=type_,
            name=self.masker.text(name),
            properties=[PropertyChange(path=path, new=seen[path]) for path in sorted(seen)],
            severity=drift_severity.severity("foreign", type_),
            where=f"AWS, {self.aws.region}",
            why=why,
        )


_DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")


def names(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids and ARNs of a state's AWS resources, as anybody may name them."""
    found = set[str]()
    for each in entries:
        if not str(each["type"]).startswith("aws:"):
            continue
        found.add(str(each.get("id") or ""))
        for key, value in (each.get("outputs") or {}).items():
            if isinstance(value, str) and (value.startswith("arn:") or key in ("name", "bucket", "keyId")):
                found.add(value)
    return frozenset(found - {""})


def _filled(value: Any, id: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, id) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, id) for item in value]
    return value.replace("{id}", id) if isinstance(value, str) else value
