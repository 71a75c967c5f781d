"""What a property refers to: by the name in its value or, where AWS gave it, by what the engine says it needs."""

from __future__ import annotations

from isthmus.graph.resources.resources import Graph, Resource


def referred(graph: Graph, resource: Resource, key: str, kind: str) -> list[Resource]:
    """Resources of a type that ends in `kind` to which a property of a resource refers."""
    found = graph.referred(resource.inputs.get(key) or "", kind)
    if found:
        return found
    needs = getattr(resource, "property_dependencies", None) or {}
    urns = set(needs.get(key, ()))
    return [each for each in graph.of(kind) if each.urn in urns] if urns else []
