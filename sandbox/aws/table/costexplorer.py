"""AWS Cost Explorer: anomaly monitors and alerts, and cost-allocation tags. They have no region."""

from __future__ import annotations

import json
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, list_all_ids
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import TAGS

_TAGGING = Tagging(
    put=Call("tag_resource", {"ResourceArn": "$arn", "ResourceTags": "$tagsSet"}),
    remove=Call("untag_resource", {"ResourceArn": "$arn", "ResourceTagKeys": "$tagsGone"}),
)
_READ_TAGS = Call("list_tags_for_resource", {"ResourceArn": "$arn"}, result={"tagsAll": "ResourceTags"})


_OPERATORS = ("And", "CostCategories", "Dimensions", "Not", "Or", "Tags")
_OF_VALUES = ("Key", "MatchOptions", "Values")


def _specification(scope: Scope) -> Any:
    text = scope.get("monitorSpecification")
    return _without_absent(json.loads(text)) if text else None


def _without_absent(part: Any) -> Any:
    """Return an expression without null members: the real provider parses it into a structure that omits them."""
    if isinstance(part, dict):
        return {name: _without_absent(value) for name, value in part.items() if value is not None}
    return [_without_absent(item) for item in part] if isinstance(part, list) else part


def _with_all_operators(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return an expression as the real provider reads it: with all members, null if missing."""
    if part is None:
        return None
    expression: dict[str, Any] = {name: part.get(name) for name in _OPERATORS}
    for name in ("And", "Or"):
        expression[name] = (
            [_with_all_operators(item) for item in expression[name]] if expression[name] else None
        )
    expression["Not"] = _with_all_operators(expression["Not"])
    for name in ("CostCategories", "Dimensions", "Tags"):
        values = expression[name]
        expression[name] = {key: values.get(key) for key in _OF_VALUES} if values else None
    return expression


MONITOR = Type(
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
    service="ce",
    id="{arn}",
    inputs={
        "name": Prop(),
        "monitorType": Prop(required=True, replace=True),
        "monitorDimension": Prop(replace=True),
        "monitorSpecification": Prop("json", replace=True),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_anomaly_monitor",
        {
            "AnomalyMonitor": {
                "MonitorName": "$name",
                "MonitorType": "$monitorType",
                "MonitorDimension": "$monitorDimension",
                "MonitorSpecification": _specification,
            },
            "ResourceTags": "$tagsAll",
        },
        result={"arn": "MonitorArn"},
    ),
    list_all=list_all_ids("get_anomaly_monitors", "AnomalyMonitors[].MonitorArn"),
    reads=(
        Call(
            "get_anomaly_monitors",
            {"MonitorArnList": ["$arn"]},
            pick="AnomalyMonitors[0]",
            result={
                "name": "MonitorName",
                "monitorType": "MonitorType",
                "monitorDimension": "MonitorDimension",
                "monitorSpecification": lambda answer: (
                    json.dumps(_with_all_operators(answer["MonitorSpecification"]))
                    if answer.get("MonitorSpecification")
                    else None
                ),
            },
            absent=("UnknownMonitorException",),
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(("name",), put=Call("update_anomaly_monitor", {"MonitorArn": "$arn", "MonitorName": "$name"})),
    ),
    tagging=_TAGGING,
    delete=Call("delete_anomaly_monitor", {"MonitorArn": "$arn"}, absent=("UnknownMonitorException",)),
    autoname=AutoName("name", None, longest=1024),
    allows_duplicates=True,
    limits="Nothing is ever spent, so no anomaly is found. How many monitors an account may have (of AWS "
    "services one) is not known here.",
)

_VALUES = Prop(
    "object",
    fields={
        "key": Prop(),
        "matchOptions": Prop("list", item=Prop(), alike=has_same_members),
        "values": Prop("list", item=Prop(), alike=has_same_members),
    },
)
_TERMS = {
    "dimension": Prop("object", api="Dimensions", fields=_VALUES.fields),
    "costCategory": Prop("object", api="CostCategories", fields=_VALUES.fields),
    "tags": Prop("object", api="Tags", fields=_VALUES.fields),
}
_EXPRESSION = Prop(
    "object",
    fields={
        **_TERMS,
        "ands": Prop("list", api="And", item=Prop("object", fields=_TERMS)),
        "ors": Prop("list", api="Or", item=Prop("object", fields=_TERMS)),
        "not": Prop("object", api="Not", fields=_TERMS),
    },
)
_SUBSCRIPTION = {
    "Frequency": "$frequency",
    "MonitorArnList": "$monitorArnLists",
    "Subscribers": "$subscribers",
    "ThresholdExpression": "$thresholdExpression",
}

SUBSCRIPTION = Type(
    "aws:costexplorer/anomalySubscription:AnomalySubscription",
    service="ce",
    id="{arn}",
    inputs={
        "accountId": Prop(replace=True, computed=True),
        "name": Prop(replace=True),
        "frequency": Prop(required=True),
        "monitorArnLists": Prop("list", item=Prop(), required=True, alike=has_same_members),
        "subscribers": Prop(
            "list",
            required=True,
            item=Prop("object", fields={"address": Prop(required=True), "type": Prop(required=True)}),
        ),
        "thresholdExpression": _EXPRESSION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_anomaly_subscription",
        {
            "AnomalySubscription": {
                "SubscriptionName": "$name",
                "AccountId": "$accountId",
                **_SUBSCRIPTION,
            },
            "ResourceTags": "$tagsAll",
        },
        result={"arn": "SubscriptionArn"},
    ),
    list_all=list_all_ids("get_anomaly_subscriptions", "AnomalySubscriptions[].SubscriptionArn"),
    reads=(
        Call(
            "get_anomaly_subscriptions",
            {"SubscriptionArnList": ["$arn"]},
            pick="AnomalySubscriptions[0]",
            result={
                "accountId": "AccountId",
                "name": "SubscriptionName",
                "frequency": "Frequency",
                "monitorArnLists": "MonitorArnList",
                "subscribers": "Subscribers",
                "thresholdExpression": "ThresholdExpression",
            },
            absent=("UnknownSubscriptionException",),
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("frequency", "monitorArnLists", "subscribers", "thresholdExpression"),
            put=Call("update_anomaly_subscription", {"SubscriptionArn": "$arn", **_SUBSCRIPTION}),
        ),
    ),
    tagging=_TAGGING,
    delete=Call(
        "delete_anomaly_subscription", {"SubscriptionArn": "$arn"}, absent=("UnknownSubscriptionException",)
    ),
    autoname=AutoName("name", None, longest=1024),
    allows_duplicates=True,
    limits="Nobody is told anything. That the topic of an immediate alert lets Cost Explorer in is not checked.",
)


def _status(status: str) -> dict[str, Any]:
    return {"CostAllocationTagsStatus": [{"TagKey": "$tagKey", "Status": status}]}


ALLOCATION_TAG = Type(
    "aws:costexplorer/costAllocationTag:CostAllocationTag",
    service="ce",
    id="{tagKey}",
    inputs={"tagKey": Prop(required=True, replace=True), "status": Prop(required=True)},
    outputs={"type": Prop(computed=True)},
    create=Call("update_cost_allocation_tags_status", _status("$status")),
    reads=(
        Call(
            "list_cost_allocation_tags",
            {"TagKeys": ["$tagKey"]},
            pick="CostAllocationTags[?TagKey=='{tagKey}'] | [0]",
            result={"status": "Status", "type": "Type"},
        ),
    ),
    facets=(Facet(("status",), put=Call("update_cost_allocation_tags_status", _status("$status"))),),
    delete=Call("update_cost_allocation_tags_status", _status("Inactive")),
    limits="Any key can be activated at once. AWS knows a key only when it was seen on a bill, up to a day after "
    "the first resource with it, and only the management account of an organisation may activate it. Deleting it "
    "makes it inactive, as in AWS.",
)

TYPES = (MONITOR, SUBSCRIPTION, ALLOCATION_TAG)
