"""Amazon Route 53: private hosted zones and their records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Tagging, Type, fresh_token
from sandbox.aws.schema import Prop, has_same_members, to_api
from sandbox.aws.table.kms import TAGS

_ZONE = {"Id": "$zoneId"}
_TAGGED = {"ResourceType": "hostedzone", "ResourceId": "$zoneId"}
_NO_ZONE = ("NoSuchHostedZone",)


def _plain(name: Any) -> str:
    """Return a name without the dot that AWS adds."""
    return str(name).rstrip(".")


def _same_name(left: Any, right: Any) -> bool:
    return _plain(left) == _plain(right)


def _pairs(vpcs: Any) -> set[tuple[str, str]]:
    return {(vpc["vpcId"], vpc.get("vpcRegion") or "") for vpc in vpcs or []}


def _same_vpcs(left: Any, right: Any) -> bool:
    """Compare VPCs in any order. A missing region counts as equal."""
    if not (isinstance(left, list) and isinstance(right, list)):
        return bool(left == right)
    if not all(isinstance(vpc, dict) for vpc in (*left, *right)):
        return False
    return {vpc for vpc, _ in _pairs(left)} == {vpc for vpc, _ in _pairs(right)}


def _move(call: Callable[..., Any], scope: Scope) -> None:
    """Change the VPCs. New ones are associated first, since a private zone must always have one."""
    old_vpcs = call("get_hosted_zone", Id=scope["zoneId"])["VPCs"]
    old_ids = {vpc["VPCId"] for vpc in old_vpcs}
    regions_by_vpc = {vpc: region or scope["region"] for vpc, region in _pairs(scope.get("vpcs"))}
    for vpc in sorted(set(regions_by_vpc) - old_ids):
        place = {"VPCId": vpc, "VPCRegion": regions_by_vpc[vpc]}
        call("associate_vpc_with_hosted_zone", HostedZoneId=scope["zoneId"], VPC=place)
    for one in old_vpcs:
        if one["VPCId"] not in regions_by_vpc:
            place = {"VPCId": one["VPCId"], "VPCRegion": one["VPCRegion"]}
            call("disassociate_vpc_from_hosted_zone", HostedZoneId=scope["zoneId"], VPC=place)


def _finish(call: Callable[..., Any], scope: Scope) -> None:
    """Set what the creating call cannot: more than one VPC, and tags."""
    if len(scope.get("vpcs") or []) > 1:
        _move(call, scope)
    if scope["tagsAll"]:
        tags = to_api(Prop("tags"), scope["tagsAll"])
        call("change_tags_for_resource", ResourceType="hostedzone", ResourceId=scope["zoneId"], AddTags=tags)


def _first(scope: Scope) -> dict[str, str] | None:
    vpcs = scope.get("vpcs") or []
    if not vpcs:
        return None
    return {"VPCId": vpcs[0]["vpcId"], "VPCRegion": vpcs[0].get("vpcRegion") or scope["region"]}


def _zones_of_name(call: Callable[..., Any], scope: Scope) -> list[str]:
    zones = call("list_hosted_zones_by_name", DNSName=scope["name"])["HostedZones"]
    return [zone["Id"].rpartition("/")[2] for zone in zones if _same_name(zone["Name"], scope["name"])]


ZONE = Type(
    "aws:route53/zone:Zone",
    service="route53",
    id="{zoneId}",
    inputs={
        "name": Prop(required=True, replace=True, alike=_same_name),
        "comment": Prop(default="Managed by Pulumi"),
        "vpcs": Prop(
            "list",
            item=Prop(
                "object",
                fields={
                    "vpcId": Prop(api="VPCId", required=True),
                    "vpcRegion": Prop(api="VPCRegion", computed=True),
                },
            ),
            alike=_same_vpcs,
        ),
        "forceDestroy": Prop("flag", local=True),
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "zoneId": Prop(),
        "nameServers": Prop("list"),
        "primaryNameServer": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_hosted_zone",
        {
            "CallerReference": fresh_token,
            "Name": "$name",
            "HostedZoneConfig": lambda scope: {
                "Comment": scope.get("comment") or "Managed by Pulumi",
                "PrivateZone": bool(scope.get("vpcs")),
            },
            "VPC": _first,
        },
        result={"zoneId": lambda answer: str(answer["HostedZone"]["Id"]).rpartition("/")[2]},
    ),
    after_create=_finish,
    set_after_create=("tags",),
    reads=(
        Call(
            "get_hosted_zone",
            _ZONE,
            result={
                "name": lambda answer: _plain(answer["HostedZone"]["Name"]),
                "comment": "HostedZone.Config.Comment",
                "vpcs": "VPCs || `[]`",
                # A private zone has reserved name servers, which nobody queries.
                "nameServers": "DelegationSet.NameServers || `[]`",
                "primaryNameServer": "DelegationSet.NameServers[0] || ''",
            },
            absent=_NO_ZONE,
        ),
        Call("list_tags_for_resource", _TAGGED, result={"tagsAll": "ResourceTagSet.Tags || `[]`"}),
    ),
    facets=(
        Facet(("comment",), put=Call("update_hosted_zone_comment", {**_ZONE, "Comment": "$comment"})),
        Facet(("vpcs",), put=_move),
    ),
    tagging=Tagging(
        put=Call("change_tags_for_resource", {**_TAGGED, "AddTags": "$tagsSet"}),
        remove=Call("change_tags_for_resource", {**_TAGGED, "RemoveTagKeys": "$tagsGone"}),
    ),
    list_all=_zones_of_name,
    delete=Call("delete_hosted_zone", _ZONE, absent=_NO_ZONE),
    computed={"arn": "arn:{partition}:route53:::hostedzone/{zoneId}"},
    limits="Kept; no name is answered.",
)


def _record(scope: Scope) -> dict[str, Any]:
    """Return a record set in the API's form."""
    record: dict[str, Any] = {"Name": scope["name"], "Type": scope["type"]}
    if scope.get("aliases"):
        [alias] = scope["aliases"]
        record["AliasTarget"] = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zoneId"],
            "EvaluateTargetHealth": bool(alias.get("evaluateTargetHealth")),
        }
    else:
        record["TTL"] = int(scope.get("ttl") or 300)
        record["ResourceRecords"] = [{"Value": value} for value in scope.get("records") or []]
    return record


def _change(action: str) -> Callable[[Scope], dict[str, Any]]:
    return lambda scope: {"Changes": [{"Action": action, "ResourceRecordSet": _record(scope)}]}


_SET = Call("change_resource_record_sets", {"HostedZoneId": "$zoneId", "ChangeBatch": _change("UPSERT")})


def _aliases(record_set: Any) -> list[dict[str, Any]] | None:
    target = record_set.get("AliasTarget")
    if not target:
        return None
    return [
        {
            "Name": _plain(target["DNSName"]),
            "ZoneId": target["HostedZoneId"],
            "EvaluateTargetHealth": bool(target["EvaluateTargetHealth"]),
        }
    ]


RECORD = Type(
    "aws:route53/record:Record",
    service="route53",
    id="{zoneId}_{name}_{type}",
    inputs={
        "zoneId": Prop(required=True, replace=True),
        "name": Prop(required=True, replace=True, alike=_same_name),
        "type": Prop(required=True, replace=True),
        "ttl": Prop("number"),
        "records": Prop("list", alike=has_same_members),
        "aliases": Prop(
            "list",
            item=Prop(
                "object",
                fields={
                    "name": Prop(required=True, alike=_same_name),
                    "zoneId": Prop(required=True),
                    "evaluateTargetHealth": Prop("flag", default=False),
                },
            ),
        ),
    },
    outputs={"fqdn": Prop()},
    create=Call("change_resource_record_sets", {"HostedZoneId": "$zoneId", "ChangeBatch": _change("CREATE")}),
    reads=(
        Call(
            "list_resource_record_sets",
            {"HostedZoneId": "$zoneId"},
            pick="ResourceRecordSets[?(Name=='{name}' || Name=='{name}.') && Type=='{type}'] | [0]",
            result={
                "ttl": "TTL",
                "records": "ResourceRecords[].Value",
                "aliases": _aliases,
                "fqdn": lambda record_set: _plain(record_set["Name"]),
            },
            absent=_NO_ZONE,
        ),
    ),
    facets=(Facet(("ttl", "records", "aliases"), put=_SET),),
    delete=Call(
        "change_resource_record_sets",
        {"HostedZoneId": "$zoneId", "ChangeBatch": _change("DELETE")},
        absent=(*_NO_ZONE, "InvalidChangeBatch"),
    ),
    limits="Kept; no name is answered. Simple records and aliases only: no weights, no health checks.",
)

TYPES = (ZONE, RECORD)
