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


def import_sdk(token: str) -> None:
    """Load the SDK module of a type, as a program that names the class would."""
    package, module, _ = token.split(":")
    path = module.split("/")[0] if package == "aws" else module.replace("/", ".")
    importlib.import_module(f"pulumi_{package}.{path}" if path != "index" else f"pulumi_{package}")


def resolve(value: Any) -> Any:
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"ref"}:
        urn, output = value["ref"]
        if output == "id":
            return made[urn].id
        head, *rest = output.split(".")
        result = getattr(made[urn], head)
        return result.apply(lambda got: got.get(rest[0]) if got else None) if rest else result
    if set(value) == {"concat"}:
        return pulumi.Output.concat(*[resolve(item) for item in value["concat"]])
    return {key: resolve(item) for key, item in value.items()}


for entry in json.loads(Path("resources.json").read_text()):
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
    if not token.endswith("Patch") and token.split(":")[1].count(".") <= 3:
        try:
            import_sdk(token)
        except ModuleNotFoundError:  # a custom resource of the cluster has no class of its own
            importlib.import_module("pulumi_kubernetes.apiextensions")
    outputs = {name: None for name in ("arn", "bucket", "keyId", "name", "spec") if name not in inputs}
    made[entry["urn"]] = pulumi.CustomResource(token, entry["name"], {**outputs, **inputs}, opts)
