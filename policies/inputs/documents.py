"""Parses documents in properties: IAM policies (JSON), edge configurations (YAML), task containers (JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.graph.resources.resources import Graph, Resource, as_list
from isthmus.graph.resources.texts import load_config
from policies.inputs.values import is_unknown

RESOURCE_POLICY_KEYS = {
    "aws:kms/key:Key": "policy",
    "aws:kms/keyPolicy:KeyPolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
}
"""Type of a resource that has a policy → the input with the document."""


def statements(value: Any) -> list[dict[str, Any]] | None:
    """The statements of a policy document; None if the document is unknown or cannot be parsed."""
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
    raw = parsed.get("Statement", [])
    entries = raw if isinstance(raw, list) else [raw]
    return [entry for entry in entries if isinstance(entry, dict)] if entries else []


def actions(statement: Mapping[str, Any]) -> list[str]:
    return as_list(statement.get("Action"))


def resources(statement: Mapping[str, Any]) -> list[str]:
    return as_list(statement.get("Resource"))


def principals(statement: Mapping[str, Any]) -> list[str]:
    """The principals of a statement, of every kind; `*` for everybody."""
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        return [name for kind in principal.values() for name in as_list(kind)]
    return as_list(principal)


def conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Operator, key and value of each condition."""
    for operator, pairs in (statement.get("Condition") or {}).items():
        for key, value in (pairs or {}).items():
            yield str(operator), str(key), value


def containers(task: Resource) -> list[dict[str, Any]] | None:
    """The containers of a task definition; None if they cannot be read."""
    definitions = task.inputs.get("containerDefinitions")
    if isinstance(definitions, str):
        try:
            definitions = json.loads(definitions)
        except ValueError:
            return None
    return (
        [definition for definition in definitions if isinstance(definition, dict)]
        if isinstance(definitions, list)
        else None
    )


def gateway_configurations(graph: Graph) -> Iterator[tuple[Resource, str, dict[str, Any] | None]]:
    """Each edge configuration in the graph: resource, key, configuration (None: it cannot be read).

    It is in a ConfigMap, or in the environment variable `EDGE_CONFIG` of a task.
    """
    for resource in graph.of("kubernetes:core/v1:ConfigMap"):
        labels = (resource.inputs.get("metadata") or {}).get("labels") or {}
        data = resource.inputs.get("data")
        if not isinstance(labels, Mapping) or "isthmus.dev/role" not in labels:
            continue
        if is_unknown(data):
            yield resource, "data", None
        for key, text in sorted(data.items()) if isinstance(data, Mapping) else ():
            if str(key).endswith((".yaml", ".yml")):
                yield resource, str(key), _parse_yaml(text)
    for resource in graph.of("aws:ecs/taskDefinition:TaskDefinition"):
        for container in containers(resource) or []:
            for variable in container.get("environment") or []:
                if variable.get("name") == "EDGE_CONFIG":
                    yield resource, "EDGE_CONFIG", _parse_yaml(variable.get("value"))


def _parse_yaml(text: Any) -> dict[str, Any] | None:
    try:
        return load_config(str(text))
    except InputError:
        return None
