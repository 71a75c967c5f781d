"""A gateway or a translator as Kubernetes objects: both are the edge's code, replicated over zones."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.cluster.objects import SERVING_PORT, metadata
from components.cluster.pod_defaults import edge_container, edge_volumes, health_probe, pod
from components.observability.pod_monitor import pod_monitor
from components.serving.placement import ZONE, over_domains
from isthmus.contracts.platform.lookups.gateway_size import USED

_START_S = 120


def serve(
    name: str,
    service: str,
    namespace: str,
    own: dict[str, str],
    chosen: dict[str, str],
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
    before: list[pulumi.Resource],
    annotations: dict[str, Any],
    pod_monitors: bool,
    pull_secrets: list[str] | None,
    monitor_labels: Mapping[str, str] | None = None,
    failure_domain_label: str = ZONE,
    mounts: list[dict[str, Any]] | None = None,
    volumes: list[dict[str, Any]] | None = None,
    variables: list[dict[str, str]] | None = None,
    measured: Sequence[str] = ("health",),
    inside: Sequence[pulumi.Resource] = (),
    **more: Any,
) -> Any:
    """Account, network policy, Deployment, Service, disruption budget, PodMonitor of the ports `measured`. Returns the
    Service.

    `max_replicas`: where more than `replicas`, a HorizontalPodAutoscaler owns the number of copies.

    `inside`: a namespace that is made with them."""
    from pulumi_kubernetes.apps.v1 import Deployment
    from pulumi_kubernetes.core.v1 import Service, ServiceAccount
    from pulumi_kubernetes.networking.v1 import NetworkPolicy
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

    child = pulumi.ResourceOptions(parent=parent, depends_on=[*inside])
    account = ServiceAccount(
        f"{name}-account",
        metadata=metadata(service, own, namespace=namespace),
        automount_service_account_token=False,
        opts=child,
    )
    ways: Any = {
        "podSelector": {"matchLabels": chosen},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
    }
    if egress:
        ways["egress"] = egress
    policy = NetworkPolicy(
        f"{name}-network", metadata=metadata(service, own, namespace=namespace), spec=ways, opts=child
    )
    box = edge_container(container, image, mounts or [], resources, trusts=trust_bundle is not None)
    if variables:
        box["env"] = variables
    # `/live`: a restart does not repair a database or a sealer that is down. Readiness alone asks whether it can serve.
    box["startupProbe"] = health_probe(2, _START_S // 2, "/live")
    box["readinessProbe"] = health_probe(5, 3)
    box["livenessProbe"] = health_probe(10, 6, "/live")
    # Long enough for kube-proxy everywhere to forget the pod; then answers under way are finished.
    box["lifecycle"] = {"preStop": {"sleep": {"seconds": 15}}}
    scaled = max_replicas is not None and max_replicas > replicas
    spec: Any = {
        # A number here would set back at each `up` what the autoscaler has chosen.
        **({} if scaled else {"replicas": replicas}),
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 3,
        "template": {
            "metadata": {"labels": own, **({"annotations": annotations} if annotations else {})},
            "spec": pod(
                service,
                [box],
                [*edge_volumes(config.metadata["name"], tls_secret, trust_bundle), *(volumes or [])],
                grace_s=330,
                pull_secrets=pull_secrets,
                topologySpreadConstraints=over_domains(chosen, failure_domain_label),
                **more,
            ),
        },
    }
    server = Deployment(
        f"{name}-server",
        metadata=metadata(service, own, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[account, policy, config, *before],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="30m", delete="10m"),
        ),
    )
    if scaled:
        _scale(name, service, namespace, own, replicas, max_replicas, [server], parent)
    port: Any = {
        "type": "ClusterIP",
        "selector": chosen,
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    made = Service(
        f"{name}-service",
        metadata=metadata(service, own, namespace=namespace),
        spec=port,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[*inside],
            custom_timeouts=pulumi.CustomTimeouts(create="12m", update="12m"),
        ),
    )
    budget: Any = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": chosen},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    PodDisruptionBudget(
        f"{name}-disruption", metadata=metadata(service, own, namespace=namespace), spec=budget, opts=child
    )
    if pod_monitors:
        pod_monitor(name, service, namespace, own, chosen, child, measured, monitor_labels)
    return made


def _scale(
    name: str,
    service: str,
    namespace: str,
    own: dict[str, str],
    least: int,
    most: int | None,
    after: list[pulumi.Resource],
    parent: pulumi.ComponentResource,
) -> None:
    """Copies by their CPU, up at once and down slowly: an ending copy first finishes its answers."""
    from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler

    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": round(100 * USED)}}
    spec: Any = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service},
        "minReplicas": least,
        "maxReplicas": most,
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
        metadata=metadata(service, own, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after),
    )
