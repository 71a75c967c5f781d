"""What of a model server is network: its Service, who may reach it, and the ways within its groups.

In one stack it is part of `ModelServer`. In an estate it is the platform's (`ModelDoor`), and a release of the model
(its pods, image, weights and arguments) has no network in its plan. The objects are the same, by name and content.
"""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.base.argument_checks import sensitivity
from components.cluster.objects import (
    CLASS_LABEL,
    ROLE_LABEL,
    SERVING_PORT,
    class_namespace,
    labels,
    metadata,
    selector,
)
from components.observability.pod_monitor import scraped_from
from components.serving import inference_pool
from components.serving.arguments import ModelDoorArgs
from components.serving.replica_groups import LEADS, group_policy, leader_service, nodes_of
from components.serving.weights import cache as weight_cache

ADDRESS = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
"""Done when it has an address: the pods behind it come later."""


class ModelDoor(pulumi.ComponentResource):
    """Where a model server is found and who may reach it; its pods are another stack's."""

    cluster_ip: pulumi.Output[str]
    """Address of its Service."""
    leaders: pulumi.Output[list[str]]
    """Addresses of its groups' leaders; none where a replica is one pod."""

    def __init__(self, name: str, args: ModelDoorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ModelDoor", name, dict(args), opts)
        endpoint = args["id"]
        held = sensitivity(args["sensitivity"], endpoint)
        space = class_namespace(held)
        own = labels(endpoint, sensitivity=held, role="model", endpoint=endpoint)
        chosen = selector(endpoint, held)
        nodes = nodes_of(args.get("nodes_per_replica", 1), f"{endpoint}.nodes_per_replica")
        serving = {**chosen, **LEADS} if nodes > 1 else chosen
        # Who may reach it is settled before it can be found.
        inference_pool.check(args)
        more = inference_pool.ways_in(args)
        policy = network(name, endpoint, held, args["monitoring_namespace"], space, own, serving, self, more)
        after = pulumi.ResourceOptions(parent=self, depends_on=[policy])
        service = model_service(name, endpoint, space, own, serving, after, annotations=ADDRESS)
        inference_pool.make(name, args, space, own, serving, pulumi.ResourceOptions(parent=self))
        if "fetched_from" in args:
            weight_cache.way_out(name, endpoint, held, args["fetched_from"], space, self)
        addresses: list[Any] = []
        if nodes > 1:
            count = args.get("replicas", 1)
            group_ways(name, endpoint, space, own, chosen, count + (1 if args.get("surge") else 0), self)
            addresses = leaders(name, endpoint, space, own, chosen, count, self)
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        self.leaders = pulumi.Output.all(*addresses)
        self.register_outputs({"cluster_ip": self.cluster_ip, "leaders": self.leaders})


def network(
    name: str,
    endpoint: str,
    held: str,
    monitoring: str,
    space: str,
    own: dict[str, str],
    chosen: dict[str, str],
    parent: pulumi.Resource,
    ways_in: Sequence[dict[str, Any]] = (),
) -> pulumi.Resource:
    """Its class's gateway in, the monitoring namespace to the health port, nothing out: no DNS either.

    `ways_in`: further ones, as a policy's `ingress` has them.
    """
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    gateway = {ROLE_LABEL: "gateway", CLASS_LABEL: held}
    spec: Any = {
        "podSelector": {"matchLabels": chosen},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": gateway}}],
                "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
            },
            scraped_from(monitoring),
            *ways_in,
        ],
    }
    meta = metadata(endpoint, own, namespace=space)
    return NetworkPolicy(
        f"{name}-network", metadata=meta, spec=spec, opts=pulumi.ResourceOptions(parent=parent)
    )


def model_service(
    name: str,
    endpoint: str,
    space: str,
    own: dict[str, str],
    chosen: dict[str, str],
    opts: pulumi.ResourceOptions,
    annotations: dict[str, str] | None = None,
) -> Any:
    """The Service by which its gateway calls it."""
    from pulumi_kubernetes.core.v1 import Service

    spec: Any = {
        "type": "ClusterIP",
        "selector": chosen,
        "ports": [{"name": "https", "port": SERVING_PORT, "targetPort": SERVING_PORT, "protocol": "TCP"}],
    }
    meta = metadata(endpoint, own, namespace=space, annotations=annotations)
    return Service(f"{name}-service", metadata=meta, spec=spec, opts=opts)


def known_groups(replicas: int) -> int:
    """For how many groups a pod knows the leader: one more than there are, up to the next power of two.

    The addresses are part of the pods' template: with as many as there are groups, one group more would
    roll all the others.
    """
    return max(4, 1 << replicas.bit_length())


def leaders(
    name: str,
    endpoint: str,
    space: str,
    own: dict[str, str],
    chosen: dict[str, str],
    replicas: int,
    parent: pulumi.Resource,
) -> list[Any]:
    """Addresses at which each group finds its leader."""
    from pulumi_kubernetes.core.v1 import Service

    made = []
    for group in range(known_groups(replicas)):
        spec: Any = leader_service(chosen, group)
        service = Service(
            f"{name}-leader-{group}",
            # Pods are made with its address, so it cannot wait for them.
            metadata=metadata(f"{endpoint}-leader-{group}", own, namespace=space, annotations=ADDRESS),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        made.append(service.spec.apply(lambda spec: spec.cluster_ip))
    return made


def group_ways(
    name: str,
    endpoint: str,
    space: str,
    own: dict[str, str],
    chosen: dict[str, str],
    groups: int,
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """The policies that let the pods of each group reach each other."""
    from pulumi_kubernetes.networking.v1 import NetworkPolicy

    made: list[pulumi.Resource] = []
    for group in range(groups):
        spec: Any = group_policy(chosen, group)
        made.append(
            NetworkPolicy(
                f"{name}-group-{group}",
                metadata=metadata(f"{endpoint}-group-{group}", own, namespace=space),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=parent),
            )
        )
    return made
