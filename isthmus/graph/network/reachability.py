"""What the pods of a namespace can reach by network, from the rendered network policies.

The result is an upper bound: an egress rule is followed into every pod that it matches, whatever that pod's ingress
rules allow. So a destination that is not in the result cannot be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.core.ip_addresses import INSIDE, is_within, parse_range
from isthmus.graph.resources.resources import Graph, name_and_namespace

NAMESPACE = "kubernetes.io/metadata.name"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
CLASS = "isthmus.dev/class"
ANYWHERE = "0.0.0.0/0"
ANYWHERE_6 = "::/0"
CONTROLLER_LABELS = (
    "leaderworkerset.sigs.k8s.io/",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "batch.kubernetes.io/",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-",
)
"""Prefixes of labels that controllers add to the pods that they create."""
_NOT_PUBLIC = (*INSIDE, "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4")
"""Ranges that no host on the internet has: private, shared, link-local, reserved and documentation addresses."""
_ANY_DESTINATION: list[tuple[dict[str, Any], str]] = [
    ({"ipBlock": {"cidr": ANYWHERE}}, "any"),
    ({"ipBlock": {"cidr": ANYWHERE_6}}, "any"),
]


@dataclass(frozen=True)
class Pods:
    """The pods of one workload of any kind."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    host: bool = False
    """Whether the pods are on the node's network, to which network policies do not apply."""

    @property
    def role(self) -> str:
        return dict(self.labels).get("isthmus.dev/role", "")

    @property
    def class_(self) -> str:
        return dict(self.labels).get(CLASS, "")


@dataclass
class Reached:
    """The destinations that packets can reach."""

    pods: set[Pods] = field(default_factory=set)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    """Address range and port (`any` if the rule names none)."""


class Network:
    """The workloads, namespaces and network policies of a rendering."""

    def __init__(self, graph: Graph) -> None:
        self.pods = list(
            dict.fromkeys(
                Pods(
                    *name_and_namespace(resource),
                    tuple(sorted(((template.get("metadata") or {}).get("labels") or {}).items())),
                    bool(template["spec"].get("hostNetwork")),
                )
                for resource, template in graph.pods()
            )
        )
        self.unread = [
            policy
            for policy in graph.resources
            if policy.type.startswith("kubernetes:")
            and policy.type.endswith(("NetworkPolicy", "NetworkPolicyPatch"))
            and policy.type != POLICY
        ]
        """Policies of a network plugin, or patches. It is unknown what they allow."""
        self._policies = list(graph.of(POLICY))
        self._namespaces = namespaces(graph)

    def spaces(self, class_: str) -> list[str]:
        """Namespaces of a class: by their label or name, or because they contain pods of the class."""
        pod_namespaces = {pods.namespace for pods in self.pods} | {
            str(policy.inputs["metadata"].get("namespace") or "default") for policy in self._policies
        }
        names = {name for name, labels in self._namespaces.items() if labels.get(CLASS) == class_}
        names |= {name for name in pod_namespaces | set(self._namespaces) if name == f"isthmus-{class_}"}
        return sorted(names | {pods.namespace for pods in self.pods if pods.class_ == class_})

    def reached(self, namespace: str) -> Reached:
        """Everything that the pods of a namespace reach, also through other pods."""
        result = Reached()
        queue = [pods for pods in self.pods if pods.namespace == namespace]
        # A pod that somebody creates by hand can have any labels.
        queue.append(Pods("any other pod", namespace, ()))
        queue += self._selected(namespace)
        while queue:
            pods = queue.pop()
            if pods in result.pods:
                continue
            result.pods.add(pods)
            for peer, port in self.ways_out(pods):
                if "ipBlock" in peer:
                    result.blocks.add((peer["ipBlock"]["cidr"], port))
                else:
                    queue += self.matched(peer, pods.namespace)
        return result

    def _selected(self, namespace: str) -> list[Pods]:
        """Pods outside the graph that network policies select: a controller creates them, or somebody may."""
        pods_selected = []
        for policy in self._policies:
            name, policy_namespace = name_and_namespace(policy)
            spec = policy.inputs["spec"]
            pod_selector = spec.get("podSelector") or {}
            if policy_namespace == namespace and _bounds_egress(spec) and spec.get("egress") and pod_selector:
                own_pods = (pods for pods in self.pods if pods.namespace == namespace)
                if not any(
                    _matches(without_controllers(pod_selector), dict(pods.labels)) for pods in own_pods
                ):
                    pods_selected.append(
                        Pods(f"any pod that {name} selects", namespace, _labels_matched_by(pod_selector))
                    )
        return pods_selected

    def beyond(self, peer: Mapping[str, Any], namespace: str) -> str:
        """Selectors of a peer that also match pods outside the graph; empty if it matches none."""
        is_in_graph = self.matched(peer, namespace) and self._pinned(peer)
        return "" if is_in_graph else _selector_text(peer)

    def ways_out(self, pods: Pods) -> list[tuple[dict[str, Any], str]]:
        if pods.host:
            return _ANY_DESTINATION
        specs = [
            policy.inputs["spec"]
            for policy in self._policies
            if (policy.inputs["metadata"].get("namespace") or "default") == pods.namespace
            and _bounds_egress(policy.inputs["spec"])
            and _matches(policy.inputs["spec"].get("podSelector") or {}, dict(pods.labels))
        ]
        if not specs:
            return _ANY_DESTINATION
        # A selector of a label that a controller adds may match these pods: its rules count, its restrictions do not.
        specs += [
            policy.inputs["spec"]
            for policy in self._policies
            if (policy.inputs["metadata"].get("namespace") or "default") == pods.namespace
            and policy.inputs["spec"] not in specs
            and _matches(
                without_controllers(policy.inputs["spec"].get("podSelector") or {}), dict(pods.labels)
            )
        ]
        destinations: list[tuple[dict[str, Any], str]] = []
        for spec in specs:
            for rule in spec.get("egress") or []:
                ports = [_port(port_entry) for port_entry in rule.get("ports") or [{}]]
                peers = rule.get("to") or [peer for peer, _ in _ANY_DESTINATION]
                destinations += [(peer, port) for peer in peers for port in ports]
        return destinations

    def _pinned(self, peer: Mapping[str, Any]) -> bool:
        """Whether the peer names its namespaces and all of them are in the graph.

        Other namespaces may have any labels.
        """
        namespace_selector = peer.get("namespaceSelector")
        if namespace_selector is None:
            return True
        name_sets = [
            {str(value)}
            for key, value in (namespace_selector.get("matchLabels") or {}).items()
            if key == NAMESPACE
        ]
        name_sets += [
            set(expression.get("values") or [])
            for expression in namespace_selector.get("matchExpressions") or []
            if expression["key"] == NAMESPACE and expression["operator"] == "In"
        ]
        return any(names <= set(self._namespaces) for names in name_sets)

    def matched(self, peer: Mapping[str, Any], namespace: str) -> list[Pods]:
        namespace_selector = peer.get("namespaceSelector")
        namespaces_matched = (
            [namespace]
            if namespace_selector is None
            else select_namespaces(self._namespaces, namespace_selector)
        )
        pod_selector = without_controllers(peer.get("podSelector") or {})
        return [
            pods
            for pods in self.pods
            if pods.namespace in namespaces_matched and _matches(pod_selector, dict(pods.labels))
        ]


def namespaces(graph: Graph) -> dict[str, dict[str, Any]]:
    """The graph's namespaces with their labels, including Kubernetes's label with the name."""
    return {
        namespace.inputs["metadata"]["name"]: {
            **(namespace.inputs["metadata"].get("labels") or {}),
            NAMESPACE: namespace.inputs["metadata"]["name"],
        }
        for namespace in graph.of("kubernetes:core/v1:Namespace")
    }


def select_namespaces(
    namespaces_by_name: Mapping[str, Mapping[str, str]], selector: Mapping[str, Any]
) -> list[str]:
    """The known namespaces that a namespace selector matches."""
    return [name for name, labels in namespaces_by_name.items() if _matches(selector, labels)]


def overlaps(block: str, networks: list[str]) -> bool:
    """Whether an address range overlaps one of the networks. True for text that is not a range, because it could."""
    inner = parse_range(block)
    outer = [parse_range(network) for network in networks]
    return any(inner is None or network is None or inner.overlaps(network) for network in outer)


def is_public(block: str) -> bool:
    """Whether an address range contains public addresses. A range that only begins and ends in private ones does."""
    return parse_range(block) is not None and not is_within(block, _NOT_PUBLIC)


def _bounds_egress(spec: Mapping[str, Any]) -> bool:
    """Whether a policy restricts egress. Without `policyTypes`, Kubernetes takes a policy with egress rules as one."""
    types = spec.get("policyTypes")
    return "Egress" in types if types else bool(spec.get("egress"))


def _port(port: Mapping[str, Any]) -> str:
    first = str(port.get("port", "any"))
    return f"{first}-{port['endPort']}" if port.get("endPort") else first


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values") or []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[expression["operator"]]
        if not holds:
            return False
    return True


def _labels_matched_by(selector: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Labels that a selector matches."""
    labels = dict(selector.get("matchLabels") or {})
    for expression in selector.get("matchExpressions") or []:
        if expression["operator"] in ("In", "Exists"):
            labels.setdefault(expression["key"], (expression.get("values") or ["x"])[0])
    return tuple(sorted(labels.items()))


def without_controllers(selector: Mapping[str, Any]) -> dict[str, Any]:
    """A selector without requirements on labels that controllers add, because templates do not have them."""
    return {
        "matchLabels": {
            key: value
            for key, value in (selector.get("matchLabels") or {}).items()
            if not key.startswith(CONTROLLER_LABELS)
        },
        "matchExpressions": [
            expression
            for expression in selector.get("matchExpressions") or []
            if not str(expression["key"]).startswith(CONTROLLER_LABELS)
        ],
    }


def _selector_text(peer: Mapping[str, Any]) -> str:
    pairs = []
    for key in ("namespaceSelector", "podSelector"):
        for name, value in sorted(((peer.get(key) or {}).get("matchLabels") or {}).items()):
            pairs.append(f"{name}={value}")
    return ", ".join(pairs) or "every pod"
