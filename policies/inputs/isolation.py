"""Checks for services that must be alone in their namespace: other pods, RBAC roles, network policy peers."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import Any

from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject, Violation

RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
IN_NAMESPACE = (f"{RBAC}:RoleBinding", f"{RBAC}:Role")
"""Types that grant permissions in one namespace."""


def pods_with_role(subject: Subject, role: str) -> list[Pod]:
    """Pods with this role label."""
    return [pod for pod in pods(subject.graph) if pod.role == role]


def intruders(subject: Subject, role: str, victim: str, owner: str) -> Iterator[Violation]:
    """Reports other pods and RBAC roles in the namespaces of a role's pods.

    `victim` and `owner` are words for messages: `the sealer`, `its`.
    """
    namespaces = {pod.namespace for pod in pods_with_role(subject, role)}
    for pod in pods(subject.graph):
        if pod.namespace in namespaces and pod.role != role:
            name = pod.resource.name
            yield Violation(
                f"{name} runs in the namespace of {victim} ({pod.namespace}) and could mount {owner} keys",
                pod.resource,
            )
    for grant in subject.graph.of(*IN_NAMESPACE):
        if name_and_namespace(grant)[1] in namespaces:
            yield Violation(
                f"{grant.name} grants permissions over {victim} in {name_and_namespace(grant)[1]}", grant
            )


def peers(policy: Resource, direction: str, key: str) -> Iterator[Any]:
    """Each peer of a network policy's rules (`ingress` with `from`, `egress` with `to`).

    None stands for a rule without peers, which Kubernetes reads as everybody. An unknown value is yielded itself.
    """
    rules = at(policy.inputs, f"spec.{direction}")
    for rule in [rules] if is_unknown(rules) else list_or_empty(rules):
        rule_peers = at(rule, key)
        yield from [rule_peers] if is_unknown(rule_peers) else list_or_empty(rule_peers) or [None]


def is_single_allowed_address(block: Any, addresses: Collection[str] | None) -> bool:
    """Whether a CIDR block is a single address, and one of `addresses` if they are given."""
    try:
        network = ipaddress.ip_network(str(block))
    except ValueError:
        return False
    return network.num_addresses == 1 and (addresses is None or str(network.network_address) in addresses)
