"""Ingress from people: the networks and namespaces from which they may reach a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.base.argument_checks import check_within, parse_network
from components.cluster.objects import NAMESPACE_LABEL, SERVING_PORT
from isthmus.core.errors import InputError


def people_ingress(args: Mapping[str, Any], sensitivity: str, part: str, fix: str) -> dict[str, Any]:
    """The serving port, from `from_cidrs` and `from_namespaces`. A rule without peers would admit everybody.

    `part`: `chat` or `reviews`. Networks of a restricted class must be in `site_cidrs`. Raises `InputError`.
    """
    cidrs, spaces = args.get("from_cidrs", []), args.get("from_namespaces", [])
    where = f"{sensitivity}-{part}.from_cidrs"
    if not cidrs and not spaces:
        raise InputError(f"no network and no namespace may reach the {part}", where=where, fix=fix)
    networks = [str(parse_network(cidr, where)) for cidr in cidrs]
    if sensitivity == "restricted":
        for cidr in cidrs:
            check_within(cidr, args.get("site_cidrs", []), where)
    return {
        "from": [
            *({"ipBlock": {"cidr": network}} for network in networks),
            *({"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: space}}} for space in spaces),
        ],
        "ports": [{"protocol": "TCP", "port": SERVING_PORT}],
    }
