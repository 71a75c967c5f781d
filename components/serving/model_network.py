"""The network of a model server: its Service, its clients, and the traffic within its groups.

In a single stack it is part of `ModelServer`. In an estate the platform's stack creates it (`ModelDoor`), so that
the plan of a model's release (pods, image, weights, arguments) contains no network changes. The objects have the
same names and content in both cases.
"""

from typing import Any

import pulumi

from components.base.argument_checks import check_sensitivity
from components.cluster.objects import (
    CLASS_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    common_labels,
    metadata,
    replicas_name,
    workload_selector,
)
from components.observability.pod_monitor import metrics_ingress
from components.serving import inference_pool
from components.serving.arguments import ModelDoorArgs, ModelServerArgs
from components.serving.replica_groups import (
    LEADER_LABELS,
    check_nodes_per_replica,
    group_policy,
    leader_service,
)
from components.serving.weights import cache as weight_cache
from isthmus.core.errors import InputError

ADDRESS = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
"""Makes Pulumi wait for the Service's address only, because its pods come later."""


class ModelDoor(pulumi.ComponentResource):
    """The Service and network policies of a model server whose pods another stack creates."""

    cluster_ip: pulumi.Output[str]
    """ClusterIP of its Service."""
    leaders: pulumi.Output[list[str]]
    """Addresses of its groups' leaders. Empty for single-node replicas."""

    def __init__(self, name: str, args: ModelDoorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ModelDoor", name, dict(args), opts)
        endpoint = args["id"]
        sensitivity = check_sensitivity(args["sensitivity"], endpoint)
        namespace = class_namespace(sensitivity)
        labels = common_labels(endpoint, sensitivity=sensitivity, role="model", endpoint=endpoint)
        selector = workload_selector(endpoint, sensitivity)
        nodes = check_nodes_per_replica(args.get("nodes_per_replica", 1), f"{endpoint}.nodes_per_replica")
        serving_selector = {**selector, **LEADER_LABELS} if nodes > 1 else selector
        # The network policies are created before the Service, so that it is never open to others.
        inference_pool.check(args)
        policy = create_network_policy(name, args, sensitivity, namespace, labels, serving_selector, self)
        service_opts = pulumi.ResourceOptions(parent=self, depends_on=[policy])
        service = create_service(
            name, endpoint, namespace, labels, serving_selector, service_opts, annotations=ADDRESS
        )
        create_replica_service(name, args, namespace, labels, serving_selector, service_opts)
        inference_pool.create(
            name, args, namespace, labels, serving_selector, pulumi.ResourceOptions(parent=self)
        )
        if "fetched_from" in args:
            weight_cache.create_fetch_policy(
                name, endpoint, sensitivity, args["fetched_from"], namespace, self
            )
        addresses: list[Any] = []
        if nodes > 1:
            count = args.get("replicas", 1)
            create_group_policies(
                name, endpoint, namespace, labels, selector, count + (1 if args.get("surge") else 0), self
            )
            addresses = create_leader_services(name, endpoint, namespace, labels, selector, count, self)
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.leaders = pulumi.Output.all(*addresses)
        self.register_outputs({"cluster_ip": self.cluster_ip, "leaders": self.leaders})


def create_network_policy(
    name: str,
    args: ModelServerArgs | ModelDoorArgs,
    sensitivity: str,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    parent: pulumi.Resource,
) -> pulumi.Resource:
    """Create the network policy: ingress from the class's gateway, its router and monitoring, no egress, no DNS."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    gateway = {ROLE_LABEL: "gateway", CLASS_LABEL: sensitivity}
    spec: Any = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": gateway}}],
                "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
            },
            metrics_ingress(args["monitoring_namespace"]),
            *inference_pool.extra_ingress_rules(args),
        ],
    }
    meta = metadata(args["id"], labels, namespace=namespace)
    return NetworkPolicy(
        f"{name}-network", metadata=meta, spec=spec, opts=pulumi.ResourceOptions(parent=parent)
    )


def create_service(
    name: str,
    endpoint: str,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    opts: pulumi.ResourceOptions,
    annotations: dict[str, str] | None = None,
) -> Any:
    """Create the Service with which the gateway calls the model server."""
    from pulumi_kubernetes.core.v1 import Service

    spec: Any = {
        "type": "ClusterIP",
        "selector": selector,
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    meta = metadata(endpoint, labels, namespace=namespace, annotations=annotations)
    return Service(f"{name}-service", metadata=meta, spec=spec, opts=opts)


def create_replica_service(
    name: str,
    args: ModelServerArgs | ModelDoorArgs,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create the headless Service, which lists the addresses of the ready replicas, if `by_replica` is set."""
    from pulumi_kubernetes.core.v1 import Service

    if not args.get("by_replica"):
        return
    if args["sensitivity"] == "restricted":
        raise InputError(
            "a restricted gateway cannot look up replicas, because it has no resolver of the cluster",
            where=f"{args['id']}.by_replica",
            fix="Remove by_replica",
        )
    spec: Any = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "selector": selector,
        # A headless Service has no port of its own: clients connect to the port of the pods.
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    meta = metadata(replicas_name(args["id"]), labels, namespace=namespace, annotations=ADDRESS)
    Service(f"{name}-replicas", metadata=meta, spec=spec, opts=opts)


def addressable_groups(replicas: int) -> int:
    """Number of groups whose leaders have addresses: at least one more than exist, rounded up to a power of two.

    The addresses are in the pods' template. If they were as many as the groups, adding a group would restart all
    others.
    """
    return max(4, 1 << replicas.bit_length())


def create_leader_services(
    name: str,
    endpoint: str,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    replicas: int,
    parent: pulumi.Resource,
) -> list[Any]:
    """Create a Service for each group's leader. Returns their addresses."""
    from pulumi_kubernetes.core.v1 import Service

    addresses = []
    for group in range(addressable_groups(replicas)):
        spec: Any = leader_service(selector, group)
        service = Service(
            f"{name}-leader-{group}",
            # The pods' template contains its address, so it cannot wait for the pods.
            metadata=metadata(f"{endpoint}-leader-{group}", labels, namespace=namespace, annotations=ADDRESS),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        addresses.append(service.spec.apply(lambda spec: spec.cluster_ip))
    return addresses


def create_group_policies(
    name: str,
    endpoint: str,
    namespace: str,
    labels: dict[str, str],
    selector: dict[str, str],
    groups: int,
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Create the network policies that let the pods of each group reach each other."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    policies: list[pulumi.Resource] = []
    for group in range(groups):
        spec: Any = group_policy(selector, group)
        policies.append(
            NetworkPolicy(
                f"{name}-group-{group}",
                metadata=metadata(f"{endpoint}-group-{group}", labels, namespace=namespace),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=parent),
            )
        )
    return policies
