"""What a platform names outside itself: addresses, accounts, principals, keys, buckets, registries, charts, namespaces.

The values are found by their shape in the whole platform, so a field that is added later is covered. A value is
*foreign* if it is neither of the platform's own networks and accounts, nor a private address, nor below the
organisation's own registry: then `trust.yaml` must have it. `isthmus ci` compares all of them, foreign or not. Images
below the organisation's own registry are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.gateway_access import entry_value
from isthmus.contracts.reference.handling import allowed_targets
from isthmus.contracts.trust import Kind
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.ip_addresses import INSIDE, is_within, parse_range
from isthmus.core.yaml_documents import PathOf, dotted

StatedKind = Literal[Kind, "clusters", "hosts", "people", "destinations"]
"""The kinds that `trust.yaml` does not have are compared only; the platform is where they are stated."""
STATED_KINDS: tuple[StatedKind, ...] = get_args(StatedKind)
WORDS: dict[StatedKind, str] = {
    "registries": "registry",
    "charts": "chart",
    "accounts": "AWS account",
    "principals": "principal",
    "address_ranges": "address range",
    "access": "access",
    "keys": "key",
    "buckets": "bucket",
    "reviewers": "reviewer",
    "namespaces": "namespace",
    "engine_flags": "engine flag",
    "clusters": "cluster",
    "hosts": "host",
    "people": "people:",
    "destinations": "destination",
}
"""Kind → the word before a value of it."""
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?|[0-9a-fA-F:]*:[0-9a-fA-F:]+(/\d{1,3})?")
_ACCOUNT = re.compile(r"\d{12}")
_ACCOUNT_INSIDE = re.compile(r"(?:^|:|//)(\d{12})(?=:|\.dkr\.ecr\.|$)")
"""Accounts in ARNs, in registries of Amazon ECR, and by themselves."""
_IMAGE = re.compile(r"([a-z0-9._/:-]+)@sha256:[0-9a-f]{64}")
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_KIND_OF_SERVICE: dict[str, StatedKind] = {
    "iam": "principals",
    "sts": "principals",
    "kms": "keys",
    "s3": "buckets",
}
"""Service in an ARN → kind. ARNs of other services count by their account."""
_NAMESPACE_KEYS = ("namespace", "control_namespace", "from_namespaces", "gpu_operator_namespace")
_REGISTRY_KEYS = ("registry", "registries", "repository")
_SHARED_NAMESPACES = ("default", "kube-public", "kube-node-lease", "kube-system")
"""Namespaces of every cluster, in which pods of anybody may run, or in which a pod may do more than others."""
EKS_ADDONS = "602401143452"
"""AWS's account with the images of EKS's addons in most regions (EKS user guide, "Amazon container image registries",
read on 24 November 2026)."""
OUTSIDE_REGISTRY = "outside the organisation's own registry (`images.registry`)"
_AWS_SPELLED = ("aws", "")
"""Account part of an ARN of AWS itself, or of a service that has none there."""


def may_be_in_cloud(class_: Sensitivity) -> bool:
    """Whether a class may use AWS's models without an exception, so that a way there is ordinary."""
    return "bedrock" in allowed_targets(class_)


@dataclass(frozen=True)
class StatedValue:
    """One value, where the platform states it, and why it is foreign."""

    kind: StatedKind
    value: str
    where: str
    """Path in the platform: `sites[fra1].cidrs[0]`."""
    foreign: str = ""
    """What makes it foreign, as the end of a sentence ("is …"); empty: it is not."""
    ordinary: bool = False
    """Whether it changes in daily work: a destination of a class that may use AWS."""


def is_private(range_: str) -> bool:
    """Whether an address range, as a whole, is one that the internet does not route."""
    return is_within(range_, INSIDE)


def stated_values(platform: Platform) -> list[StatedValue]:
    """The values of a platform without duplicates, sorted by kind, value and place."""
    document = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    registry = _own_registry(platform)
    own = _Own(frozenset({*_own_accounts(platform, document), EKS_ADDONS}), registry)
    values = {value for path, text in _leaves(document) for value in _values(document, path, text, own)}
    values |= {*_destinations(platform), *_accesses(platform)}
    return sorted(values, key=lambda value: (STATED_KINDS.index(value.kind), value.value, value.where))


@dataclass(frozen=True)
class _Own:
    """What is the platform's own."""

    accounts: frozenset[str]
    registry: str | None
    """None: unknown, so that no registry counts as foreign. Empty: there is none."""

    def has(self, name: str) -> bool:
        """Whether an image, chart or registry is in the own registry, or in Amazon ECR of an own account."""
        account = _ECR.fullmatch(name.partition("/")[0])
        if self.registry is None or (account and account.group(1) in self.accounts):
            return True
        return bool(self.registry) and (name == self.registry or name.startswith(f"{self.registry}/"))


def _destinations(platform: Platform) -> Iterator[StatedValue]:
    """Address and port of each destination of a gateway above public: a proxy in a known network leads elsewhere."""
    for gateway in platform.gateways:
        for destination in gateway.destinations if gateway.class_ != "public" else []:
            value = f"{destination.cidr} port {destination.port} of {gateway.class_} work"
            where = f"gateways[{gateway.name}].destinations[{destination.name}]"
            yield StatedValue("destinations", value, where, ordinary=may_be_in_cloud(gateway.class_))


def _accesses(platform: Platform) -> Iterator[StatedValue]:
    """The ranges from which callers outside the cluster reach each gateway. All of them need an entry."""
    for gateway in platform.gateways:
        for index, text in enumerate(gateway.access.source_ranges if gateway.access is not None else []):
            where = f"gateways[{gateway.name}].access.source_ranges[{index}]"
            yield StatedValue(
                "access",
                entry_value(gateway.class_, gateway.site, text),
                where,
                "a way in from outside the cluster",
            )


def _own_registry(platform: Platform) -> str | None:
    """The organisation's own registry; without one, the one of the edge's image. None: a view without images."""
    images = platform.images
    if images.registry:
        return images.registry.rstrip("/")
    edge = getattr(images, "edge", None)
    if edge is None:
        return None
    return next((entry.rstrip("/") for entry in images.registries if edge.startswith(entry)), "")


def _own_accounts(platform: Platform, document: Any) -> set[str]:
    """The accounts of the sites. If no site states one, the only account that the platform names."""
    accounts = {site.account_id for site in platform.sites if site.account_id}
    if accounts:
        return accounts
    named = {account for _, text in _leaves(document) for account in _ACCOUNT_INSIDE.findall(text)} - {
        EKS_ADDONS
    }
    return named if len(named) == 1 else set()


def _leaves(value: Any, path: PathOf = ()) -> Iterator[tuple[PathOf, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, (*path, index))
    elif isinstance(value, str) and value:
        yield path, value


def _values(document: Any, path: PathOf, text: str, own: _Own) -> Iterator[StatedValue]:
    """The values in one text of the platform."""
    where = dotted(document, path)
    keys = [part for part in path if isinstance(part, str)]
    if keys[-2:] == ["access", "source_ranges"]:
        return  # `_accesses` names them, with class and site
    if keys[-2:] in (["guidelines", "text"], ["planted", "text"]) or "label" in keys:
        return  # prose for reviewers, to whose links nothing connects
    key = keys[-1] if keys else ""
    named = _named_value(document, path, keys, text)
    if named is not None:
        yield StatedValue(*named[:2], where, named[2])
    if key == "chart":
        foreign = "" if own.has(text.removeprefix("oci://")) or "://" not in text else OUTSIDE_REGISTRY
        yield StatedValue("charts", text, where, foreign)
    elif key in _REGISTRY_KEYS or _IMAGE.fullmatch(text):
        yield from _registry(text, where, key, own)
    elif _ADDRESS.fullmatch(text):
        yield from _address(text, where)
    elif text.startswith("arn:"):
        yield from _arn(text, where, own)
    elif _ACCOUNT.fullmatch(text):
        foreign = "" if text in own.accounts else "an AWS account of none of the platform's sites"
        yield StatedValue("accounts", text, where, foreign)
    elif "://" in text:
        yield from _url(text, where)


def _named_value(
    document: Any, path: PathOf, keys: list[str], text: str
) -> tuple[StatedKind, str, str] | None:
    """Kind, value and foreignness of a text that its field explains, or None."""
    key = keys[-1] if keys else ""
    if key in _NAMESPACE_KEYS:
        shared = text in _SHARED_NAMESPACES
        return "namespaces", text, "a namespace in which pods of others run" if shared else ""
    if key in ("kube_context", "cluster_uid"):
        return "clusters", text, ""
    if key == "engine_args":
        return "engine_flags", text, ""
    if keys[-2:] == ["reviewers", "client"]:
        return "reviewers", text, ""
    if ("people" in keys and key in ("groups", "permission_sets", "user")) or keys[-3:] == [
        *("desk", "groups", "groups")
    ]:
        holder = _holder(document, path)
        return "people", f"{holder}: {text}", ""
    if key == "bucket":
        foreign = _is_foreign_bucket(document, path, keys)
        return "buckets", text, "a bucket that no stack makes" if foreign else ""
    return None


def _holder(document: Any, path: PathOf) -> str:
    """The role or name of the nearest list item around a value."""
    holder = "the stack"
    for part in path:
        document = document[part]
        if isinstance(part, int) and isinstance(document, dict):
            holder = str(document.get("role") or document.get("name") or document.get("id") or holder)
    return holder


def _is_foreign_bucket(document: Any, path: PathOf, keys: list[str]) -> bool:
    """Whether it is a bucket of AWS that is named in place of one that the stack makes."""
    if "capture" in keys:
        return True
    item: Any = document
    for part in path[:-1]:
        item = item[part]
    return keys[0] == "audit" and item.get("mode") == "existing" and not item.get("endpoint")


def _registry(text: str, where: str, key: str, own: _Own) -> Iterator[StatedValue]:
    match = _IMAGE.fullmatch(text)
    name = (match.group(1) if match else text).removeprefix("oci://").rstrip("/")
    if key not in _REGISTRY_KEYS and own.registry and name.startswith(f"{own.registry}/"):
        return
    foreign = "" if key == "registry" or own.has(name) else OUTSIDE_REGISTRY
    # An image counts by its repository, a registry by what is stated.
    yield StatedValue("registries", _without_tag(name), where, foreign)


def _without_tag(name: str) -> str:
    repository, colon, tag = name.rpartition(":")
    return repository if colon and "/" not in tag and "/" in repository else name


def _address(text: str, where: str) -> Iterator[StatedValue]:
    network = parse_range(text)
    if network is None:
        return
    public = "a public address" if network.num_addresses == 1 else "a range of public addresses"
    foreign = "" if is_private(str(network)) else public
    yield StatedValue("address_ranges", str(network), where, foreign)


def _arn(text: str, where: str, own: _Own) -> Iterator[StatedValue]:
    parts = text.split(":")
    if len(parts) < 6:
        return
    service, account = parts[2], parts[4]
    kind = _KIND_OF_SERVICE.get(service, "accounts")
    is_own = account in _AWS_SPELLED or account in own.accounts
    foreign = "" if is_own else f"of AWS account {account}, which none of the platform's sites is in"
    if kind == "accounts":
        if account not in _AWS_SPELLED:
            yield StatedValue(
                kind, account, where, foreign and "an AWS account of none of the platform's sites"
            )
        return
    yield StatedValue(kind, text, where, foreign)


def _url(text: str, where: str) -> Iterator[StatedValue]:
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        return
    if _ADDRESS.fullmatch(host):
        yield from _address(host, where)
    else:
        yield StatedValue("hosts", host.rstrip("."), where)


__all__ = ["STATED_KINDS", "WORDS", "StatedKind", "StatedValue", "is_private", "stated_values"]
