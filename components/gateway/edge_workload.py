"""Creates the Kubernetes objects of a gateway, a translator or a review service, replicated over zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.cluster.objects import SERVING_PORT
from components.cluster.pod_defaults import (
    START_S,
    edge_container,
    edge_probes,
    edge_volumes,
    pod_spec,
    priority_fields,
)
from components.cluster.scaled_object import prometheus_trigger, scaled_object
from components.cluster.workload_names import WorkloadNames
from components.gateway.edge_scaling import EdgeScaling
from components.observability.pod_monitor import create_pod_monitor, metrics_ingress
from components.serving.placement import ZONE, spread_over_domains
from isthmus.contracts.platform.lookups.gateway_size import TARGET_UTILISATION
from isthmus.core.quantities import amount


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

    def deploy_alone(
        self,
        names: WorkloadNames,
        pod: dict[str, Any],
        config: pulumi.Resource,
        egress: Sequence[Mapping[str, Any]],
        isolation: Sequence[pulumi.Resource],
    ) -> None:
        """Deploy the only pod of a namespace: account, network policy, Deployment, disruption budget, PodMonitor.

        Args:
            names: of the workload.
            pod: its spec.
            config: its ConfigMap.
            egress: rules of the network policy. Only Prometheus reaches the pod.
            isolation: objects of the namespace that must exist first.
        """
        policy = names.create_network_policy([metrics_ingress(self.monitoring_namespace)], list(egress))
        names.create_deployment(
            names.rolling_spec(pod, 1), [names.create_account(), policy, config, *isolation]
        )
        names.create_disruption_budget()
        self.create_pod_monitor(names)


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
    scaling: EdgeScaling | None = None
    """If its maximum is greater than `replicas`, KEDA sets the number of replicas."""
    trust_bundle: str | None = None
    annotations: dict[str, Any] = field(default_factory=dict)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    metric_ports: Sequence[str] = ("health",)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Further ports of the edge by name, which the Service has too."""
    beside: Sequence[dict[str, Any]] = ()
    """Further containers of the pod."""
    pod_fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the pod's spec. They replace the defaults."""

    @property
    def is_scaled(self) -> bool:
        return self.scaling is not None and self.scaling["max_replicas"] > self.replicas


def create_edge_workload(names: WorkloadNames, pods: EdgePods, settings: PodSettings) -> Any:
    """Create account, network policy, Deployment, Service, disruption budget and PodMonitor. Returns the Service."""
    account = names.create_account()
    policy = names.create_network_policy(pods.ingress, pods.egress or None)
    server = names.create_deployment(
        _deployment_spec(names, pods, settings),
        [account, policy, pods.config, *pods.dependencies],
        update_timeout="30m",
    )
    if pods.scaling is not None and pods.is_scaled:
        _create_autoscaler(names, pods, pods.scaling, server)
    service = create_service(names, pods.ports)
    names.create_disruption_budget()
    settings.create_pod_monitor(names, pods.metric_ports)
    return service


def _deployment_spec(names: WorkloadNames, pods: EdgePods, settings: PodSettings) -> Any:
    pod = pod_spec(
        names.service,
        [_container(pods), *pods.beside],
        [*edge_volumes(pods.config.metadata["name"], pods.tls_secret, pods.trust_bundle), *pods.volumes],
        grace_s=330,
        pull_secrets=settings.pull_secrets,
        topologySpreadConstraints=spread_over_domains(names.selector, settings.failure_domain_label),
        **priority_fields(settings.pod_priority),
        **pods.pod_fields,
    )
    return names.rolling_spec(pod, None if pods.is_scaled else pods.replicas, pods.annotations)


def _container(pods: EdgePods) -> dict[str, Any]:
    has_trust_bundle = pods.trust_bundle is not None
    edge = edge_container(
        pods.container, pods.image, pods.mounts, pods.resources, has_trust_bundle=has_trust_bundle
    )
    edge["ports"] += [
        {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in pods.ports.items()
    ]
    if pods.variables:
        edge["env"] = pods.variables
    edge |= edge_probes()
    # Long enough for every kube-proxy to remove the pod; then running answers are finished.
    edge["lifecycle"] = {"preStop": {"sleep": {"seconds": 15}}}
    return edge


def _create_autoscaler(
    names: WorkloadNames, pods: EdgePods, scaling: EdgeScaling, server: pulumi.Resource
) -> None:
    """Scale by CPU use, which the process itself reports. Replicas are added at once and removed slowly, because a pod
    that ends first finishes its answers.
    """
    labels = f'job="{names.namespace}/{names.service}",container="{pods.container}"'
    # CPU use of all replicas in CPUs. One core is all that a process uses (`gateway_size`).
    query = f"sum(rate(process_cpu_seconds_total{{{labels}}}[2m]))"
    cpus = min(float(amount(pods.resources["requests"]["cpu"])), 1)
    scaled_object(
        names.name,
        (names.service, names.namespace, names.labels),
        (pods.replicas, scaling["max_replicas"], pods.replicas),
        [prometheus_trigger("cpu", query, round(cpus * TARGET_UTILISATION, 3), scaling)],
        pulumi.ResourceOptions(parent=names.parent, depends_on=[server]),
        cooldown_s=600,
        initial_cooldown_s=START_S,
    )


def create_service(names: WorkloadNames, ports: Mapping[str, int] | None = None) -> Any:
    """Create the Service of a workload, at the serving port and at further `ports` by name."""
    from pulumi_kubernetes.core.v1 import Service

    spec: Any = {
        "type": "ClusterIP",
        "selector": names.selector,
        "ports": [
            {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
            for name, port in {"https": SERVING_PORT, **(ports or {})}.items()
        ],
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
