"""Turn pydantic's list of errors into one paragraph that a user can act on."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from isthmus.core import value_formats
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused
from isthmus.core.yaml_documents import Document, PathOf, dotted

_NO_NUMBER = ("int_type", "int_parsing", "int_from_float", "float_type", "float_parsing")


def nearest(word: object, names: typing.Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    import difflib

    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: object, names: typing.Iterable[str]) -> str:
    """`Did you mean `x`?` or an empty text."""
    name = nearest(word, names)
    return f"Did you mean `{name}`?" if name else ""


def explain(model: type[BaseModel], document: Document, error: ValidationError) -> IsthmusError:
    """The first error in full, then the paths of the others."""
    found: list[tuple[PathOf, dict[str, Any]]] = []
    seen: set[PathOf] = set()
    for item in error.errors(include_url=False):
        path = _path(document.data, item)
        if path not in seen:  # a union gives one error a branch: the first says enough
            seen.add(path)
            found.append((path, dict(item)))
    # A misspelt key makes another one missing; the misspelling is the thing to mend.
    found.sort(key=lambda entry: 0 if entry[1]["type"] == "extra_forbidden" else 1)
    path, item = found[0]
    kind: type[IsthmusError] = InputError
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        what, fix = cause.what, cause.fix
        kind = Refused if cause.refused else InputError
    else:
        what, fix = _say(model, path, item, document.data)
    if len(found) > 1:
        others = [dotted(document.data, other) for other, _ in found[1:6]]
        more = f"and {len(found) - 1} more: {', '.join(others)}" + (", …" if len(found) > 6 else "")
        what = f"{what.rstrip('.')} ({more})"
    is_key = item["type"] in ("extra_forbidden", "missing")
    return kind(what, where=document.where(path, key=is_key), fix=fix)


def _path(whole: Any, item: Any) -> PathOf:
    """pydantic's location without the names of union branches, plus the path of an `FieldError`."""
    data: Any = whole
    cause = item.get("ctx", {}).get("error")
    below = cause.path if isinstance(cause, FieldError) else ()
    path: list[str | int] = []
    loc = item["loc"]
    for index, part in enumerate((*loc, *below)):
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            path.append(part)
            data = data[part]  # pyright: ignore[reportCallIssue, reportArgumentType]
        elif index == len(loc) + len(below) - 1 and (item["type"] in ("missing", "extra_forbidden") or below):
            path.append(part)
    if item["type"] == "union_tag_invalid":
        path.append(str(item["ctx"]["discriminator"]).strip("'"))
    return tuple(path)


def _say(model: type[BaseModel], path: PathOf, item: dict[str, Any], whole: Any) -> tuple[str, str]:
    """What is wrong and what to do, from one of pydantic's errors."""
    kind = item["type"]
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        names = keys_at(model, path[:-1], whole)
        allowed = f"Allowed here: {', '.join(names)}" if names else "Leave it away"
        hint = did_you_mean(last, names)
        return f"unknown key `{last}`", f"{hint} {allowed}".strip()
    if kind == "missing":
        return f"the key `{last}` is missing", f"Add `{last}: …`"
    return reason(item, last)


def reason(item: dict[str, Any], key: object = "") -> tuple[str, str]:
    """What is wrong with the value of a key, and what to do, from one of pydantic's errors about it."""
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
        return f"{_show(value)} is not one of {', '.join(names)}", hint
    if kind == "value_error":
        cause = context.get("error")
        return str(cause or item["msg"]), cause.fix if isinstance(cause, FieldError) else ""
    what = item["msg"][0].lower() + item["msg"][1:]
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        what = "a mapping (`key: value` lines) is wanted"
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        most = "at least" if kind == "too_short" else "at most"
        return f"{most} {limit} items are wanted, and there are {context.get('actual_length')}", ""
    if kind == "string_pattern_mismatch":
        what = f"{value_formats.form(str(context.get('pattern')))} is wanted"
    if kind in _NO_NUMBER:
        number = "a whole number" if kind.startswith("int") else "a number"
        of = value_formats.unit(key)
        what = f"{number} of {of} is wanted" if of else f"{number} is wanted"
        if isinstance(value, str) and kind.endswith("_type"):
            return f"`{value}` is text: {what}", "Write it without quotes"
    if isinstance(value, (dict, list)):
        return what, ""
    return f"{_show(value)} is not allowed: {what}", ""


def _show(value: object) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= 80 else text[:77] + "…"
    return f"`{text}`" if value is not None else "an empty value"


def keys_at(model: Any, path: PathOf, data: Any) -> list[str]:
    """The keys that the part at `path` of `data` may have."""
    here: list[Any] = [model]
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        here = [child for kind in here for child in _children(kind, part)]
        if len(here) > 1 and isinstance(data, dict):
            here = [kind for kind in here if _is_kind(kind, data)] or here
    names: dict[str, None] = {}
    for kind in here:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update((info.alias or name, None) for name, info in kind.model_fields.items())
    return list(names)


def _is_kind(model: Any, data: dict[str, Any]) -> bool:
    """Whether a branch of a union is the one that the data's `kind` names."""
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
