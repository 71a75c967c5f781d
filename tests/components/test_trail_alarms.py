"""Who hears when the trail is switched off, blinded or silent, and by which two ways."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import AuditTrail
from components.aws.common.topic import check_emails
from components.aws.identity.boundary import STOP_TRAIL_ACTIONS as NEVER
from components.aws.records import trail_alarms
from isthmus.core.errors import InputError
from tests.components.conftest import ACCOUNT, Engine
from tests.components.trail import REGION, Account, names, statements, trailed


@pytest.fixture
def engine() -> Account:
    return Account()


def rules(engine: Engine) -> dict[str, dict[str, Any]]:
    return {
        event_rule.name: json.loads(event_rule.inputs["eventPattern"])
        for event_rule in engine.all("EventRule")
    }


def test_switching_the_trail_off_is_detected_in_two_ways(engine: Engine) -> None:
    trailed(engine)
    calls = {
        call
        for pattern in rules(engine).values()
        if pattern["source"] == ["aws.cloudtrail"]
        for call in pattern["detail"]["eventName"]
    }
    assert {"StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"} <= calls
    text = engine.only("LogMetricFilter").inputs["pattern"]
    for call in calls:
        assert f"($.eventName = {call})" in text
    assert calls <= {action.partition(":")[2] for action in NEVER}, (
        "what is watched, no identity of ours may do"
    )


def test_the_key_and_the_bucket_are_watched_each_by_its_name(engine: Engine) -> None:
    trailed(engine)
    patterns = rules(engine)
    key, store = patterns["t-alarms-key"]["detail"], patterns["t-alarms-store"]["detail"]
    assert {"DisableKey", "ScheduleKeyDeletion"} <= set(key["eventName"])
    assert key["resources"] == {"ARN": ["arn:aws:kms/key:::t-key"]}
    assert {"PutBucketPolicy", "DeleteBucket", "DeleteBucketPolicy"} <= set(store["eventName"])
    assert store["requestParameters"] == {"bucketName": ["t-bucket-id"]}
    assert patterns["t-alarms-logs"]["detail"]["requestParameters"] == {"logGroupName": ["t-trail-logs"]}


def test_the_watchers_are_watched(engine: Engine) -> None:
    trailed(engine)
    patterns = rules(engine)
    assert {"DisableRule", "DeleteRule", "RemoveTargets"} <= set(
        patterns["t-alarms-rules"]["detail"]["eventName"]
    )
    assert {"DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm"} == set(
        patterns["t-alarms-alarms"]["detail"]["eventName"]
    )
    assert "PutMetricFilter" in patterns["t-alarms-logs"]["detail"]["eventName"], "one that matches nothing"
    assert "Unsubscribe" in patterns["t-alarms-topic"]["detail"]["eventName"]
    assert [pattern["requestParameters"] for pattern in patterns["t-alarms-topic"]["detail"]["$or"]] == [
        {"topicArn": ["arn:aws:sns/topic:::t-alarms"]},
        {"subscriptionArn": [{"prefix": "arn:aws:sns/topic:::t-alarms:"}]},
    ]
    for kind, resource_kind, params in (
        ("rules", "EventRule", ("name", "rule")),
        ("alarms", "MetricAlarm", ("alarmNames", "alarmName")),
    ):
        for side, param in zip(patterns[f"t-alarms-{kind}"]["detail"]["$or"], params, strict=True):
            assert sorted(side["requestParameters"][param]) == names(engine, resource_kind)
    for pattern in patterns.values():
        assert pattern["detail-type"] == ["AWS API Call via CloudTrail"]
        service = pattern["source"][0].removeprefix("aws.")
        assert pattern["detail"]["eventSource"] == [f"{service}.amazonaws.com"]


def test_every_rule_and_alarm_tells_the_topic(engine: Engine) -> None:
    trailed(engine)
    topic = "arn:aws:sns/topic:::t-alarms"
    targets = engine.all("EventTarget")
    assert sorted(target.inputs["rule"] for target in targets) == names(engine, "EventRule")
    assert {target.inputs["arn"] for target in targets} == {topic}
    assert [metric_alarm.inputs["alarmActions"] for metric_alarm in engine.all("MetricAlarm")] == [
        [topic],
        [topic],
    ]
    assert engine.outputs["alarm_topic"] == topic


def test_a_trail_that_falls_silent_sounds_an_alarm(engine: Engine) -> None:
    trailed(engine)
    silence = engine.only("MetricAlarm", "t-alarms-silence").inputs
    assert silence["treatMissingData"] == "breaching", "no record is no metric"
    assert (silence["namespace"], silence["metricName"]) == ("AWS/Logs", "IncomingLogEvents")
    assert silence["dimensions"] == {"LogGroupName": "t-trail-logs"}
    tampering = engine.only("MetricAlarm", "t-alarms-tampering").inputs
    transformed = engine.only("LogMetricFilter").inputs["metricTransformation"]
    assert engine.only("LogMetricFilter").inputs["name"] == transformed["name"], "a name of its own each run"
    assert (tampering["namespace"], tampering["metricName"]) == (
        transformed["namespace"],
        transformed["name"],
    )
    assert tampering["treatMissingData"] == "notBreaching"


def test_the_filter_fits_what_cloudwatch_takes() -> None:
    assert len(trail_alarms.filter_pattern()) <= trail_alarms.PATTERN_CHARACTERS


def test_only_events_and_alarms_publish_to_the_topic(engine: Engine) -> None:
    trailed(engine)
    policy = statements(engine, "TopicPolicy", "t-alarms-policy")
    allowed = {
        statement["Principal"]["Service"]: statement
        for statement in policy.values()
        if statement["Effect"] == "Allow"
    }
    assert set(allowed) == {"events.amazonaws.com", "cloudwatch.amazonaws.com"}
    condition = allowed["cloudwatch.amazonaws.com"]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
    assert sorted(condition["ArnEquals"]["aws:SourceArn"]) == [
        alarms + name for name in names(engine, "MetricAlarm")
    ]
    assert "Condition" not in allowed["events.amazonaws.com"], "EventBridge's messages would be dropped"
    assert policy["TlsOnly"]["Effect"] == "Deny"


def test_the_topics_key_opens_to_events_for_this_topic_only(engine: Engine) -> None:
    trailed(engine)
    assert engine.only("Topic").inputs["kmsMasterKeyId"] == "arn:aws:kms/key:::t-alarms-key"
    name = engine.only("Topic").inputs["name"]
    key = statements(engine, "Key", "t-alarms-key")
    assert key["EventsSeals"]["Condition"] == {
        "ArnEquals": {"kms:EncryptionContext:aws:sns:topicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"}
    }
    assert key["AlarmsSeals"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_each_address_is_subscribed_once(engine: Engine) -> None:
    trailed(engine, notify=["soc@bank.example", "audit@bank.example", "soc@bank.example"])
    addresses = sorted(
        topic_subscription.inputs["endpoint"] for topic_subscription in engine.all("TopicSubscription")
    )
    assert addresses == ["audit@bank.example", "soc@bank.example"]
    assert {
        topic_subscription.inputs["protocol"] for topic_subscription in engine.all("TopicSubscription")
    } == {"email"}


def test_names_fit_what_aws_takes(engine: Engine) -> None:
    settings = {"mode": "manage", "organization": False, "retention_days": 1826, "notify": ["a@b.example"]}
    arguments = {"name": "n", "site": "s", "mode": "manage", "retention_days": 1826, "region": REGION}
    engine.deploy(AuditTrail, "isthmus-" + "x" * 40, {**arguments, "trail": settings})
    for role in [*engine.all("Role"), *engine.all("EventRule")]:
        assert len(role.inputs["name"]) <= 64, role.name
    assert len(set(names(engine, "EventRule"))) == len(trail_alarms.KINDS)
    for event_rule in engine.all("EventRule"):
        assert len(event_rule.inputs["eventPattern"]) <= 2048, "EventBridge's longest pattern"


@given(st.lists(st.emails(), min_size=1, max_size=10))
def test_real_addresses_are_taken_each_once(addresses_given: list[str]) -> None:
    unique = check_emails([*addresses_given, *addresses_given], "x", "nobody")
    assert unique == sorted(set(addresses_given))


def test_more_addresses_than_aws_takes_are_refused() -> None:
    with pytest.raises(InputError, match="11 addresses"):
        check_emails([f"{at}@bank.example" for at in range(11)], "x", "nobody")
