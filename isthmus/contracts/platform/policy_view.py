"""What a platform states of itself in the engine, for policies: whose addresses are whose, and what was promised.

A pack sees resources and nothing of the program's files. What stands in them already, a model's weights, its engine
and its size, is left out: a release of one model then changes nothing that the other layers' stacks say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from isthmus.contracts.platform.model.platform import Endpoint, Images, Platform
from isthmus.contracts.platform.model.serving import Weights, WeightStore

_ENDPOINT = (
    *("id", "class", "site", "target", "model", "pool", "region"),
    *("inference_profile", "destination_regions", "picker"),
)
_STORE = "weights_store"
"""In place of an endpoint's weights: by which name its pods fetch them."""


def stated(platform: Platform) -> dict[str, Any]:
    """Plain data; the contract names secrets and holds none."""
    # What nobody set is left out: some defaults may not be stated beside others.
    said = platform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    said["endpoints"] = [_endpoint(each) for each in said["endpoints"]]
    hosted = platform.images.sagemaker
    ours = [*platform.images.registries, *([f"{str(hosted).partition('/')[0]}/"] if hosted else [])]
    said["images"] = {"registries": sorted(set(ours))}
    return said


def read(said: Mapping[str, Any]) -> Platform:
    """The platform as policies ask for it: its parts are checked, and were held to each other where it was made.

    Raises `ValueError` (pydantic's, or this module's) for what is no part of a platform, or one that is missing.
    """
    fields = {info.alias or name: (name, info) for name, info in Platform.model_fields.items()}
    unknown = sorted(set(said) - set(fields))
    missing = sorted(key for key, (_, info) in fields.items() if info.is_required() and key not in said)
    if unknown or missing:
        raise ValueError(f"it is not one of this version's: {', '.join([*unknown, *missing])}")
    parts: dict[str, Any] = {}
    for key, value in said.items():
        name, info = fields[key]
        if name == "endpoints":
            parts[name] = [_read_endpoint(each) for each in value]
        elif name == "images":
            registries = TypeAdapter(list[str]).validate_python(value["registries"])
            parts[name] = Images.model_construct(registries=registries)
        else:
            kind: Any = info.annotation
            parts[name] = TypeAdapter(kind).validate_python(value)
    return Platform.model_construct(**parts)


def _endpoint(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: said[key] for key in _ENDPOINT if key in said}
    store = (said.get("weights") or {}).get("store")
    return {**kept, _STORE: store["endpoint"]} if store else kept


def _read_endpoint(said: Mapping[str, Any]) -> Endpoint:
    endpoint = Endpoint.model_validate({key: value for key, value in said.items() if key != _STORE})
    if _STORE not in said:
        return endpoint
    weights = Weights.model_construct(store=WeightStore.model_construct(endpoint=str(said[_STORE])))
    return endpoint.model_copy(update={"weights": weights})
