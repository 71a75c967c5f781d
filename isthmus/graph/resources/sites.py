"""The site and the jurisdiction of the parts of a stack: by the name of their provider and by the platform."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace

Kind = Literal["on-prem", "aws", ""]
_CLUSTER = "/kubernetes"
"""Suffix of the name of the provider for a cluster at an AWS site."""
KUBERNETES_PROVIDER = "pulumi:providers:kubernetes"
_DEFAULT_PROVIDER = "::default"
"""In the URN of a provider that the engine makes: it uses the current context, whatever that is."""


@dataclass(frozen=True)
class Place:
    """A site, as far as it is known."""

    name: str = ""
    kind: Kind = ""
    """Empty: it is unknown where its machines are."""
    jurisdiction: str = ""


class Places:
    """The sites of a graph. Without a platform, a cluster's provider has a name, but its place is unknown."""

    def __init__(self, graph: Graph, platform: Platform | None) -> None:
        self._sites: dict[str, Site] = {site.name: site for site in platform.sites} if platform else {}
        self._spaces: dict[str, list[str]] = {}
        for namespace in graph.of("kubernetes:core/v1:Namespace"):
            self._spaces.setdefault(name_and_namespace(namespace)[0], []).append(provider_of(namespace))

    def of(self, resource: Resource) -> Place:
        """The site of an AWS resource or of a cluster's object."""
        name = provider_of(resource)
        if resource.type.startswith("kubernetes:"):
            # A pod is in the cluster of its namespace.
            clusters = self._spaces.get(name_and_namespace(resource)[1], [])
            name = name if name in clusters or not clusters else clusters[0]
            return self.site(name)
        site = self.site(name)
        return site if site.kind else Place(name or str(resource.inputs.get("region") or ""), "aws")

    def site(self, name: str) -> Place:
        """The site with this name, or whose provider has it."""
        site = self._sites.get(name.removesuffix(_CLUSTER))
        if site is None:
            return Place(name)
        return Place(site.name, site.kind, site.jurisdiction)

    def ranges(self, kind: Kind) -> list[str]:
        """Address ranges of the sites of a kind."""
        return [cidr for site in self._sites.values() if site.kind == kind for cidr in site.cidrs]

    def holding(self, within: Any, block: str) -> str:
        """The site whose addresses contain a range; empty if there is none."""
        return next((site.name for site in self._sites.values() if within(block, site.cidrs)), "")


def provider_of(resource: Resource) -> str:
    """Name of the provider of a resource; empty if it is not stated."""
    return str(getattr(resource, "provider", None) or "").rsplit("::", 1)[-1]


def site_of_provider(provider: Resource, platform: Platform | None) -> Site | None:
    """The site whose cluster or account a provider names; None if its name is not a site's."""
    name = provider.name.removesuffix(_CLUSTER)
    return next((site for site in platform.sites if site.name == name), None) if platform else None


def resolve_clusters(resources: Iterable[Resource], platform: Platform | None) -> list[Resource]:
    """The resources, each object with the provider of the cluster that it is in, whatever its own one is named.

    A provider with the context and kubeconfig of a site's provider leads to the site's cluster. Where the platform does
    not show which cluster a provider leads to, its objects get no provider: rules judge them in every cluster.
    """
    all_resources = list(resources)
    providers = [resource for resource in all_resources if resource.type == KUBERNETES_PROVIDER]
    clusters = cluster_urns(providers, platform)
    return [_in_cluster(resource, clusters, platform) for resource in all_resources]


def cluster_urns(providers: Iterable[Resource], platform: Platform | None) -> dict[str, str]:
    """URN of each cluster's provider → URN of the provider that stands for its cluster; empty if it is unknown."""
    ordered = sorted(providers, key=lambda provider: provider.urn)
    if platform is None:
        first: dict[str, str] = {}
        return {provider.urn: first.setdefault(_cluster_text(provider), provider.urn) for provider in ordered}
    of_sites = [provider for provider in ordered if site_of_provider(provider, platform) is not None]
    clusters = {provider.urn: provider.urn for provider in of_sites}
    for provider in ordered:
        same = (other.urn for other in of_sites if _leads_where(provider, other, platform))
        clusters.setdefault(provider.urn, next(same, ""))
    return clusters


def _cluster_text(provider: Resource) -> str:
    """What names a provider's cluster where no platform does: its context, or else its kubeconfig."""
    inputs = provider.inputs
    return str(inputs.get("context") or inputs.get("kubeconfig") or "")


def _leads_where(provider: Resource, other: Resource, platform: Platform) -> bool:
    """Whether a provider has the context and kubeconfig of a site's provider, as the platform states the context."""
    site = site_of_provider(other, platform)
    context, kubeconfig = provider.inputs.get("context"), provider.inputs.get("kubeconfig")
    if provider.inputs.get("cluster") or kubeconfig != other.inputs.get("kubeconfig"):
        return False
    if site is None or not (kubeconfig and context):
        return False
    return context in (site.kube_context, other.inputs.get("context"))


def _in_cluster(resource: Resource, clusters: Mapping[str, str], platform: Platform | None) -> Resource:
    provider = getattr(resource, "provider", None)
    if not resource.type.startswith("kubernetes:") or not provider:
        return resource
    is_default = platform is not None and _DEFAULT_PROVIDER in provider
    urn = clusters.get(provider, "" if is_default else provider)
    if urn == provider or not dataclasses.is_dataclass(resource):
        return resource
    return dataclasses.replace(resource, provider=urn or None)  # type: ignore[type-var]
