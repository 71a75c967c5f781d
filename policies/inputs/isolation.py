"""What stands apart in a namespace of its own: what runs beside it, who has rights there, and whom its network policies
name."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import Any

from isthmus.graph.resources.resources import Resource, place
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, listed, unknown
from policies.rules.rule import Broken, Subject

RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
IN_NAMESPACE = (f"{RBAC}:RoleBinding", f"{RBAC}:Role")
"""What gives rights in one namespace."""


def of_role(subject: Subject, role: str) -> list[Pod]:
    """Pods that do this, by their label."""
    return [pod for pod in pods(subject.graph) if pod.role == role]


def intruders(subject: Subject, role: str, whom: str, whose: str) -> Iterator[Broken]:
    """Other pods in the namespaces of a role's, and rights there. `whom`: what they come to, e.g. `the sealer`."""
    own = {pod.namespace for pod in of_role(subject, role)}
    for pod in pods(subject.graph):
        if pod.namespace in own and pod.role != role:
            name = pod.resource.name
            yield Broken(
                f"{name} runs beside {whom} in {pod.namespace}, and may mount {whose} keys", pod.resource
            )
    for each in subject.graph.of(*IN_NAMESPACE):
        if place(each)[1] in own:
            yield Broken(f"{each.name} gives rights over {whom} in {place(each)[1]}", each)


def peers(policy: Resource, way: str, key: str) -> Iterator[Any]:
    """Each peer of a network policy's rules, of `ingress` by `from`, of `egress` by `to`; None: a rule that names none,
    which to Kubernetes is everybody. What is not known stands for its peers."""
    rules = at(policy.inputs, f"spec.{way}")
    for rule in [rules] if unknown(rules) else listed(rules):
        named = at(rule, key)
        yield from [named] if unknown(named) else listed(named) or [None]


def one_of(block: Any, addresses: Collection[str] | None) -> bool:
    """Whether a block is one address, and of these where they are stated."""
    try:
        network = ipaddress.ip_network(str(block))
    except ValueError:
        return False
    return network.num_addresses == 1 and (addresses is None or str(network.network_address) in addresses)
