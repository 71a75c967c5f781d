"""Whether the stack creates an AWS access key, or has one where pods could read it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import Fault, Graph, Resource, name_and_namespace, pod_containers

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_KEY = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}")
_NAME = re.compile(
    "|".join(("aws_?access_?key_?id", "aws_?secret_?access_?key", "aws_?session_?token")), re.I
)


def no_access_key(graph: Graph) -> list[Fault]:
    """Find access keys that the stack creates, or that are in a pod or in what pods read."""
    access_keys = graph.of("aws:iam/accessKey:AccessKey")
    broken = [Fault(f"{key.name} is an access key", key) for key in access_keys]
    for resource in graph.resources:
        if not resource.type.startswith("kubernetes:"):
            continue
        if _has_key(json.dumps(resource.inputs)) or any(map(_has_key, _decoded_values(resource))):
            broken.append(Fault(f"{resource.name} holds an access key", resource))
        if resource.type.endswith(":Secret") and _NAME.search(" ".join(_data_keys(resource))):
            broken.append(Fault(f"{resource.name} holds an access key by its names", resource))
    for resource, template in graph.pods():
        for box in pod_containers(template):
            broken += [
                Fault(f"{resource.name} {why} in {box['name']}", resource)
                for why in _environment_faults(graph, resource, box)
            ]
    return broken


def _has_key(text: str) -> bool:
    # Search for words first: the pattern tests every position of a text, and texts have megabytes.
    return ("AKIA" in text or "ASIA" in text) and _KEY.search(text) is not None


def _environment_faults(graph: Graph, resource: Resource, box: Mapping[str, Any]) -> Iterator[str]:
    for variable in box.get("env") or []:
        if variable["name"] in VARIABLES:
            yield f"sets {variable['name']}"
    for source in box.get("envFrom") or []:
        prefix = str(source.get("prefix") or "")
        for part, kind in (("secretRef", ":Secret"), ("configMapRef", ":ConfigMap")):
            if source.get(part):
                wanted = (str(source[part].get("name")), name_and_namespace(resource)[1])
                sources = [
                    source_resource
                    for source_resource in graph.of(kind)
                    if name_and_namespace(source_resource) == wanted
                ]
                names = {prefix + name for source_resource in sources for name in _data_keys(source_resource)}
                yield from (f"sets {name}" for name in VARIABLES if name in names)
                if not sources:
                    yield f"loads every key of {wanted[0]}, an AWS access key maybe,"


def _data_keys(resource: Resource) -> list[str]:
    return [
        name
        for part in ("data", "stringData")
        for name in (resource.inputs.get(part) if isinstance(resource.inputs.get(part), dict) else None) or {}
    ]


def _decoded_values(resource: Resource) -> Iterator[str]:
    """The data of a Secret, decoded as pods read it."""
    data = resource.inputs.get("data")
    if resource.type.endswith(":Secret") and isinstance(data, dict):
        for value in data.values():
            try:
                yield base64.b64decode(str(value), validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                continue
