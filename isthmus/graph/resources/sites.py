"""Where the parts of a stack stand: a site by its provider's name, in a jurisdiction as the platform says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace

Kind = Literal["on-prem", "aws", ""]
_CLUSTER = "/kubernetes"
"""Ends the name of a provider of a cluster at an AWS site, beside that of the site itself."""


@dataclass(frozen=True)
class Place:
    """A site, as far as it is known."""

    name: str = ""
    kind: Kind = ""
    """Empty: nothing says where its machines stand."""
    jurisdiction: str = ""


class Places:
    """The places of a graph. Without a platform a cluster's provider has a name, and nobody knows where it is."""

    def __init__(self, graph: Graph, platform: Platform | None) -> None:
        self._sites: dict[str, Site] = {site.name: site for site in platform.sites} if platform else {}
        self._spaces: dict[str, list[str]] = {}
        for namespace in graph.of("kubernetes:core/v1:Namespace"):
            self._spaces.setdefault(name_and_namespace(namespace)[0], []).append(provider_of(namespace))

    def of(self, resource: Resource) -> Place:
        """Of a resource in AWS, or of an object of a cluster."""
        name = provider_of(resource)
        if resource.type.startswith("kubernetes:"):
            # Where the namespace is, is its cluster: a pod cannot be beside it.
            clusters = self._spaces.get(name_and_namespace(resource)[1], [])
            name = name if name in clusters or not clusters else clusters[0]
            return self.site(name)
        site = self.site(name)
        return site if site.kind else Place(name or str(resource.inputs.get("region") or ""), "aws")

    def site(self, name: str) -> Place:
        """A site by its name, or its provider's."""
        site = self._sites.get(name.removesuffix(_CLUSTER))
        if site is None:
            return Place(name)
        return Place(site.name, site.kind, site.jurisdiction)

    def ranges(self, kind: Kind) -> list[str]:
        """Addresses of the sites of a kind."""
        return [cidr for site in self._sites.values() if site.kind == kind for cidr in site.cidrs]

    def holding(self, within: Any, block: str) -> str:
        """The site whose addresses hold a range, by `within`; empty where none does."""
        return next((site.name for site in self._sites.values() if within(block, site.cidrs)), "")


def provider_of(resource: Resource) -> str:
    """The name of the provider by which a resource is made; empty where it is not said."""
    return str(getattr(resource, "provider", None) or "").rsplit("::", 1)[-1]
