"""Scales something in AWS so that a predefined metric keeps a value, with Application Auto Scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.names import aws_name


@dataclass(frozen=True)
class Scalable:
    """What is scaled, in Application Auto Scaling's terms."""

    namespace: str
    dimension: str
    resource_id: pulumi.Output[str]
    unit: str
    """Ending of the target's Pulumi name: what is added and removed."""


@dataclass(frozen=True)
class Tracking:
    """A predefined metric, the value that it keeps, and the pauses after a change in seconds."""

    metric: str
    value: float
    scale_in_s: int
    scale_out_s: int


def scale(
    name: str,
    scalable: Scalable,
    capacity: tuple[int, int],
    tracking: Tracking,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create target and policy. `capacity`: the fewest and the most."""
    from pulumi_aws.appautoscaling import Policy, Target

    target: Any = Target(
        f"{name}-{scalable.unit}",
        service_namespace=scalable.namespace,
        scalable_dimension=scalable.dimension,
        resource_id=scalable.resource_id,
        min_capacity=capacity[0],
        max_capacity=capacity[1],
        tags=tags,
        opts=opts,
    )
    Policy(
        f"{name}-load",
        name=aws_name(f"{name}-load", 255),
        policy_type="TargetTrackingScaling",
        service_namespace=target.service_namespace,
        scalable_dimension=target.scalable_dimension,
        resource_id=target.resource_id,
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": tracking.metric},
            "target_value": tracking.value,
            "scale_in_cooldown": tracking.scale_in_s,
            "scale_out_cooldown": tracking.scale_out_s,
        },
        opts=opts,
    )
