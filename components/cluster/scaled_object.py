"""KEDA's ScaledObject of a Deployment, and its triggers: Prometheus queries that return one number each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.cluster.objects import custom_resource, metadata

POLL_S = 15
"""Polling interval in seconds, the same as Prometheus' scrape interval."""
_FAILURES = 8
"""Consecutive failed measurements before the fallback: two minutes, which is longer than a restart of Prometheus."""


def scaled_object(
    name: str,
    meta: tuple[str, str, Mapping[str, str]],
    replicas: tuple[int, int, int],
    triggers: Sequence[dict[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    cooldown_s: int,
    initial_cooldown_s: int,
) -> pulumi.CustomResource:
    """The ScaledObject of a Deployment.

    `meta`: name of the Deployment, namespace and labels. `replicas`: minimum, maximum, and those that serve while
    nothing measures the load. `cooldown_s`: seconds of lower load before a replica is removed.
    `initial_cooldown_s`: seconds that a new replica has to start.
    """
    deployment, namespace, labels = meta
    min_replicas, max_replicas, fallback = replicas
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicaCount": min_replicas,
        "maxReplicaCount": max_replicas,
        "pollingInterval": POLL_S,
        "cooldownPeriod": cooldown_s,
        # A new replica is not removed before it has had time to load.
        "initialCooldownPeriod": initial_cooldown_s,
        # Without measurements the planned replicas serve, and running ones are kept.
        "fallback": {
            "failureThreshold": _FAILURES,
            "replicas": min(max(fallback, min_replicas), max_replicas),
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": cooldown_s,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    },
                }
            },
        },
        "triggers": list(triggers),
    }
    return custom_resource(
        f"{name}-scaling",
        "keda.sh/v1alpha1",
        "ScaledObject",
        metadata(deployment, dict(labels), namespace=namespace),
        {"spec": spec},
        opts,
    )


def prometheus_trigger(
    name: str,
    query: str,
    threshold: float,
    scaling: Mapping[str, Any],
    *,
    kind: str = "AverageValue",
) -> dict[str, Any]:
    """A trigger. `threshold`: of one replica for `AverageValue`, of all for `Value`. `scaling`: the component's
    settings, with the Prometheus and its sign-on.
    """
    trigger: dict[str, Any] = {
        "type": "prometheus",
        "name": name,
        "metricType": kind,
        "metadata": {
            "serverAddress": scaling["prometheus_url"],
            "query": query,
            "threshold": f"{threshold:g}",
            "activationThreshold": "0",
            # No series means that the measurement is broken, not that there is no load. It counts as a failure,
            # which triggers the fallback.
            "ignoreNullValues": "false",
        },
    }
    if scaling.get("authentication"):
        trigger["authenticationRef"] = {"name": scaling["authentication"]}
    return trigger
