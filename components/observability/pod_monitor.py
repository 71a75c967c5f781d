"""Metrics: the ingress rule for Prometheus and the PodMonitor."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.cluster.objects import HEALTH_PORT, NAMESPACE_LABEL, custom_resource, metadata


def metrics_ingress(monitoring_namespace: str, port: int = HEALTH_PORT) -> dict[str, Any]:
    """Ingress of a network policy: the health port, or another one for metrics, from the monitoring namespace only."""
    return {
        "from": [{"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: monitoring_namespace}}}],
        "ports": [{"protocol": "TCP", "port": port}],
    }


def create_pod_monitor(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    selector: dict[str, str],
    opts: pulumi.ResourceOptions,
    ports: Sequence[str] = ("health",),
    monitor_labels: Mapping[str, str] | None = None,
) -> pulumi.CustomResource:
    """Create a PodMonitor over `/metrics` of the selected pods, at `ports`.

    `monitor_labels`: labels of its own by which a Prometheus selects it.
    """
    spec = {
        "selector": {"matchLabels": selector},
        "podMetricsEndpoints": [
            {"port": port, "path": "/metrics", "scheme": "http", "interval": "15s"} for port in ports
        ],
        "podTargetLabels": sorted(own_labels),
    }
    meta = metadata(service, {**(monitor_labels or {}), **own_labels}, namespace=namespace)
    return custom_resource(
        f"{name}-monitor", "monitoring.coreos.com/v1", "PodMonitor", meta, {"spec": spec}, opts
    )
