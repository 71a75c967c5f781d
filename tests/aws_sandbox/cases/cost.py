"""Cases of budgets, their actions, anomaly alerts and cost-allocation tags."""

from __future__ import annotations

import json
from typing import Any

from tests.aws_sandbox.cases.alarms import topic
from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import World, trust

_ACCOUNT = "123456789012"


def _notice(percent: int, *mails: str, kind: str = "ACTUAL", **more: Any) -> dict[str, Any]:
    return {
        "comparisonOperator": "GREATER_THAN",
        "notificationType": kind,
        "threshold": percent,
        "thresholdType": "PERCENTAGE",
        **({"subscriberEmailAddresses": list(mails)} if mails else {}),
        **more,
    }


def _filter(*workloads: str) -> list[dict[str, Any]]:
    return [
        {"name": "TagKeyValue", "values": [f"user:isthmus.dev/workload${workload}" for workload in workloads]}
    ]


def _budget(world: World) -> Inputs:
    return {
        "name": world.name("budget"),
        "budgetType": "COST",
        "timeUnit": "MONTHLY",
        "limitAmount": "1000",
        "limitUnit": "USD",
        "costFilters": _filter("payments"),
        "notifications": [
            _notice(80, "a@example.org", "b@example.org", subscriberSnsTopicArns=[topic(world)]),
            _notice(100, "a@example.org", kind="FORECASTED"),
        ],
        "timePeriodStart": "2026-01-01_00:00",
        "tags": {"class": "internal"},
    }


def _budget_behind(world: World, inputs: Inputs) -> str:
    world.boto("budgets").delete_notification(
        AccountId=_ACCOUNT,
        BudgetName=inputs["name"],
        Notification={
            "NotificationType": "FORECASTED",
            "ComparisonOperator": "GREATER_THAN",
            "Threshold": 100,
        },
    )
    return "notifications"


def _budget_left(world: World, inputs: Inputs) -> bool:
    budgets = world.boto("budgets")
    return bool(found(lambda: budgets.describe_budget(AccountId=_ACCOUNT, BudgetName=inputs["name"])))


def _made_budget(world: World) -> str:
    name = world.name("budget")
    world.boto("budgets").create_budget(
        AccountId=_ACCOUNT,
        Budget={
            "BudgetName": name,
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "10", "Unit": "USD"},
        },
    )
    return name


def _runner(world: World) -> str:
    role = world.name("budgets")
    made = world.boto("iam").create_role(
        RoleName=role, AssumeRolePolicyDocument=trust("budgets.amazonaws.com")
    )
    return made["Role"]["Arn"]


def _deny(world: World, *roles: str) -> dict[str, Any]:
    return {"iamActionDefinition": {"policyArn": world.policy(), "roles": list(roles)}}


def _action(world: World) -> Inputs:
    return {
        "budgetName": _made_budget(world),
        "actionType": "APPLY_IAM_POLICY",
        "actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100},
        "approvalModel": "AUTOMATIC",
        "definition": _deny(world, "gateway"),
        "executionRoleArn": _runner(world),
        "notificationType": "ACTUAL",
        "subscribers": [{"address": "a@example.org", "subscriptionType": "EMAIL"}],
        "tags": {"class": "internal"},
    }


def _actions(world: World, inputs: Inputs) -> list[dict[str, Any]]:
    names = {"AccountId": _ACCOUNT, "BudgetName": inputs["budgetName"]}
    answer = found(lambda: world.boto("budgets").describe_budget_actions_for_budget(**names))
    return (answer or {}).get("Actions", [])


def _action_behind(world: World, inputs: Inputs) -> str:
    world.boto("budgets").update_budget_action(
        AccountId=_ACCOUNT,
        BudgetName=inputs["budgetName"],
        ActionId=inputs["actionId"],
        ApprovalModel="MANUAL",
    )
    return "approvalModel"


def _monitors(world: World) -> list[dict[str, Any]]:
    return world.boto("ce").get_anomaly_monitors()["AnomalyMonitors"]


def _counted(key: str, value: str) -> str:
    """As the provider reads it back: with less it sees a change, and replaces the monitor."""
    nothing = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))
    return json.dumps({**nothing, "Tags": {"Key": key, "MatchOptions": None, "Values": [value]}})


def _monitor(world: World) -> str:
    monitor = {"MonitorName": "services", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    return world.boto("ce").create_anomaly_monitor(AnomalyMonitor=monitor)["MonitorArn"]


def _monitor_behind(world: World, inputs: Inputs) -> str:
    world.boto("ce").update_anomaly_monitor(MonitorArn=inputs["arn"], MonitorName="by another hand")
    return "name"


def _above(usd: int, **more: Any) -> dict[str, Any]:
    dimension = {
        "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
        "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        "values": [str(usd)],
    }
    return {"dimension": dimension, **more}


def _subscription_behind(world: World, inputs: Inputs) -> str:
    world.boto("ce").update_anomaly_subscription(SubscriptionArn=inputs["arn"], Frequency="WEEKLY")
    return "frequency"


def _subscription_left(world: World, inputs: Inputs) -> bool:
    subscriptions = world.boto("ce").get_anomaly_subscriptions()["AnomalySubscriptions"]
    return any(subscription["SubscriptionName"] == inputs["name"] for subscription in subscriptions)


def _tag_behind(world: World, inputs: Inputs) -> str:
    world.boto("ce").update_cost_allocation_tags_status(
        CostAllocationTagsStatus=[{"TagKey": inputs["tagKey"], "Status": "Inactive"}]
    )
    return "status"


def _tag_left(world: World, inputs: Inputs) -> bool:
    answer = world.boto("ce").list_cost_allocation_tags(TagKeys=[inputs["tagKey"]], Status="Active")
    return bool(answer["CostAllocationTags"])


CASES: dict[str, Case] = {
    "aws:budgets/budget:Budget": Case(
        make=_budget,
        change=lambda world, inputs: {
            **inputs,
            "limitAmount": "1500.5",
            "costFilters": _filter("payments", "letters"),
            "costTypes": {"includeCredit": False, "includeRefund": False},
            "notifications": [_notice(50, "c@example.org"), inputs["notifications"][1]],
            "timePeriodEnd": "2027-01-01_00:00",
            "tags": {"class": "restricted"},
        },
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_budget_behind,
        left=_budget_left,
    ),
    "aws:budgets/budgetAction:BudgetAction": Case(
        make=_action,
        change=lambda world, inputs: {
            **inputs,
            "actionThreshold": {"actionThresholdType": "ABSOLUTE_VALUE", "actionThresholdValue": 900.5},
            "approvalModel": "MANUAL",
            "definition": _deny(world, "gateway", "letters"),
            "executionRoleArn": _runner(world),
            "notificationType": "FORECASTED",
            "subscribers": [{"address": topic(world), "subscriptionType": "SNS"}],
            "tags": {},
        },
        replace=lambda world, inputs: {**inputs, "budgetName": _made_budget(world)},
        behind=_action_behind,
        left=lambda world, inputs: bool(_actions(world, inputs)),
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": Case(
        make=lambda world: {
            "name": world.name("workloads"),
            "monitorType": "CUSTOM",
            "monitorSpecification": _counted("isthmus.dev/workload", "payments"),
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {**inputs, "name": world.name("renamed"), "tags": {"new": "1"}},
        replace=changed(monitorSpecification=_counted("isthmus.dev/class", "internal")),
        behind=_monitor_behind,
        left=lambda world, inputs: inputs["name"] in [monitor["MonitorName"] for monitor in _monitors(world)],
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": Case(
        make=lambda world: {
            "name": world.name("anomalies"),
            "frequency": "DAILY",
            "monitorArnLists": [_monitor(world)],
            "subscribers": [{"address": "a@example.org", "type": "EMAIL"}],
            "thresholdExpression": _above(100),
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            **inputs,
            "frequency": "IMMEDIATE",
            "monitorArnLists": [_monitor(world), *inputs["monitorArnLists"]],
            "subscribers": [{"address": topic(world), "type": "SNS"}],
            "thresholdExpression": {
                "ands": [_above(200), {"tags": {"key": "class", "values": ["internal"]}}]
            },
            "tags": {},
        },
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_subscription_behind,
        left=_subscription_left,
    ),
    "aws:costexplorer/costAllocationTag:CostAllocationTag": Case(
        make=lambda world: {"tagKey": world.name("isthmus.dev/workload"), "status": "Active"},
        change=changed(status="Inactive"),
        replace=lambda world, inputs: {**inputs, "tagKey": world.name("isthmus.dev/class")},
        behind=_tag_behind,
        left=_tag_left,
    ),
}
