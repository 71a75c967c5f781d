"""Where in the requirements a value of the platform comes from: what the blueprints' templates do, in reverse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.contracts.requirements.document import OnPremSite, Requirements
from isthmus.core.yaml_documents import PathOf

_OF_ON_PREM_SITE: Mapping[str, PathOf] = {
    "cidrs": ("network", "cidrs"),
    "dns": ("network", "dns"),
    "jurisdiction": ("jurisdiction",),
    "kube_context": ("kube_context",),
}
_OF_AWS_SITE: Mapping[str, PathOf] = {
    "account_id": ("account_id",),
    "cidrs": ("vpc_cidr",),
    "jurisdiction": ("jurisdiction",),
    "kms_key": ("existing", "kms_key"),
    "permissions_boundary": ("existing", "permissions_boundary"),
    "region": ("region",),
}
_OF_PART: Mapping[tuple[str, str], PathOf] = {
    ("audit", "bucket"): ("existing", "audit_bucket"),
    ("gateways", "destinations"): ("vpc_cidr",),
    ("gateways", "fargate"): ("vpc_cidr",),
    ("links", "direct_connect_gateway"): ("existing", "direct_connect_gateway"),
    ("links", "peer_ip"): ("network", "vpn_peer_ip"),
    ("links", "site_asn"): ("network", "bgp_asn"),
    ("links", "transit_gateway"): ("existing", "transit_gateway"),
    ("networks", "cidr"): ("vpc_cidr",),
    ("networks", "route_tables"): ("existing", "route_tables"),
    ("networks", "subnets"): ("existing", "subnets"),
    ("networks", "vpc"): ("existing", "vpc"),
    ("trust", "trust_anchor"): ("existing", "trust_anchor"),
}
"""List of the platform and key of its item → the value of the item's site in the requirements."""
_SITE_KEYS: Mapping[tuple[str, str], str] = {
    ("links", "peer_ip"): "from",
    ("links", "site_asn"): "from",
    ("links", "transit_gateway"): "to",
    ("links", "direct_connect_gateway"): "to",
}
"""Which end of a link has the value. Every other item names its site as `site`."""


_OF_WORKLOAD = ("impact", "interfaces", "residency", "review")
"""Keys of a gateway's workload that the requirements' workload has too."""


def place(path: PathOf, platform: Mapping[str, Any], requirements: Requirements) -> tuple[PathOf, bool]:
    """The path in the requirements of a value of the platform, and whether it is that very value.

    If no value of the requirements decides it, the path leads to what it belongs to: the link, the pool, the workload
    or the site; in the end to the whole file.
    """
    if len(path) < 2 or not isinstance(path[1], int):
        return (), False
    part, item, key = str(path[0]), platform[str(path[0])][path[1]], str(path[2]) if len(path) > 2 else ""
    if not isinstance(item, dict):
        return (), False
    if missing_link(path, platform, requirements) is not None:
        return ("links",), False
    site = _site(
        item.get("name") if part == "sites" else item.get(_SITE_KEYS.get((part, key), "site")), requirements
    )
    of_site = _of_site(part, key, site, requirements)
    if of_site is not None:
        return (*of_site, *(path[3:] if part == "sites" else ())), True
    workload = _workload(part, item, path, requirements)
    if workload and len(path) > 4 and path[4] in _OF_WORKLOAD:
        return (*workload, *path[4:]), True
    place = (
        _link(part, item, requirements)
        or workload
        or _pool(part, item, requirements)
        or (("sites", site) if site is not None else ())
    )
    return place, False


def missing_link(
    path: PathOf, platform: Mapping[str, Any], requirements: Requirements
) -> tuple[str, str] | None:
    """The on-prem and the AWS site that a gateway's AWS identity joins, if no link of the requirements does.

    `path` is that of a fault; only the fault of a gateway's identity can be a missing link.
    """
    if len(path) < 3 or (path[0], path[2]) != ("gateways", "identity"):
        return None
    gateway = platform["gateways"][path[1]]
    sites = {identity["name"]: identity["site"] for identity in platform.get("identities", [])}
    ends = gateway["site"], sites.get(gateway["identity"], "")
    joined = [{link.from_, link.to} for link in requirements.links]
    kinds = [site.kind for site in requirements.sites if site.name in ends]
    return ends if set(ends) not in joined and sorted(kinds) == ["aws", "on-prem"] else None


def _site(name: Any, requirements: Requirements) -> int | None:
    return next((index for index, site in enumerate(requirements.sites) if site.name == name), None)


def _of_site(part: str, key: str, site: int | None, requirements: Requirements) -> PathOf | None:
    if site is None:
        return None
    on_prem = isinstance(requirements.sites[site], OnPremSite)
    table = _OF_ON_PREM_SITE if on_prem else _OF_AWS_SITE
    inner = table.get(key) if part == "sites" else _OF_PART.get((part, key))
    return ("sites", site, *inner) if inner is not None else None


def _link(part: str, item: Mapping[str, Any], requirements: Requirements) -> PathOf | None:
    ends = {item.get("from"), item.get("to")}
    numbers = [index for index, link in enumerate(requirements.links) if {link.from_, link.to} == ends]
    return ("links", numbers[0]) if part == "links" and numbers else None


def _pool(part: str, item: Mapping[str, Any], requirements: Requirements) -> PathOf | None:
    for index, site in enumerate(requirements.sites):
        if part == "pools" and isinstance(site, OnPremSite) and site.name == item.get("site"):
            gpus = [pool.gpu for pool in site.pools]
            if item.get("gpu") in gpus:
                return ("sites", index, "pools", gpus.index(item["gpu"]))
    return None


def _workload(part: str, item: Mapping[str, Any], path: PathOf, requirements: Requirements) -> PathOf | None:
    """The workload of a gateway's entry, or the first one of the class of a gateway, an endpoint or an identity."""
    names = [workload.name for workload in requirements.workloads]
    if part == "gateways" and len(path) > 3 and path[2] == "workloads" and isinstance(path[3], int):
        name = item["workloads"][path[3]].get("name")
        return ("workloads", names.index(name)) if name in names else None
    if part not in ("gateways", "endpoints", "identities", "guardrails"):
        return None
    classes = [workload.sensitivity for workload in requirements.workloads]
    return ("workloads", classes.index(item["class"])) if item.get("class") in classes else None
