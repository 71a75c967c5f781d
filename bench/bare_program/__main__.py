"""Registers the resources of `resources.json` beside it; see `bench/bare.py`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pulumi

SECONDS = {"create": 1e9, "update": 1e9, "delete": 1e9}
"""State gives timeouts in nanoseconds."""
made: dict[str, Any] = {}


class Named(pulumi.CustomResource):
    """As a class of the SDK: the engine is told the lines that made a resource only where its class is one's own."""

    def __init__(self, token: str, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(token, name, inputs, opts)


def import_sdk(token: str) -> None:
    """Load the SDK's class of a type, as a program that names it would; its modules load when looked into."""
    package, module, kind = token.split(":")
    if package == "aws":
        getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), kind)
        return
    group, version = module.split("/")
    group = group.removesuffix(".k8s.io")
    if "." in group:  # a custom resource has no class of its own
        group, version, kind = "apiextensions", "", "CustomResource"
    path = f"pulumi_kubernetes.{group}" + (f".{version}" if version else "")
    getattr(importlib.import_module(path), kind)


def within(value: Any, path: list[str | int]) -> Any:
    """What stands at the path; None where nothing does, as for a value that is not known yet."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def referred(value: Any) -> set[tuple[str, str]]:
    """URN and head of the path of each output that an input takes."""
    if isinstance(value, list):
        return {one for item in value for one in referred(item)}
    if not isinstance(value, dict):
        return set()
    if set(value) == {"ref"}:
        return {(value["ref"][0], value["ref"][1][0])}
    return {one for item in value.values() for one in referred(item)}


def resolve(value: Any) -> Any:
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"ref"}:
        urn, (head, *rest) = value["ref"]
        result = getattr(made[urn], head)
        return result.apply(lambda got: within(got, rest)) if rest else result
    if set(value) == {"secret"}:
        return pulumi.Output.secret(value["secret"])
    if set(value) == {"concat"}:
        return pulumi.Output.concat(*[resolve(item) for item in value["concat"]])
    return {key: resolve(item) for key, item in value.items()}


entries = json.loads(Path("resources.json").read_text())
taken: dict[str, set[str]] = {}
for entry in entries:
    for urn, head in referred(entry["inputs"]):
        taken.setdefault(urn, set()).add(head)
for entry in entries:
    token = entry["type"]
    timeouts = {
        key: f"{int(entry['timeouts'][key] / SECONDS[key])}s" for key in SECONDS if entry["timeouts"].get(key)
    }
    opts = pulumi.ResourceOptions(
        depends_on=[made[urn] for urn in entry["depends_on"] if urn in made],
        provider=made.get(entry["provider"]),
        custom_timeouts=pulumi.CustomTimeouts(**timeouts) if timeouts else None,
        retain_on_delete=entry["retain_on_delete"],
        protect=entry["protect"],
    )
    inputs = resolve(entry["inputs"])
    if token.startswith("pulumi:providers:"):
        made[entry["urn"]] = pulumi.ProviderResource(token.rsplit(":", 1)[1], entry["name"], inputs)
        continue
    import_sdk(token)
    heads = taken.get(entry["urn"], set()) - {"id"}
    outputs = dict.fromkeys(sorted(heads - set(inputs)))
    made[entry["urn"]] = Named(token, entry["name"], {**outputs, **inputs}, opts)
