"""Amazon VPC: security groups and their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from sandbox.aws.model import AutoName, Call, Facet, Scope, Type, find_only_id
from sandbox.aws.schema import Prop
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, put_tags, tag_specifications

_GONE = ("InvalidGroup.NotFound",)
_UNENFORCED = "Kept; no packet moves, so nothing is let in or kept out."


def _inline(rules: Any) -> str:
    return (
        "rules are not served inline; make each an `aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule` "
        "or `aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule`."
    )


def _inline_unless_empty(rules: Any) -> str:
    return _inline(rules) if rules else ""


def _empty(call: Callable[..., Any], scope: Scope) -> None:
    """Remove all rules of a group."""
    filters = [{"Name": "group-id", "Values": [scope["id"]]}]
    rules = call("describe_security_group_rules", Filters=filters)["SecurityGroupRules"]
    for operation, egress in (
        ("revoke_security_group_ingress", False),
        ("revoke_security_group_egress", True),
    ):
        ids = [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"] is egress]
        if ids:
            call(operation, GroupId=scope["id"], SecurityGroupRuleIds=ids)


def _take_over(call: Callable[..., Any], scope: Scope) -> None:
    """Adopt the existing group: remove its rules and add the tags to its own."""
    _empty(call, scope)
    put_tags(call, scope)


def _empty_if_asked(call: Callable[..., Any], scope: Scope) -> None:
    if scope.get("revokeRulesOnDelete"):
        _empty(call, scope)


_READ = {
    "name": "GroupName",
    "description": "Description",
    "vpcId": "VpcId",
    "ownerId": "OwnerId",
    "tagsAll": "Tags",
}

SECURITY_GROUP = Type(
    "aws:ec2/securityGroup:SecurityGroup",
    service="ec2",
    id="{id}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "description": Prop(replace=True, default="Managed by Pulumi"),
        "vpcId": Prop(replace=True, computed=True),
        "revokeRulesOnDelete": Prop("flag", local=True),
        "ingress": Prop("list", local=True, check=_inline),
        "egress": Prop("list", local=True, check=_inline),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_security_group",
        {
            "GroupName": "$name",
            "Description": "$description",
            "VpcId": "$vpcId",
            "TagSpecifications": tag_specifications("security-group"),
        },
        result={"id": "GroupId"},
    ),
    find_only=find_only_id(
        "describe_security_groups",
        "SecurityGroups[].GroupId",
        {"group-name": "name", "vpc-id": "vpcId"},
    ),
    # A new group in AWS allows all egress. The real plugin removes that rule.
    after_create=_empty,
    reads=(
        Call(
            "describe_security_groups",
            {"GroupIds": ["$id"]},
            pick="SecurityGroups[0]",
            result=_READ,
            absent=_GONE,
        ),
    ),
    tagging=TAGGING,
    before_delete=_empty_if_asked,
    delete=Call("delete_security_group", {"GroupId": "$id"}, absent=_GONE),
    computed={"arn": arn("security-group")},
    autoname=AutoName("name", "namePrefix", longest=255),
    limits=_UNENFORCED + " Inline `ingress` and `egress` are refused: give each rule its own resource.",
)

DEFAULT_SECURITY_GROUP = Type(
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    service="ec2",
    id="{id}",
    inputs={
        "vpcId": Prop(replace=True, computed=True),
        "ingress": Prop("list", default=[], check=_inline_unless_empty),
        "egress": Prop("list", default=[], check=_inline_unless_empty),
        "revokeRulesOnDelete": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "description": Prop(),
        "name": Prop(),
        "ownerId": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "describe_security_groups",
        {
            "Filters": lambda scope: [
                {"Name": "group-name", "Values": ["default"]},
                {"Name": "vpc-id", "Values": [scope.get("vpcId") or "none named"]},
            ]
        },
        pick="SecurityGroups[0]",
        result={"id": "GroupId"},
    ),
    allows_duplicates=False,
    after_create=_take_over,
    reads=(
        Call(
            "describe_security_groups",
            {"GroupIds": ["$id"]},
            pick="SecurityGroups[0]",
            result={**_READ, "ingress": "IpPermissions", "egress": "IpPermissionsEgress"},
            absent=_GONE,
        ),
    ),
    facets=(Facet(("ingress", "egress"), put=_empty),),
    tagging=TAGGING,
    # Like in the real plugin, deletion only drops it from the state. This call changes nothing.
    delete=Call("describe_security_groups", {"GroupIds": ["$id"]}, absent=_GONE),
    computed={"arn": arn("security-group")},
    limits=_UNENFORCED + " It takes over the VPC's own group and empties it; deleting it leaves the group, "
    "emptied. Rules in it are refused, and so is leaving out `vpcId`, which in AWS means the default VPC.",
)

_PORTS = "IpProtocol != '-1' && {} || `null`"


def _permission(scope: Scope) -> list[dict[str, Any]]:
    """Return a rule in the form of `Authorize…`, with the description in the peer."""
    peer: Mapping[str, tuple[str, str]] = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    permission: dict[str, Any] = {"IpProtocol": scope["ipProtocol"]}
    for name, (member, key) in peer.items():
        if scope.get(name):
            about = {"Description": scope["description"]} if scope.get("description") else {}
            permission[member] = [{key: scope[name], **about}]
    return [{**permission, **_ports(scope)}]


def _ports(scope: Scope) -> dict[str, int]:
    ports = {"FromPort": scope.get("fromPort"), "ToPort": scope.get("toPort")}
    return {name: port for name, port in ports.items() if port is not None}


def _modified(scope: Scope) -> list[dict[str, Any]]:
    """Return a complete rule in the form of `ModifySecurityGroupRules`."""
    rule: dict[str, Any] = {
        "IpProtocol": scope["ipProtocol"],
        "CidrIpv4": scope.get("cidrIpv4"),
        "CidrIpv6": scope.get("cidrIpv6"),
        "PrefixListId": scope.get("prefixListId"),
        "ReferencedGroupId": scope.get("referencedSecurityGroupId"),
        "Description": scope.get("description") or "",
        **_ports(scope),
    }
    rule = {name: value for name, value in rule.items() if value is not None}
    return [{"SecurityGroupRuleId": scope["id"], "SecurityGroupRule": rule}]


def _same_rule(egress: bool) -> Callable[[Callable[..., Any], Scope], str | None]:
    """Return a `Type.find_only`: a group has at most one rule with this direction, protocol, ports and peer."""
    expected = {
        "FromPort": "fromPort",
        "ToPort": "toPort",
        "CidrIpv4": "cidrIpv4",
        "CidrIpv6": "cidrIpv6",
        "PrefixListId": "prefixListId",
    }

    def find_id(call: Callable[..., Any], scope: Scope) -> str | None:
        filters = [{"Name": "group-id", "Values": [scope["securityGroupId"]]}]
        for rule in call("describe_security_group_rules", Filters=filters)["SecurityGroupRules"]:
            # A rule for all protocols has no ports: AWS returns -1.
            property_names = (
                expected
                if scope["ipProtocol"] != "-1"
                else {k: v for k, v in expected.items() if "Port" not in k}
            )
            same = all(rule.get(theirs) == scope.get(name) for theirs, name in property_names.items())
            peer = rule.get("ReferencedGroupInfo", {}).get("GroupId")
            same = same and rule["IsEgress"] is egress and rule["IpProtocol"] == scope["ipProtocol"]
            if same and peer == scope.get("referencedSecurityGroupId"):
                return str(rule["SecurityGroupRuleId"])
        return None

    return find_id


_CHANGEABLE = (
    "ipProtocol",
    "fromPort",
    "toPort",
    "cidrIpv4",
    "cidrIpv6",
    "prefixListId",
    "referencedSecurityGroupId",
    "description",
)
"""Properties of a rule that change in place. A change of another property replaces the rule."""

_READ_RULE = Call(
    "describe_security_group_rules",
    {"SecurityGroupRuleIds": ["$securityGroupRuleId"]},
    pick="SecurityGroupRules[0]",
    result={
        "securityGroupId": "GroupId",
        "ipProtocol": "IpProtocol",
        "fromPort": _PORTS.format("FromPort"),
        "toPort": _PORTS.format("ToPort"),
        "cidrIpv4": "CidrIpv4",
        "cidrIpv6": "CidrIpv6",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupInfo.GroupId",
        "description": "Description",
        "tagsAll": "Tags",
    },
    absent=("InvalidSecurityGroupRuleId.NotFound",),
)

_MODIFY_RULE = Call(
    "modify_security_group_rules",
    {"GroupId": "$securityGroupId", "SecurityGroupRules": _modified},
)


def _rule(direction: Literal["Ingress", "Egress"]) -> Type:
    """The type of the rules of one direction."""
    lower = direction.lower()
    return Type(
        f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule",
        service="ec2",
        id="{securityGroupRuleId}",
        inputs={
            "securityGroupId": Prop(required=True, replace=True),
            **{name: Prop() for name in _CHANGEABLE},
            "ipProtocol": Prop(required=True),
            "fromPort": Prop("number"),
            "toPort": Prop("number"),
            "region": REGION,
            "tags": TAGS,
        },
        outputs={"arn": Prop(), "securityGroupRuleId": Prop(), "tagsAll": Prop("tags")},
        create=Call(
            f"authorize_security_group_{lower}",
            {
                "GroupId": "$securityGroupId",
                "IpPermissions": _permission,
                "TagSpecifications": tag_specifications("security-group-rule"),
            },
            result={"securityGroupRuleId": "SecurityGroupRules[0].SecurityGroupRuleId"},
        ),
        find_only=_same_rule(egress=direction == "Egress"),
        reads=(_READ_RULE,),
        facets=(Facet(_CHANGEABLE, put=_MODIFY_RULE),),
        tagging=TAGGING,
        delete=Call(
            f"revoke_security_group_{lower}",
            {"GroupId": "$securityGroupId", "SecurityGroupRuleIds": ["$securityGroupRuleId"]},
            absent=("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound", *_GONE),
        ),
        computed={"arn": arn("security-group-rule").replace("{id}", "{securityGroupRuleId}")},
        limits=_UNENFORCED,
    )


INGRESS_RULE = _rule("Ingress")
EGRESS_RULE = _rule("Egress")

TYPES = (SECURITY_GROUP, DEFAULT_SECURITY_GROUP, INGRESS_RULE, EGRESS_RULE)
