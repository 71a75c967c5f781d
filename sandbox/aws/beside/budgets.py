"""AWS Budgets: updates, notifications with subscribers, actions and tags, most of which moto lacks.

The budgets are moto's objects, so moto's answers show the changes. Budgets belong to an account, not to a region.
Nothing is spent in the sandbox, so budgets are never exceeded and actions never run.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]
_GLOBAL_REGION = "us-east-1"
"""Region under which resources without a region are stored."""
_MAX_NOTIFICATIONS = 10
"""Maximum for one budget (quotas in the AWS Cost Management user guide; not verified)."""


@dataclass
class _State:
    actions: dict[str, Entry] = field(default_factory=dict)
    """By id."""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


_STATE = Memory(_State)


def _account_state(request: ServiceRequest) -> _State:
    return _STATE.of(dataclasses.replace(request, region=_GLOBAL_REGION))


def _backend(request: ServiceRequest) -> Any:
    """Return moto's budgets of the account in the request, which must be the caller's own."""
    from moto.budgets.models import budgets_backends

    if request.params.get("AccountId", request.account) != request.account:
        raise Refused("AccessDeniedException", 400, "Account is not authorized to access these budgets.")
    return budgets_backends[request.account]["aws"].budgets[request.account]


def _find_budget(request: ServiceRequest) -> Any:
    name = request.params["BudgetName"]
    budget = _backend(request).get(name)
    if budget is None:
        raise Refused("NotFoundException", 400, f"Unable to get budget: {name} - the budget doesn't exist.")
    return budget


def _arn(request: ServiceRequest, name: str, action: str = "") -> str:
    return f"arn:aws:budgets::{request.account}:budget/{name}" + (f"/action/{action}" if action else "")


def _tags_by_key(tags: list[dict[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def create_budget(request: ServiceRequest) -> Entry:
    from moto.budgets.models import Budget

    backend, budget = _backend(request), dict(request.params["Budget"])
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
    state = _account_state(request)
    state.tags[_arn(request, name)] = _tags_by_key(request.params.get("ResourceTags"))
    state.actions = {id: action for id, action in state.actions.items() if action["BudgetName"] != name}
    for subscription in request.params.get("NotificationsWithSubscribers", ()):
        _add_notification(backend[name], subscription["Notification"], subscription["Subscribers"])
    return {}


def update_budget(request: ServiceRequest) -> Entry:
    new = dict(request.params["NewBudget"])
    budget = _find_budget(
        dataclasses.replace(request, params={**request.params, "BudgetName": new["BudgetName"]})
    )
    unchanged = {
        name: budget.budget[name] for name in ("TimePeriod", "LastUpdatedTime") if name in budget.budget
    }
    budget.budget = {**unchanged, **new}
    return {}


def _is_same_notification(left: Entry, right: Entry) -> bool:
    """Compare notifications by their identifying fields. The default type of a threshold is a percentage."""

    def key(notification: Entry) -> tuple[Any, ...]:
        unit = notification.get("ThresholdType", "PERCENTAGE")
        return (
            notification["NotificationType"],
            notification["ComparisonOperator"],
            float(notification["Threshold"]),
            unit,
        )

    return key(left) == key(right)


def _add_notification(budget: Any, notification: Entry, subscribers: list[Entry]) -> None:
    if any(_is_same_notification(existing.details, notification) for existing in budget.notifications):
        raise Refused("DuplicateRecordException", 400, "The budget has this notification already.")
    if len(budget.notifications) >= _MAX_NOTIFICATIONS:
        text = f"A budget has at most {_MAX_NOTIFICATIONS} notifications."
        raise Refused("CreationLimitExceededException", 400, text)
    kinds = [subscriber["SubscriptionType"] for subscriber in subscribers]
    if not kinds or kinds.count("SNS") > 1 or kinds.count("EMAIL") > 10:
        text = "A notification has one to ten e-mail addresses and at most one SNS topic."
        raise Refused("InvalidParameterException", 400, text)
    details = {"ThresholdType": "PERCENTAGE", "NotificationState": "OK", **notification}
    budget.add_notification(details, list(subscribers))


def create_notification(request: ServiceRequest) -> Entry:
    _add_notification(_find_budget(request), request.params["Notification"], request.params["Subscribers"])
    return {}


def _find_notification(request: ServiceRequest) -> Any:
    for notification in _find_budget(request).notifications:
        if _is_same_notification(notification.details, request.params["Notification"]):
            return notification
    raise Refused("NotFoundException", 400, "The budget has no such notification.")


def delete_notification(request: ServiceRequest) -> Entry:
    _find_budget(request).notifications.remove(_find_notification(request))
    return {}


def describe_notifications(request: ServiceRequest) -> Entry:
    return {
        "Notifications": [dict(notification.details) for notification in _find_budget(request).notifications]
    }


def describe_subscribers(request: ServiceRequest) -> Entry:
    return {"Subscribers": list(_find_notification(request).subscribers)}


_ACTION_FIELDS = (
    "NotificationType",
    "ActionThreshold",
    "Definition",
    "ExecutionRoleArn",
    "ApprovalModel",
    "Subscribers",
)


def _check_action(action: Entry) -> None:
    definition = {
        "APPLY_IAM_POLICY": "IamActionDefinition",
        "APPLY_SCP_POLICY": "ScpActionDefinition",
        "RUN_SSM_DOCUMENTS": "SsmActionDefinition",
    }[action["ActionType"]]
    if set(action["Definition"]) != {definition}:
        raise Refused(
            "InvalidParameterException", 400, f"{action['ActionType']} wants {definition} and nothing else."
        )
    iam = action["Definition"].get("IamActionDefinition")
    if iam is not None and not any(iam.get(name) for name in ("Roles", "Groups", "Users")):
        text = "An action of IAM names at least one role, group or user."
        raise Refused("InvalidParameterException", 400, text)


def create_action(request: ServiceRequest) -> Entry:
    _find_budget(request)
    name, id = request.params["BudgetName"], str(uuid.uuid4())
    action = {part: request.params[part] for part in (*_ACTION_FIELDS, "ActionType", "BudgetName")}
    _check_action(action)
    state = _account_state(request)
    state.actions[id] = {**action, "ActionId": id, "Status": "STANDBY"}
    state.tags[_arn(request, name, id)] = _tags_by_key(request.params.get("ResourceTags"))
    return {"AccountId": request.account, "BudgetName": name, "ActionId": id}


def _find_action(request: ServiceRequest) -> Entry:
    _find_budget(request)
    action = _account_state(request).actions.get(request.params["ActionId"])
    if action is None or action["BudgetName"] != request.params["BudgetName"]:
        raise Refused("NotFoundException", 400, "The budget has no such action.")
    return action


def _answer(request: ServiceRequest, **more: Entry) -> Entry:
    return {"AccountId": request.account, "BudgetName": request.params["BudgetName"], **more}


def describe_action(request: ServiceRequest) -> Entry:
    return _answer(request, Action=dict(_find_action(request)))


def update_action(request: ServiceRequest) -> Entry:
    old = _find_action(request)
    new = {**old, **{part: request.params[part] for part in _ACTION_FIELDS if part in request.params}}
    _check_action(new)
    _account_state(request).actions[old["ActionId"]] = new
    return _answer(request, OldAction=old, NewAction=new)


def delete_action(request: ServiceRequest) -> Entry:
    action = _find_action(request)
    state = _account_state(request)
    del state.actions[action["ActionId"]]
    state.tags.pop(_arn(request, action["BudgetName"], action["ActionId"]), None)
    return _answer(request, Action=action)


def describe_actions(request: ServiceRequest) -> Entry:
    _find_budget(request)
    name = request.params["BudgetName"]
    return {
        "Actions": [
            action for action in _account_state(request).actions.values() if action["BudgetName"] == name
        ]
    }


def _tags(request: ServiceRequest) -> dict[str, str]:
    """Return the tags of an ARN. Raises `Refused` if its budget or action does not exist."""
    arn = request.params["ResourceARN"]
    name, _, action = arn.partition(":budget/")[2].partition("/action/")
    params = {"BudgetName": name, "ActionId": action}
    resource_request = dataclasses.replace(request, params=params)
    _ = _find_action(resource_request) if action else _find_budget(resource_request)
    return _account_state(request).tags.setdefault(arn, {})


def list_tags(request: ServiceRequest) -> Entry:
    return {"ResourceTags": [{"Key": key, "Value": value} for key, value in _tags(request).items()]}


def tag(request: ServiceRequest) -> Entry:
    _tags(request).update(_tags_by_key(request.params["ResourceTags"]))
    return {}


def untag(request: ServiceRequest) -> Entry:
    tags = _tags(request)
    for key in request.params["ResourceTagKeys"]:
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
