"""Which Services and network policies open a gateway to callers outside, as the platform and the trust file state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.lookups.access import access_of
from isthmus.contracts.platform.model.platform import Gateway
from isthmus.contracts.reference.admission import class_namespace
from isthmus.contracts.reference.gateway_access import OUTSIDE_PORT, Access, entry_value
from isthmus.contracts.trust import Kind
from isthmus.core.ip_addresses import is_within
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.inputs.values import at, list_or_empty
from policies.rules.rule import Subject

_CLUSTER = "/kubernetes"
_SPEC_PARTS = (
    *("type", "selector", "externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass"),
    *("loadBalancerIP", "externalIPs", "ports"),
)
"""What of a Service's spec decides who reaches which pods."""
Entry = tuple[Kind, str]


def stated_access(subject: Subject, resource: Resource) -> tuple[Gateway, Access] | None:
    """The access that an object belongs to, by its name, its namespace and the cluster that it is in."""
    platform = subject.platform
    if platform is None:
        return None
    name, namespace = name_and_namespace(resource)
    site = provider_of(resource).removesuffix(_CLUSTER)
    sites = {gateway.site for gateway in platform.gateways}
    for gateway in platform.gateways:
        access = access_of(platform, gateway)
        is_elsewhere = site in sites and site != gateway.site
        if (
            access is not None
            and not is_elsewhere
            and (namespace, name) == (class_namespace(gateway.class_), access.service)
        ):
            return gateway, access
    return None


def service_problems(
    subject: Subject, service: Resource, gateway: Gateway, access: Access
) -> Iterator[tuple[str, Entry | None]]:
    """How a Service differs from the stated access, and which ranges nobody trusts, each with its entry."""
    spec, expected = at(service.inputs, "spec") or {}, access.spec()
    for part in _SPEC_PARTS:
        if (at(spec, part) or None) != (expected.get(part) or None):
            yield f"its {part} is not the one that the access of gateway {gateway.name} has", None
    ranges = [str(text) for text in list_or_empty(at(spec, "loadBalancerSourceRanges"))]
    if not ranges:
        yield "it names no loadBalancerSourceRanges, so that every address may call", None
    for text in ranges:
        if text not in access.source_ranges:
            yield f"it admits {text}, which the access of gateway {gateway.name} does not state", None
            continue
        value = entry_value(gateway.class_, gateway.site, text)
        if not subject.trusts("access", value):
            yield f"no valid entry of trust.yaml admits callers from {text}", ("access", value)
    annotations = at(service.inputs, "metadata.annotations") or {}
    for key in sorted(set(annotations) | set(access.all_annotations)):
        if not key.startswith("pulumi.com/") and annotations.get(key) != access.all_annotations.get(key):
            yield f"its annotation {key} is not the one that the access of gateway {gateway.name} has", None


def is_stated_peer(subject: Subject, policy: Resource, block: str) -> bool:
    """Whether a network policy lets a range connect as the platform and the trust file state: to the port of callers
    outside only. Networks of a load balancer in AWS may connect to see whether a pod lives.
    """
    stated = stated_access(subject, policy)
    if stated is None or subject.platform is None:
        return False
    gateway, access = stated
    selected = at(policy.inputs, "spec.podSelector") or {}
    if selected != {"matchLabels": access.spec()["selector"]} or not _only_outside_port(policy):
        return False
    if access.in_aws and is_within(block, subject.platform.site(gateway.site).cidrs):
        return True
    return block in access.source_ranges and subject.trusts(
        "access", entry_value(gateway.class_, gateway.site, block)
    )


def _only_outside_port(policy: Resource) -> bool:
    rules: list[Any] = list_or_empty(at(policy.inputs, "spec.ingress"))
    ports = [list_or_empty(at(rule, "ports")) for rule in rules]
    return all(
        entries
        and all(at(entry, "port") == OUTSIDE_PORT and at(entry, "endPort") is None for entry in entries)
        for entries in ports
    )
