"""What Kubernetes' network policies let a pod do, as ranges of addresses and ports that a packet filter understands.

Written from the API's reference (networking.k8s.io/v1): a pod that a policy selects is closed in the directions that
the policy names, but for what some policy opens. A policy that says what is not understood here is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Pod:
    """One pod, its address, and what selectors see of it."""

    namespace: str
    name: str
    address: str
    labels: dict[str, str] = field(hash=False)
    space_labels: dict[str, str] = field(hash=False)

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Opening:
    """Packets to or from a range, but for its exceptions, of a protocol, to ports; None: any."""

    cidr: str
    excepts: tuple[str, ...] = ()
    protocol: str | None = None
    ports: tuple[int, int] | None = None


@dataclass(frozen=True)
class Closed:
    """One pod's openings by direction; None: no policy closes that direction."""

    ingress: tuple[Opening, ...] | None
    egress: tuple[Opening, ...] | None


def closed(policies: Sequence[Body], pods: Sequence[Pod]) -> dict[str, Closed]:
    """By the pod's full name, of all pods. Raises NotImplementedError at what is not understood."""
    return {
        pod.full_name: Closed(
            _openings(pod, "ingress", policies, pods), _openings(pod, "egress", policies, pods)
        )
        for pod in pods
    }


def _openings(
    pod: Pod, direction: str, policies: Sequence[Body], pods: Sequence[Pod]
) -> tuple[Opening, ...] | None:
    own_policies = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction.capitalize() in _directions(policy["spec"])
        and selects(policy["spec"].get("podSelector") or {}, pod.labels)
    ]
    if not own_policies:
        return None
    # In the order of the policies, each once.
    openings = (
        peer_rule
        for body in own_policies
        for rule in body["spec"].get(direction) or []
        for peer_rule in _opened(rule, direction, pod, pods)
    )
    return tuple(dict.fromkeys(openings))


def _directions(spec: Body) -> list[str]:
    """What a policy is about where it does not say: what comes in, and what goes out if it speaks of that."""
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _opened(rule: Body, direction: str, pod: Pod, pods: Sequence[Pod]) -> Iterator[Opening]:
    _only(rule, {"ports", "from" if direction == "ingress" else "to"})
    peers = rule.get("from" if direction == "ingress" else "to") or []
    ranges = [range for peer in peers for range in _ranges(peer, pod, pods)] if peers else [(EVERYWHERE, ())]
    ports = [_ports(port) for port in rule.get("ports") or []] or [(None, None)]
    for cidr, excepts in ranges:
        for protocol, span in ports:
            yield Opening(cidr, excepts, protocol, span)


def _ranges(peer: Body, pod: Pod, pods: Sequence[Pod]) -> Iterator[tuple[str, tuple[str, ...]]]:
    _only(peer, {"ipBlock", "podSelector", "namespaceSelector"})
    if block := peer.get("ipBlock"):
        _only(block, {"cidr", "except"})
        yield block["cidr"], tuple(block.get("except") or ())
        return
    spaces = peer.get("namespaceSelector")
    for candidate in pods:
        near = (
            candidate.namespace == pod.namespace
            if spaces is None
            else selects(spaces, candidate.space_labels)
        )
        if near and selects(peer.get("podSelector") or {}, candidate.labels):
            yield f"{candidate.address}/32", ()


def _ports(port: Body) -> tuple[str, tuple[int, int] | None]:
    _only(port, {"protocol", "port", "endPort"})
    number = port.get("port")
    if isinstance(number, str):
        raise NotImplementedError(f"the port {number!r} has a name, which means another number in each pod")
    span = None if number is None else (number, port.get("endPort", number))
    return port.get("protocol", "TCP"), span


def selects(selector: Body, labels: dict[str, str]) -> bool:
    """Whether a label selector means these labels; an empty one means all."""
    _only(selector, {"matchLabels", "matchExpressions"})
    expected = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in expected.items()) and all(
        _holds(match_expression, labels) for match_expression in selector.get("matchExpressions") or []
    )


def _holds(expression: Body, labels: dict[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    raise NotImplementedError(f"a selector's operator {operator!r}")


def _only(body: Body, fields: set[str]) -> None:
    if more := set(body) - fields:
        raise NotImplementedError(f"a policy says {sorted(more)}, which these rules do not understand")
