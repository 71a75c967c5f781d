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
from isthmus.engine.recovery.aws.lookup import STACK_TAG, search_json, tags_as_mapping
from isthmus.graph.resources.state import Stated


@dataclass(frozen=True)
class Attachment:
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


def _in_vpc(
    call: str, items: str, id: str, type_: str, filter_name: str = "vpc-id", **properties: str
) -> Attachment:
    filters = [{"Name": filter_name, "Values": ["{id}"]}]
    return Attachment("aws:ec2/vpc:Vpc", "ec2", call, {"Filters": filters}, items, id, type_, properties)


ATTACHMENTS: tuple[Attachment, ...] = (
    _in_vpc(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "aws:ec2/internetGateway:InternetGateway",
        filter_name="attachment.vpc-id",
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
        filter_name="requester-vpc-info.vpc-id",
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
    Attachment(
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
    Attachment(
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
    Attachment(
        "aws:iam/role:Role",
        "iam",
        "list_attached_role_policies",
        {"RoleName": "{id}"},
        "AttachedPolicies",
        "PolicyArn",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    ),
    Attachment(
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
        drifts_by_urn = {drift.urn: drift for drift in (*self._hanging(), *self._tagged())}
        # What hangs on a thing of ours may bear our tags too: the first to name it says more.
        seen_names, unique = set[str](), list[Drifted]()
        for drift in drifts_by_urn.values():
            short_name = drift.name.rpartition("/")[2]
            if short_name not in seen_names:
                seen_names.add(short_name)
                unique.append(drift)
        return unique

    def _hanging(self) -> Iterator[Drifted]:
        for attachment in ATTACHMENTS:
            for parent in (
                resource for resource in self.own if resource.type == attachment.parent and resource.made
            ):
                params = _fill_template(attachment.params, parent.id)
                answer = self._asked(
                    attachment.service, attachment.call, params, f"what hangs on {parent.name}"
                )
                for item in search_json(attachment.items, answer) or []:
                    id = str(search_json(attachment.id, item))
                    if not self._state_has(attachment, parent, id, item):
                        properties = {
                            path: search_json(expression, item)
                            for path, expression in attachment.told.items()
                        }
                        yield self._stray(
                            attachment.type,
                            id,
                            f"it hangs on {parent.name}, and no state knows it",
                            properties,
                        )

    def _state_has(self, attachment: Attachment, parent: Stated, id: str, item: Mapping[str, Any]) -> bool:
        if attachment.type.endswith(":Route"):
            return self._route(parent.id, id)
        if attachment.type.endswith(":RolePolicyAttachment"):
            return f"{parent.id}|{id}" in self._pairs("policyArn")
        if attachment.type.endswith(":RolePolicy"):
            return f"{parent.id}:{id}" in self.known
        if attachment.type.endswith(":SecurityGroupRule"):
            return id in self.known or self._within(parent, item)
        return id in self.known

    def _route(self, table: str, destination: str) -> bool:
        """Whether a state has the route, by itself or within its table."""
        for entry in self.entries.values():
            inputs, kind = entry["inputs"], str(entry["type"])
            is_own_route = kind == "aws:ec2/route:Route" and inputs.get("routeTableId") == table
            if is_own_route and destination in (inputs.get(key) for key in _DESTINATIONS):
                return True
            if kind == "aws:ec2/routeTable:RouteTable" and entry["id"] == table:
                routes = [route for route in inputs.get("routes") or [] if isinstance(route, Mapping)]
                if any(
                    destination in (route.get("cidrBlock"), route.get("ipv6CidrBlock")) for route in routes
                ):
                    return True
        # What a gateway endpoint brings is a route to its service's own list of prefixes.
        return destination.startswith("pl-")

    def _pairs(self, key: str) -> set[str]:
        """A role, and what is attached to it by the states."""
        pairs = set()
        for entry in self.entries.values():
            inputs = entry["inputs"]
            if entry["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                pairs.add(f"{inputs.get('role')}|{inputs.get(key)}")
            if entry["type"] == "aws:iam/role:Role":
                pairs |= {f"{entry['id']}|{arn}" for arn in inputs.get("managedPolicyArns") or []}
        return pairs

    def _within(self, group: Stated, item: Mapping[str, Any]) -> bool:
        """Whether a rule is one that its group says itself."""
        rules = self.entries[group.urn]["inputs"].get("egress" if item.get("IsEgress") else "ingress")
        addresses = (item.get("CidrIpv4"), item.get("CidrIpv6"), item.get("PrefixListId"))
        peer = (item.get("ReferencedGroupInfo") or {}).get("GroupId")
        for rule in rules or []:
            rule_ends = [
                *(rule.get("cidrBlocks") or []),
                *(rule.get("ipv6CidrBlocks") or []),
                *(rule.get("prefixListIds") or []),
            ]
            rule_ends += [*(rule.get("securityGroups") or []), *([group.id] if rule.get("self") else [])]
            same_ports = str(rule.get("protocol")) in ("-1", "all") or (
                (rule.get("fromPort"), rule.get("toPort")) == (item.get("FromPort"), item.get("ToPort"))
            )
            if same_ports and any(end and end in rule_ends for end in (*addresses, peer)):
                return True
        return False

    def _tagged(self) -> Iterator[Drifted]:
        filters = [{"Key": STACK_TAG, "Values": [self.aws.stack]}]
        subject = f"what bears the tag {STACK_TAG}"
        answer = self._asked("resourcegroupstaggingapi", "get_resources", {"TagFilters": filters}, subject)
        for mapping in answer.get("ResourceTagMappingList") or []:
            arn = str(mapping["ResourceARN"])
            if self._knows(arn) or self._ending(arn):
                continue
            tags = {
                f'tags["{key}"]': value for key, value in sorted(tags_as_mapping(mapping.get("Tags")).items())
            }
            service, name = arn.split(":", 5)[2], arn.split(":", 5)[-1]
            reason = (
                "it bears this stack's tag, and no state knows it: another's, or kept from an earlier life"
            )
            yield self._stray(f"aws:{service}", name, reason, tags, arn=arn)

    def _knows(self, arn: str) -> bool:
        tail = arn.split(":", 5)[-1]
        return bool(
            {arn, arn.removesuffix(":*"), tail, tail.rpartition("/")[2], tail.rpartition(":")[2]} & self.known
        )

    def _ending(self, arn: str) -> bool:
        """A key that waits for its deletion is as good as gone."""
        if ":kms:" not in arn:
            return False
        description = self._asked("kms", "describe_key", {"KeyId": arn}, f"whether {arn} ends")
        return (description.get("KeyMetadata") or {}).get("KeyState") == "PendingDeletion"

    def _asked(self, service: str, call: str, params: Mapping[str, Any], subject: str) -> dict[str, Any]:
        try:
            return self.aws.ask(service, call, **params)
        except Denied as denied:
            self.unseen.append(
                Unseen(what=subject, where=f"AWS, {self.aws.region}", why=self.masker.text(denied.what))
            )
            return {}

    def _stray(
        self, type_: str, name: str, why: str, properties: Mapping[str, Any], arn: str = ""
    ) -> Drifted:
        masked_properties = self.masker.value(
            {key: value for key, value in properties.items() if value is not None}
        )
        return Drifted(
            urn=self.masker.text(arn or f"{type_}::{name}"),
            op="create",
            what="foreign",
            type=type_,
            name=self.masker.text(name),
            properties=[
                PropertyChange(path=path, new=masked_properties[path]) for path in sorted(masked_properties)
            ],
            severity=drift_severity.severity_of("foreign", type_),
            where=f"AWS, {self.aws.region}",
            why=why,
        )


_DESTINATIONS = ("destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")


def resource_identifiers(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids and ARNs of a state's AWS resources, as anybody may name them."""
    identifiers = set[str]()
    for entry in entries:
        if not str(entry["type"]).startswith("aws:"):
            continue
        identifiers.add(str(entry.get("id") or ""))
        for key, value in (entry.get("outputs") or {}).items():
            if isinstance(value, str) and (value.startswith("arn:") or key in ("name", "bucket", "keyId")):
                identifiers.add(value)
    return frozenset(identifiers - {""})


def _fill_template(value: Any, id: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill_template(item, id) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_template(item, id) for item in value]
    return value.replace("{id}", id) if isinstance(value, str) else value
