"""AWS Budgets: budgets, their notifications, and actions on exceeded budgets. They have no region."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, has_same_members, to_api
from sandbox.aws.table.cloudwatch import same_number
from sandbox.aws.table.kms import TAGS

_GONE = ("NotFoundException",)
_MOMENT = "%Y-%m-%d_%H:%M"
"""Format of a budget's start and end in Pulumi's provider, in UTC."""
_TEXTS = Prop("list", item=Prop(), alike=has_same_members)
_TAGGING = Tagging(
    put=Call("tag_resource", {"ResourceARN": "$arn", "ResourceTags": "$tagsSet"}),
    remove=Call("untag_resource", {"ResourceARN": "$arn", "ResourceTagKeys": "$tagsGone"}),
)
_READ_TAGS = Call("list_tags_for_resource", {"ResourceARN": "$arn"}, result={"tagsAll": "ResourceTags"})


def _account(scope: Scope) -> str:
    return str(scope.get("accountId") or scope["account"])


_OWNER: dict[str, Callable[[Scope], Any]] = {"owner": _account}


def _notice(value: Any) -> tuple[Any, ...]:
    """Return a notification in a form that does not depend on the order of subscribers."""
    mails, topics = (
        tuple(sorted(value.get(name) or ()))
        for name in ("subscriberEmailAddresses", "subscriberSnsTopicArns")
    )
    try:
        threshold: Any = float(value.get("threshold"))
    except (TypeError, ValueError):
        threshold = value.get("threshold")
    kind = (value.get("notificationType"), value.get("comparisonOperator"), value.get("thresholdType"))
    return (*kind, threshold, mails, topics)


def _same_notices(left: Any, right: Any) -> bool:
    if not isinstance(left, list) or not isinstance(right, list):
        return bool(left == right)
    return sorted(map(_notice, left), key=str) == sorted(map(_notice, right), key=str)


def _same_filters(left: Any, right: Any) -> bool:
    if not isinstance(left, list) or not isinstance(right, list):
        return bool(left == right)
    return _filters({"costFilters": left}, ordered=False) == _filters({"costFilters": right}, ordered=False)


def _filters(scope: Mapping[str, Any], ordered: bool = True) -> dict[str, list[str]] | None:
    """Return `[{name, values}]` as the API's map. The values of a repeated name are joined."""
    values_by_name: dict[str, list[str]] = {}
    for cost_filter in scope.get("costFilters") or ():
        values_by_name.setdefault(str(cost_filter.get("name")), []).extend(cost_filter.get("values") or ())
    return (
        values_by_name if ordered else {name: sorted(values) for name, values in values_by_name.items()}
    ) or None


def _limit(scope: Scope) -> dict[str, str] | None:
    amount = scope.get("limitAmount")
    return {"Amount": str(amount), "Unit": scope.get("limitUnit") or "USD"} if amount else None


def _period(scope: Scope) -> dict[str, datetime.datetime] | None:
    names = {"Start": "timePeriodStart", "End": "timePeriodEnd"}
    set_members = {api: scope[name] for api, name in names.items() if scope.get(name)}
    members = {
        api: datetime.datetime.strptime(text, _MOMENT).replace(tzinfo=datetime.UTC)
        for api, text in set_members.items()
    }
    return members or None


def _moment(member: str) -> Callable[[Any], Any]:
    def read(budget: dict[str, Any]) -> str | None:
        value = (budget.get("TimePeriod") or {}).get(member)
        return value.astimezone(datetime.UTC).strftime(_MOMENT) if value else None

    return read


_BUDGET = {
    "BudgetName": "$name",
    "BudgetType": "$budgetType",
    "TimeUnit": "$timeUnit",
    "BudgetLimit": _limit,
    "CostFilters": _filters,
    "CostTypes": "$costTypes",
    "TimePeriod": _period,
}


def _notification(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "NotificationType": entry["notificationType"],
        "ComparisonOperator": entry["comparisonOperator"],
        "Threshold": entry["threshold"],
        "ThresholdType": entry["thresholdType"],
    }


def _subscribers(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    topics = entry.get("subscriberSnsTopicArns") or ()
    mails = entry.get("subscriberEmailAddresses") or ()
    return [
        *({"SubscriptionType": "SNS", "Address": address} for address in topics),
        *({"SubscriptionType": "EMAIL", "Address": address} for address in mails),
    ]


def _all_notifications(scope: Scope) -> list[dict[str, Any]] | None:
    entries = scope.get("notifications") or ()
    return [
        {"Notification": _notification(notification), "Subscribers": _subscribers(notification)}
        for notification in entries
    ] or None


def _read_notifications(call: Callable[..., Any], scope: Scope) -> dict[str, Any]:
    """Return the notifications with their subscribers, by one call for each notification."""
    names = {"AccountId": scope["owner"], "BudgetName": scope["name"]}
    notifications: list[dict[str, Any]] = []
    for notice in call("describe_notifications_for_budget", **names).get("Notifications") or ():
        subscribers = call(
            "describe_subscribers_for_notification",
            **names,
            Notification={name: value for name, value in notice.items() if name != "NotificationState"},
        )["Subscribers"]
        entry = {
            "notificationType": notice["NotificationType"],
            "comparisonOperator": notice["ComparisonOperator"],
            "threshold": notice["Threshold"],
            "thresholdType": notice.get("ThresholdType", "PERCENTAGE"),
        }
        for name, kind in (("subscriberEmailAddresses", "EMAIL"), ("subscriberSnsTopicArns", "SNS")):
            addresses = [
                subscriber["Address"] for subscriber in subscribers if subscriber["SubscriptionType"] == kind
            ]
            entry |= {name: addresses} if addresses else {}
        notifications.append(entry)
    return {"accountId": scope["owner"], "notifications": notifications}


def _set_notifications(call: Callable[..., Any], scope: Scope) -> None:
    """Change the existing notifications to the wanted ones. The change can be repeated after a partial failure."""
    names = {"AccountId": scope["owner"], "BudgetName": scope["name"]}
    new_notifications = list(scope.get("notifications") or ())
    for entry in _read_notifications(call, scope)["notifications"]:
        unchanged = [
            notification for notification in new_notifications if _notice(notification) == _notice(entry)
        ]
        if unchanged:
            new_notifications.remove(unchanged[0])
        else:
            call("delete_notification", **names, Notification=_notification(entry))
    for entry in new_notifications:
        call(
            "create_notification", **names, Notification=_notification(entry), Subscribers=_subscribers(entry)
        )


_NOTIFICATION = Prop(
    "object",
    fields={
        "notificationType": Prop(required=True),
        "comparisonOperator": Prop(required=True),
        "threshold": Prop("number", required=True),
        "thresholdType": Prop(required=True),
        "subscriberEmailAddresses": _TEXTS,
        "subscriberSnsTopicArns": _TEXTS,
    },
)
_COUNTED = (
    "Credit",
    "Discount",
    "OtherSubscription",
    "Recurring",
    "Refund",
    "Subscription",
    "Support",
    "Tax",
    "Upfront",
)

BUDGET = Type(
    "aws:budgets/budget:Budget",
    service="budgets",
    id="{owner}:{name}",
    inputs={
        "accountId": Prop(replace=True, computed=True),
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "budgetType": Prop(required=True),
        "timeUnit": Prop(required=True),
        "limitAmount": Prop(alike=same_number),
        "limitUnit": Prop(default="USD"),
        "costFilters": Prop(
            "list",
            alike=_same_filters,
            computed=False,
            item=Prop(
                "object",
                fields={"name": Prop(required=True), "values": Prop("list", item=Prop(), required=True)},
            ),
        ),
        "costTypes": Prop(
            "object",
            computed=True,
            fields={
                **{f"include{name}": Prop("flag", default=True) for name in _COUNTED},
                "useAmortized": Prop("flag", default=False),
                "useBlended": Prop("flag", default=False),
            },
        ),
        "notifications": Prop("list", item=_NOTIFICATION, alike=_same_notices),
        "timePeriodStart": Prop(computed=True),
        "timePeriodEnd": Prop(computed=True),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_budget",
        {
            "AccountId": _account,
            "Budget": _BUDGET,
            "NotificationsWithSubscribers": _all_notifications,
            "ResourceTags": "$tagsAll",
        },
    ),
    reads=(
        Call(
            "describe_budget",
            {"AccountId": "$owner", "BudgetName": "$name"},
            pick="Budget",
            result={
                "budgetType": "BudgetType",
                "timeUnit": "TimeUnit",
                "limitAmount": "BudgetLimit.Amount",
                "limitUnit": "BudgetLimit.Unit",
                "costFilters": lambda budget: [
                    {"Name": name, "Values": values}
                    for name, values in (budget.get("CostFilters") or {}).items()
                ],
                "costTypes": "CostTypes",
                "timePeriodStart": _moment("Start"),
                "timePeriodEnd": _moment("End"),
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    after_read=_read_notifications,
    facets=(
        Facet(
            (
                "budgetType",
                "timeUnit",
                "limitAmount",
                "limitUnit",
                "costFilters",
                "costTypes",
                "timePeriodStart",
                "timePeriodEnd",
            ),
            put=Call("update_budget", {"AccountId": "$owner", "NewBudget": _BUDGET}),
        ),
        Facet(("notifications",), put=_set_notifications),
    ),
    tagging=_TAGGING,
    delete=Call("delete_budget", {"AccountId": "$owner", "BudgetName": "$name"}, absent=_GONE),
    computed={"arn": "arn:{partition}:budgets::{account}:budget/{name}"},
    derived=_OWNER,
    autoname=AutoName("name", "namePrefix", longest=100),
    limits="Nothing is ever spent, so no budget is exceeded and nobody is told. That a tag of a cost filter is "
    "activated as a cost-allocation tag is not checked. Planned limits, automatic ones, billing views and filter "
    "expressions are not served.",
)

_ON = {"AccountId": "$owner", "BudgetName": "$budgetName", "ActionId": "$actionId"}
_SUBSCRIBER_FIELDS = {"address": Prop(required=True), "subscriptionType": Prop(required=True)}


def _same_subscribers(left: Any, right: Any) -> bool:
    if not isinstance(left, list) or not isinstance(right, list):
        return bool(left == right)
    return has_same_members(
        [sorted(subscriber.items()) for subscriber in left],
        [sorted(subscriber.items()) for subscriber in right],
    )


_THRESHOLD = Prop(
    "object",
    required=True,
    fields={
        "actionThresholdType": Prop(required=True),
        "actionThresholdValue": Prop("number", required=True),
    },
)
_ACTION = {
    "NotificationType": "$notificationType",
    "ActionThreshold": "$actionThreshold",
    "Definition": "$definition",
    "ExecutionRoleArn": "$executionRoleArn",
    "ApprovalModel": "$approvalModel",
    "Subscribers": lambda scope: to_api(
        Prop("list", item=Prop("object", fields=_SUBSCRIBER_FIELDS)), scope["subscribers"]
    ),
}

ACTION = Type(
    "aws:budgets/budgetAction:BudgetAction",
    service="budgets",
    id="{owner}:{actionId}:{budgetName}",
    inputs={
        "accountId": Prop(replace=True, computed=True),
        "budgetName": Prop(required=True, replace=True),
        "actionType": Prop(required=True, replace=True),
        "actionThreshold": _THRESHOLD,
        "approvalModel": Prop(required=True),
        "definition": Prop(
            "object",
            required=True,
            fields={
                "iamActionDefinition": Prop(
                    "object",
                    fields={
                        "policyArn": Prop(required=True),
                        "roles": _TEXTS,
                        "groups": _TEXTS,
                        "users": _TEXTS,
                    },
                )
            },
        ),
        "executionRoleArn": Prop(required=True),
        "notificationType": Prop(required=True),
        "subscribers": Prop(
            "list", required=True, alike=_same_subscribers, item=Prop("object", fields=_SUBSCRIBER_FIELDS)
        ),
        "tags": TAGS,
    },
    outputs={"actionId": Prop(), "arn": Prop(), "status": Prop(computed=True), "tagsAll": Prop("tags")},
    create=Call(
        "create_budget_action",
        {
            "AccountId": _account,
            "BudgetName": "$budgetName",
            "ActionType": "$actionType",
            **_ACTION,
            "ResourceTags": "$tagsAll",
        },
        result={"actionId": "ActionId"},
    ),
    list_all=lambda call, scope: [
        f"{scope['owner']}:{action['ActionId']}:{scope['budgetName']}"
        for action in call(
            "describe_budget_actions_for_budget", AccountId=_account(scope), BudgetName=scope["budgetName"]
        )["Actions"]
    ],
    reads=(
        Call(
            "describe_budget_action",
            _ON,
            result={
                "accountId": "AccountId",
                "actionType": "Action.ActionType",
                "actionThreshold": "Action.ActionThreshold",
                "approvalModel": "Action.ApprovalModel",
                "definition": "Action.Definition",
                "executionRoleArn": "Action.ExecutionRoleArn",
                "notificationType": "Action.NotificationType",
                "subscribers": "Action.Subscribers",
                "status": "Action.Status",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            (
                "actionThreshold",
                "approvalModel",
                "definition",
                "executionRoleArn",
                "notificationType",
                "subscribers",
            ),
            put=Call("update_budget_action", {**_ON, **_ACTION}),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_budget_action", _ON, absent=_GONE),
    computed={"arn": "arn:{partition}:budgets::{account}:budget/{budgetName}/action/{actionId}"},
    derived=_OWNER,
    limits="No action ever runs. That Budgets may take the execution role, and the role may attach the policy, is "
    "not checked. Actions of organisations' policies and of Systems Manager are not served.",
)

TYPES = (BUDGET, ACTION)
