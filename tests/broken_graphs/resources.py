"""Takes resources from a graph, adds some to it, and changes the inputs of others. The graph itself stays as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from tests.broken_graphs import parts
from tests.broken_graphs.changes import Change

Resources = Sequence[Resource]


def altered(resources: Iterable[Resource], kind: str, name: str, how: Change) -> Graph:
    """A graph with changed inputs of the resources of a type whose name has an ending. Fails if there is none."""
    resources_changed, count = change_inputs(resources, kind, name, how)
    assert count, f"no {kind} {name}"
    return Graph(resources_changed)


def change_inputs(
    resources: Iterable[Resource], kind: str, name: str, how: Change
) -> tuple[list[Resource], int]:
    """The resources with changed inputs of those of a type whose name has an ending, and how many these are."""
    resources_changed, count = [], 0
    for resource in resources:
        if resource.type.endswith(kind) and resource.name.endswith(name) and resource.made:
            inputs = copy.deepcopy(resource.inputs)
            how(inputs)
            resource, count = replace(resource, inputs=inputs), count + 1
        resources_changed.append(resource)
    return resources_changed, count


def resources_of_kinds(resources: Resources, kinds: tuple[str, ...]) -> Iterator[Resource]:
    """Made resources whose type ends in one of `kinds`, by URN."""
    candidates = (resource for resource in resources if resource.made and resource.type.endswith(kinds))
    return iter(sorted(candidates, key=lambda resource: resource.urn))


def by_urn(resources: Resources, urn: str) -> Resource:
    return next(resource for resource in resources if resource.urn == urn)


def without(resources: Resources, gone: set[str]) -> list[Resource]:
    """The resources but these, which nothing depends on any more."""
    remaining = []
    for resource in resources:
        if resource.urn in gone:
            continue
        if gone & {
            *resource.dependencies,
            *(urn for urns in resource.property_dependencies.values() for urn in urns),
        }:
            needs = {
                key: left
                for key, urns in resource.property_dependencies.items()
                if (left := [urn for urn in urns if urn not in gone])
            }
            left = [urn for urn in resource.dependencies if urn not in gone]
            resource = replace(resource, dependencies=left, property_dependencies=needs)
        remaining.append(resource)
    return remaining


def tied(resource: Resource, resources: Resources) -> Resource:
    """The resource, depending also on what its inputs refer to, as the engine would have it."""
    names = {key: parts.references(value) for key, value in resource.inputs.items()}
    wanted_names = set().union(*names.values()) if names else set()
    urns = {
        resource.name: resource.urn
        for resource in resources
        if resource.made and resource.name in wanted_names
    }
    needs = {key: set(urns_needed) for key, urns_needed in resource.property_dependencies.items()}
    for key, property_names in names.items():
        found_urns = {urns[name] for name in property_names if name in urns} - {resource.urn}
        if found_urns:
            needs.setdefault(key, set()).update(found_urns)
    all_dependencies = {
        *resource.dependencies,
        *(urn for urns_needed in needs.values() for urn in urns_needed),
    }
    return replace(
        resource,
        dependencies=sorted(all_dependencies),
        property_dependencies={key: sorted(needs[key]) for key in sorted(needs)},
    )


def beside(near: Resource, kind: str, name: str, inputs: dict[str, Any]) -> Resource:
    """A resource as somebody's own few lines in the program would add it, by the provider that makes `near`."""
    stack, project = near.urn.removeprefix("urn:pulumi:").split("::")[:2]
    if kind.startswith("kubernetes:"):
        version, api_kind = kind.split(":")[1:]
        inputs = {"apiVersion": version.removeprefix("core/"), "kind": api_kind, **inputs}
    elif "tags" in inputs:
        annotations = {"isthmus-stack": f"{project}/{stack}", "isthmus-resource": name}
        inputs = {**inputs, "tags": {**inputs["tags"], **annotations}}
    return replace(
        near,
        urn=f"urn:pulumi:{stack}::{project}::{kind}::{name}",
        type=kind,
        name=name,
        parent=None,
        inputs=inputs,
        dependencies=[],
        property_dependencies={},
        options={},
    )


def copied(near: Resource, name: str, inputs: dict[str, Any]) -> Resource:
    """Another resource of the same type, under another name."""
    fields = {key: value for key, value in inputs.items() if key not in ("apiVersion", "kind")}
    return beside(near, near.type, name, fields)
