"""Creates the Kubernetes objects of a gateway, a translator or a review service, replicated over zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.cluster.objects import SERVING_PORT
from components.cluster.pod_defaults import (
    edge_container,
    edge_volumes,
    health_probe,
    pod_spec,
    priority_fields,
)
from components.cluster.workload_names import WorkloadNames
from components.observability.pod_monitor import create_pod_monitor
from components.serving.placement import ZONE, spread_over_domains
from isthmus.contracts.platform.lookups.gateway_size import TARGET_UTILISATION

_START_S = 120


@dataclass(frozen=True)
class PodSettings:
    """Settings of a component's arguments that apply to all of its pods."""

    monitoring_namespace: str
    pod_monitors: bool
    monitor_labels: Mapping[str, str] | None
    pull_secrets: list[str] | None
    pod_priority: str | None
    failure_domain_label: str

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> PodSettings:
        """From the arguments of `InferenceGateway`, `Reviews` or `AuditSealer`."""
        return cls(
            monitoring_namespace=args["monitoring_namespace"],
            pod_monitors=args.get("pod_monitors", True),
            monitor_labels=args.get("monitor_labels"),
            pull_secrets=args.get("pull_secrets"),
            pod_priority=args.get("pod_priority"),
            failure_domain_label=args.get("failure_domain_label", ZONE),
        )

    def create_pod_monitor(self, names: WorkloadNames, ports: Sequence[str] = ("health",)) -> None:
        """Create a PodMonitor of the workload at its named ports, if the arguments ask for it."""
        if self.pod_monitors:
            create_pod_monitor(
                names.name,
                names.service,
                names.namespace,
                names.labels,
                names.selector,
                names.options,
                ports,
                self.monitor_labels,
            )


@dataclass(frozen=True)
class EdgePods:
    """The pods of an edge workload: container, mounts, and network peers."""

    container: str
    """Name of the container, which tells what the edge's image runs."""
    image: Any
    replicas: int
    resources: dict[str, Any]
    config: Any
    """ConfigMap of the edge's configuration."""
    tls_secret: str
    ingress: list[dict[str, Any]]
    egress: list[dict[str, Any]]
    dependencies: list[pulumi.Resource]
    """Resources that must exist before the pods start."""
    max_replicas: int | None = None
    """If greater than `replicas`, a HorizontalPodAutoscaler sets the number of replicas."""
    trust_bundle: str | None = None
    annotations: dict[str, Any] = field(default_factory=dict)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    metric_ports: Sequence[str] = ("health",)
    pod_fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the pod's spec. They replace the defaults."""

    @property
    def is_scaled(self) -> bool:
        return self.max_replicas is not None and self.max_replicas > self.replicas


def create_edge_workload(names: WorkloadNames, pods: EdgePods, settings: PodSettings) -> Any:
    """Create account, network policy, Deployment, Service, disruption budget and PodMonitor. Returns the Service."""
    account = names.create_account()
    policy = _create_network_policy(names, pods)
    server = names.create_deployment(
        _deployment_spec(names, pods, settings),
        [account, policy, pods.config, *pods.dependencies],
        update_timeout="30m",
    )
    if pods.is_scaled:
        _create_autoscaler(names, pods, server)
    service = _create_service(names)
    names.create_disruption_budget()
    settings.create_pod_monitor(names, pods.metric_ports)
    return service


def _create_network_policy(names: WorkloadNames, pods: EdgePods) -> pulumi.Resource:
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    spec: Any = {
        "podSelector": {"matchLabels": names.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": pods.ingress,
    }
    if pods.egress:
        spec["egress"] = pods.egress
    return NetworkPolicy(f"{names.name}-network", metadata=names.metadata(), spec=spec, opts=names.options)


def _deployment_spec(names: WorkloadNames, pods: EdgePods, settings: PodSettings) -> Any:
    annotations = {"annotations": pods.annotations} if pods.annotations else {}
    return {
        # A number here would undo the autoscaler's choice at each `up`.
        **({} if pods.is_scaled else {"replicas": pods.replicas}),
        "selector": {"matchLabels": names.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": names.labels, **annotations},
            "spec": pod_spec(
                names.service,
                [_container(pods)],
                [
                    *edge_volumes(pods.config.metadata["name"], pods.tls_secret, pods.trust_bundle),
                    *pods.volumes,
                ],
                grace_s=330,
                pull_secrets=settings.pull_secrets,
                topologySpreadConstraints=spread_over_domains(names.selector, settings.failure_domain_label),
                **priority_fields(settings.pod_priority),
                **pods.pod_fields,
            ),
        },
    }


def _container(pods: EdgePods) -> dict[str, Any]:
    has_trust_bundle = pods.trust_bundle is not None
    edge = edge_container(
        pods.container, pods.image, pods.mounts, pods.resources, has_trust_bundle=has_trust_bundle
    )
    if pods.variables:
        edge["env"] = pods.variables
    # Liveness probes `/live`, because a restart does not repair a database or sealer that is down. Only readiness
    # probes whether requests can be served.
    edge["startupProbe"] = health_probe(2, _START_S // 2, "/live")
    edge["readinessProbe"] = health_probe(5, 3)
    edge["livenessProbe"] = health_probe(10, 6, "/live")
    # Long enough for every kube-proxy to remove the pod; then running answers are finished.
    edge["lifecycle"] = {"preStop": {"sleep": {"seconds": 15}}}
    return edge


def _create_autoscaler(names: WorkloadNames, pods: EdgePods, server: pulumi.Resource) -> None:
    """An autoscaler by CPU use. It scales up at once and down slowly, because a pod that ends first finishes its
    answers.
    """
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler

    cpu = {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": round(100 * TARGET_UTILISATION)},
    }
    spec: Any = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.service},
        "minReplicas": pods.replicas,
        "maxReplicas": pods.max_replicas,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
            }
        },
    }
    HorizontalPodAutoscaler(
        f"{names.name}-scaling",
        metadata=names.metadata(),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=names.parent, depends_on=[server]),
    )


def _create_service(names: WorkloadNames) -> Any:
    from pulumi_kubernetes.core.v1 import Service

    spec: Any = {
        "type": "ClusterIP",
        "selector": names.selector,
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    return Service(
        f"{names.name}-service",
        metadata=names.metadata(),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=names.parent,
            depends_on=[*names.namespace_objects],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m"),
        ),
    )
