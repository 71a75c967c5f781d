"""What the pods of a namespace can reach by network, from the rendered network policies alone.

Over-stated on purpose: what a policy lets out is followed into every pod that it matches, whatever that pod
lets in. So what is not reached here is not reached.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.graph.resources.resources import Graph, place

NAMESPACE = "kubernetes.io/metadata.name"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
CLASS = "isthmus.dev/class"
ANYWHERE = "0.0.0.0/0"
ANYWHERE_6 = "::/0"
BY_CONTROLLERS = (
    "leaderworkerset.sigs.k8s.io/",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "batch.kubernetes.io/",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-",
)
"""Labels that controllers add to the pods that they make."""
_ANY_WAY: list[tuple[dict[str, Any], str]] = [
    ({"ipBlock": {"cidr": ANYWHERE}}, "any"),
    ({"ipBlock": {"cidr": ANYWHERE_6}}, "any"),
]


@dataclass(frozen=True)
class Pods:
    """The pods of one workload, whatever its kind."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    host: bool = False
    """On the node's own network, where no policy holds them."""

    @property
    def role(self) -> str:
        return dict(self.labels).get("isthmus.dev/role", "")

    @property
    def class_(self) -> str:
        return dict(self.labels).get(CLASS, "")


@dataclass
class Reached:
    """Where packets can end."""

    pods: set[Pods] = field(default_factory=set)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    """Address range and port (`any` where none is named)."""
    elsewhere: set[str] = field(default_factory=set)
    """Pods outside the graph, by the selectors that match them: what they reach is not known here."""


class Network:
    """The workloads, namespaces and network policies of a rendering."""

    def __init__(self, graph: Graph) -> None:
        self.pods = list(
            dict.fromkeys(
                Pods(
                    *place(each),
                    tuple(sorted(((template.get("metadata") or {}).get("labels") or {}).items())),
                    bool(template["spec"].get("hostNetwork")),
                )
                for each, template in graph.pods()
            )
        )
        self.unread = [
            each
            for each in graph.resources
            if each.type.startswith("kubernetes:")
            and each.type.endswith(("NetworkPolicy", "NetworkPolicyPatch"))
            and each.type != POLICY
        ]
        """Policies of a network plugin's own, or patches: what they let through is not known here."""
        self._policies = list(graph.of(POLICY))
        self._namespaces = namespaces(graph)

    def spaces(self, class_: str) -> list[str]:
        """Namespaces of a class: by their own label or name, or because pods of the class are in them."""
        known = {each.namespace for each in self.pods} | {
            str(each.inputs["metadata"].get("namespace") or "default") for each in self._policies
        }
        found = {name for name, labels in self._namespaces.items() if labels.get(CLASS) == class_}
        found |= {name for name in known | set(self._namespaces) if name == f"isthmus-{class_}"}
        return sorted(found | {each.namespace for each in self.pods if each.class_ == class_})

    def reached(self, namespace: str) -> Reached:
        """All that the pods of a namespace reach, over whatever pods lie between."""
        found = Reached()
        fix = [pods for pods in self.pods if pods.namespace == namespace]
        # Also a pod that is put there by hand, with labels of its own choice.
        fix.append(Pods("any other pod", namespace, ()))
        fix += self._selected(namespace)
        while fix:
            pods = fix.pop()
            if pods in found.pods:
                continue
            found.pods.add(pods)
            for peer, port in self.ways_out(pods):
                if "ipBlock" in peer:
                    found.blocks.add((peer["ipBlock"]["cidr"], port))
                else:
                    said = self.beyond(peer, pods.namespace)
                    if said:
                        found.elsewhere.add(said)
                    fix += self.matched(peer, pods.namespace)
        return found

    def _selected(self, namespace: str) -> list[Pods]:
        """Pods that policies let out and that the graph does not hold: a controller makes them, or somebody will."""
        found = []
        for each in self._policies:
            name, space = place(each)
            spec = each.inputs["spec"]
            chosen = spec.get("podSelector") or {}
            if space == namespace and _bounds_egress(spec) and spec.get("egress") and chosen:
                mine = (pods for pods in self.pods if pods.namespace == namespace)
                if not any(_matches(without_controllers(chosen), dict(pods.labels)) for pods in mine):
                    found.append(Pods(f"any pod that {name} selects", namespace, _fitting(chosen)))
        return found

    def beyond(self, peer: Mapping[str, Any], namespace: str) -> str:
        """The selectors of a peer that matches pods outside the graph, too; empty where it cannot."""
        known = self.matched(peer, namespace) and self._pinned(peer)
        return "" if known else _selectors(peer)

    def ways_out(self, pods: Pods) -> list[tuple[dict[str, Any], str]]:
        if pods.host:
            return _ANY_WAY
        mine = [
            each.inputs["spec"]
            for each in self._policies
            if (each.inputs["metadata"].get("namespace") or "default") == pods.namespace
            and _bounds_egress(each.inputs["spec"])
            and _matches(each.inputs["spec"].get("podSelector") or {}, dict(pods.labels))
        ]
        if not mine:
            return _ANY_WAY
        # What selects by a label that a controller adds may select these pods: its ways count, its bounds do not.
        mine += [
            each.inputs["spec"]
            for each in self._policies
            if (each.inputs["metadata"].get("namespace") or "default") == pods.namespace
            and each.inputs["spec"] not in mine
            and _matches(without_controllers(each.inputs["spec"].get("podSelector") or {}), dict(pods.labels))
        ]
        ways: list[tuple[dict[str, Any], str]] = []
        for spec in mine:
            for rule in spec.get("egress") or []:
                ports = [_port(each) for each in rule.get("ports") or [{}]]
                peers = rule.get("to") or [peer for peer, _ in _ANY_WAY]
                ways += [(peer, port) for peer in peers for port in ports]
        return ways

    def _pinned(self, peer: Mapping[str, Any]) -> bool:
        """Whether a peer's namespaces are named, and all of the graph; others may bear any label."""
        where = peer.get("namespaceSelector")
        if where is None:
            return True
        named = [{str(value)} for key, value in (where.get("matchLabels") or {}).items() if key == NAMESPACE]
        named += [
            set(each.get("values") or [])
            for each in where.get("matchExpressions") or []
            if each["key"] == NAMESPACE and each["operator"] == "In"
        ]
        return any(names <= set(self._namespaces) for names in named)

    def matched(self, peer: Mapping[str, Any], namespace: str) -> list[Pods]:
        where = peer.get("namespaceSelector")
        spaces = [namespace] if where is None else chosen(self._namespaces, where)
        wanted = without_controllers(peer.get("podSelector") or {})
        return [
            pods for pods in self.pods if pods.namespace in spaces and _matches(wanted, dict(pods.labels))
        ]


def namespaces(graph: Graph) -> dict[str, dict[str, Any]]:
    """The graph's namespaces with their labels, that of their own name among them."""
    return {
        each.inputs["metadata"]["name"]: {
            **(each.inputs["metadata"].get("labels") or {}),
            NAMESPACE: each.inputs["metadata"]["name"],
        }
        for each in graph.of("kubernetes:core/v1:Namespace")
    }


def chosen(known: Mapping[str, Mapping[str, str]], selector: Mapping[str, Any]) -> list[str]:
    """Those of the known namespaces that a selector of namespaces matches."""
    return [name for name, labels in known.items() if _matches(selector, labels)]


def within(block: str, networks: list[str]) -> bool:
    """Whether an address range lies in one of the networks; what is no range lies in none."""
    inner = _network(block)
    outer = [_network(each) for each in networks]
    if isinstance(inner, ipaddress.IPv4Network):
        return any(isinstance(each, ipaddress.IPv4Network) and inner.subnet_of(each) for each in outer)
    if isinstance(inner, ipaddress.IPv6Network):
        return any(isinstance(each, ipaddress.IPv6Network) and inner.subnet_of(each) for each in outer)
    return False


def overlaps(block: str, networks: list[str]) -> bool:
    """Whether an address range shares an address with one of the networks; what is no range could."""
    inner = _network(block)
    outer = [_network(each) for each in networks]
    return any(inner is None or each is None or inner.overlaps(each) for each in outer)


def public(block: str) -> bool:
    """Whether an address range holds addresses of the internet."""
    found = _network(block)
    return found is not None and not found.is_private and not found.is_link_local


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _bounds_egress(spec: Mapping[str, Any]) -> bool:
    """Whether a policy is one of egress; without `policyTypes`, Kubernetes takes it as one where it has rules."""
    types = spec.get("policyTypes")
    return "Egress" in types if types else bool(spec.get("egress"))


def _port(port: Mapping[str, Any]) -> str:
    first = str(port.get("port", "any"))
    return f"{first}-{port['endPort']}" if port.get("endPort") else first


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


def _fitting(selector: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Labels that a selector matches."""
    labels = dict(selector.get("matchLabels") or {})
    for wanted in selector.get("matchExpressions") or []:
        if wanted["operator"] in ("In", "Exists"):
            labels.setdefault(wanted["key"], (wanted.get("values") or ["x"])[0])
    return tuple(sorted(labels.items()))


def without_controllers(selector: Mapping[str, Any]) -> dict[str, Any]:
    """A selector less what asks for labels that controllers give their pods, which no template shows."""
    return {
        "matchLabels": {
            key: value
            for key, value in (selector.get("matchLabels") or {}).items()
            if not key.startswith(BY_CONTROLLERS)
        },
        "matchExpressions": [
            each
            for each in selector.get("matchExpressions") or []
            if not str(each["key"]).startswith(BY_CONTROLLERS)
        ],
    }


def _selectors(peer: Mapping[str, Any]) -> str:
    parts = []
    for key in ("namespaceSelector", "podSelector"):
        for name, value in sorted(((peer.get(key) or {}).get("matchLabels") or {}).items()):
            parts.append(f"{name}={value}")
    return ", ".join(parts) or "every pod"
