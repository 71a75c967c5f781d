"""Metrics: who may fetch them, and the PodMonitor by which Prometheus finds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.cluster.objects import HEALTH_PORT, NAMESPACE_LABEL, custom, metadata


def scraped_from(monitoring_namespace: str, port: int = HEALTH_PORT) -> dict[str, Any]:
    """Ingress of a network policy: the health port, or another one for metrics, from the monitoring namespace only."""
    return {
        "from": [{"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: monitoring_namespace}}}],
        "ports": [{"protocol": "TCP", "port": port}],
    }


def pod_monitor(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    chosen: dict[str, str],
    opts: pulumi.ResourceOptions,
    ports: Sequence[str] = ("health",),
    monitor_labels: Mapping[str, str] | None = None,
) -> pulumi.CustomResource:
    """A PodMonitor over `chosen` pods' `/metrics`, at these of their ports.

    `monitor_labels`: labels of its own by which a Prometheus selects it.
    """
    spec = {
        "selector": {"matchLabels": chosen},
        "podMetricsEndpoints": [
            {"port": port, "path": "/metrics", "scheme": "http", "interval": "15s"} for port in ports
        ],
        "podTargetLabels": sorted(own_labels),
    }
    meta = metadata(service, {**(monitor_labels or {}), **own_labels}, namespace=namespace)
    return custom(f"{name}-monitor", "monitoring.coreos.com/v1", "PodMonitor", meta, {"spec": spec}, opts)
