"""Finds an example for each property of a JSON Schema: the stated one, else one that fits its type and its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from isthmus.core import value_formats

_EXAMPLES_OF_KEYS: Mapping[str, Any] = {
    "addons": "v1.21.2-eksbuild.1",
    "also": "qwen3-32b-fra1-2",
    "as_of": "2026-11-01",
    "blueprint": "regulated-hybrid",
    "breaks_first": "qwen3-32b-fra1",
    "chart": "oci://registry.example/charts/gpu-operator",
    "ca_certificates": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----",
    "client": "claims-app.example",
    "clients": "claims-app.example",
    "conflicts": "case-drafts needs 16 GPUs, and pool fra1-l40s-48gb has 8",
    "context": "case number",
    "control_namespace": "istio-system",
    "control_port": 15012,
    "decide_h": 24,
    "destination_regions": "eu-central-1",
    "dns": "10.40.0.53",
    "endpoint": "qwen3-32b-fra1",
    "endpoints": "qwen3-32b-fra1",
    "engine_args": "--enable-chunked-prefill",
    "engine_version": "0.33.0",
    "external_id": "llm-platform",
    "from": "fra1",
    "gpu": "h100-sxm-80gb",
    "group": "gateway.example.com",
    "gpus": 8,
    "gpus_per_node": 8,
    "guardrail": "frankfurt-internal",
    "host": "internal.llm.example",
    "identity": "internal-frankfurt",
    "imports": "llm-audit",
    "inference_profile": "eu.amazon.nova-lite-v1:0",
    "instance_type": "g6e.12xlarge",
    "kube_context": "fra1",
    "kv_cache_dtype": "fp8",
    "labels": "kube-dns",
    "jurisdiction": "de",
    "max_replicas": 4,
    "mig_profile": "3g.40gb",
    "model": "Qwen/Qwen3-32B",
    "model_family": "qwen3",
    "monthly_cost_usd": 28933.0,
    "monthly_usd": 500.0,
    "namespace": "monitoring",
    "needs": "qwen3-32b-fra1 needs 2 more replicas",
    "network": "frankfurt",
    "no_proxy": "store.site.example",
    "node_names": "gpu-node-1",
    "node_path": "/mnt/nvme/isthmus",
    "nodes": 2,
    "of": "internal",
    "outgrown_first": "qwen3-32b-fra1",
    "overflow": "nova-lite-frankfurt",
    "path": "adapters/claims",
    "pattern": "CASE-[0-9]{8}",
    "peer_ip": "198.51.100.10",
    "percent": 5,
    "phrases": "insider information",
    "pool": "fra1-h100-sxm-80gb",
    "port": 443,
    "precision": "fp8",
    "priority": "nightly",
    "product": "NVIDIA-H100-80GB-HBM3",
    "prometheus_url": "http://prometheus.monitoring:9090",
    "provides": "cert-manager.io",
    "purchase": "on-demand",
    "purpose": "issues certificates",
    "reasoning_parser": "qwen3",
    "reference": "registry.example/llm/edge:1.0.0",
    "region": "eu-central-1",
    "registries": "registry.example/llm/",
    "rejected_because": "its best plan costs 411.35 USD a month more",
    "release_version": "1.36.0-20261101",
    "replicas_by_domain": 2,
    "repository": "registry.example/nvidia",
    "requests_per_minute": 600,
    "residency": "eu",
    "retention_days": 365,
    "sampling_pct": 10,
    "share": 1.0,
    "site": "fra1",
    "runbooks_url": "https://docs.bank.example/isthmus/runbooks.html",
    "size_mib": 84,
    "source": "aws.amazon.com/bedrock/pricing",
    "tags": "cc-4711",
    "team": "claims",
    "tensor_parallel": 2,
    "text": "{…}",
    "to": "frankfurt",
    "tokens_per_minute": 200_000,
    "tokens_per_month": 1_000_000_000,
    "tool_call_parser": "hermes",
    "trust": "frankfurt",
    "unit": "GPU month",
    "unit_price_usd": 625.0,
    "usd_per_gpu_hour": 1.4,
    "usd_per_month": 2000,
    "version": "1.0.0",
    "volume": "weights-qwen3-32b",
    "warnings": "no measurements exist for this model and GPU",
    "what": "1 more node of h100-sxm-80gb at fra1",
    "why": "It is the cheapest choice for the plan as a whole.",
    "workload": "ticket-answers",
    "workloads": "ticket-answers",
}
"""By key: an example of its text or number (or of one item of a list), used where it fits and the field states none."""


def example(key: str, value: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """A valid value of a property: the stated example, a name that differs from the default, or one that fits.

    `key`: the property's key. `definitions`: the schema's `$defs`.
    """
    if value.get("examples"):
        return value["examples"][0]
    if "const" in value:
        return value["const"]
    if "enum" in value:
        return next((name for name in value["enum"] if name != value.get("default")), value["enum"][0])
    if "$ref" in value:
        return _of_part(definitions[value["$ref"].rpartition("/")[2]], definitions)
    choices = [*value.get("anyOf", []), *value.get("oneOf", [])]
    if choices:
        inherited = {"default": value["default"]} if value.get("default") is not None else {}
        first = next((branch for branch in choices if branch.get("type") != "null"), choices[0])
        return example(key, {**inherited, **first}, definitions)
    return _of_type(key, value, definitions)


def _of_part(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """An example of a part: its required keys and one of its alternatives, or its first key if none is required."""
    properties: Mapping[str, Any] | None = part.get("properties")
    if properties is None:
        return example("", part, definitions)
    alternatives = [branch["required"] for branch in part.get("anyOf", []) if "required" in branch]
    keys = [*part.get("required", []), *(alternatives[0] if alternatives else [])] or list(properties)[:1]
    return {key: example(name_key(key, part.get("title", "")), properties[key], definitions) for key in keys}


def name_key(key: str, title: str) -> str:
    """The key by which a name's example is made: the part's title for `name` and `id`, else the key itself."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", title).lower() if key in ("name", "id") else key


def _of_type(key: str, value: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    default = value.get("default")
    match value.get("type"):
        case "boolean":
            return not default
        case "array":
            return default or [example(key, value.get("items", {}), definitions)]
        case "object":
            return default or _of_map(key, value, definitions)
        case "integer" | "number":
            known = _EXAMPLES_OF_KEYS.get(key)
            return default or (known if isinstance(known, int | float) else max(1, value.get("minimum", 1)))
    return default or _of_text(key, value.get("pattern"))


def _of_map(key: str, value: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    inner, names = value.get("additionalProperties"), value.get("propertyNames", {})
    for pattern, item in value.get("patternProperties", {}).items():
        names, inner = {"pattern": pattern}, item
    name = example("", {"type": "string", **names}, definitions)
    return {name: example(key, inner if isinstance(inner, dict) else {}, definitions)}


def _of_text(key: str, pattern: str | None) -> str:
    """The known example of the key, else that in the description of the pattern, else the key itself as a name."""
    described = re.findall(r"`([^`]+)`", value_formats.DESCRIPTIONS.get(pattern or "", ""))
    known = [text for text in [_EXAMPLES_OF_KEYS.get(key)] if isinstance(text, str)]
    for text in (*known, *described, key.replace("_", "-")):
        if text and (pattern is None or re.search(pattern, text)):
            return text
    return "name"
