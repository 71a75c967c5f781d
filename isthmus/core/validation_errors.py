"""Turns pydantic's list of errors into one message that a user can act on."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from isthmus.core import value_formats
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused
from isthmus.core.yaml_documents import Document, PathOf, dotted

_NUMBER_ERRORS = ("int_type", "int_parsing", "int_from_float", "float_type", "float_parsing")


def nearest(word: object, names: typing.Iterable[str]) -> str | None:
    """The known name that is most similar to `word`, or None."""
    import difflib

    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: object, names: typing.Iterable[str]) -> str:
    """`Did you mean `x`?` or an empty text."""
    name = nearest(word, names)
    return f"Did you mean `{name}`?" if name else ""


def known_names(word: object, names: typing.Collection[str]) -> str:
    """How to correct a name that does not exist: the nearest one and all that do, or to define it."""
    if not names:
        return "Define it, or remove the reference: no name exists yet"
    return f"{did_you_mean(word, names)} Known: {', '.join(names)}".strip()


def explain(model: type[BaseModel], document: Document, error: ValidationError) -> IsthmusError:
    """The error to raise: the first fault in full, then the paths of up to five others."""
    errors: list[tuple[PathOf, dict[str, Any]]] = []
    paths: set[PathOf] = set()
    for item in error.errors(include_url=False):
        path = _path(document.data, item)
        if path not in paths:  # a union reports one error for each branch: the first is enough
            paths.add(path)
            errors.append((path, dict(item)))
    # A misspelt key also makes a required key missing: report the misspelling first.
    errors.sort(key=lambda entry: 0 if entry[1]["type"] == "extra_forbidden" else 1)
    path, item = errors[0]
    kind: type[IsthmusError] = InputError
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        message, fix = cause.what, cause.fix
        kind = Refused if cause.refused else InputError
    else:
        message, fix = _explain_error(model, path, item, document.data)
    if len(errors) > 1:
        other_paths = [dotted(document.data, other_path) for other_path, _ in errors[1:6]]
        rest = f"and {len(errors) - 1} more: {', '.join(other_paths)}" + (", …" if len(errors) > 6 else "")
        message = f"{message.rstrip('.')} ({rest})"
    is_key = item["type"] in ("extra_forbidden", "missing")
    return kind(message, where=document.where(path, key=is_key), fix=fix)


def _path(root: Any, item: Any) -> PathOf:
    """pydantic's location without the names of union branches, plus the path of a `FieldError`."""
    data: Any = root
    cause = item.get("ctx", {}).get("error")
    inner_path = cause.path if isinstance(cause, FieldError) else ()
    path: list[str | int] = []
    loc = item["loc"]
    for index, part in enumerate(loc):
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            path.append(part)
            data = data[part]  # pyright: ignore[reportCallIssue, reportArgumentType]
        elif index == len(loc) - 1 and item["type"] in ("missing", "extra_forbidden"):
            path.append(part)
    path += inner_path  # whole, although the data may lack some of its parents
    if item["type"] == "union_tag_invalid":
        path.append(str(item["ctx"]["discriminator"]).strip("'"))
    return tuple(path)


def _explain_error(model: type[BaseModel], path: PathOf, item: dict[str, Any], data: Any) -> tuple[str, str]:
    """Message and fix for one of pydantic's errors."""
    kind = item["type"]
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        names = keys_at(model, path[:-1], data)
        allowed = f"Allowed here: {', '.join(names)}" if names else "Remove it"
        hint = did_you_mean(last, names)
        return f"unknown key `{last}`", f"{hint} {allowed}".strip()
    if kind == "missing":
        return f"the key `{last}` is missing", f"Add `{last}: …`"
    return reason(item, last)


def reason(item: dict[str, Any], key: object = "") -> tuple[str, str]:
    """Message and fix for one of pydantic's errors about the value of a key."""
    kind, value, context = item["type"], item.get("input"), item.get("ctx", {})
    if kind == "union_tag_not_found":
        return f"the key {context.get('discriminator')} is missing", ""
    if kind == "union_tag_invalid":
        key = str(context.get("discriminator", "")).strip("'")
        kind, context = "literal_error", {"expected": context.get("expected_tags", "")}
        value = value.get(key) if isinstance(value, dict) else value
    if kind == "literal_error":
        allowed = context.get("expected", "")
        names = [name.strip(" '") for name in allowed.replace(" or ", ", ").split(",")]
        hint = did_you_mean(value, names) or "Use one of them"
        return f"{_quoted(value)} is not one of {', '.join(names)}", hint
    if kind == "value_error":
        cause = context.get("error")
        return str(cause or item["msg"]), cause.fix if isinstance(cause, FieldError) else ""
    message = item["msg"][0].lower() + item["msg"][1:]
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        message = "a mapping (`key: value` lines) is expected"
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        bound = "at least" if kind == "too_short" else "at most"
        return f"the list has {context.get('actual_length')} items, but must have {bound} {limit}", ""
    if kind == "string_pattern_mismatch":
        message = f"expected {value_formats.describe_pattern(str(context.get('pattern')))}"
    if kind in _NUMBER_ERRORS:
        number = "a whole number" if kind.startswith("int") else "a number"
        unit = value_formats.unit(key)
        message = f"expected {number} of {unit}" if unit else f"expected {number}"
        if isinstance(value, str) and kind.endswith("_type"):
            return f"`{value}` is text; {message}", "Write it without quotes"
    if isinstance(value, (dict, list)):
        return message, ""
    return f"{_quoted(value)} is not valid: {message}", ""


def _quoted(value: object) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= 80 else text[:77] + "…"
    return f"`{text}`" if value is not None else "an empty value"


def keys_at(model: Any, path: PathOf, data: Any) -> list[str]:
    """The keys that the part at `path` of `data` may have."""
    names: dict[str, None] = {}
    for kind in types_at(model, path, data):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update((info.alias or name, None) for name, info in kind.model_fields.items())
    return list(names)


def types_at(model: Any, path: PathOf, data: Any) -> list[Any]:
    """The types that the part at `path` of `data` may have; empty if no value may be there."""
    models: list[Any] = [model]
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        models = [child for kind in models for child in _children(kind, part)]
        if len(models) > 1 and isinstance(data, dict):
            models = [kind for kind in models if _is_kind(kind, data)] or models
    return models


def _is_kind(model: Any, data: dict[str, Any]) -> bool:
    """Whether the data's `kind` selects this branch of a union."""
    info = getattr(model, "model_fields", {}).get("kind")
    return info is not None and data.get("kind") in typing.get_args(info.annotation)


def _children(kind: Any, part: str | int) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            if part in (name, info.alias):
                return unwrap(info.annotation)
        return []
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict and len(arguments) == 2:
        return unwrap(arguments[1])
    if typing.get_origin(kind) in (list, tuple) and isinstance(part, int) and arguments:
        return unwrap(arguments[0])
    return []


def unwrap(annotation: Any) -> list[Any]:
    """The types in an annotation, without `Annotated`, `Optional` and unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return unwrap(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for branch in typing.get_args(annotation) for kind in unwrap(branch)]
    return [annotation]
