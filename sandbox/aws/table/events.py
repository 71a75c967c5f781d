"""Amazon EventBridge, which Pulumi counts to CloudWatch: rules on the default bus and their targets."""

from __future__ import annotations

from sandbox.aws.model import AutoName, Call, Facet, Tagging, Type
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_RULE = {
    "Name": "$name",
    "Description": "$description",
    "EventPattern": "$eventPattern",
    "ScheduleExpression": "$scheduleExpression",
    "RoleArn": "$roleArn",
    "State": "$state",
}

RULE = Type(
    "aws:cloudwatch/eventRule:EventRule",
    service="events",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "description": Prop(),
        "eventPattern": Prop("json"),
        "scheduleExpression": Prop(),
        "roleArn": Prop(),
        "state": Prop(default="ENABLED"),
        "forceDestroy": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call("put_rule", {**_RULE, "Tags": "$tagsAll"}),
    reads=(
        Call(
            "describe_rule",
            {"Name": "$name"},
            result={
                "description": "Description",
                "eventPattern": "EventPattern",
                "scheduleExpression": "ScheduleExpression",
                "roleArn": "RoleArn",
                "state": "State",
            },
            absent=_GONE,
        ),
        Call("list_tags_for_resource", {"ResourceARN": "$arn"}, result={"tagsAll": "Tags"}),
    ),
    facets=(
        Facet(
            ("description", "eventPattern", "scheduleExpression", "roleArn", "state"),
            put=Call("put_rule", _RULE),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_resource", {"ResourceARN": "$arn", "Tags": "$tagsSet"}),
        remove=Call("untag_resource", {"ResourceARN": "$arn", "TagKeys": "$tagsGone"}),
    ),
    delete=Call("delete_rule", {"Name": "$name", "Force": "$forceDestroy"}, absent=_GONE),
    computed={"arn": "arn:{partition}:events:{region}:{account}:rule/{name}"},
    autoname=AutoName("name", "namePrefix", longest=64),
    limits="No event of AWS's own services arrives, so no rule is ever met. Buses other than the default one "
    "are not served.",
)

_PUT = Call(
    "put_targets",
    {
        "Rule": "$rule",
        "Targets": [
            {
                "Id": "$targetId",
                "Arn": "$arn",
                "RoleArn": "$roleArn",
                "Input": "$input",
                "InputPath": "$inputPath",
                "InputTransformer": "$inputTransformer",
                "DeadLetterConfig": "$deadLetterConfig",
                "RetryPolicy": "$retryPolicy",
            }
        ],
    },
)

TARGET = Type(
    "aws:cloudwatch/eventTarget:EventTarget",
    service="events",
    id="{rule}/{targetId}",
    inputs={
        "rule": Prop(required=True, replace=True),
        "targetId": Prop(replace=True),
        "arn": Prop(required=True),
        "roleArn": Prop(),
        "input": Prop(),
        "inputPath": Prop(),
        "inputTransformer": Prop(
            "object",
            fields={"inputTemplate": Prop(required=True), "inputPaths": Prop("map", api="InputPathsMap")},
        ),
        "deadLetterConfig": Prop("object", fields={"arn": Prop()}),
        "retryPolicy": Prop(
            "object",
            fields={"maximumEventAgeInSeconds": Prop("number"), "maximumRetryAttempts": Prop("number")},
        ),
        "region": REGION,
    },
    outputs={},
    create=_PUT,
    reads=(
        Call(
            "list_targets_by_rule",
            {"Rule": "$rule"},
            pick="Targets[?Id=='{targetId}'] | [0]",
            result={
                "arn": "Arn",
                "roleArn": "RoleArn",
                "input": "Input",
                "inputPath": "InputPath",
                "inputTransformer": "InputTransformer",
                "deadLetterConfig": "DeadLetterConfig",
                "retryPolicy": "RetryPolicy",
            },
            absent=_GONE,
        ),
    ),
    facets=(
        Facet(
            ("arn", "roleArn", "input", "inputPath", "inputTransformer", "deadLetterConfig", "retryPolicy"),
            put=_PUT,
        ),
    ),
    delete=Call("remove_targets", {"Rule": "$rule", "Ids": ["$targetId"]}, absent=_GONE),
    autoname=AutoName("targetId", None, longest=64),
    limits="Nothing is delivered, and that the target lets EventBridge in is not checked. The id is the "
    "import's form, `rule/target`, where the real plugin's has a hyphen; a missing `targetId` is made up from the "
    "resource's name. Targets with settings of their service (ECS, Batch, SQS, …) are not served.",
)

TYPES = (RULE, TARGET)
