"""Builds the egress rules of network policies to a cluster's DNS resolvers."""

from typing import Any, NotRequired, TypedDict

from components.base.argument_checks import parse_network
from components.cluster.objects import NAMESPACE_LABEL
from isthmus.contracts.platform.model.dns import PRESETS
from isthmus.core.errors import InputError


class DnsPeer(TypedDict):
    """A DNS resolver of the cluster: by address range, or by namespace and labels of its pods."""

    name: str
    """Name of the resolver."""
    cidr: NotRequired[str]
    """Its address range, e.g. 169.254.20.10/32."""
    namespace: NotRequired[str]
    """Namespace of its pods."""
    labels: NotRequired[dict[str, str]]
    """Labels of its pods. With `namespace`."""
    port: NotRequired[int]
    """Port of its pods (default 53)."""


KUBE_DNS: list[Any] = [peer.model_dump(exclude_none=True) for peer in PRESETS["kube-dns"]]
"""The default resolvers of a cluster."""


def dns_egress(peers: list[DnsPeer] | None, where: str) -> list[dict[str, Any]]:
    """An egress rule for each resolver, UDP and TCP. `peers`: the pods of kube-dns if None."""
    return [
        {"to": [_target(peer, where)], "ports": both_protocols(peer.get("port", 53))}
        for peer in (KUBE_DNS if peers is None else peers)
    ]


def both_protocols(port: int) -> list[dict[str, Any]]:
    """The DNS port for UDP and TCP. Answers that are too long for UDP use TCP."""
    return [{"protocol": protocol, "port": port} for protocol in ("UDP", "TCP")]


def _target(peer: DnsPeer, where: str) -> dict[str, Any]:
    if "cidr" in peer:
        return {"ipBlock": {"cidr": str(parse_network(peer["cidr"], f"{where}.{peer['name']}.cidr"))}}
    if not peer.get("namespace") or not peer.get("labels"):
        raise InputError(
            f"the resolver '{peer['name']}' has neither an address nor a namespace with labels",
            where=f"{where}.{peer['name']}",
            fix="Set `cidr`, or `namespace` and `labels`: without labels every pod of the namespace would be allowed",
        )
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: peer.get("namespace")}},
        "podSelector": {"matchLabels": dict(peer.get("labels", {}))},
    }
