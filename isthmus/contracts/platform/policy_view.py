"""Passes the platform to the policy pack, which sees resources but not the program's files.

A model's weights, engine and size are left out, because resources already show them. So a new release of a model does
not change what the stacks of other layers pass on. Endpoints that evaluation jobs ask are whole: a job's settings name
exactly what it evaluates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from isthmus.contracts.platform.lookups.evaluator import evaluated_endpoints
from isthmus.contracts.platform.model.platform import Endpoint, Images, Platform
from isthmus.contracts.platform.model.serving import Weights, WeightStore

_ENDPOINT_KEYS = (
    *("id", "class", "site", "target", "model", "pool", "region"),
    *("inference_profile", "destination_regions", "picker"),
)
_STORE_KEY = "weights_store"
"""In place of an endpoint's weights: by which name its pods fetch them."""


def describe(platform: Platform) -> dict[str, Any]:
    """The platform as plain data for policies. It has names of secrets, but no secret values."""
    # What nobody set is left out: some defaults may not be stated beside others.
    data = platform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    whole = evaluated_endpoints(platform)
    data["endpoints"] = [
        endpoint if endpoint["id"] in whole else _endpoint(endpoint) for endpoint in data["endpoints"]
    ]
    sagemaker_image = platform.images.sagemaker
    registries = [
        *platform.images.registries,
        *([f"{str(sagemaker_image).partition('/')[0]}/"] if sagemaker_image else []),
    ]
    data["images"] = {"registries": sorted(set(registries))}
    return data


def parse(data: Mapping[str, Any]) -> Platform:
    """The platform from such data. Its parts are validated; the rules between parts are not run again.

    Raises `ValueError` (pydantic's, or this module's) for unknown or missing parts.
    """
    fields = {info.alias or name: (name, info) for name, info in Platform.model_fields.items()}
    unknown = sorted(set(data) - set(fields))
    missing = sorted(key for key, (_, info) in fields.items() if info.is_required() and key not in data)
    if unknown or missing:
        raise ValueError(
            f"the platform does not fit this version of Isthmus; unknown or missing: {', '.join([*unknown, *missing])}"
        )
    parts: dict[str, Any] = {}
    for key, value in data.items():
        name, info = fields[key]
        if name == "endpoints":
            parts[name] = [_read_endpoint(endpoint) for endpoint in value]
        elif name == "images":
            registries = TypeAdapter(list[str]).validate_python(value["registries"])
            parts[name] = Images.model_construct(registries=registries)
        else:
            kind: Any = info.annotation
            parts[name] = TypeAdapter(kind).validate_python(value)
    return Platform.model_construct(**parts)


def _endpoint(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    selected = {key: endpoint[key] for key in _ENDPOINT_KEYS if key in endpoint}
    store = (endpoint.get("weights") or {}).get("store")
    return {**selected, _STORE_KEY: store["endpoint"]} if store else selected


def _read_endpoint(data: Mapping[str, Any]) -> Endpoint:
    endpoint = Endpoint.model_validate({key: value for key, value in data.items() if key != _STORE_KEY})
    if _STORE_KEY not in data:
        return endpoint
    weights = Weights.model_construct(store=WeightStore.model_construct(endpoint=str(data[_STORE_KEY])))
    return endpoint.model_copy(update={"weights": weights})
