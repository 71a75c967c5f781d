"""Amazon CloudWatch: alarms and metric filters."""

from __future__ import annotations

from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, pairs
from sandbox.aws.schema import Prop, has_same_members, to_api
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_ACTIONS = Prop("list", alike=has_same_members)


def same_number(left: Any, right: Any) -> bool:
    """Compare numbers: `"0"` and `0.0` are equal."""
    try:
        return float(left) == float(right)
    except (ValueError, TypeError):
        return bool(left == right)


_METRIC = Prop(
    "object",
    required=True,
    fields={
        "name": Prop(api="metricName", required=True),
        "namespace": Prop(api="metricNamespace", required=True),
        "value": Prop(api="metricValue", required=True),
        "defaultValue": Prop(api="defaultValue", alike=same_number),
        "dimensions": Prop("map", api="dimensions"),
        "unit": Prop(api="unit", default="None"),
    },
)


def _transformations(scope: Scope) -> list[dict[str, Any]]:
    """Return the transformations for the API, which has the default value as a number, not as text."""
    members = to_api(_METRIC, scope["metricTransformation"])
    if members.get("defaultValue") in (None, ""):
        members.pop("defaultValue", None)
    else:
        members["defaultValue"] = float(members["defaultValue"])
    return [members]


def _transformation(answer: dict[str, Any]) -> dict[str, Any]:
    members = dict(answer["metricTransformations"][0])
    if members.get("defaultValue") is not None:
        members["defaultValue"] = f"{members['defaultValue']:g}"
    return members


_PUT_FILTER = Call(
    "put_metric_filter",
    {
        "logGroupName": "$logGroupName",
        "filterName": "$name",
        "filterPattern": lambda scope: scope.get("pattern") or "",
        "metricTransformations": _transformations,
    },
)

METRIC_FILTER = Type(
    "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    service="logs",
    id="{logGroupName}:{name}",
    inputs={
        "name": Prop(replace=True),
        "logGroupName": Prop(required=True, replace=True),
        "pattern": Prop(required=True),
        "metricTransformation": _METRIC,
        "region": REGION,
    },
    outputs={},
    create=_PUT_FILTER,
    reads=(
        Call(
            "describe_metric_filters",
            {"logGroupName": "$logGroupName", "filterNamePrefix": "$name"},
            pick="metricFilters[?filterName=='{name}' && logGroupName=='{logGroupName}'] | [0]",
            result={"pattern": "filterPattern", "metricTransformation": _transformation},
            absent=_GONE,
        ),
    ),
    facets=(Facet(("pattern", "metricTransformation"), put=_PUT_FILTER),),
    delete=Call(
        "delete_metric_filter", {"logGroupName": "$logGroupName", "filterName": "$name"}, absent=_GONE
    ),
    autoname=AutoName("name", None, longest=512),
    limits="No event is matched and no metric counted; that AWS can parse the pattern is not checked. "
    "The id is the import's form, `group:name`, where the real plugin's is the name.",
)


def _put_alarm(**more: Any) -> Call:
    return Call(
        "put_metric_alarm",
        {
            "AlarmName": "$name",
            "AlarmDescription": "$alarmDescription",
            "ActionsEnabled": "$actionsEnabled",
            "AlarmActions": "$alarmActions",
            "OKActions": "$okActions",
            "InsufficientDataActions": "$insufficientDataActions",
            "MetricName": "$metricName",
            "Namespace": "$namespace",
            "Dimensions": lambda scope: pairs(scope.get("dimensions"), "Name", "Value"),
            "Statistic": "$statistic",
            "ExtendedStatistic": "$extendedStatistic",
            "Period": "$period",
            "EvaluationPeriods": "$evaluationPeriods",
            "DatapointsToAlarm": "$datapointsToAlarm",
            "Threshold": "$threshold",
            "ComparisonOperator": "$comparisonOperator",
            "TreatMissingData": "$treatMissingData",
            "EvaluateLowSampleCountPercentile": "$evaluateLowSampleCountPercentiles",
            "Unit": "$unit",
            **more,
        },
    )


ALARM = Type(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    service="cloudwatch",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "alarmDescription": Prop(),
        "actionsEnabled": Prop("flag", default=True),
        "alarmActions": _ACTIONS,
        "okActions": _ACTIONS,
        "insufficientDataActions": _ACTIONS,
        "metricName": Prop(),
        "namespace": Prop(),
        "dimensions": Prop("map"),
        "statistic": Prop(),
        "extendedStatistic": Prop(),
        "period": Prop("number"),
        "evaluationPeriods": Prop("number"),
        "datapointsToAlarm": Prop("number", computed=True),
        "threshold": Prop("number"),
        "comparisonOperator": Prop(),
        "treatMissingData": Prop(default="missing"),
        "evaluateLowSampleCountPercentiles": Prop(computed=True),
        "unit": Prop(),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=_put_alarm(Tags="$tagsAll"),
    reads=(
        Call(
            "describe_alarms",
            {"AlarmNames": ["$name"]},
            pick="MetricAlarms[?AlarmName=='{name}'] | [0]",
            result={
                "alarmDescription": "AlarmDescription",
                "actionsEnabled": "ActionsEnabled",
                "alarmActions": "AlarmActions",
                "okActions": "OKActions",
                "insufficientDataActions": "InsufficientDataActions",
                "metricName": "MetricName",
                "namespace": "Namespace",
                "dimensions": lambda answer: {
                    dimension["Name"]: dimension["Value"] for dimension in answer.get("Dimensions") or ()
                },
                "statistic": "Statistic",
                "extendedStatistic": "ExtendedStatistic",
                "period": "Period",
                "evaluationPeriods": "EvaluationPeriods",
                "datapointsToAlarm": "DatapointsToAlarm",
                "threshold": "Threshold",
                "comparisonOperator": "ComparisonOperator",
                "treatMissingData": "TreatMissingData",
                "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
                "unit": "Unit",
            },
        ),
        Call("list_tags_for_resource", {"ResourceARN": "$arn"}, result={"tagsAll": "Tags"}),
    ),
    facets=(
        Facet(
            (
                "alarmDescription",
                "actionsEnabled",
                "alarmActions",
                "okActions",
                "insufficientDataActions",
                "metricName",
                "namespace",
                "dimensions",
                "statistic",
                "extendedStatistic",
                "period",
                "evaluationPeriods",
                "datapointsToAlarm",
                "threshold",
                "comparisonOperator",
                "treatMissingData",
                "evaluateLowSampleCountPercentiles",
                "unit",
            ),
            put=_put_alarm(),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_resource", {"ResourceARN": "$arn", "Tags": "$tagsSet"}),
        remove=Call("untag_resource", {"ResourceARN": "$arn", "TagKeys": "$tagsGone"}),
    ),
    delete=Call("delete_alarms", {"AlarmNames": ["$name"]}, absent=("ResourceNotFound",)),
    computed={"arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"},
    autoname=AutoName("name", None, longest=255),
    limits="Nothing is measured: no alarm ever goes off, and no action runs. Metric queries, anomaly bands "
    "and PromQL criteria are not served.",
)

RESOURCE_POLICY = Type(
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
    service="logs",
    id="{policyName}",
    inputs={
        "policyName": Prop(replace=True),
        "policyDocument": Prop("json", required=True),
        "region": REGION,
    },
    outputs={},
    create=Call("put_resource_policy", {"policyName": "$policyName", "policyDocument": "$policyDocument"}),
    reads=(
        Call(
            "describe_resource_policies",
            {},
            pick="resourcePolicies[?policyName=='{policyName}'] | [0]",
            result={"policyDocument": "policyDocument"},
        ),
    ),
    facets=(
        Facet(
            ("policyDocument",),
            put=Call(
                "put_resource_policy", {"policyName": "$policyName", "policyDocument": "$policyDocument"}
            ),
        ),
    ),
    delete=Call("delete_resource_policy", {"policyName": "$policyName"}, absent=_GONE),
    limits="Kept, not enforced. Policies of a resource (`resourceArn`) are not served.",
)

TYPES = (METRIC_FILTER, ALARM, RESOURCE_POLICY)
