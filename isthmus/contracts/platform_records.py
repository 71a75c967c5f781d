"""A gateway's audit records: where it writes them, who seals them, and what content it keeps. Parts of
`isthmus.contracts.platform`; data only."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from isthmus.contracts import handling
from isthmus.contracts.errors import At
from isthmus.contracts.words import DnsLabel, KubeName, Part

if TYPE_CHECKING:
    from isthmus.contracts.platform import AuditStore, Gateway, Platform

Address = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]


class KeptContent(Part):
    """What was asked and answered, encrypted under a key for each subject and day."""

    volume: KubeName
    """The PersistentVolume with those keys; no snapshots, no backups: a copy of a key is a key."""
    days: Annotated[dict[DnsLabel, Annotated[int, Field(ge=1, le=3660)]], Field(min_length=1)]
    """By workload: for how many days; no other workload's content is kept."""


class GatewayAudit(Part):
    """The chain of records of a gateway's copies, and the sealer that puts them into the site's store."""

    volume: KubeName
    """The PersistentVolume with folders `records` and `seals`, shared by many machines (ReadWriteMany)."""
    sealer_volume: KubeName
    """A second PersistentVolume that is the same share: one binds to one namespace only, and the sealer has its own."""
    secret: KubeName
    """Secret in the class's namespace with `sealer.pem` and `site.key`; with `content`, with `wrapping.key`."""
    sealer_secret: KubeName
    """Secret in the sealer's namespace with `sealer.key.pem`, `credentials` and `ca.crt`, which no gateway has."""
    earlier_keys: bool = False
    """Whether that Secret has `earlier.pem` too: public keys of the signing keys before this one."""
    policy: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,119}$")] | None = None
    """What records name as the policy's version; absent: a digest of the gateway's own configuration."""
    max_unsealed_s: Annotated[int, Field(ge=2, le=86400)] | None = None
    """Seconds that a record may wait for its seal before requests are refused; never more than the class's own."""
    content: KeptContent | None = None
    """Absent: nothing of what was said is kept."""


UNSEALED_S = {"internal": 3600, "confidential": 180, "restricted": 180}
"""The most that `max_unsealed_s` may say, as the edge has it (`edge.config.audit`, to which a test holds it)."""


def sealed_at(platform: Platform, gateway: Gateway) -> AuditStore | None:
    """The store of the gateway's site."""
    return next((store for store in platform.audit if store.site == gateway.site), None)


def port_of(endpoint: str) -> int:
    """Of a store's https address."""
    return urlsplit(endpoint).port or 443


def gateways_keep_records(platform: Platform) -> None:
    """Every class keeps records, so every gateway on Kubernetes writes them, and a sealer takes them to the store."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "audit")
        months = handling.of(gateway.class_).records_months_min
        if not writes(platform, gateway):
            if gateway.audit is not None:
                what = f"gateway {gateway.name} {_why_not(gateway)}, where no records are built for"
                raise At(what, *path, todo="Leave it out: docs/audit.md says what is on record there")
            continue
        if gateway.audit is None:
            raise At(
                f"gateway {gateway.name} keeps no records, and class {gateway.class_} keeps them {months} months",
                *path,
                todo="State volume, sealer_volume, secret and sealer_secret (docs/stacks.md)",
                no=True,
            )
        if platform.images.translator is None:
            what = f"no image of the translator is named, and the sealer of {gateway.name} runs it"
            raise At(what, "images", "translator", todo="Name it by digest")
        _content_is_allowed(gateway, index)
        _store_is_reached(platform, gateway)


def writes(platform: Platform, gateway: Gateway) -> bool:
    """Whether records are built where it runs."""
    return gateway.runs_on == "kubernetes" and platform.site(gateway.site).kind == "on-prem"


def _why_not(gateway: Gateway) -> str:
    return "runs on Fargate" if gateway.runs_on != "kubernetes" else f"stands at {gateway.site} in AWS"


def _content_is_allowed(gateway: Gateway, index: int) -> None:
    audit = gateway.audit
    if audit is None:
        return
    path = ("gateways", index, "audit")
    most = UNSEALED_S.get(gateway.class_)
    if most is not None and audit.max_unsealed_s is not None and audit.max_unsealed_s > most:
        what = f"records of class {gateway.class_} wait at most {most} s for their seal"
        raise At(what, *path, "max_unsealed_s", todo=f"Say {most} or less", no=True)
    own = {workload.name for workload in gateway.workloads}
    allowed = handling.of(gateway.class_).content_days_max
    for workload, days in audit.content.days.items() if audit.content else ():
        where = (*path, "content", "days", workload)
        if workload not in own:
            raise At(f"gateway {gateway.name} serves no workload {workload}", *where)
        if allowed is not None and days > allowed:
            kept = f"at most {allowed} days" if allowed else "not"
            what = f"content of class {gateway.class_} is kept {kept}, and of {workload} for {days} days"
            raise At(what, *where, todo="Say less, or leave it out", no=True)


def _store_is_reached(platform: Platform, gateway: Gateway) -> None:
    """The sealer is let out to the store's address alone, and knows its name by that."""
    at = next(index for index, store in enumerate(platform.audit) if store.site == gateway.site)
    store = platform.audit[at]
    if store.address is None:
        raise At(
            f"the store {store.name} names no address, and a network policy cannot hold the sealer to a name",
            *("audit", at, "address"),
            todo="Name the address at which its endpoint is reached, e.g. 10.40.0.9",
        )
    networks = [
        ipaddress.ip_network(cidr) for site in platform.sites if site.kind == "on-prem" for cidr in site.cidrs
    ]
    try:
        address = ipaddress.IPv4Address(store.address)
    except ValueError:
        raise At(f"`{store.address}` is not an address", "audit", at, "address") from None
    if not any(address in network for network in networks):
        raise At(
            f"the store {store.name} at {store.address} lies outside the on-prem sites' networks",
            *("audit", at, "address"),
            todo=f"Name one within {', '.join(map(str, networks)) or 'none'}",
            no=True,
        )


CHECKS = (gateways_keep_records,)
