"""Compiles what NetworkPolicies let a pod reach into address ranges and ports.

Kubernetes' rules: once a policy with egress selects a pod, the pod reaches only what one of its policies names. A
selected pod stands for its address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANYWHERE = "0.0.0.0/0"
Network = ipaddress.IPv4Network


@dataclass(frozen=True)
class PodAddress:
    """A pod, as policies select it."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    address: str


@dataclass(frozen=True)
class Reachable:
    """A range of addresses that a pod may reach, with the protocol and ports."""

    network: str
    protocol: str = ""
    """`tcp` or `udp`; empty: all."""
    ports: tuple[int, int] | None = None
    """First and last port; None: all."""


def reachable(
    pod: PodAddress,
    policies: Sequence[Mapping[str, Any]],
    pods: Sequence[PodAddress],
    namespaces: Mapping[str, Mapping[str, str]],
) -> list[Reachable]:
    """What the policies let a pod reach, over IPv4.

    `namespaces`: the labels of each. Raises ValueError for a peer or a selector of an unknown form.
    """
    own = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and _matches(policy["spec"].get("podSelector") or {}, pod.labels)
        and _is_for_egress(policy["spec"])
    ]
    if not own:
        return [Reachable(ANYWHERE)]
    found: dict[Reachable, None] = {}
    for spec in own:
        for rule in spec.get("egress") or []:
            networks = list(_networks(rule.get("to"), pod.namespace, pods, namespaces))
            for protocol, ports in _ports(rule.get("ports")):
                found |= dict.fromkeys(Reachable(network, protocol, ports) for network in networks)
    return list(found)


def _is_for_egress(spec: Mapping[str, Any]) -> bool:
    kinds = spec.get("policyTypes")
    return "egress" in spec if kinds is None else "Egress" in kinds


def _networks(
    peers: Sequence[Mapping[str, Any]] | None,
    namespace: str,
    pods: Sequence[PodAddress],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    if not peers:
        yield ANYWHERE
    for peer in peers or ():
        unknown = set(peer) - {"ipBlock", "podSelector", "namespaceSelector"}
        if unknown or not peer:
            raise ValueError(f"a peer of a NetworkPolicy has {', '.join(sorted(unknown)) or 'nothing'}")
        if block := peer.get("ipBlock"):
            yield from _without(block["cidr"], block.get("except") or ())
            continue
        for pod in pods:
            in_namespace = (
                pod.namespace == namespace
                if peer.get("namespaceSelector") is None
                else _matches(peer["namespaceSelector"], namespaces.get(pod.namespace, {}))
            )
            if in_namespace and _matches(peer.get("podSelector") or {}, pod.labels):
                yield f"{pod.address}/32"


def _without(cidr: str, excepted: Sequence[str]) -> Iterator[str]:
    """The parts of a range that are not excepted. IPv6 ranges are left out."""
    whole = ipaddress.ip_network(cidr)
    left = [whole] if isinstance(whole, Network) else []
    for text in excepted:
        hole = ipaddress.ip_network(text)
        if isinstance(hole, Network):
            left = [part for network in left for part in _cut(network, hole)]
    yield from map(str, left)


def _cut(network: Network, hole: Network) -> Iterator[Network]:
    if network.subnet_of(hole):
        return
    yield from network.address_exclude(hole) if hole.subnet_of(network) else [network]


def _ports(ports: Sequence[Mapping[str, Any]] | None) -> Iterator[tuple[str, tuple[int, int] | None]]:
    if not ports:
        yield "", None
    for port in ports or ():
        protocol = str(port.get("protocol", "TCP")).lower()
        number = port.get("port")
        if number is None:
            yield protocol, None
        elif isinstance(number, int):
            yield protocol, (number, int(port.get("endPort", number)))
        else:
            raise ValueError(f"a port of a NetworkPolicy is the name {number!r}, which is not resolved here")


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches. Raises ValueError for an unknown operator."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
        found = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if operator not in found:
            raise ValueError(f"a selector of a NetworkPolicy has the operator {operator!r}")
        if not found[operator]:
            return False
    return True
