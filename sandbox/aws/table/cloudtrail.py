"""AWS CloudTrail: trails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, has_same_members, to_api
from sandbox.aws.table.kms import REGION, TAGS

_NAME = {"Name": "$arn"}
_TEXTS = Prop("list", item=Prop(), alike=has_same_members)


def _values(api: str) -> Prop:
    return Prop("list", item=Prop(), alike=has_same_members, api=api)


_ADVANCED = Prop(
    "list",
    item=Prop(
        "object",
        fields={
            "name": Prop(),
            "fieldSelectors": Prop(
                "list",
                required=True,
                item=Prop(
                    "object",
                    fields={
                        "field": Prop(required=True),
                        "equals": _values("Equals"),
                        "notEquals": _values("NotEquals"),
                        "startsWiths": _values("StartsWith"),
                        "notStartsWiths": _values("NotStartsWith"),
                        "endsWiths": _values("EndsWith"),
                        "notEndsWiths": _values("NotEndsWith"),
                    },
                ),
            ),
        },
    ),
)
_BASIC = Prop(
    "list",
    computed=True,
    item=Prop(
        "object",
        fields={
            "readWriteType": Prop(default="All"),
            "includeManagementEvents": Prop("flag", default=True),
            "excludeManagementEventSources": _TEXTS,
            "dataResources": Prop(
                "list",
                item=Prop(
                    "object",
                    fields={"type": Prop(required=True), "values": Prop("list", item=Prop(), required=True)},
                ),
            ),
        },
    ),
)


def _basic(scope: Scope) -> Any:
    """Return the trail's basic selectors, or AWS's default ones. None if it has advanced selectors."""
    if scope.get("advancedEventSelectors"):
        return None
    return to_api(_BASIC, scope.get("eventSelectors") or [{}])


def _cleared(name: str) -> Callable[[Scope], Any]:
    """Return an empty text for a removed setting: AWS keeps the old value if the call omits it."""
    return lambda scope: scope.get(name) or ""


_FLAGS = {
    "IncludeGlobalServiceEvents": "$includeGlobalServiceEvents",
    "IsMultiRegionTrail": "$isMultiRegionTrail",
    "IsOrganizationTrail": "$isOrganizationTrail",
    "EnableLogFileValidation": "$enableLogFileValidation",
}


def _start(call: Callable[..., Any], scope: Scope) -> None:
    """Start the logging of a new trail, which is off by default."""
    if scope.get("enableLogging") is not False:
        call("start_logging", Name=scope["arn"])


TRAIL = Type(
    "aws:cloudtrail/trail:Trail",
    service="cloudtrail",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "s3BucketName": Prop(required=True),
        "s3KeyPrefix": Prop(),
        "snsTopicName": Prop(),
        "kmsKeyId": Prop(),
        "cloudWatchLogsGroupArn": Prop(),
        "cloudWatchLogsRoleArn": Prop(),
        "includeGlobalServiceEvents": Prop("flag", default=True),
        "isMultiRegionTrail": Prop("flag", default=False),
        "isOrganizationTrail": Prop("flag", default=False),
        "enableLogFileValidation": Prop("flag", default=False),
        "enableLogging": Prop("flag", default=True),
        "advancedEventSelectors": _ADVANCED,
        "eventSelectors": _BASIC,
        "insightSelectors": Prop("list", item=Prop("object", fields={"insightType": Prop(required=True)})),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "homeRegion": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_trail",
        {
            "Name": "$name",
            "S3BucketName": "$s3BucketName",
            "S3KeyPrefix": "$s3KeyPrefix",
            "SnsTopicName": "$snsTopicName",
            "KmsKeyId": "$kmsKeyId",
            "CloudWatchLogsLogGroupArn": "$cloudWatchLogsGroupArn",
            "CloudWatchLogsRoleArn": "$cloudWatchLogsRoleArn",
            **_FLAGS,
            "TagsList": "$tagsAll",
        },
    ),
    after_create=_start,
    set_after_create=("enableLogging",),
    reads=(
        Call(
            "describe_trails",
            {"trailNameList": ["$arn"], "includeShadowTrails": False},
            pick="trailList[?TrailARN=='{arn}'] | [0]",
            result={
                "name": "Name",
                "homeRegion": "HomeRegion",
                "s3BucketName": "S3BucketName",
                "s3KeyPrefix": "S3KeyPrefix",
                "snsTopicName": "SnsTopicName",
                "kmsKeyId": "KmsKeyId",
                "cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn",
                "cloudWatchLogsRoleArn": "CloudWatchLogsRoleArn",
                "includeGlobalServiceEvents": "IncludeGlobalServiceEvents",
                "isMultiRegionTrail": "IsMultiRegionTrail",
                "isOrganizationTrail": "IsOrganizationTrail",
                "enableLogFileValidation": "LogFileValidationEnabled",
            },
            absent=("TrailNotFoundException",),
        ),
        Call("get_trail_status", _NAME, result={"enableLogging": "IsLogging"}),
        Call(
            "get_event_selectors",
            {"TrailName": "$arn"},
            result={"eventSelectors": "EventSelectors", "advancedEventSelectors": "AdvancedEventSelectors"},
        ),
        Call(
            "get_insight_selectors",
            {"TrailName": "$arn"},
            result={"insightSelectors": "InsightSelectors"},
            absent=("InsightNotEnabledException",),
        ),
        Call(
            "list_tags",
            {"ResourceIdList": ["$arn"]},
            result={"tagsAll": "ResourceTagList[0].TagsList"},
        ),
    ),
    facets=(
        Facet(
            (
                "s3BucketName",
                "s3KeyPrefix",
                "snsTopicName",
                "kmsKeyId",
                "cloudWatchLogsGroupArn",
                "cloudWatchLogsRoleArn",
                "includeGlobalServiceEvents",
                "isMultiRegionTrail",
                "isOrganizationTrail",
                "enableLogFileValidation",
            ),
            put=Call(
                "update_trail",
                {
                    **_NAME,
                    "S3BucketName": "$s3BucketName",
                    "S3KeyPrefix": _cleared("s3KeyPrefix"),
                    "SnsTopicName": _cleared("snsTopicName"),
                    "KmsKeyId": _cleared("kmsKeyId"),
                    "CloudWatchLogsLogGroupArn": _cleared("cloudWatchLogsGroupArn"),
                    "CloudWatchLogsRoleArn": _cleared("cloudWatchLogsRoleArn"),
                    **_FLAGS,
                },
            ),
        ),
        Facet(
            ("advancedEventSelectors", "eventSelectors"),
            at_create=True,
            put=Call(
                "put_event_selectors",
                {
                    "TrailName": "$arn",
                    "AdvancedEventSelectors": "$advancedEventSelectors",
                    "EventSelectors": _basic,
                },
            ),
        ),
        Facet(
            ("insightSelectors",),
            at_create=True,
            put=Call("put_insight_selectors", {"TrailName": "$arn", "InsightSelectors": "$insightSelectors"}),
            clear=Call("put_insight_selectors", {"TrailName": "$arn", "InsightSelectors": []}),
        ),
        Facet(
            ("enableLogging",),
            put=Call("start_logging", _NAME),
            clear=Call("stop_logging", _NAME),
        ),
    ),
    tagging=Tagging(
        put=Call("add_tags", {"ResourceId": "$arn", "TagsList": "$tagsSet"}),
        remove=Call(
            "remove_tags",
            {"ResourceId": "$arn", "TagsList": lambda scope: [{"Key": key} for key in scope["tagsGone"]]},
        ),
    ),
    delete=Call("delete_trail", _NAME, absent=("TrailNotFoundException",)),
    computed={"arn": "arn:{partition}:cloudtrail:{region}:{account}:trail/{name}"},
    autoname=AutoName("name", None, longest=128),
    limits="No event is recorded or delivered. That the bucket's, the key's and the topic's policies let "
    "CloudTrail in, that the role can write to the log group, and that an organisation exists and its "
    "management account asks are not checked; AWS checks them when the trail is made.",
)

TYPES = (TRAIL,)
