"""Resolves references in properties: by a name in the value, or by the engine's property dependencies."""

from __future__ import annotations

from isthmus.graph.resources.resources import Graph, Resource


def referenced_resources(graph: Graph, resource: Resource, key: str, kind: str) -> list[Resource]:
    """The resources that a property refers to and whose type ends in `kind`."""
    resources = graph.referred(resource.inputs.get(key) or "", kind)
    if resources:
        return resources
    needs = getattr(resource, "property_dependencies", None) or {}
    urns = set(needs.get(key, ()))
    return [candidate for candidate in graph.of(kind) if candidate.urn in urns] if urns else []
