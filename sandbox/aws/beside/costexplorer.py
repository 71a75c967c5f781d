"""AWS Cost Explorer: anomaly monitors and subscriptions, and cost-allocation tags, of which moto has none.

They belong to an account, not to a region; their tags are kept by moto's own Cost Explorer. There is no
spending in the sandbox, so no anomaly is ever found.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]
_HOME = "us-east-1"
"""Where what belongs to no region is kept."""


@dataclass
class _Held:
    monitors: dict[str, Entry] = field(default_factory=dict)
    subscriptions: dict[str, Entry] = field(default_factory=dict)
    """Both by ARN."""
    allocation_tags: dict[str, Entry] = field(default_factory=dict)
    """By key."""


_HELD = Memory(_Held)


def _held(asked: Asked) -> _Held:
    return _HELD.of(dataclasses.replace(asked, region=_HOME))


def _tagged(asked: Asked, kind: str) -> str:
    """The ARN of a new monitor or subscription, with its tags in moto's keeping."""
    from moto.ce.models import ce_backends

    arn = f"arn:aws:ce::{asked.account}:{kind}/{uuid.uuid4()}"
    ce_backends[asked.account]["aws"].tag_resource(arn, asked.params.get("ResourceTags") or [])
    return arn


def _forget_tags(asked: Asked, arn: str) -> None:
    from moto.ce.models import ce_backends

    ce_backends[asked.account]["aws"].tagger.delete_all_tags_for_resource(arn)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _picked(entries: dict[str, Entry], arns: list[str] | None, code: str) -> list[Entry]:
    """All, or those of these ARNs. Raises `Refused` with `code` for one that is not there."""
    for arn in arns or ():
        if arn not in entries:
            raise Refused(code, 400, f"Unable to find {arn}.")
    return [entries[arn] for arn in arns] if arns else list(entries.values())


def create_monitor(asked: Asked) -> Entry:
    monitor = dict(asked.params["AnomalyMonitor"])
    wanted = {"DIMENSIONAL": "MonitorDimension", "CUSTOM": "MonitorSpecification"}[monitor["MonitorType"]]
    if wanted not in monitor:
        raise Refused(
            "ValidationException", 400, f"A monitor of type {monitor['MonitorType']} wants {wanted}."
        )
    arn = _tagged(asked, "anomalymonitor")
    made = _today()
    _held(asked).monitors[arn] = {**monitor, "MonitorArn": arn, "CreationDate": made, "LastUpdatedDate": made}
    return {"MonitorArn": arn}


def get_monitors(asked: Asked) -> Entry:
    arns = asked.params.get("MonitorArnList")
    return {"AnomalyMonitors": _picked(_held(asked).monitors, arns, "UnknownMonitorException")}


def update_monitor(asked: Asked) -> Entry:
    arn = asked.params["MonitorArn"]
    monitor = _picked(_held(asked).monitors, [arn], "UnknownMonitorException")[0]
    monitor["MonitorName"] = asked.params.get("MonitorName", monitor["MonitorName"])
    monitor["LastUpdatedDate"] = _today()
    return {"MonitorArn": arn}


def delete_monitor(asked: Asked) -> Entry:
    """Subscriptions to it lose it, and those that have no other go with it (of knowledge)."""
    arn, held = asked.params["MonitorArn"], _held(asked)
    _picked(held.monitors, [arn], "UnknownMonitorException")
    del held.monitors[arn]
    _forget_tags(asked, arn)
    for name, subscription in list(held.subscriptions.items()):
        left = [each for each in subscription["MonitorArnList"] if each != arn]
        subscription["MonitorArnList"] = left
        if not left:
            del held.subscriptions[name]
    return {}


def _check_subscription(held: _Held, subscription: Entry) -> None:
    """Immediate alerts go to topics, digests to addresses (of knowledge)."""
    _picked(held.monitors, subscription["MonitorArnList"], "UnknownMonitorException")
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


def create_subscription(asked: Asked) -> Entry:
    subscription, held = dict(asked.params["AnomalySubscription"]), _held(asked)
    _check_subscription(held, subscription)
    arn = _tagged(asked, "anomalysubscription")
    held.subscriptions[arn] = {"AccountId": asked.account, **subscription, "SubscriptionArn": arn}
    return {"SubscriptionArn": arn}


def get_subscriptions(asked: Asked) -> Entry:
    arns = asked.params.get("SubscriptionArnList")
    found = _picked(_held(asked).subscriptions, arns, "UnknownSubscriptionException")
    of_monitor = asked.params.get("MonitorArn")
    return {
        "AnomalySubscriptions": [
            each for each in found if of_monitor is None or of_monitor in each["MonitorArnList"]
        ]
    }


def update_subscription(asked: Asked) -> Entry:
    arn, held = asked.params["SubscriptionArn"], _held(asked)
    old = _picked(held.subscriptions, [arn], "UnknownSubscriptionException")[0]
    new = {**old, **asked.params}
    _check_subscription(held, new)
    held.subscriptions[arn] = new
    return {"SubscriptionArn": arn}


def delete_subscription(asked: Asked) -> Entry:
    arn, held = asked.params["SubscriptionArn"], _held(asked)
    _picked(held.subscriptions, [arn], "UnknownSubscriptionException")
    del held.subscriptions[arn]
    _forget_tags(asked, arn)
    return {}


def list_allocation_tags(asked: Asked) -> Entry:
    keys, status = asked.params.get("TagKeys"), asked.params.get("Status")
    found = _held(asked).allocation_tags.values()
    return {
        "CostAllocationTags": [
            each
            for each in found
            if (not keys or each["TagKey"] in keys) and status in (None, each["Status"])
        ]
    }


def update_allocation_tags(asked: Asked) -> Entry:
    """Any key is known here; AWS knows those that were seen on a bill, a day later at the earliest."""
    held = _held(asked)
    for entry in asked.params["CostAllocationTagsStatus"]:
        kind = "AWSGenerated" if entry["TagKey"].startswith("aws:") else "UserDefined"
        held.allocation_tags[entry["TagKey"]] = {**entry, "Type": kind, "LastUpdatedDate": _today()}
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
