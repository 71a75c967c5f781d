"""Registers the resources of `resources.json` in the same folder. `bench/bare.py` writes that file."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pulumi

SECONDS = {"create": 1e9, "update": 1e9, "delete": 1e9}
"""The state has timeouts in nanoseconds."""
resource_of: dict[str, Any] = {}


class TypedResource(pulumi.CustomResource):
    """A subclass, like those of the SDK: Pulumi records the source line of a resource only for subclasses."""

    def __init__(self, token: str, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(token, name, inputs, opts)


def import_sdk(token: str) -> None:
    """Load the SDK class of a resource type, as a handwritten program would. The SDK loads its modules lazily."""
    package, module, kind = token.split(":")
    if package == "aws":
        getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), kind)
        return
    group, version = module.split("/")
    group = group.removesuffix(".k8s.io")
    if "." in group:  # The SDK has no class for a custom resource.
        group, version, kind = "apiextensions", "", "CustomResource"
    path = f"pulumi_kubernetes.{group}" + (f".{version}" if version else "")
    getattr(importlib.import_module(path), kind)


def value_at(value: Any, path: list[str | int]) -> Any:
    """The value at the path, or None if there is none, for example because the value is not known yet."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def used_references(value: Any) -> set[tuple[str, str]]:
    """The URN and the first key of the path of each output that an input uses."""
    if isinstance(value, list):
        return {reference for item in value for reference in used_references(item)}
    if not isinstance(value, dict):
        return set()
    if set(value) == {"ref"}:
        return {(value["ref"][0], value["ref"][1][0])}
    return {reference for item in value.values() for reference in used_references(item)}


def resolve(value: Any) -> Any:
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"ref"}:
        urn, (head, *tail) = value["ref"]
        result = getattr(resource_of[urn], head)
        return result.apply(lambda output_value: value_at(output_value, tail)) if tail else result
    if set(value) == {"secret"}:
        return pulumi.Output.secret(value["secret"])
    if set(value) == {"concat"}:
        return pulumi.Output.concat(*[resolve(item) for item in value["concat"]])
    return {key: resolve(item) for key, item in value.items()}


resource_entries = json.loads(Path("resources.json").read_text())
used_outputs: dict[str, set[str]] = {}
for entry in resource_entries:
    for urn, head in used_references(entry["inputs"]):
        used_outputs.setdefault(urn, set()).add(head)
for entry in resource_entries:
    token = entry["type"]
    timeouts = {
        key: f"{int(entry['timeouts'][key] / SECONDS[key])}s" for key in SECONDS if entry["timeouts"].get(key)
    }
    opts = pulumi.ResourceOptions(
        depends_on=[resource_of[urn] for urn in entry["depends_on"] if urn in resource_of],
        provider=resource_of.get(entry["provider"]),
        custom_timeouts=pulumi.CustomTimeouts(**timeouts) if timeouts else None,
        retain_on_delete=entry["retain_on_delete"],
        protect=entry["protect"],
    )
    inputs = resolve(entry["inputs"])
    if token.startswith("pulumi:providers:"):
        resource_of[entry["urn"]] = pulumi.ProviderResource(token.rsplit(":", 1)[1], entry["name"], inputs)
        continue
    import_sdk(token)
    heads = used_outputs.get(entry["urn"], set()) - {"id"}
    outputs = dict.fromkeys(sorted(heads - set(inputs)))
    resource_of[entry["urn"]] = TypedResource(token, entry["name"], {**outputs, **inputs}, opts)
