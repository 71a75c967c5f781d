"""Amazon Route 53 Resolver: endpoints, forwarding rules, and associated VPCs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, find_only_id, fresh_token
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_ENDPOINT = {"ResolverEndpointId": "$id"}
_TAGGING = Tagging(
    put=Call("tag_resource", {"ResourceArn": "$arn", "Tags": "$tagsSet"}),
    remove=Call("untag_resource", {"ResourceArn": "$arn", "TagKeys": "$tagsGone"}),
)
_READ_TAGS = Call("list_tags_for_resource", {"ResourceArn": "$arn"}, result={"tagsAll": "Tags"})


def _pairs(expected: list[Any], actual: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return (missing, superfluous) addresses. Without an address, any address in the subnet matches."""
    left, missing = list(actual), []
    for want in sorted(expected, key=lambda address: not address.get("ip")):
        match = next((have for have in left if _fits(want, have)), None)
        if match is None:
            missing.append(want)
        else:
            left.remove(match)
    return missing, left


def _fits(want: Any, have: Any) -> bool:
    return want["subnetId"] == have["subnetId"] and want.get("ip") in (None, have.get("ip"))


def _same_addresses(expected: Any, actual: Any) -> bool:
    if not (isinstance(expected, list) and isinstance(actual, list)):
        return bool(expected == actual)
    if not all(isinstance(address, dict) for address in (*expected, *actual)):
        return False
    return _pairs(expected, actual) == ([], [])


def _move(call: Callable[..., Any], scope: Scope) -> None:
    """Change the addresses. New ones are added first, since an endpoint must always have two."""
    listed = call("list_resolver_endpoint_ip_addresses", ResolverEndpointId=scope["id"])["IpAddresses"]
    old_addresses = [
        {"subnetId": listed_address["SubnetId"], "ip": listed_address["Ip"], "ipId": listed_address["IpId"]}
        for listed_address in listed
    ]
    missing, spare = _pairs(scope["ipAddresses"], old_addresses)
    for address in missing:
        place = {"SubnetId": address["subnetId"], **({"Ip": address["ip"]} if address.get("ip") else {})}
        call("associate_resolver_endpoint_ip_address", ResolverEndpointId=scope["id"], IpAddress=place)
    for address in spare:
        place = {"SubnetId": address["subnetId"], "IpId": address["ipId"]}
        call("disassociate_resolver_endpoint_ip_address", ResolverEndpointId=scope["id"], IpAddress=place)


RESOLVER_ENDPOINT = Type(
    "aws:route53/resolverEndpoint:ResolverEndpoint",
    service="route53resolver",
    id="{id}",
    inputs={
        "direction": Prop(required=True, replace=True),
        "ipAddresses": Prop(
            "list",
            required=True,
            item=Prop(
                "object",
                fields={
                    "subnetId": Prop(required=True),
                    "ip": Prop(computed=True),
                    "ipId": Prop(computed=True),
                },
            ),
            alike=_same_addresses,
        ),
        "name": Prop(),
        "protocols": Prop("list", computed=True, alike=has_same_members),
        "resolverEndpointType": Prop(computed=True),
        "securityGroupIds": Prop("list", required=True, replace=True, alike=has_same_members),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "hostVpcId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_resolver_endpoint",
        {
            "CreatorRequestId": fresh_token,
            "Direction": "$direction",
            "IpAddresses": lambda scope: [
                {"SubnetId": address["subnetId"], **({"Ip": address["ip"]} if address.get("ip") else {})}
                for address in scope["ipAddresses"]
            ],
            "Name": "$name",
            "Protocols": "$protocols",
            "ResolverEndpointType": "$resolverEndpointType",
            "SecurityGroupIds": "$securityGroupIds",
            "Tags": "$tagsAll",
        },
        result={"id": "ResolverEndpoint.Id"},
    ),
    reads=(
        Call(
            "get_resolver_endpoint",
            _ENDPOINT,
            pick="ResolverEndpoint",
            result={
                "arn": "Arn",
                "direction": "Direction",
                "hostVpcId": "HostVPCId",
                "name": "Name",
                "protocols": "Protocols",
                "resolverEndpointType": "ResolverEndpointType",
                "securityGroupIds": "SecurityGroupIds",
            },
            absent=_GONE,
        ),
        Call("list_resolver_endpoint_ip_addresses", _ENDPOINT, result={"ipAddresses": "IpAddresses"}),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("name", "protocols", "resolverEndpointType"),
            put=Call(
                "update_resolver_endpoint",
                {
                    **_ENDPOINT,
                    "Name": "$name",
                    "Protocols": "$protocols",
                    "ResolverEndpointType": "$resolverEndpointType",
                },
            ),
        ),
        Facet(("ipAddresses",), put=_move),
    ),
    tagging=_TAGGING,
    delete=Call("delete_resolver_endpoint", _ENDPOINT, absent=_GONE),
    autoname=AutoName("name", None, longest=64),
    limits="It answers no query. DNS over HTTPS and IPv6 are not served.",
)

_TARGETS = Prop(
    "list",
    item=Prop(
        "object", fields={"ip": Prop(), "port": Prop("number", default=53), "protocol": Prop(default="Do53")}
    ),
)

RESOLVER_RULE = Type(
    "aws:route53/resolverRule:ResolverRule",
    service="route53resolver",
    id="{id}",
    inputs={
        "domainName": Prop(
            required=True, replace=True, alike=lambda left, right: _zone(left) == _zone(right)
        ),
        "name": Prop(),
        "resolverEndpointId": Prop(),
        "ruleType": Prop(required=True, replace=True),
        "targetIps": _TARGETS,
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "shareStatus": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_resolver_rule",
        {
            "CreatorRequestId": fresh_token,
            "DomainName": "$domainName",
            "Name": "$name",
            "ResolverEndpointId": "$resolverEndpointId",
            "RuleType": "$ruleType",
            "TargetIps": "$targetIps",
            "Tags": "$tagsAll",
        },
        result={"id": "ResolverRule.Id"},
    ),
    reads=(
        Call(
            "get_resolver_rule",
            {"ResolverRuleId": "$id"},
            pick="ResolverRule",
            result={
                "arn": "Arn",
                "domainName": lambda rule: _zone(rule["DomainName"]),
                "name": "Name",
                "ownerId": "OwnerId",
                "resolverEndpointId": "ResolverEndpointId",
                "ruleType": "RuleType",
                "shareStatus": "ShareStatus",
                "targetIps": "TargetIps",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("name", "resolverEndpointId", "targetIps"),
            put=Call(
                "update_resolver_rule",
                {
                    "ResolverRuleId": "$id",
                    "Config": {
                        "Name": "$name",
                        "ResolverEndpointId": "$resolverEndpointId",
                        "TargetIps": "$targetIps",
                    },
                },
            ),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_resolver_rule", {"ResolverRuleId": "$id"}, absent=_GONE),
    autoname=AutoName("name", None, longest=64),
    limits="No query is forwarded.",
)


def _zone(name: Any) -> str:
    """Return the zone's name without the dot that AWS adds. The root is a single dot."""
    return str(name).rstrip(".") or "."


RESOLVER_RULE_ASSOCIATION = Type(
    "aws:route53/resolverRuleAssociation:ResolverRuleAssociation",
    service="route53resolver",
    id="{id}",
    inputs={
        "name": Prop(replace=True),
        "resolverRuleId": Prop(required=True, replace=True),
        "vpcId": Prop(required=True, replace=True),
        "region": REGION,
    },
    outputs={},
    create=Call(
        "associate_resolver_rule",
        {"Name": "$name", "ResolverRuleId": "$resolverRuleId", "VPCId": "$vpcId"},
        result={"id": "ResolverRuleAssociation.Id"},
    ),
    find_only=find_only_id(
        "list_resolver_rule_associations",
        "ResolverRuleAssociations[].Id",
        {"ResolverRuleId": "resolverRuleId", "VPCId": "vpcId"},
    ),
    reads=(
        Call(
            "get_resolver_rule_association",
            {"ResolverRuleAssociationId": "$id"},
            pick="ResolverRuleAssociation",
            result={"name": "Name", "resolverRuleId": "ResolverRuleId", "vpcId": "VPCId"},
            absent=_GONE,
        ),
    ),
    delete=Call(
        "disassociate_resolver_rule", {"ResolverRuleId": "$resolverRuleId", "VPCId": "$vpcId"}, absent=_GONE
    ),
    autoname=AutoName("name", None, longest=64),
    limits="No query is forwarded.",
)

TYPES = (RESOLVER_ENDPOINT, RESOLVER_RULE, RESOLVER_RULE_ASSOCIATION)
