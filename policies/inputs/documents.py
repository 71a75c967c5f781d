"""Documents within a property: policies as JSON, configurations as YAML, tasks' containers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.graph.resources.resources import Graph, Resource, listed
from isthmus.graph.resources.texts import loaded
from policies.inputs.values import unknown


def statements(value: Any) -> list[dict[str, Any]] | None:
    """The statements of a policy document; None where it is unknown as a whole, or reads as none."""
    if not value:
        return []
    parsed = value
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError:
            return None
    if not isinstance(parsed, Mapping):
        return None
    found = parsed.get("Statement", [])
    every = found if isinstance(found, list) else [found]
    return [each for each in every if isinstance(each, dict)] if every else []


def actions(statement: Mapping[str, Any]) -> list[str]:
    return listed(statement.get("Action"))


def resources(statement: Mapping[str, Any]) -> list[str]:
    return listed(statement.get("Resource"))


def principals(statement: Mapping[str, Any]) -> list[str]:
    """Who is meant, whatever kind of principal; `*` for everybody."""
    said = statement.get("Principal")
    if isinstance(said, Mapping):
        return [who for kind in said.values() for who in listed(kind)]
    return listed(said)


def conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Operator, key and value of each condition."""
    for operator, pairs in (statement.get("Condition") or {}).items():
        for key, value in (pairs or {}).items():
            yield str(operator), str(key), value


def containers(task: Resource) -> list[dict[str, Any]] | None:
    """The containers of a task definition; None where they cannot be read."""
    said = task.inputs.get("containerDefinitions")
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            return None
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else None


def configurations(graph: Graph) -> Iterator[tuple[Resource, str, dict[str, Any] | None]]:
    """Each configuration of a gateway's service in the graph, with its resource and key; None: it cannot be read.

    It stands in a ConfigMap beside the pods, or in the variable `EDGE_CONFIG` of a task.
    """
    for resource in graph.of("kubernetes:core/v1:ConfigMap"):
        labels = (resource.inputs.get("metadata") or {}).get("labels") or {}
        data = resource.inputs.get("data")
        if not isinstance(labels, Mapping) or "isthmus.dev/role" not in labels:
            continue
        if unknown(data):
            yield resource, "data", None
        for key, text in sorted(data.items()) if isinstance(data, Mapping) else ():
            if str(key).endswith((".yaml", ".yml")):
                yield resource, str(key), _yaml(text)
    for resource in graph.of("aws:ecs/taskDefinition:TaskDefinition"):
        for box in containers(resource) or []:
            for variable in box.get("environment") or []:
                if variable.get("name") == "EDGE_CONFIG":
                    yield resource, "EDGE_CONFIG", _yaml(variable.get("value"))


def _yaml(text: Any) -> dict[str, Any] | None:
    try:
        return loaded(str(text))
    except InputError:
        return None
