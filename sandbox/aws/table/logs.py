"""Amazon CloudWatch Logs: log groups."""

from __future__ import annotations

from sandbox.aws.model import AutoName, Call, Facet, Tagging, Type, all_tags
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_NAME = {"logGroupName": "$name"}

LOG_GROUP = Type(
    "aws:cloudwatch/logGroup:LogGroup",
    service="logs",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "kmsKeyId": Prop(),
        "logGroupClass": Prop(replace=True, local=True, computed=True),
        "retentionInDays": Prop("number", default=0),
        "skipDestroy": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "create_log_group",
        {
            **_NAME,
            "kmsKeyId": "$kmsKeyId",
            "logGroupClass": "$logGroupClass",
            "tags": all_tags,
        },
    ),
    reads=(
        Call(
            "describe_log_groups",
            {"logGroupNamePrefix": "$name"},
            pick="logGroups[?logGroupName=='{name}'] | [0]",
            result={
                "kmsKeyId": "kmsKeyId",
                "retentionInDays": "retentionInDays",
            },
        ),
        Call("list_tags_for_resource", {"resourceArn": "$arn"}, result={"tagsAll": "tags"}),
    ),
    facets=(
        Facet(
            ("retentionInDays",),
            at_create=True,
            put=Call("put_retention_policy", {**_NAME, "retentionInDays": "$retentionInDays"}),
            clear=Call("delete_retention_policy", _NAME),
        ),
        Facet(
            ("kmsKeyId",),
            put=Call("associate_kms_key", {**_NAME, "kmsKeyId": "$kmsKeyId"}),
            clear=Call("disassociate_kms_key", _NAME),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_resource", {"resourceArn": "$arn", "tags": "$tagsSet"}),
        remove=Call("untag_resource", {"resourceArn": "$arn", "tagKeys": "$tagsGone"}),
    ),
    delete=Call("delete_log_group", _NAME, absent=_GONE),
    computed={"arn": "arn:{partition}:logs:{region}:{account}:log-group:{name}"},
    autoname=AutoName("name", "namePrefix", longest=512),
    limits="The group's class is recorded, not kept by the endpoint. Nothing is encrypted with the key, "
    "and no event is removed when its retention ends.",
)

TYPES = (LOG_GROUP,)
