"""AWS Budgets: changes, notifications with their subscribers, actions and tags, of which moto has little.

The budgets are moto's own, so what is set here is what moto's answers show. Budgets belong to an account,
not to a region. Nothing is spent in the sandbox, so no budget is ever exceeded and no action runs.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]
_HOME = "us-east-1"
"""Where what belongs to no region is kept."""
_MOST_NOTIFICATIONS = 10
"""For one budget (AWS Cost Management user guide, quotas; of knowledge)."""


@dataclass
class _Held:
    actions: dict[str, Entry] = field(default_factory=dict)
    """By id."""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


_HELD = Memory(_Held)


def _held(asked: Asked) -> _Held:
    return _HELD.of(dataclasses.replace(asked, region=_HOME))


def _backend(asked: Asked) -> Any:
    """moto's budgets of the account that is named, which must be the caller's own."""
    from moto.budgets.models import budgets_backends

    if asked.params.get("AccountId", asked.account) != asked.account:
        raise Refused("AccessDeniedException", 400, "Account is not authorized to access these budgets.")
    return budgets_backends[asked.account]["aws"].budgets[asked.account]


def _budget(asked: Asked) -> Any:
    name = asked.params["BudgetName"]
    found = _backend(asked).get(name)
    if found is None:
        raise Refused("NotFoundException", 400, f"Unable to get budget: {name} - the budget doesn't exist.")
    return found


def _arn(asked: Asked, name: str, action: str = "") -> str:
    return f"arn:aws:budgets::{asked.account}:budget/{name}" + (f"/action/{action}" if action else "")


def _named(tags: list[dict[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def create_budget(asked: Asked) -> Entry:
    from moto.budgets.models import Budget

    backend, budget = _backend(asked), dict(asked.params["Budget"])
    name = budget["BudgetName"]
    if name in backend:
        raise Refused("DuplicateRecordException", 400, f"Error creating budget: {name} - already exists.")
    if any(mark in name for mark in (":", "\\", "/action/")):
        raise Refused(
            "InvalidParameterException", 400, "The budget's name may not hold `:`, `\\` or `/action/`."
        )
    if "BudgetLimit" not in budget and "PlannedBudgetLimits" not in budget and "AutoAdjustData" not in budget:
        raise Refused(
            "InvalidParameterException", 400, "Unable to create/update budget - please provide a limit."
        )
    backend[name] = Budget(budget, [])
    held = _held(asked)
    held.tags[_arn(asked, name)] = _named(asked.params.get("ResourceTags"))
    held.actions = {id: action for id, action in held.actions.items() if action["BudgetName"] != name}
    for each in asked.params.get("NotificationsWithSubscribers", ()):
        _notify(backend[name], each["Notification"], each["Subscribers"])
    return {}


def update_budget(asked: Asked) -> Entry:
    new = dict(asked.params["NewBudget"])
    budget = _budget(dataclasses.replace(asked, params={**asked.params, "BudgetName": new["BudgetName"]}))
    kept = {name: budget.budget[name] for name in ("TimePeriod", "LastUpdatedTime") if name in budget.budget}
    budget.budget = {**kept, **new}
    return {}


def _same(left: Entry, right: Entry) -> bool:
    """A budget's notifications are told apart by these; a threshold without its type is a percentage."""

    def key(each: Entry) -> tuple[Any, ...]:
        unit = each.get("ThresholdType", "PERCENTAGE")
        return each["NotificationType"], each["ComparisonOperator"], float(each["Threshold"]), unit

    return key(left) == key(right)


def _notify(budget: Any, notification: Entry, subscribers: list[Entry]) -> None:
    if any(_same(each.details, notification) for each in budget.notifications):
        raise Refused("DuplicateRecordException", 400, "The budget has this notification already.")
    if len(budget.notifications) >= _MOST_NOTIFICATIONS:
        text = f"A budget has at most {_MOST_NOTIFICATIONS} notifications."
        raise Refused("CreationLimitExceededException", 400, text)
    kinds = [subscriber["SubscriptionType"] for subscriber in subscribers]
    if not kinds or kinds.count("SNS") > 1 or kinds.count("EMAIL") > 10:
        text = "A notification has one to ten e-mail addresses and at most one SNS topic."
        raise Refused("InvalidParameterException", 400, text)
    details = {"ThresholdType": "PERCENTAGE", "NotificationState": "OK", **notification}
    budget.add_notification(details, list(subscribers))


def create_notification(asked: Asked) -> Entry:
    _notify(_budget(asked), asked.params["Notification"], asked.params["Subscribers"])
    return {}


def _notification(asked: Asked) -> Any:
    for each in _budget(asked).notifications:
        if _same(each.details, asked.params["Notification"]):
            return each
    raise Refused("NotFoundException", 400, "The budget has no such notification.")


def delete_notification(asked: Asked) -> Entry:
    _budget(asked).notifications.remove(_notification(asked))
    return {}


def describe_notifications(asked: Asked) -> Entry:
    return {"Notifications": [dict(each.details) for each in _budget(asked).notifications]}


def describe_subscribers(asked: Asked) -> Entry:
    return {"Subscribers": list(_notification(asked).subscribers)}


_OF_ACTION = (
    "NotificationType",
    "ActionThreshold",
    "Definition",
    "ExecutionRoleArn",
    "ApprovalModel",
    "Subscribers",
)


def _check_action(action: Entry) -> None:
    wanted = {
        "APPLY_IAM_POLICY": "IamActionDefinition",
        "APPLY_SCP_POLICY": "ScpActionDefinition",
        "RUN_SSM_DOCUMENTS": "SsmActionDefinition",
    }[action["ActionType"]]
    if set(action["Definition"]) != {wanted}:
        raise Refused(
            "InvalidParameterException", 400, f"{action['ActionType']} wants {wanted} and nothing else."
        )
    iam = action["Definition"].get("IamActionDefinition")
    if iam is not None and not any(iam.get(name) for name in ("Roles", "Groups", "Users")):
        text = "An action of IAM names at least one role, group or user."
        raise Refused("InvalidParameterException", 400, text)


def create_action(asked: Asked) -> Entry:
    _budget(asked)
    name, id = asked.params["BudgetName"], str(uuid.uuid4())
    action = {part: asked.params[part] for part in (*_OF_ACTION, "ActionType", "BudgetName")}
    _check_action(action)
    held = _held(asked)
    held.actions[id] = {**action, "ActionId": id, "Status": "STANDBY"}
    held.tags[_arn(asked, name, id)] = _named(asked.params.get("ResourceTags"))
    return {"AccountId": asked.account, "BudgetName": name, "ActionId": id}


def _action(asked: Asked) -> Entry:
    _budget(asked)
    found = _held(asked).actions.get(asked.params["ActionId"])
    if found is None or found["BudgetName"] != asked.params["BudgetName"]:
        raise Refused("NotFoundException", 400, "The budget has no such action.")
    return found


def _answer(asked: Asked, **more: Entry) -> Entry:
    return {"AccountId": asked.account, "BudgetName": asked.params["BudgetName"], **more}


def describe_action(asked: Asked) -> Entry:
    return _answer(asked, Action=dict(_action(asked)))


def update_action(asked: Asked) -> Entry:
    old = _action(asked)
    new = {**old, **{part: asked.params[part] for part in _OF_ACTION if part in asked.params}}
    _check_action(new)
    _held(asked).actions[old["ActionId"]] = new
    return _answer(asked, OldAction=old, NewAction=new)


def delete_action(asked: Asked) -> Entry:
    action = _action(asked)
    held = _held(asked)
    del held.actions[action["ActionId"]]
    held.tags.pop(_arn(asked, action["BudgetName"], action["ActionId"]), None)
    return _answer(asked, Action=action)


def describe_actions(asked: Asked) -> Entry:
    _budget(asked)
    name = asked.params["BudgetName"]
    return {"Actions": [each for each in _held(asked).actions.values() if each["BudgetName"] == name]}


def _tags(asked: Asked) -> dict[str, str]:
    """Of an ARN whose budget, and action, exist."""
    arn = asked.params["ResourceARN"]
    name, _, action = arn.partition(":budget/")[2].partition("/action/")
    params = {"BudgetName": name, "ActionId": action}
    of_it = dataclasses.replace(asked, params=params)
    _ = _action(of_it) if action else _budget(of_it)
    return _held(asked).tags.setdefault(arn, {})


def list_tags(asked: Asked) -> Entry:
    return {"ResourceTags": [{"Key": key, "Value": value} for key, value in _tags(asked).items()]}


def tag(asked: Asked) -> Entry:
    _tags(asked).update(_named(asked.params["ResourceTags"]))
    return {}


def untag(asked: Asked) -> Entry:
    tags = _tags(asked)
    for key in asked.params["ResourceTagKeys"]:
        tags.pop(key, None)
    return {}


OPERATIONS = (
    Operation("budgets", "CreateBudget", create_budget),
    Operation("budgets", "UpdateBudget", update_budget),
    Operation("budgets", "CreateNotification", create_notification),
    Operation("budgets", "DeleteNotification", delete_notification),
    Operation("budgets", "DescribeNotificationsForBudget", describe_notifications),
    Operation("budgets", "DescribeSubscribersForNotification", describe_subscribers),
    Operation("budgets", "CreateBudgetAction", create_action),
    Operation("budgets", "DescribeBudgetAction", describe_action),
    Operation("budgets", "DescribeBudgetActionsForBudget", describe_actions),
    Operation("budgets", "UpdateBudgetAction", update_action),
    Operation("budgets", "DeleteBudgetAction", delete_action),
    Operation("budgets", "ListTagsForResource", list_tags),
    Operation("budgets", "TagResource", tag),
    Operation("budgets", "UntagResource", untag),
)
