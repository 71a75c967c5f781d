"""Alarms on what serves callers in AWS: what is watched, when an alarm fires, and who is told."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
from pulumi_aws import Provider

from components import LlmPlatform, ServingAlarms
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError
from tests.components import watched as watched_rules
from tests.components.conftest import ACCOUNT, Engine
from tests.components.fargate import cloud
from tests.components.test_sagemaker_platform import build as build_hosted
from tests.hosted import platform as hosted_platform

REGION = "eu-central-1"
PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/82ey7vcct4m3"
ALL: dict[str, Any] = {
    "profiles": [{"name": "haiku--claims", "profile": PROFILE}],
    "endpoints": [{"name": "qwen", "endpoint": "bank-qwen"}],
    "services": [{"name": "internal-edge", "service": "gateways/edge"}],
}


def watched(engine: Engine, **more: Any) -> dict[str, dict[str, Any]]:
    """The inputs of each alarm, by the alarm's name in the program."""
    arguments = {
        "name": "frankfurt",
        "region": REGION,
        "notify": ["llm@bank.example"],
        "tags": {"owner": "llm"},
        **(more or ALL),
    }
    engine.deploy(ServingAlarms, "w", arguments)
    return {alarm.name: alarm.inputs for alarm in engine.all("MetricAlarm")}


def platform_alarms(engine: Engine, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    def program() -> Any:
        providers: dict[str, pulumi.ProviderResource] = {"frankfurt": Provider("frankfurt", region=REGION)}
        return LlmPlatform("insurer", CheckedPlatform.model_validate(data), providers)

    engine.run(program)
    return {
        alarm.name: alarm.inputs
        for alarm in engine.all("MetricAlarm")
        if alarm.name.startswith("insurer-frankfurt-serving-")
    }


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [("ModelFails", "InvocationServerErrors"), ("ModelThrottled", "InvocationThrottles")],
)
def test_a_model_on_bedrock_is_watched_by_the_last_part_of_its_profiles_arn(
    engine: Engine, alarm: str, metric: str
):
    inputs = watched(engine)[f"w-haiku--claims-{alarm}"]
    assert (inputs["namespace"], inputs["metricName"]) == ("AWS/Bedrock", metric)
    assert inputs["dimensions"] == {"ModelId": "82ey7vcct4m3"}
    assert "Model haiku of workload claims" in inputs["alarmDescription"]


def test_a_sagemaker_endpoint_is_watched_by_the_errors_of_its_served_variant(engine: Engine):
    inputs = watched(engine)["w-qwen-ModelFails"]
    assert (inputs["namespace"], inputs["metricName"]) == ("AWS/SageMaker", "Invocation5XXErrors")
    assert inputs["dimensions"] == {"EndpointName": "bank-qwen", "VariantName": "primary"}


def test_nine_bad_events_in_five_minutes_and_a_quiet_night_alarm_nobody(engine: Engine):
    counted = [inputs for inputs in watched(engine).values() if inputs["statistic"] == "Sum"]
    assert len(counted) == 3
    for inputs in counted:
        assert (inputs["period"], inputs["evaluationPeriods"], inputs["threshold"]) == (300, 1, 10)
        assert inputs["comparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert inputs["treatMissingData"] == "notBreaching"


def test_a_service_without_a_task_sends_no_metric_and_alarms(engine: Engine):
    inputs = watched(engine)["w-internal-edge-GatewayDown"]
    assert inputs["dimensions"] == {"ClusterName": "gateways", "ServiceName": "edge"}
    assert (inputs["statistic"], inputs["threshold"]) == ("SampleCount", 1)
    assert inputs["comparisonOperator"] == "LessThanThreshold"
    assert inputs["treatMissingData"] == "breaching"


def test_a_task_is_reported_before_it_is_killed_for_its_memory(engine: Engine):
    inputs = watched(engine)["w-internal-edge-MemoryNearlyUsed"]
    assert (inputs["metricName"], inputs["statistic"]) == ("MemoryUtilization", "Maximum")
    assert (inputs["threshold"], inputs["evaluationPeriods"]) == (90, 15)


def test_every_alarm_and_its_end_reach_the_contacts_and_nobody_else_publishes(engine: Engine):
    topic = "arn:aws:sns/topic:::w-alarms"
    alarms = watched(engine)
    for inputs in alarms.values():
        assert inputs["alarmActions"] == inputs["okActions"] == [topic]
    subscription = engine.only("TopicSubscription").inputs
    assert (subscription["topic"], subscription["endpoint"]) == (topic, "llm@bank.example")
    statements = json.loads(engine.only("TopicPolicy").inputs["policy"])["Statement"]
    (allowed,) = [statement for statement in statements if statement["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    prefix = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
    assert sorted(allowed["Condition"]["ArnEquals"]["aws:SourceArn"]) == sorted(
        prefix + inputs["name"] for inputs in alarms.values()
    )
    assert engine.outputs["topic_arn"] == topic


def test_an_alarm_has_the_name_of_the_prometheus_alert_for_the_same_condition(engine: Engine):
    services = [{"name": f"internal-{task}", "service": "c/s"} for task in ("edge", "translator", "sealer")]
    alarms = {name.rpartition("-")[2] for name in watched(engine, **{**ALL, "services": services})}
    rules = {alert["alert"] for alert in watched_rules.alerts()}
    assert alarms & rules == {"GatewayDown", "ServiceDown"}
    assert alarms - rules == {"ModelFails", "ModelThrottled", "MemoryNearlyUsed"}, (
        "Prometheus has no such alert"
    )


def test_nothing_to_watch_makes_nothing(engine: Engine):
    assert watched(engine, profiles=[]) == {}
    assert not engine.all("Topic")


def test_alarms_that_nobody_gets_are_refused(engine: Engine):
    with pytest.raises(InputError, match="nobody would be told that a model fails"):
        watched(engine, **ALL, notify=[])


@pytest.mark.whole
def test_a_platform_without_operations_contacts_has_no_such_alarms(engine: Engine):
    assert platform_alarms(engine, cloud()) == {}


@pytest.mark.whole
def test_a_platform_watches_its_models_on_bedrock_and_every_service_of_its_gateways(engine: Engine):
    data = cloud()
    data["contacts"]["operations"] = ["llm@insurer.example"]
    alarms = platform_alarms(engine, data)
    services = [
        f"internal-{task}-{suffix}"
        for task, down in (("edge", "GatewayDown"), ("sealer", "ServiceDown"), ("translator", "ServiceDown"))
        for suffix in (down, "MemoryNearlyUsed")
    ]
    models = ["internal-haiku--claims-ModelFails", "internal-haiku--claims-ModelThrottled"]
    assert sorted(alarms) == [f"insurer-frankfurt-serving-{name}" for name in sorted([*services, *models])]
    down = alarms["insurer-frankfurt-serving-internal-edge-GatewayDown"]["dimensions"]
    cluster, service = engine.outputs["gateways"][0]["service"].split("/")
    assert down == {"ClusterName": cluster, "ServiceName": service}


@pytest.mark.whole
def test_a_platform_does_not_watch_provisioned_throughput_which_has_no_profile(engine: Engine):
    data = cloud()
    data["contacts"]["operations"] = ["llm@insurer.example"]
    data["provisioned"] = [{"name": "more", "endpoint": "internal-haiku", "model_units": 1}]
    assert not [name for name in platform_alarms(engine, data) if "haiku" in name]


@pytest.mark.whole
def test_a_platform_watches_its_sagemaker_endpoints(engine: Engine):
    data = hosted_platform()
    data["contacts"]["operations"] = ["llm@bank.example"]
    build_hosted(engine, data, name="hosted")
    names = [
        alarm.name for alarm in engine.all("MetricAlarm") if alarm.inputs["namespace"] == "AWS/SageMaker"
    ]
    assert len([name for name in names if name.startswith("hosted-frankfurt-serving-")]) == 1
