"""Security group rules, and deletion of security groups.

moto loses the description of a rule for a group or a prefix list, can change only a rule's IPv4 range, and deletes a
group in use. AWS refuses that (not verified).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sandbox.aws.beside.ec2_shared import backend, operation, requested_tags, tags
from sandbox.aws.service_frame import Refused, ServiceRequest


def _find_group(request: ServiceRequest, id: str) -> Any:
    group = backend(request).get_security_group_from_id(id)
    if group is None:
        raise Refused("InvalidGroup.NotFound", 400, f"The security group '{id}' does not exist")
    return group


def _peers(permission: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (moto's argument name, peer) for each peer of a permission."""
    kinds = {
        "IpRanges": "ip_ranges",
        "Ipv6Ranges": "ip_ranges",
        "UserIdGroupPairs": "source_groups",
        "PrefixListIds": "prefix_list_ids",
    }
    return [(kind, dict(peer)) for member, kind in kinds.items() for peer in permission.get(member, [])]


def _authorize_operation(
    direction: Literal["ingress", "egress"],
) -> Callable[[ServiceRequest], dict[str, Any]]:
    def answer(request: ServiceRequest) -> dict[str, Any]:
        ec2, params = backend(request), request.params
        group = _find_group(request, params.get("GroupId", ""))
        new_rules = []
        for permission in _permissions(params):
            for kind, peer in _peers(permission):
                peers_by_kind = {"ip_ranges": [], "source_groups": [], "prefix_list_ids": [], kind: [peer]}
                description = peer.pop("Description", None)
                rules, _ = getattr(ec2, f"authorize_security_group_{direction}")(
                    group.id,
                    permission["IpProtocol"],
                    permission.get("FromPort", -1),
                    permission.get("ToPort", -1),
                    peers_by_kind["ip_ranges"],
                    sgrule_tags=requested_tags(request, "security-group-rule"),
                    source_groups=peers_by_kind["source_groups"],
                    prefix_list_ids=peers_by_kind["prefix_list_ids"],
                )
                for rule in rules:
                    # moto reads the description from here for every kind of peer.
                    rule.ip_range = {**rule.ip_range, **({"Description": description} if description else {})}
                new_rules += rules
        return {"Return": True, "SecurityGroupRules": [_describe_rule(rule) for rule in new_rules]}

    return answer


def _permissions(params: Any) -> list[dict[str, Any]]:
    """Return the permissions of a request, in the current or the older form."""
    if params.get("IpPermissions"):
        return params["IpPermissions"]
    names = ("IpProtocol", "FromPort", "ToPort")
    single = {name: params[name] for name in names if name in params}
    if "IpProtocol" not in single or "CidrIp" not in params:
        raise Refused("MissingParameter", 400, "The request must contain the parameter ipPermissions")
    return [{**single, "IpRanges": [{"CidrIp": params["CidrIp"]}]}]


def _describe_rule(rule: Any) -> dict[str, Any]:
    description = {
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
        description["ReferencedGroupInfo"] = {"GroupId": pair.get("GroupId"), "UserId": pair.get("UserId")}
    return {name: value for name, value in description.items() if value is not None}


def modify_security_group_rules(request: ServiceRequest) -> dict[str, Any]:
    group = _find_group(request, request.params["GroupId"])
    for change in request.params["SecurityGroupRules"]:
        rule, new_rule = group.get_rule(change["SecurityGroupRuleId"]), change.get("SecurityGroupRule", {})
        if rule is None:
            message = f"The security group rule ID '{change['SecurityGroupRuleId']}' does not exist"
            raise Refused("InvalidSecurityGroupRuleId.NotFound", 400, message)
        peers = [
            name
            for name in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")
            if new_rule.get(name) is not None
        ]
        if len(peers) != 1 or not new_rule.get("IpProtocol"):
            message = "A rule has a protocol and exactly one of CidrIpv4, CidrIpv6, PrefixListId, ReferencedGroupId."
            raise Refused("InvalidParameterCombination" if peers else "MissingParameter", 400, message)
        _change_rule(request, rule, new_rule)
    return {"Return": True}


def _change_rule(request: ServiceRequest, rule: Any, new_rule: dict[str, Any]) -> None:
    cidrs = {"CidrIp": new_rule.get("CidrIpv4"), "CidrIpv6": new_rule.get("CidrIpv6")}
    cidrs["Description"] = new_rule.get("Description") or None
    rule.ip_range = {name: value for name, value in cidrs.items() if value is not None}
    rule.prefix_list_id = new_rule.get("PrefixListId")
    peer = new_rule.get("ReferencedGroupId")
    rule.source_group = {"GroupId": _find_group(request, peer).id, "UserId": request.account} if peer else {}
    rule.ip_protocol = new_rule["IpProtocol"]
    all_protocols = rule.ip_protocol == "-1"
    rule.from_port = None if all_protocols else new_rule.get("FromPort")
    rule.to_port = None if all_protocols else new_rule.get("ToPort")


def delete_security_group(request: ServiceRequest) -> dict[str, Any]:
    ec2, params = backend(request), request.params
    if not params.get("GroupId"):
        ec2.delete_security_group(params.get("GroupName"))
        return {}
    group = _find_group(request, params["GroupId"])
    if group.is_default:
        message = f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
        raise Refused("CannotDelete", 400, message)
    is_used = any(member.id == group.id for eni in ec2.enis.values() for member in eni._group_set)
    other_groups = [
        other for groups in ec2.groups.values() for other in groups.values() if other.id != group.id
    ]
    is_used = is_used or any(
        rule.source_group.get("GroupId") == group.id
        for other in other_groups
        for rule in (*other.ingress_rules, *other.egress_rules)
    )
    if is_used:
        raise Refused("DependencyViolation", 400, f"resource {group.id} has a dependent object")
    ec2.delete_security_group(group_id=group.id)
    return {}


OPERATIONS = (
    operation("AuthorizeSecurityGroupIngress", _authorize_operation("ingress")),
    operation("AuthorizeSecurityGroupEgress", _authorize_operation("egress")),
    operation("ModifySecurityGroupRules", modify_security_group_rules),
    operation("DeleteSecurityGroup", delete_security_group),
)
