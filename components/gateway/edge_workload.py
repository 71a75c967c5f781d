"""Creates the Kubernetes objects of a gateway or translator, replicated over zones."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.cluster.objects import SERVING_PORT, metadata
from components.cluster.pod_defaults import edge_container, edge_volumes, health_probe, pod_spec
from components.observability.pod_monitor import create_pod_monitor
from components.serving.placement import ZONE, spread_over_domains
from isthmus.contracts.platform.lookups.gateway_size import TARGET_UTILISATION

_START_S = 120


def create_edge_workload(
    name: str,
    service: str,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    parent: pulumi.ComponentResource,
    *,
    container: str,
    image: Any,
    replicas: int,
    resources: dict[str, Any],
    config: Any,
    tls_secret: str,
    max_replicas: int | None = None,
    trust_bundle: str | None = None,
    ingress: list[dict[str, Any]],
    egress: list[dict[str, Any]],
    dependencies: list[pulumi.Resource],
    annotations: dict[str, Any],
    pod_monitors: bool,
    pull_secrets: list[str] | None,
    monitor_labels: Mapping[str, str] | None = None,
    failure_domain_label: str = ZONE,
    mounts: list[dict[str, Any]] | None = None,
    volumes: list[dict[str, Any]] | None = None,
    variables: list[dict[str, str]] | None = None,
    metric_ports: Sequence[str] = ("health",),
    namespace_objects: Sequence[pulumi.Resource] = (),
    **extra: Any,
) -> Any:
    """Create account, network policy, Deployment, Service, disruption budget, PodMonitor of `metric_ports`. Returns the
    Service.

    `max_replicas`: where more than `replicas`, a HorizontalPodAutoscaler owns the number of copies.

    `namespace_objects`: a namespace that is created with them."""
    from pulumi_kubernetes.apps.v1 import Deployment
    from pulumi_kubernetes.core.v1 import Service, ServiceAccount
    from pulumi_kubernetes.networking.v1 import NetworkPolicy
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    child = pulumi.ResourceOptions(parent=parent, depends_on=[*namespace_objects])
    account = ServiceAccount(
        f"{name}-account",
        metadata=metadata(service, labels, namespace=namespace),
        automount_service_account_token=False,
        opts=child,
    )
    policy_spec: Any = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
    }
    if egress:
        policy_spec["egress"] = egress
    policy = NetworkPolicy(
        f"{name}-network",
        metadata=metadata(service, labels, namespace=namespace),
        spec=policy_spec,
        opts=child,
    )
    edge = edge_container(
        container, image, mounts or [], resources, has_trust_bundle=trust_bundle is not None
    )
    if variables:
        edge["env"] = variables
    # `/live`: a restart does not repair a database or a sealer that is down. Readiness alone asks whether it can serve.
    edge["startupProbe"] = health_probe(2, _START_S // 2, "/live")
    edge["readinessProbe"] = health_probe(5, 3)
    edge["livenessProbe"] = health_probe(10, 6, "/live")
    # Long enough for kube-proxy everywhere to forget the pod; then answers under way are finished.
    edge["lifecycle"] = {"preStop": {"sleep": {"seconds": 15}}}
    is_scaled = max_replicas is not None and max_replicas > replicas
    spec: Any = {
        # A number here would set back at each `up` what the autoscaler has chosen.
        **({} if is_scaled else {"replicas": replicas}),
        "selector": {"matchLabels": selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": labels, **({"annotations": annotations} if annotations else {})},
            "spec": pod_spec(
                service,
                [edge],
                [*edge_volumes(config.metadata["name"], tls_secret, trust_bundle), *(volumes or [])],
                grace_s=330,
                pull_secrets=pull_secrets,
                topologySpreadConstraints=spread_over_domains(selector, failure_domain_label),
                **extra,
            ),
        },
    }
    server = Deployment(
        f"{name}-server",
        metadata=metadata(service, labels, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[account, policy, config, *dependencies],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="30m", delete="10m"),
        ),
    )
    if is_scaled:
        _scale(name, service, namespace, labels, replicas, max_replicas, [server], parent)
    service_spec: Any = {
        "type": "ClusterIP",
        "selector": selector,
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    service_object = Service(
        f"{name}-service",
        metadata=metadata(service, labels, namespace=namespace),
        spec=service_spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[*namespace_objects],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m"),
        ),
    )
    budget: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(
        f"{name}-disruption", metadata=metadata(service, labels, namespace=namespace), spec=budget, opts=child
    )
    if pod_monitors:
        create_pod_monitor(name, service, namespace, labels, selector, child, metric_ports, monitor_labels)
    return service_object


def _scale(
    name: str,
    service: str,
    namespace: str,
    labels: dict[str, str],
    min_replicas: int,
    max_replicas: int | None,
    dependencies: list[pulumi.Resource],
    parent: pulumi.ComponentResource,
) -> None:
    """Copies by their CPU, up at once and down slowly: an ending copy first finishes its answers."""
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler

    cpu = {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": round(100 * TARGET_UTILISATION)},
    }
    spec: Any = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
        "minReplicas": min_replicas,
        "maxReplicas": max_replicas,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
            }
        },
    }
    HorizontalPodAutoscaler(
        f"{name}-scaling",
        metadata=metadata(service, labels, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=dependencies),
    )
