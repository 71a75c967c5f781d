"""Security groups' rules, and the groups that AWS refuses to delete.

moto loses the description of a rule whose peer is a group or a prefix list, can change a rule's IPv4 range but no
other peer, and deletes a group that something is in. That AWS refuses that is as of knowledge, not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sandbox.aws.beside.ec2_shared import backend, named, operation, tags
from sandbox.aws.service_frame import Asked, Refused


def _group(asked: Asked, id: str) -> Any:
    group = backend(asked).get_security_group_from_id(id)
    if group is None:
        raise Refused("InvalidGroup.NotFound", 400, f"The security group '{id}' does not exist")
    return group


def _peers(permission: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each peer of a permission with moto's name of the argument for its kind."""
    kinds = {
        "IpRanges": "ip_ranges",
        "Ipv6Ranges": "ip_ranges",
        "UserIdGroupPairs": "source_groups",
        "PrefixListIds": "prefix_list_ids",
    }
    return [(kind, dict(peer)) for member, kind in kinds.items() for peer in permission.get(member, [])]


def _authorize(direction: Literal["ingress", "egress"]) -> Callable[[Asked], dict[str, Any]]:
    def answer(asked: Asked) -> dict[str, Any]:
        ec2, params = backend(asked), asked.params
        group = _group(asked, params.get("GroupId", ""))
        made = []
        for permission in _permissions(params):
            for kind, peer in _peers(permission):
                known = {"ip_ranges": [], "source_groups": [], "prefix_list_ids": [], kind: [peer]}
                about = peer.pop("Description", None)
                rules, _ = getattr(ec2, f"authorize_security_group_{direction}")(
                    group.id,
                    permission["IpProtocol"],
                    permission.get("FromPort", -1),
                    permission.get("ToPort", -1),
                    known["ip_ranges"],
                    sgrule_tags=named(asked, "security-group-rule"),
                    source_groups=known["source_groups"],
                    prefix_list_ids=known["prefix_list_ids"],
                )
                for rule in rules:
                    # Where moto keeps it for every kind of peer.
                    rule.ip_range = {**rule.ip_range, **({"Description": about} if about else {})}
                made += rules
        return {"Return": True, "SecurityGroupRules": [_rule(rule) for rule in made]}

    return answer


def _permissions(params: Any) -> list[dict[str, Any]]:
    """The permissions of a request, or the one that its older form spells out."""
    if params.get("IpPermissions"):
        return params["IpPermissions"]
    names = ("IpProtocol", "FromPort", "ToPort")
    single = {name: params[name] for name in names if name in params}
    if "IpProtocol" not in single or "CidrIp" not in params:
        raise Refused("MissingParameter", 400, "The request must contain the parameter ipPermissions")
    return [{**single, "IpRanges": [{"CidrIp": params["CidrIp"]}]}]


def _rule(rule: Any) -> dict[str, Any]:
    made = {
        "SecurityGroupRuleId": rule.id,
        "GroupId": rule.group_id,
        "GroupOwnerId": rule.owner_id,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.ip_protocol,
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
        "CidrIpv4": rule.cidr_ipv4,
        "CidrIpv6": rule.cidr_ipv6,
        "PrefixListId": rule.prefix_list_id,
        "Description": rule.description,
        "Tags": tags(rule),
    }
    if rule.source_group:
        pair = rule.source_group
        made["ReferencedGroupInfo"] = {"GroupId": pair.get("GroupId"), "UserId": pair.get("UserId")}
    return {name: value for name, value in made.items() if value is not None}


def modify_security_group_rules(asked: Asked) -> dict[str, Any]:
    group = _group(asked, asked.params["GroupId"])
    for each in asked.params["SecurityGroupRules"]:
        rule, wanted = group.get_rule(each["SecurityGroupRuleId"]), each.get("SecurityGroupRule", {})
        if rule is None:
            message = f"The security group rule ID '{each['SecurityGroupRuleId']}' does not exist"
            raise Refused("InvalidSecurityGroupRuleId.NotFound", 400, message)
        peers = [
            name
            for name in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")
            if wanted.get(name) is not None
        ]
        if len(peers) != 1 or not wanted.get("IpProtocol"):
            message = "A rule has a protocol and exactly one of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupId."
            raise Refused("InvalidParameterCombination" if peers else "MissingParameter", 400, message)
        _change(asked, rule, wanted)
    return {"Return": True}


def _change(asked: Asked, rule: Any, wanted: dict[str, Any]) -> None:
    cidrs = {"CidrIp": wanted.get("CidrIpv4"), "CidrIpv6": wanted.get("CidrIpv6")}
    cidrs["Description"] = wanted.get("Description") or None
    rule.ip_range = {name: value for name, value in cidrs.items() if value is not None}
    rule.prefix_list_id = wanted.get("PrefixListId")
    peer = wanted.get("ReferencedGroupId")
    rule.source_group = {"GroupId": _group(asked, peer).id, "UserId": asked.account} if peer else {}
    rule.ip_protocol = wanted["IpProtocol"]
    every = rule.ip_protocol == "-1"
    rule.from_port = None if every else wanted.get("FromPort")
    rule.to_port = None if every else wanted.get("ToPort")


def delete_security_group(asked: Asked) -> dict[str, Any]:
    ec2, params = backend(asked), asked.params
    if not params.get("GroupId"):
        ec2.delete_security_group(params.get("GroupName"))
        return {}
    group = _group(asked, params["GroupId"])
    if group.is_default:
        message = f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
        raise Refused("CannotDelete", 400, message)
    used = any(member.id == group.id for eni in ec2.enis.values() for member in eni._group_set)
    others = [other for groups in ec2.groups.values() for other in groups.values() if other.id != group.id]
    used = used or any(
        rule.source_group.get("GroupId") == group.id
        for other in others
        for rule in (*other.ingress_rules, *other.egress_rules)
    )
    if used:
        raise Refused("DependencyViolation", 400, f"resource {group.id} has a dependent object")
    ec2.delete_security_group(group_id=group.id)
    return {}


OPERATIONS = (
    operation("AuthorizeSecurityGroupIngress", _authorize("ingress")),
    operation("AuthorizeSecurityGroupEgress", _authorize("egress")),
    operation("ModifySecurityGroupRules", modify_security_group_rules),
    operation("DeleteSecurityGroup", delete_security_group),
)
