"""What keeps a platform's data where it belongs: guards, screening, records, filters, classes of networks, issuers.

`isthmus ci` compares the protections of two commits. One that is gone or different loosens, since whether another
strength is less cannot be told in general; of two numbers the smaller is less. A protection that goes with its gateway,
network or store is no loss. A new one does not loosen, unless it opens a way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.usage import ledger_of
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.stated_values import may_be_in_cloud

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.screening import Screening
    from isthmus.contracts.vocabulary import Sensitivity


_AUTHORITIES = ("ca", "ca_bundle", "reviewers_ca")


@dataclass(frozen=True)
class Protection:
    """One protection, with its strength as text."""

    owner: str
    """What it belongs to: `gateway internal-fra1`."""
    name: str
    strength: str
    opens: bool = False
    """Whether a new one opens a way, and so loosens."""
    routine: bool = False
    """Whether it changes in daily work, so that a change is shown and stops nothing."""
    made_by: str = ""
    """The organisation's cluster-wide object that makes it. Who trusts that object (`objects`) trusts this with it."""

    @property
    def label(self) -> str:
        """`guard attacks of gateway internal-fra1`."""
        return f"{self.name} of {self.owner}"


def protections(platform: Platform) -> dict[str, Protection]:
    """Label → protection."""
    found = (
        *_of_certificates(platform),
        *_of_sites(platform),
        *_of_aws(platform),
        *_of_gateways(platform),
        *_of_names(platform),
    )
    return {protection.label: protection for protection in found}


def loosens(before: Protection | None, after: Protection | None, owners: set[str]) -> bool:
    """Whether a change of a protection loosens. `owners`: those of all protections after the change."""
    if before is None:
        return after is not None and after.opens
    if after is None:
        return before.owner in owners
    if before.strength.isdecimal() and after.strength.isdecimal():
        return int(after.strength) < int(before.strength)
    return before.strength != after.strength


def _of_certificates(platform: Platform) -> Iterator[Protection]:
    owner = "the platform"
    if platform.issuer is not None:
        yield Protection(owner, "certificate issuer", f"{platform.issuer.kind} {platform.issuer.name}")
    if platform.trust_bundle is not None:
        bundle = platform.trust_bundle
        yield Protection(owner, "bundle of further authorities", bundle, opens=True, made_by=bundle)
    for trust in platform.trust:
        owner = f"the AWS identities at {trust.name}"
        issuer = f"{trust.issuer.kind} {trust.issuer.name}" if trust.issuer else "none"
        yield Protection(owner, "issuer", issuer)
        if trust.ca_certificates is not None:
            digest = hashlib.sha256(trust.ca_certificates.encode()).hexdigest()
            yield Protection(owner, "authorities", f"sha256:{digest[:16]}")


def _of_sites(platform: Platform) -> Iterator[Protection]:
    for site in platform.sites:
        yield Protection(f"site {site.name}", "names filter", "on" if site.cluster_dns.filter else "off")
    for pool in platform.pools:
        machines = ", ".join(sorted(pool.node_names or [])) or "those with its labels"
        yield Protection(f"pool {pool.name}", "list of machines", machines, routine=True)
    for store in platform.audit:
        owner = f"records store {store.name}"
        yield Protection(owner, "mode", store.mode)
        yield Protection(owner, "days of retention", str(store.retention_days))
        yield Protection(owner, "address", str(store.address or "none"))


def _of_aws(platform: Platform) -> Iterator[Protection]:
    for network in platform.networks:
        owner = f"network {network.name}"
        yield from _carried(owner, network.classes)
        yield Protection(owner, "way to the internet", "open" if network.internet else "none")
        yield Protection(owner, "names firewall", network.dns_mode)
        for name in network.dns_firewall.names:
            yield Protection(owner, f"answer for the name {name}", "given", opens=True)
    for link in platform.links:
        owner = f"link {link.name}"
        yield from _carried(owner, link.classes)
        joined = (link.transit_gateway, link.direct_connect_gateway, link.connection)
        yield Protection(owner, "joined gateway", ", ".join(filter(None, joined)) or "one made here")
    for guardrail in platform.guardrails:
        owner = f"guardrail {guardrail.name}"
        yield Protection(owner, "mode", guardrail.mode)
        strengths = f"attacks {guardrail.attack_strength}, content {guardrail.content_strength}"
        yield Protection(owner, "strength", strengths)
        yield Protection(owner, "languages", ", ".join(sorted(guardrail.languages)) or "the default's")
        for entity in guardrail.pii:
            yield Protection(owner, f"action on {entity.name}", entity.action)
    for trail in platform.trails:
        yield Protection(f"trail {trail.name}", "mode", trail.mode)
    for logging in platform.invocation_logging:
        yield Protection(f"log of model calls {logging.name}", "mode", logging.mode)


def _of_names(platform: Platform) -> Iterator[Protection]:
    """Secrets and authorities that the platform names: whoever writes another one sets the callers and keys."""
    for word, parts in (
        ("gateway", platform.gateways),
        ("endpoint", platform.endpoints),
        ("AWS identity", platform.identities),
    ):
        for part in parts:
            owner = f"{word} {getattr(part, 'name', None) or getattr(part, 'id', '')}"
            for path, value in _named(part.model_dump(mode="json", by_alias=True)):
                yield Protection(owner, path, value)


def _named(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of each Secret and authority in a part of the platform; one that is not stated is `none`."""
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        place = f"{path}.{key}" if path else str(key)
        if str(key).endswith("secret") or key in _AUTHORITIES:
            yield place, str(child or "none")
        else:
            yield from _named(child, place)


def _carried(owner: str, classes: Iterable[Sensitivity]) -> Iterator[Protection]:
    """The classes that a network or link carries. Another one opens it; the cloud's own classes are shown only."""
    for class_ in classes:
        yield Protection(owner, f"way for {class_} work", "open", opens=True, routine=may_be_in_cloud(class_))


def _of_gateways(platform: Platform) -> Iterator[Protection]:
    for gateway in platform.gateways:
        yield from _of_gateway(gateway, f"gateway {gateway.name}")


def _of_gateway(gateway: Gateway, owner: str) -> Iterator[Protection]:
    yield Protection(owner, "class", gateway.class_)
    if gateway.database is not None:
        database = gateway.database
        place = f"{database.host} ({database.address}:{database.port})"
        yield Protection(owner, "database", f"{database.name} at {place} as {database.user}")
    if gateway.chat is not None:
        database = gateway.chat.database
        place = f"{database.host} ({database.address}:{database.port})"
        yield Protection(owner, "conversations", f"{database.name} at {place} as {database.user}")
    if (ledger := ledger_of(gateway)) is not None:
        place = f"{ledger.host} ({ledger.address}:{ledger.port})"
        yield Protection(owner, "usage ledger", f"{ledger.name} at {place} as {ledger.user}")
    if gateway.audit is not None:
        yield Protection(owner, "records", "kept")
    if gateway.reviews is not None:
        yield Protection(owner, "human review", "there")
    for text in gateway.redacted:
        yield Protection(owner, f"redaction of {text}", "on")
    if gateway.screening is not None:
        yield from _of_screening(gateway.screening, owner)


def _of_screening(screening: Screening, owner: str) -> Iterator[Protection]:
    yield Protection(owner, "screening", f"images {screening.images}")
    searched = ", ".join(sorted(screening.jurisdictions)) if screening.jurisdictions is not None else "all"
    yield Protection(owner, "jurisdictions of screening", searched or "none")
    yield Protection(
        owner, "languages of screening", ", ".join(sorted(screening.languages)) or "of its models"
    )
    for model in screening.models:
        yield Protection(owner, f"entity model for {model.language}", model.file, routine=True)
    for pattern in screening.patterns:
        yield Protection(owner, f"pattern {pattern.entity}", pattern.pattern)
    for guard in screening.guards:
        finds = (
            ", ".join(sorted(guard.entities or [])) or guard.endpoint or f"{guard.max_characters} characters"
        )
        workloads = ", ".join(sorted(guard.workloads)) if guard.workloads else "all workloads"
        strength = f"{guard.then} {finds} in {guard.on} of {workloads}"
        yield Protection(owner, f"guard {guard.name}", strength)


__all__ = ["Protection", "loosens", "protections"]
