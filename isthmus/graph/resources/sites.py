"""The site and the jurisdiction of the parts of a stack: by the name of their provider and by the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace

Kind = Literal["on-prem", "aws", ""]
_CLUSTER = "/kubernetes"
"""Suffix of the name of the provider for a cluster at an AWS site."""


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
