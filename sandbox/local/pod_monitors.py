"""Reads what a stack declares for Prometheus, its PodMonitors and PrometheusRules, and applies it to this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.reference import sign_on_proxy
from isthmus.core.kubernetes_client import KubeClient
from sandbox.local.monitoring import Target
from sandbox.local.pods import Pod

_API = "/apis/monitoring.coreos.com/v1"
HEALTH = "health"
"""The port of metrics of most pods."""


@dataclass(frozen=True)
class Declared:
    """What the cluster of a site declares."""

    monitors: Sequence[Mapping[str, Any]]
    """PodMonitors."""
    rules: Mapping[str, Sequence[Mapping[str, Any]]]
    """Groups of the PrometheusRules by `NAMESPACE.NAME`."""


def read_declared(client: KubeClient) -> Declared:
    """Read the PodMonitors and PrometheusRules of a cluster. Raises `EnvironmentFault` if it does not answer."""
    return Declared(
        client.items(f"{_API}/podmonitors"),
        {
            f"{rule['metadata']['namespace']}.{rule['metadata']['name']}": rule["spec"]["groups"]
            for rule in client.items(f"{_API}/prometheusrules")
        },
    )


def targets_of(
    declared: Declared, pods: Sequence[Pod], find_port: Callable[[str, str], int | None]
) -> list[Target]:
    """The ports to scrape of a site's pods.

    `find_port`: the port here of a pod's listener, as in `Places.port`; None if it has none. A pod that no cluster has
    (a task on Fargate) has no PodMonitor: its health port is a target.
    """
    targets = []
    for pod in pods:
        if not pod.labels and (port := find_port(pod.label, HEALTH)) is not None:
            targets.append(Target(pod.namespace, pod.name, HEALTH, port))
    for monitor in declared.monitors:
        namespace, name = monitor["metadata"]["namespace"], monitor["metadata"]["name"]
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        for pod in pods:
            if pod.namespace != namespace or not wanted <= pod.labels.items():
                continue
            labels = {
                re.sub(r"[^A-Za-z0-9_]", "_", key): pod.labels[key]
                for key in monitor["spec"].get("podTargetLabels", ())
                if key in pod.labels
            }
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                if (port := find_port(pod.label, _listener(pod, endpoint["port"]))) is not None:
                    targets.append(Target(namespace, name, endpoint["port"], port, labels))
    return targets


def _listener(pod: Pod, port: str) -> str:
    """The listener here that stands for a named port of a pod."""
    if pod.role in sign_on_proxy.ROLES:
        return "metrics"
    return "detector-health" if port == "detector" else port
