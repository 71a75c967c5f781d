"""Scales the tasks of a gateway on Fargate by their CPU use."""

from __future__ import annotations

from typing import Any

import pulumi

from components.aws.common.target_tracking import Scalable, Tracking, scale
from isthmus.contracts.platform.lookups.gateway_size import TARGET_UTILISATION

_TRACKING = Tracking(
    metric="ECSServiceAverageCPUUtilization",
    value=round(100 * TARGET_UTILISATION),
    scale_in_s=600,  # a task that ends first finishes its answers
    scale_out_s=60,
)


def scale_service(
    name: str,
    cluster: pulumi.Output[str],
    service: Any,
    tasks: tuple[int, int],
    tags: dict[str, str],
    parent: Any,
) -> None:
    """Scale an ECS service. `cluster`: its cluster's name. `tasks`: the fewest and the most."""
    resource_id = pulumi.Output.concat("service/", cluster, "/", service.name)
    scalable = Scalable("ecs", "ecs:service:DesiredCount", resource_id, "tasks")
    scale(name, scalable, tasks, _TRACKING, tags, pulumi.ResourceOptions(parent=parent, depends_on=[service]))
