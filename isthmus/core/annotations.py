"""What the annotation of a model's field holds: its types, and which part of a union some data is."""

from __future__ import annotations

import types
import typing
from typing import Any


def unwrap(annotation: Any) -> list[Any]:
    """The types in an annotation, without `Annotated`, `Optional` and unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return unwrap(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for branch in typing.get_args(annotation) for kind in unwrap(branch)]
    return [annotation]


def is_kind(model: Any, data: dict[str, Any]) -> bool:
    """Whether the data's `kind` selects this branch of a union."""
    info = getattr(model, "model_fields", {}).get("kind")
    return info is not None and data.get("kind") in typing.get_args(info.annotation)
