"""Deployment of a SageMaker endpoint: traffic shifting, rollback alarms and autoscaling."""

from typing import Any

import pulumi

from components.aws.common import target_tracking
from components.aws.common.names import aws_name
from components.aws.common.target_tracking import Scalable, Tracking
from components.aws.sagemaker.arguments import AutoscalingSettings, RollbackSettings, RolloutSettings

VARIANT = "primary"
"""Name of the served model's variant. It never changes, because AWS watches a deployment only between variants with
the same name."""
SHADOW = "shadow"
_TYPES = {"canary": "CANARY", "linear": "LINEAR", "all-at-once": "ALL_AT_ONCE"}
MIN_DURATION_S, MAX_DURATION_S = 600, 28800
"""Limits of a deployment's duration in seconds (botocore's model)."""


def alarms(
    name: str, endpoint: str, settings: RollbackSettings, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> list[Any]:
    """Alarms on errors and latency of the endpoint's model, over old and new instances."""
    from pulumi_aws.cloudwatch import MetricAlarm

    minutes = settings.get("minutes", 2)
    common: dict[str, Any] = {
        "namespace": "AWS/SageMaker",
        "dimensions": {"EndpointName": endpoint, "VariantName": VARIANT},
        "comparison_operator": "GreaterThanOrEqualToThreshold",
        "period": 60,
        "evaluation_periods": minutes,
        # No requests are no failure.
        "treat_missing_data": "notBreaching",
        "tags": tags,
        "opts": opts,
    }
    metric_alarms = [
        MetricAlarm(
            f"{name}-errors",
            name=aws_name(f"{name}-errors", 255),
            alarm_description=f"{endpoint} answers with 5xx",
            metric_name="Invocation5XXErrors",
            statistic="Sum",
            threshold=settings.get("errors", 5),
            **common,
        )
    ]
    if (latency := settings.get("latency_p95_ms")) is not None:
        metric_alarms.append(
            MetricAlarm(
                f"{name}-latency",
                name=aws_name(f"{name}-latency", 255),
                alarm_description=f"{endpoint} answers slowly",
                metric_name="ModelLatency",
                extended_statistic="p95",
                # The metric is in microseconds.
                threshold=latency * 1000,
                **common,
            )
        )
    return metric_alarms


def deployment(settings: RolloutSettings, rollback_alarms: list[Any], start_s: int) -> dict[str, Any]:
    """A blue/green deployment in steps that rolls back on an alarm. `start_s`: maximum start time of new instances
    in seconds.
    """
    kind, step = settings.get("kind", "canary"), settings.get("step_pct", 25)
    wait, keep_old_s = settings.get("wait_s", 300), settings.get("keep_old_s", 300)
    size = {"type": "CAPACITY_PERCENT", "value": step}
    steps = {"canary": 2, "linear": -(-100 // step), "all-at-once": 1}[kind]
    routing: dict[str, Any] = {
        "type": _TYPES[kind],
        "wait_interval_in_seconds": 0 if kind == "all-at-once" else wait,
    }
    if kind != "all-at-once":
        routing["canary_size" if kind == "canary" else "linear_step_size"] = size
    max_duration_s = 2 * start_s + steps * wait + keep_old_s + MIN_DURATION_S
    return {
        "blue_green_update_policy": {
            "traffic_routing_configuration": routing,
            "termination_wait_in_seconds": keep_old_s,
            "maximum_execution_timeout_in_seconds": min(MAX_DURATION_S, max(MIN_DURATION_S, max_duration_s)),
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": alarm.name} for alarm in rollback_alarms]},
    }


def scale(
    name: str, endpoint: pulumi.Output[str], settings: AutoscalingSettings, tags: dict[str, str], parent: Any
) -> None:
    """Autoscaling of the served model, by the number of requests for each instance."""
    scalable = Scalable(
        "sagemaker",
        "sagemaker:variant:DesiredInstanceCount",
        pulumi.Output.concat("endpoint/", endpoint, f"/variant/{VARIANT}"),
        "instances",
    )
    tracking = Tracking(
        metric="SageMakerVariantInvocationsPerInstance",
        value=settings["calls_per_minute"],
        scale_in_s=settings.get("scale_in_s", 600),
        scale_out_s=settings.get("scale_out_s", 120),
    )
    capacity = settings["min_instances"], settings["max_instances"]
    target_tracking.scale(name, scalable, capacity, tracking, tags, pulumi.ResourceOptions(parent=parent))
