"""Alarms for a trail that is switched off, weakened, or sends no records.

Two independent detections share only the topic: EventBridge sees the call itself within minutes, and a metric
filter over the trail's log group finds it in the records. A third alarm fires if no records arrive at all.
"""

from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.names import aws_name, partition
from components.aws.common.topic import Publisher, Topic, sealed_topic, topic_name

NAMESPACE = "isthmus/audit"
"""Namespace of the metric that counts calls against the trail."""
SILENT_HOURS = 3
"""Hours without events before the alarm. Translators renew their sessions every hour, so an account with
translators has events in each hour."""
PATTERN_CHARACTERS = 1024
"""Maximum length of a metric filter's pattern (CloudWatch Logs quotas, as of knowledge, not checked)."""

TRAIL = ["StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"]
KEY = ["DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"]
STORE = [
    "DeleteBucket",
    "DeleteBucketEncryption",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketPublicAccessBlock",
    "PutBucketAcl",
    "PutBucketEncryption",
    "PutBucketLifecycle",
    "PutBucketObjectLockConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketReplication",
    "PutBucketVersioning",
]
LOGS = [
    "AssociateKmsKey",
    "DeleteLogGroup",
    "DeleteLogStream",
    "DeleteMetricFilter",
    "DisassociateKmsKey",
    "PutMetricFilter",
    "PutRetentionPolicy",
]
"""Calls on the log group. A replaced filter would match nothing."""
RULES = ["DeleteRule", "DisableRule", "PutRule", "PutTargets", "RemoveTargets"]
TOPIC = ["AddPermission", "DeleteTopic", "RemovePermission", "SetTopicAttributes", "Unsubscribe"]
ALARMS = ["DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm"]
"""Calls on the alarms. A replaced alarm would never fire."""
KINDS = ("trail", "key", "store", "logs", "rules", "topic", "alarms")
"""Each kind has a rule, named by what it watches."""


@dataclass(frozen=True)
class Watched:
    """The resources that the alarms watch."""

    trail: pulumi.Output[str]
    """ARN of the trail."""
    bucket: pulumi.Output[str]
    """Name of the bucket."""
    key: pulumi.Output[str]
    """ARN of the key."""
    log_group: pulumi.Output[str]
    """Name of the log group."""


def make_alarms(
    name: str,
    watched: Watched,
    notify: list[str],
    *,
    region: str,
    account: pulumi.Input[str],
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> Topic:
    """Create the topic, its subscriptions, a rule for each kind of call, the filter and two alarms."""
    from pulumi_aws.sns import TopicSubscription

    child = pulumi.ResourceOptions(parent=parent)
    aws_partition = partition(region)
    topic = sealed_topic(
        name,
        "Isthmus audit",
        _publishers(name, aws_partition, region, account),
        account=account,
        partition=aws_partition,
        tags=tags,
        parent=parent,
    )
    for address in notify:
        TopicSubscription(
            f"{name}-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=child
        )
    rule_opts = pulumi.ResourceOptions(parent=parent, depends_on=[topic.ready])
    for kind, pattern in patterns(name, watched, topic.arn).items():
        _rule(name, kind, pattern, topic, tags, rule_opts)
    _metric_alarms(name, watched, topic, tags, rule_opts)
    return topic


def _publishers(name: str, aws_partition: str, region: str, account: pulumi.Input[str]) -> list[Publisher]:
    topic = pulumi.Output.format("arn:{}:sns:{}:{}:{}", aws_partition, region, account, topic_name(name))
    alarms = [
        pulumi.Output.format("arn:{}:cloudwatch:{}:{}:alarm:{}", aws_partition, region, account, alarm)
        for alarm in alarm_names(name)
    ]
    this_account = {"StringEquals": {"aws:SourceAccount": account}}
    return [
        # EventBridge sends no source account or ARN to SNS and KMS, so a condition on them would silently drop
        # every message. Only the topic limits the publisher. Sources: EventBridge User Guide, "You can't use
        # Condition blocks in Amazon SNS topic policies for EventBridge"; SNS Developer Guide, "Key management"
        # (both read 2026-11-25).
        Publisher(
            "Events",
            "events.amazonaws.com",
            sealing={"ArnEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic}},
        ),
        Publisher(
            "Alarms",
            "cloudwatch.amazonaws.com",
            publishing={**this_account, "ArnEquals": {"aws:SourceArn": alarms}},
            sealing=this_account,
        ),
    ]


def rule_name(name: str, kind: str) -> str:
    return aws_name(f"{name}-{kind}", 64)


def alarm_names(name: str) -> list[str]:
    """Names of the alarm on calls against the trail, and of the alarm on missing records."""
    return [aws_name(f"{name}-{suffix}", 255) for suffix in ("tampering", "silence")]


def patterns(name: str, watched: Watched, topic: pulumi.Input[str]) -> dict[str, dict[str, Any]]:
    """The pattern of each rule, by the rule's suffix. Calls on other resources of the account do not match."""
    rules = [rule_name(name, kind) for kind in KINDS]
    of_rules = [{"requestParameters": {"name": rules}}, {"requestParameters": {"rule": rules}}]
    # Deleting names several alarms, creating one. A subscription's ARN begins with its topic's ARN.
    alarms = alarm_names(name)
    of_alarms = [{"requestParameters": {"alarmNames": alarms}}, {"requestParameters": {"alarmName": alarms}}]
    subscriptions = [{"prefix": pulumi.Output.concat(topic, ":")}]
    of_topic = [
        {"requestParameters": {"topicArn": [topic]}},
        {"requestParameters": {"subscriptionArn": subscriptions}},
    ]
    return {
        # For any trail, because a call names it by name or ARN, and an account has few.
        "trail": _pattern("cloudtrail", TRAIL),
        "key": _pattern("kms", KEY, resources={"ARN": [watched.key]}),
        "store": _pattern("s3", STORE, requestParameters={"bucketName": [watched.bucket]}),
        "logs": _pattern("logs", LOGS, requestParameters={"logGroupName": [watched.log_group]}),
        "rules": _pattern("events", RULES, **{"$or": of_rules}),
        "topic": _pattern("sns", TOPIC, **{"$or": of_topic}),
        "alarms": _pattern("monitoring", ALARMS, **{"$or": of_alarms}),
    }


def _pattern(service: str, calls: list[str], **detail: Any) -> dict[str, Any]:
    return {
        "source": [f"aws.{service}"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventSource": [f"{service}.amazonaws.com"], "eventName": calls, **detail},
    }


def filter_pattern() -> str:
    """A metric filter for calls against the trail, its keys and its stores.

    It is wider than the rules, and matches any key and bucket policy of the account, because the length of a filter
    is limited.
    """
    calls_by_service = {
        "cloudtrail": TRAIL,
        "kms": ["DisableKey", "ScheduleKeyDeletion"],
        "s3": ["DeleteBucket", "DeleteBucketPolicy", "PutBucketPolicy"],
        "logs": ["DeleteLogGroup", "DeleteMetricFilter", "PutMetricFilter"],
        "events": ["DeleteRule", "DisableRule", "RemoveTargets"],
    }
    return (
        "{ "
        + " || ".join(_service_pattern(service, calls) for service, calls in calls_by_service.items())
        + " }"
    )


def _service_pattern(service: str, calls: list[str]) -> str:
    any_of = " || ".join(f"($.eventName = {call})" for call in calls)
    return f"(($.eventSource = {service}.amazonaws.com) && ({any_of}))"


def _rule(
    name: str,
    kind: str,
    pattern: dict[str, Any],
    topic: Topic,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    from pulumi_aws.cloudwatch import EventRule, EventTarget

    rule = EventRule(
        f"{name}-{kind}",
        name=rule_name(name, kind),
        description=f"Calls that could switch off or blind the audit trail ({kind})",
        event_pattern=pulumi.Output.json_dumps(pattern),
        state="ENABLED",
        tags=tags,
        opts=opts,
    )
    EventTarget(f"{name}-{kind}-target", rule=rule.name, target_id="topic", arn=topic.arn, opts=opts)


def _metric_alarms(
    name: str, watched: Watched, topic: Topic, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> None:
    from pulumi_aws.cloudwatch import LogMetricFilter, MetricAlarm

    metric = aws_name(name, 255)
    tampering, silence = alarm_names(name)
    LogMetricFilter(
        f"{name}-filter",
        name=metric,
        log_group_name=watched.log_group,
        pattern=filter_pattern(),
        metric_transformation={"name": metric, "namespace": NAMESPACE, "value": "1"},
        opts=opts,
    )
    MetricAlarm(
        f"{name}-tampering",
        name=tampering,
        alarm_description=f"Somebody called what could switch off or blind the audit trail of {name}",
        namespace=NAMESPACE,
        metric_name=metric,
        statistic="Sum",
        period=300,
        evaluation_periods=1,
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=1,
        # No such record is the normal case.
        treat_missing_data="notBreaching",
        alarm_actions=[topic.arn],
        tags=tags,
        opts=opts,
    )
    MetricAlarm(
        f"{name}-silence",
        name=silence,
        alarm_description=f"The trail of {name} brought no record for {SILENT_HOURS} hours",
        namespace="AWS/Logs",
        metric_name="IncomingLogEvents",
        dimensions={"LogGroupName": watched.log_group},
        statistic="Sum",
        period=3600,
        evaluation_periods=SILENT_HOURS,
        comparison_operator="LessThanThreshold",
        threshold=1,
        # Without records the metric is missing, which is what this alarm detects.
        treat_missing_data="breaching",
        alarm_actions=[topic.arn],
        ok_actions=[topic.arn],
        tags=tags,
        opts=opts,
    )
