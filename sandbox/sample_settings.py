"""Made-up values for the settings of a stack that is used in the sandbox only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.cluster import nodes, weight_volumes

AUTHORITY = Path(__file__).with_name("authority.pem")
"""A certificate authority for samples. Its key was deleted, so it has no certificates."""


def sample_value_source(platform: dict[str, Any]) -> Callable[[str, Any], Any]:
    """Return a function that gives the value of an override by path. By default it returns the given example."""

    def sample_value(path: str, example: Any) -> Any:
        if path.endswith(".weights.digest"):
            model = next(
                endpoint["model"]
                for endpoint in platform["endpoints"]
                if f"endpoints[{endpoint['id']}]" in path
            )
            return f"sha256:{hashlib.sha256(model.encode()).hexdigest()}"
        if path == "images.sagemaker":
            sagemaker_endpoint = next(
                endpoint for endpoint in platform["endpoints"] if endpoint["target"] == "sagemaker"
            )
            region = next(
                site["region"] for site in platform["sites"] if site["name"] == sagemaker_endpoint["site"]
            )
            digest = hashlib.sha256(b"vllm").hexdigest()
            return f"123456789012.dkr.ecr.{region}.amazonaws.com/vllm@sha256:{digest}"
        if path.endswith(".screening.models"):
            return [_sample_entity_model(model) for model in example]
        if path.endswith(".ca_certificates"):
            return AUTHORITY.read_text("utf-8")
        if path.endswith(".node_names"):
            return next(
                _machine_names(pool) for pool in platform["pools"] if f"pools[{pool['name']}]" in path
            )
        return example

    return sample_value


def _sample_entity_model(model: dict[str, str]) -> dict[str, str]:
    """The English model of the detector's image as it is; a made-up one for another language."""
    language = model["language"]
    if language == "en":
        return model
    digest = hashlib.sha256(language.encode()).hexdigest()
    return {"file": f"sample_{language}-1.0.0-py3-none-any.whl", "sha256": digest, "language": language}


def sandbox_settings(platform: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (path, value) of overrides that only a stack in the sandbox needs.

    They are the node names of each pool, since the sandbox has no node discovery, and the volume of each claim.
    """
    settings = [
        (f"pools[{pool['name']}].node_names", f"[{', '.join(_machine_names(pool))}]")
        for pool in platform.get("pools", [])
        # A node group in AWS labels its nodes itself, and their names change.
        if "node_group" not in pool
    ]
    sensitivities_by_model: dict[str, list[str]] = {}
    for endpoint in platform["endpoints"]:
        if "pool" not in endpoint or endpoint.get("weights"):
            continue
        sensitivities = sensitivities_by_model.setdefault(endpoint["model"], [])
        if endpoint["class"] not in sensitivities:
            sensitivities.append(endpoint["class"])
        volume = weight_volumes.volume_name(endpoint["model"], sensitivities.index(endpoint["class"]) + 1)
        settings.append((f"endpoints[{endpoint['id']}].weights.volume", volume))
    return settings


def _machine_names(pool: dict[str, Any]) -> list[str]:
    return [nodes.machine_name(pool["name"], number) for number in range(pool["nodes"])]
