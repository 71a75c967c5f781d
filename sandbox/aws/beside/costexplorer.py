"""AWS Cost Explorer: anomaly monitors, anomaly subscriptions and cost-allocation tags, which moto lacks.

They belong to an account, not to a region. moto's Cost Explorer stores their tags. Nothing is spent in the sandbox, so
no anomaly is found.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]
_GLOBAL_REGION = "us-east-1"
"""Region under which resources without a region are stored."""


@dataclass
class _State:
    monitors: dict[str, Entry] = field(default_factory=dict)
    subscriptions: dict[str, Entry] = field(default_factory=dict)
    """Both by ARN."""
    allocation_tags: dict[str, Entry] = field(default_factory=dict)
    """By key."""


_STATE = Memory(_State)


def _account_state(request: ServiceRequest) -> _State:
    return _STATE.of(dataclasses.replace(request, region=_GLOBAL_REGION))


def _new_arn(request: ServiceRequest, kind: str) -> str:
    """Return the ARN of a new monitor or subscription, and store the request's tags in moto."""
    from moto.ce.models import ce_backends

    arn = f"arn:aws:ce::{request.account}:{kind}/{uuid.uuid4()}"
    ce_backends[request.account]["aws"].tag_resource(arn, request.params.get("ResourceTags") or [])
    return arn


def _forget_tags(request: ServiceRequest, arn: str) -> None:
    from moto.ce.models import ce_backends

    ce_backends[request.account]["aws"].tagger.delete_all_tags_for_resource(arn)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _select(entries: dict[str, Entry], arns: list[str] | None, code: str) -> list[Entry]:
    """Return the entries with these ARNs, by default all. Raises `Refused` with `code` if one does not exist."""
    for arn in arns or ():
        if arn not in entries:
            raise Refused(code, 400, f"Unable to find {arn}.")
    return [entries[arn] for arn in arns] if arns else list(entries.values())


def create_monitor(request: ServiceRequest) -> Entry:
    monitor = dict(request.params["AnomalyMonitor"])
    required = {"DIMENSIONAL": "MonitorDimension", "CUSTOM": "MonitorSpecification"}[monitor["MonitorType"]]
    if required not in monitor:
        raise Refused(
            "ValidationException", 400, f"A monitor of type {monitor['MonitorType']} wants {required}."
        )
    arn = _new_arn(request, "anomalymonitor")
    today = _today()
    _account_state(request).monitors[arn] = {
        **monitor,
        "MonitorArn": arn,
        "CreationDate": today,
        "LastUpdatedDate": today,
    }
    return {"MonitorArn": arn}


def get_monitors(request: ServiceRequest) -> Entry:
    arns = request.params.get("MonitorArnList")
    return {"AnomalyMonitors": _select(_account_state(request).monitors, arns, "UnknownMonitorException")}


def update_monitor(request: ServiceRequest) -> Entry:
    arn = request.params["MonitorArn"]
    monitor = _select(_account_state(request).monitors, [arn], "UnknownMonitorException")[0]
    monitor["MonitorName"] = request.params.get("MonitorName", monitor["MonitorName"])
    monitor["LastUpdatedDate"] = _today()
    return {"MonitorArn": arn}


def delete_monitor(request: ServiceRequest) -> Entry:
    """Delete a monitor. Subscriptions without another monitor are deleted with it (not verified)."""
    arn, state = request.params["MonitorArn"], _account_state(request)
    _select(state.monitors, [arn], "UnknownMonitorException")
    del state.monitors[arn]
    _forget_tags(request, arn)
    for name, subscription in list(state.subscriptions.items()):
        remaining = [monitor_arn for monitor_arn in subscription["MonitorArnList"] if monitor_arn != arn]
        subscription["MonitorArnList"] = remaining
        if not remaining:
            del state.subscriptions[name]
    return {}


def _check_subscription(state: _State, subscription: Entry) -> None:
    """Check that immediate alerts go to SNS topics, and digests to e-mail addresses (not verified)."""
    _select(state.monitors, subscription["MonitorArnList"], "UnknownMonitorException")
    kinds = {subscriber.get("Type") for subscriber in subscription["Subscribers"]}
    immediate = subscription["Frequency"] == "IMMEDIATE"
    if immediate and kinds != {"SNS"}:
        raise Refused("ValidationException", 400, "Immediate frequency only supports SNS subscriptions.")
    if not immediate and kinds != {"EMAIL"}:
        raise Refused(
            "ValidationException", 400, "Daily or weekly frequencies only support Email subscriptions."
        )
    if "Threshold" not in subscription and "ThresholdExpression" not in subscription:
        raise Refused("ValidationException", 400, "A subscription wants a threshold expression.")


def create_subscription(request: ServiceRequest) -> Entry:
    subscription, state = dict(request.params["AnomalySubscription"]), _account_state(request)
    _check_subscription(state, subscription)
    arn = _new_arn(request, "anomalysubscription")
    state.subscriptions[arn] = {"AccountId": request.account, **subscription, "SubscriptionArn": arn}
    return {"SubscriptionArn": arn}


def get_subscriptions(request: ServiceRequest) -> Entry:
    arns = request.params.get("SubscriptionArnList")
    subscriptions = _select(_account_state(request).subscriptions, arns, "UnknownSubscriptionException")
    monitor = request.params.get("MonitorArn")
    return {
        "AnomalySubscriptions": [
            subscription
            for subscription in subscriptions
            if monitor is None or monitor in subscription["MonitorArnList"]
        ]
    }


def update_subscription(request: ServiceRequest) -> Entry:
    arn, state = request.params["SubscriptionArn"], _account_state(request)
    old = _select(state.subscriptions, [arn], "UnknownSubscriptionException")[0]
    new = {**old, **request.params}
    _check_subscription(state, new)
    state.subscriptions[arn] = new
    return {"SubscriptionArn": arn}


def delete_subscription(request: ServiceRequest) -> Entry:
    arn, state = request.params["SubscriptionArn"], _account_state(request)
    _select(state.subscriptions, [arn], "UnknownSubscriptionException")
    del state.subscriptions[arn]
    _forget_tags(request, arn)
    return {}


def list_allocation_tags(request: ServiceRequest) -> Entry:
    keys, status = request.params.get("TagKeys"), request.params.get("Status")
    tags = _account_state(request).allocation_tags.values()
    return {
        "CostAllocationTags": [
            tag for tag in tags if (not keys or tag["TagKey"] in keys) and status in (None, tag["Status"])
        ]
    }


def update_allocation_tags(request: ServiceRequest) -> Entry:
    """Accept any key. AWS accepts only keys that have appeared on a bill, after a day at the earliest."""
    state = _account_state(request)
    for entry in request.params["CostAllocationTagsStatus"]:
        kind = "AWSGenerated" if entry["TagKey"].startswith("aws:") else "UserDefined"
        state.allocation_tags[entry["TagKey"]] = {**entry, "Type": kind, "LastUpdatedDate": _today()}
    return {"Errors": []}


OPERATIONS = (
    Operation("ce", "CreateAnomalyMonitor", create_monitor),
    Operation("ce", "GetAnomalyMonitors", get_monitors),
    Operation("ce", "UpdateAnomalyMonitor", update_monitor),
    Operation("ce", "DeleteAnomalyMonitor", delete_monitor),
    Operation("ce", "CreateAnomalySubscription", create_subscription),
    Operation("ce", "GetAnomalySubscriptions", get_subscriptions),
    Operation("ce", "UpdateAnomalySubscription", update_subscription),
    Operation("ce", "DeleteAnomalySubscription", delete_subscription),
    Operation("ce", "ListCostAllocationTags", list_allocation_tags),
    Operation("ce", "UpdateCostAllocationTagsStatus", update_allocation_tags),
)
