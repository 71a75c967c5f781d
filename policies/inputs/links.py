"""Resolves references in properties: by a name in the value, or by the engine's property dependencies."""

from __future__ import annotations

from isthmus.graph.resources.resources import Graph, Resource


def dependencies(resource: Resource, key: str | None = None) -> set[str]:
    """URNs of the resources whose outputs are in a property, or (without `key`) in any of the inputs."""
    by_property = getattr(resource, "property_dependencies", None) or {}
    listed = by_property.values() if key is None else [by_property.get(key, ())]
    return {urn for urns in listed for urn in urns}


def referenced_resources(graph: Graph, resource: Resource, key: str, kind: str) -> list[Resource]:
    """The resources that a property refers to and whose type ends in `kind`."""
    resources = graph.referred(resource.inputs.get(key) or "", kind)
    if resources:
        return resources
    urns = dependencies(resource, key)
    return [candidate for candidate in graph.of(kind) if candidate.urn in urns] if urns else []
