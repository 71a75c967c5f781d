"""Builds the arguments of a site's class namespaces (peers, quotas, limits) and of its admission policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from components.cluster.admission import AdmissionGuardArgs
from components.cluster.class_namespace import ClassNamespaceArgs
from components.gateway.resolver_mapping import dns_peers
from components.sites.namespace_quota import namespace_quota
from isthmus.contracts.platform.lookups.access import accesses_at
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.platform import Platform, Site


def namespace_args(
    platform: Platform, site: Site, sensitivity: str, retained: Sequence[Standing] = ()
) -> ClassNamespaceArgs:
    """Arguments of a class's namespace. Its quota covers the class's pods and room for a rollout.

    `retained`: models of an earlier plan, which count until their successors serve.
    """
    arguments: ClassNamespaceArgs = {
        "sensitivity": sensitivity,
        "quota": namespace_quota(platform, site, sensitivity, retained),
        "resolvers": list(site.dns),
    }
    if sensitivity != "restricted":
        arguments["dns"] = dns_peers(site)
        arguments["own_resolver"] = site.cluster_dns.filter
    if sensitivity in site.existing_namespaces:
        arguments["existing"] = True
    return arguments


def admission_args(platform: Platform, site: Site) -> AdmissionGuardArgs:
    """Arguments of the admission policies: allowed registries, and users of emergency access."""
    arguments: AdmissionGuardArgs = {"registries": list(platform.images.registries)}
    break_glass = platform.people.break_glass if platform.people is not None else None
    if break_glass is not None:
        arguments["emergency_users"] = sorted(keyholder.user for keyholder in break_glass.keyholders)
    routed_classes = {
        gateway.class_
        for gateway in platform.gateways
        if gateway.site == site.name and gateway.router is not None
    }
    if routed_classes:
        arguments["routed_classes"] = sorted(routed_classes)
    if outside := [asdict(access.admitted()) for access in accesses_at(platform, site.name)]:
        arguments["outside"] = outside  # type: ignore[typeddict-item]
    return arguments
