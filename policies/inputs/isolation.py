"""Checks for services that must be alone in their namespace: other pods, RBAC roles, network policy peers."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.platform.model.platform import Gateway
from isthmus.graph.network.reachability import NAMESPACE, POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject, Violation

RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
IN_NAMESPACE = (f"{RBAC}:RoleBinding", f"{RBAC}:Role")
"""Types that grant permissions in one namespace."""


def pods_with_role(subject: Subject, role: str) -> list[Pod]:
    """Pods with this role label."""
    return [pod for pod in pods(subject.graph) if pod.role == role]


def namespaces_of(subject: Subject, *roles: str) -> set[str]:
    """The namespaces of pods with one of these roles."""
    return {pod.namespace for role in roles for pod in pods_with_role(subject, role)}


def network_policies_of(subject: Subject, role: str) -> Iterator[tuple[Resource, str]]:
    """Each network policy in the namespaces of a role's pods, with its namespace."""
    namespaces = namespaces_of(subject, role)
    for policy in subject.graph.of(POLICY):
        namespace = name_and_namespace(policy)[1]
        if namespace in namespaces:
            yield policy, namespace


def isolated_resources(subject: Subject, *roles: str) -> Iterator[Resource]:
    """What can break the isolation of the roles' pods: pods beside them, RBAC roles, network policies."""
    namespaces = namespaces_of(subject, *roles)
    yield from (pod.resource for pod in pods(subject.graph) if pod.namespace in namespaces)
    yield from (
        resource
        for resource in subject.graph.of(*IN_NAMESPACE, POLICY)
        if name_and_namespace(resource)[1] in namespaces
    )


def gateways_of_namespace(subject: Subject, namespace: str) -> list[Gateway]:
    """The platform's gateways of the class of a namespace; none without a platform."""
    sensitivity = namespace_sensitivities(subject.graph).get(namespace, "")
    gateways = subject.platform.gateways if subject.platform is not None else []
    return [gateway for gateway in gateways if gateway.class_ == sensitivity]


def intruders(subject: Subject, role: str, victim: str, owner: str) -> Iterator[Violation]:
    """Reports other pods and RBAC roles in the namespaces of a role's pods.

    `victim` and `owner` are words for messages: `the sealer`, `its`.
    """
    namespaces = namespaces_of(subject, role)
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


@dataclass(frozen=True)
class StatedPeers:
    """Whom the pods of a namespace may call, and who may call them, as the platform states it."""

    calls: str
    """The namespace that they call."""
    addresses: Collection[str]
    """Addresses outside the cluster that they call."""
    callers: Collection[str]
    """Namespaces from which they are called."""
    cidrs: Collection[str]
    """Networks from which they are called."""


def unstated_peers(policy: Resource, namespace: str, stated: StatedPeers) -> Iterator[Violation]:
    """Reports each peer of a network policy of `namespace` that the platform does not state."""
    for peer in peers(policy, "egress", "to"):
        block, target = at(peer, "ipBlock.cidr"), namespace_of(peer)
        if is_unknown(peer) or is_unknown(block) or is_unknown(target):
            yield Violation(f"whom {policy.name} lets {namespace} call is not known yet", policy, "undecided")
        elif target != stated.calls and not is_single_allowed_address(block, stated.addresses):
            where = block or (f"namespace {target}" if target else "pods of the cluster")
            yield Violation(
                f"{policy.name} lets {namespace} reach {where}, which it has no reason to", policy
            )
    for peer in peers(policy, "ingress", "from"):
        block, source = at(peer, "ipBlock.cidr"), namespace_of(peer)
        if is_unknown(peer) or is_unknown(block) or is_unknown(source):
            yield Violation(
                f"who may call {namespace} by {policy.name} is not known yet", policy, "undecided"
            )
        elif block not in stated.cidrs and source not in stated.callers:
            who = block or (f"namespace {source}" if source else "everybody")
            yield Violation(
                f"{policy.name} lets {who} call {namespace}, which the platform does not state", policy
            )


def namespace_of(peer: Any) -> Any:
    """The namespace that a peer of a network policy names; None if it names none."""
    labels = at(peer, "namespaceSelector.matchLabels")
    return labels.get(NAMESPACE) if isinstance(labels, Mapping) else labels


def problems_of_sign_on(pod: Pod, expected: Sequence[list[str]]) -> Iterator[str]:
    """What the proxy of a sign-on in a pod does otherwise than each of these lists of arguments says."""
    for container in pod.containers:
        arguments = list(map(str, list_or_empty(container.get("args"))))
        if container.get("name") == "sign-on" and arguments not in expected:
            other = [argument for argument in arguments if argument not in expected[0]]
            yield f"runs the sign-on with {', '.join(other[:3]) or 'fewer arguments'}, which Isthmus does not"


def is_single_allowed_address(block: Any, addresses: Collection[str] | None) -> bool:
    """Whether a CIDR block is a single address, and one of `addresses` if they are given."""
    try:
        network = ipaddress.ip_network(str(block))
    except ValueError:
        return False
    return network.num_addresses == 1 and (addresses is None or str(network.network_address) in addresses)
