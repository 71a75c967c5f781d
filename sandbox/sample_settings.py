"""What an organisation would say of a stack, made up: the values of a stack that only the sandbox will ever see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.cluster import nodes, weight_volumes

AUTHORITY = Path(__file__).with_name("authority.pem")
"""A made-up authority whose key was thrown away: nobody holds a certificate of it."""


def answer(platform: dict[str, Any]) -> Callable[[str, Any], Any]:
    """The value for an override by its path; the example, where any value of its form will do."""

    def given(path: str, example: Any) -> Any:
        if path.endswith(".weights.digest"):
            model = next(
                each["model"] for each in platform["endpoints"] if f"endpoints[{each['id']}]" in path
            )
            return f"sha256:{hashlib.sha256(model.encode()).hexdigest()}"
        if path == "images.sagemaker":
            hosted = next(each for each in platform["endpoints"] if each["target"] == "sagemaker")
            region = next(site["region"] for site in platform["sites"] if site["name"] == hosted["site"])
            digest = hashlib.sha256(b"vllm").hexdigest()
            return f"123456789012.dkr.ecr.{region}.amazonaws.com/vllm@sha256:{digest}"
        if path.endswith(".ca_certificates"):
            return AUTHORITY.read_text("utf-8")
        if path.endswith(".node_names"):
            return next(_machines(pool) for pool in platform["pools"] if f"pools[{pool['name']}]" in path)
        return example

    return given


def besides(platform: dict[str, Any]) -> list[tuple[str, str]]:
    """What a stack of the sandbox needs that another need not say: machines by name, for nothing here discovers
    nodes, and the volume of each claim."""
    found = [
        (f"pools[{pool['name']}].node_names", f"[{', '.join(_machines(pool))}]")
        for pool in platform.get("pools", [])
        # Those of a node group in AWS are labelled as they come, and have no names to keep.
        if "node_group" not in pool
    ]
    classes: dict[str, list[str]] = {}
    for endpoint in platform["endpoints"]:
        if "pool" not in endpoint or endpoint.get("weights"):
            continue
        held = classes.setdefault(endpoint["model"], [])
        if endpoint["class"] not in held:
            held.append(endpoint["class"])
        volume = weight_volumes.volume_name(endpoint["model"], held.index(endpoint["class"]) + 1)
        found.append((f"endpoints[{endpoint['id']}].weights.volume", volume))
    return found


def _machines(pool: dict[str, Any]) -> list[str]:
    return [nodes.machine(pool["name"], number) for number in range(pool["nodes"])]
