"""What the pods of a namespace can reach by network, from the rendered network policies alone.

Over-stated on purpose: what a policy lets out is followed into every pod that it matches, whatever that pod
lets in. So what is not reached here is not reached.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.report.graph import Graph, Resource

NAMESPACE = "kubernetes.io/metadata.name"
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Pods:
    """The pods of one Deployment."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]

    @property
    def role(self) -> str:
        return dict(self.labels).get("isthmus.dev/role", "")

    @property
    def class_(self) -> str:
        return dict(self.labels).get("isthmus.dev/class", "")


@dataclass
class Reached:
    """Where packets can end."""

    pods: set[Pods] = field(default_factory=set)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    """Address range and port (`any` where none is named)."""
    elsewhere: set[str] = field(default_factory=set)
    """Pods outside the graph, by the selectors that match them: what they reach is not known here."""


class Network:
    """The Deployments, namespaces and network policies of a rendering."""

    def __init__(self, graph: Graph) -> None:
        self.pods = [_pods(each) for each in graph.of("kubernetes:apps/v1:Deployment")]
        self._policies = list(graph.of("kubernetes:networking.k8s.io/v1:NetworkPolicy"))
        self._namespaces = {
            each.inputs["metadata"]["name"]: {
                **(each.inputs["metadata"].get("labels") or {}),
                NAMESPACE: each.inputs["metadata"]["name"],
            }
            for each in graph.of("kubernetes:core/v1:Namespace")
        }

    def reached(self, namespace: str) -> Reached:
        """All that the pods of a namespace reach, over whatever pods lie between."""
        found = Reached()
        todo = [pods for pods in self.pods if pods.namespace == namespace]
        # Also a pod that is put there by hand, with labels of its own choice.
        todo.append(Pods("any other pod", namespace, ()))
        while todo:
            pods = todo.pop()
            if pods in found.pods:
                continue
            found.pods.add(pods)
            for peer, port in self.ways_out(pods):
                if "ipBlock" in peer:
                    found.blocks.add((peer["ipBlock"]["cidr"], port))
                else:
                    matched = self.matched(peer, pods.namespace)
                    if not matched:
                        found.elsewhere.add(_selectors(peer))
                    todo += matched
        return found

    def ways_out(self, pods: Pods) -> list[tuple[dict[str, Any], str]]:
        mine = [
            each.inputs["spec"]
            for each in self._policies
            if each.inputs["metadata"].get("namespace") == pods.namespace
            and "Egress" in (each.inputs["spec"].get("policyTypes") or [])
            and _matches(each.inputs["spec"].get("podSelector") or {}, dict(pods.labels))
        ]
        if not mine:
            return [({"ipBlock": {"cidr": ANYWHERE}}, "any")]
        ways: list[tuple[dict[str, Any], str]] = []
        for spec in mine:
            for rule in spec.get("egress") or []:
                ports = [str(each.get("port", "any")) for each in rule.get("ports") or [{}]]
                peers = rule.get("to") or [{"ipBlock": {"cidr": ANYWHERE}}]
                ways += [(peer, port) for peer in peers for port in ports]
        return ways

    def matched(self, peer: Mapping[str, Any], namespace: str) -> list[Pods]:
        where = peer.get("namespaceSelector")
        spaces = (
            [namespace]
            if where is None
            else [name for name, labels in self._namespaces.items() if _matches(where, labels)]
        )
        chosen = peer.get("podSelector") or {}
        return [
            pods for pods in self.pods if pods.namespace in spaces and _matches(chosen, dict(pods.labels))
        ]


def within(block: str, networks: list[str]) -> bool:
    """Whether an address range lies in one of the networks."""
    inner = ipaddress.ip_network(block)
    return any(inner.subnet_of(ipaddress.ip_network(each)) for each in networks)  # type: ignore[arg-type]


def overlaps(block: str, networks: list[str]) -> bool:
    """Whether an address range shares an address with one of the networks."""
    return any(ipaddress.ip_network(block).overlaps(ipaddress.ip_network(each)) for each in networks)


def _pods(deployment: Resource) -> Pods:
    meta = deployment.inputs["metadata"]
    labels = deployment.inputs["spec"]["template"]["metadata"].get("labels") or {}
    return Pods(meta["name"], meta["namespace"], tuple(sorted(labels.items())))


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for wanted in selector.get("matchExpressions") or []:
        key, values = wanted["key"], wanted.get("values") or []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[wanted["operator"]]
        if not holds:
            return False
    return True


def _selectors(peer: Mapping[str, Any]) -> str:
    parts = []
    for key in ("namespaceSelector", "podSelector"):
        for name, value in sorted(((peer.get(key) or {}).get("matchLabels") or {}).items()):
            parts.append(f"{name}={value}")
    return ", ".join(parts) or "every pod"
