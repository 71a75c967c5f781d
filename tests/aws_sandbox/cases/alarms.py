"""Cases of metric filters, alarms, rules of events and topics."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import REGION, World, document

_ACCOUNT = "123456789012"


def topic(world: World) -> str:
    return world.boto("sns").create_topic(Name=world.name("topic"))["TopicArn"]


def _group(world: World) -> str:
    name = world.name("/isthmus/alarms")
    world.boto("logs").create_log_group(logGroupName=name)
    return name


def _rule(world: World) -> str:
    name = world.name("rule")
    world.boto("events").put_rule(Name=name, EventPattern='{"source":["aws.cloudtrail"]}')
    return name


def _filters(world: World, inputs: Inputs) -> list[dict[str, Any]]:
    answer = found(lambda: world.boto("logs").describe_metric_filters(logGroupName=inputs["logGroupName"]))
    filters = (answer or {}).get("metricFilters", [])
    return [filter_entry for filter_entry in filters if filter_entry["filterName"] == inputs["name"]]


def _filter_behind(world: World, inputs: Inputs) -> str:
    metric = {"metricName": "stopped", "metricNamespace": "isthmus", "metricValue": "1"}
    world.boto("logs").put_metric_filter(
        logGroupName=inputs["logGroupName"],
        filterName=inputs["name"],
        filterPattern="{ $.eventName = Nothing }",
        metricTransformations=[metric],
    )
    return "pattern"


_STOPPED = {
    "name": "stopped",
    "namespace": "isthmus",
    "value": "1",
    "defaultValue": "0",
    "unit": "Count",
}


def _alarm_behind(world: World, inputs: Inputs) -> str:
    world.boto("cloudwatch").disable_alarm_actions(AlarmNames=[inputs["name"]])
    return "actionsEnabled"


def _alarm_left(world: World, inputs: Inputs) -> bool:
    return bool(world.boto("cloudwatch").describe_alarms(AlarmNames=[inputs["name"]])["MetricAlarms"])


def _rule_behind(world: World, inputs: Inputs) -> str:
    world.boto("events").disable_rule(Name=inputs["name"])
    return "state"


def _target_behind(world: World, inputs: Inputs) -> str:
    world.boto("events").put_targets(
        Rule=inputs["rule"], Targets=[{"Id": inputs["targetId"], "Arn": topic(world)}]
    )
    return "arn"


def _target_left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("events").list_targets_by_rule(Rule=inputs["rule"]))
    return any(entry["Id"] == inputs.get("targetId") for entry in (answer or {}).get("Targets", []))


def _policy_name(world: World) -> str:
    """AWS and moto take ten policies in a region: those of other tests go."""
    logs = world.boto("logs")
    for resource_policy in logs.describe_resource_policies()["resourcePolicies"]:
        logs.delete_resource_policy(policyName=resource_policy["policyName"])
    return world.name("logs")


def _policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("logs").put_resource_policy(policyName=inputs["policyName"], policyDocument=document("logs:*"))
    return "policyDocument"


def _policy_left(world: World, inputs: Inputs) -> bool:
    policies = world.boto("logs").describe_resource_policies()["resourcePolicies"]
    return any(policy["policyName"] == inputs["policyName"] for policy in policies)


def _topic_behind(world: World, inputs: Inputs) -> str:
    world.boto("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="DisplayName", AttributeValue="another"
    )
    return "displayName"


def _topic_left(world: World, inputs: Inputs) -> bool:
    topics = world.boto("sns").list_topics()["Topics"]
    return any(topic["TopicArn"].endswith(f":{inputs['name']}") for topic in topics)


def _topic_policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=document("sns:*")
    )
    return "policy"


def _topic_policy_left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("sns").get_topic_attributes(TopicArn=inputs["arn"]))
    return answer is not None and "__default_policy_ID" not in answer["Attributes"]["Policy"]


def _subscription_behind(world: World, inputs: Inputs) -> str:
    world.boto("sns").unsubscribe(SubscriptionArn=inputs["arn"])
    return ""


def _subscription_left(world: World, inputs: Inputs) -> bool:
    subscriptions = world.boto("sns").list_subscriptions()["Subscriptions"]
    return any(
        subscription["TopicArn"] == inputs["topic"] and subscription["Endpoint"] == inputs["endpoint"]
        for subscription in subscriptions
    )


CASES: dict[str, Case] = {
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": Case(
        make=lambda world: {
            "name": world.name("stopped"),
            "logGroupName": _group(world),
            "pattern": "{ $.eventName = StopLogging }",
            "metricTransformation": _STOPPED,
        },
        change=changed(
            pattern="{ ($.eventName = StopLogging) || ($.eventName = DeleteTrail) }",
            metricTransformation={"name": "stopped", "namespace": "isthmus", "value": "2"},
        ),
        replace=lambda world, inputs: {**inputs, "logGroupName": _group(world)},
        behind=_filter_behind,
        left=lambda world, inputs: bool(_filters(world, inputs)),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        make=lambda world: {
            "name": world.name("stopped"),
            "alarmDescription": "The trail was switched off.",
            "alarmActions": [topic(world)],
            "metricName": "stopped",
            "namespace": "isthmus",
            "statistic": "Sum",
            "period": 60,
            "evaluationPeriods": 1,
            "threshold": 1,
            "comparisonOperator": "GreaterThanOrEqualToThreshold",
            "treatMissingData": "notBreaching",
            "tags": {"class": "restricted"},
        },
        change=changed(
            alarmDescription="The trail was switched off, or its bucket changed.",
            threshold=2.5,
            period=300,
            dimensions={"trail": "all"},
            alarmActions=[],
            treatMissingData=None,
            tags={"class": "internal"},
        ),
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_alarm_behind,
        left=_alarm_left,
    ),
    "aws:cloudwatch/eventRule:EventRule": Case(
        make=lambda world: {
            "name": world.name("stopped"),
            "description": "What switches the trail off",
            "eventPattern": '{"source": ["aws.cloudtrail"], "detail": {"eventName": ["StopLogging"]}}',
            "tags": {"class": "restricted"},
        },
        change=changed(
            description="What switches the trail off or blinds it",
            eventPattern='{"source": ["aws.cloudtrail"]}',
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            tags={"class": "internal"},
        ),
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_rule_behind,
        left=lambda world, inputs: bool(
            found(lambda: world.boto("events").describe_rule(Name=inputs["name"]))
        ),
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Case(
        make=lambda world: {
            "rule": _rule(world),
            "targetId": "told",
            "arn": topic(world),
            "inputTransformer": {
                "inputPaths": {"who": "$.detail.userIdentity.arn"},
                "inputTemplate": '"<who>"',
            },
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "inputTransformer"},
            "arn": topic(world),
            "retryPolicy": {"maximumRetryAttempts": 3, "maximumEventAgeInSeconds": 600},
            "deadLetterConfig": {"arn": f"arn:aws:sqs:{REGION}:{_ACCOUNT}:lost"},
        },
        replace=lambda world, inputs: {**inputs, "rule": _rule(world)},
        behind=_target_behind,
        left=_target_left,
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": Case(
        make=lambda world: {
            "policyName": _policy_name(world),
            "policyDocument": document("logs:PutLogEvents"),
        },
        change=changed(policyDocument=document("logs:PutLogEvents", "logs:CreateLogStream")),
        replace=lambda world, inputs: {**inputs, "policyName": world.name("other")},
        behind=_policy_behind,
        left=_policy_left,
    ),
    "aws:sns/topic:Topic": Case(
        make=lambda world: {
            "name": world.name("alarms"),
            "displayName": "alarms",
            "kmsMasterKeyId": world.key(),
            "policy": document("sns:Publish"),
            "tags": {"class": "restricted"},
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "displayName"},
            "kmsMasterKeyId": world.key(),
            "policy": document("sns:Publish", "sns:Subscribe"),
            "tags": {"class": "internal"},
        },
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_topic_behind,
        left=_topic_left,
    ),
    "aws:sns/topicPolicy:TopicPolicy": Case(
        make=lambda world: {"arn": topic(world), "policy": document("sns:Publish")},
        change=changed(policy=document("sns:Publish", "sns:Subscribe")),
        replace=lambda world, inputs: {**inputs, "arn": topic(world)},
        behind=_topic_policy_behind,
        left=_topic_policy_left,
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        make=lambda world: {
            "topic": topic(world),
            "protocol": "email",
            "endpoint": "operations@example.org",
            "filterPolicy": '{"class": ["restricted"]}',
        },
        change=changed(filterPolicy='{"class": ["restricted", "internal"]}'),
        replace=changed(endpoint="others@example.org"),
        behind=_subscription_behind,
        left=_subscription_left,
    ),
}
