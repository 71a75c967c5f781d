"""Turns pydantic's list of errors into messages that a user can act on: every mistake, each with its line."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from isthmus.core import skipped_checks, value_formats
from isthmus.core.annotations import is_kind, unwrap
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused, join, what_and_fix
from isthmus.core.yaml_documents import Document, PathOf

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


@dataclass(frozen=True)
class Fault:
    """One mistake of a document: the path to its value, the error, and the line (0 if it is unknown)."""

    path: PathOf
    error: IsthmusError
    line: int


def explain(
    model: type[BaseModel],
    document: Document,
    error: ValidationError,
    further: skipped_checks.FurtherCheck | None = None,
) -> IsthmusError:
    """The error to raise: every fault of the document in full, in the order of its lines.

    `further`: another check of the whole document, which runs on what is valid of it.
    """
    return _joined(find_faults(model, document, error, further))


def find_faults(
    model: type[BaseModel],
    document: Document,
    error: ValidationError,
    further: skipped_checks.FurtherCheck | None = None,
) -> list[Fault]:
    """Every fault of a document that does not fit its model, each once: what pydantic reports, and skipped checks."""
    faults = _pydantic_faults(model, document, error)
    places = {_location(document.data, item) for item in error.errors(include_url=False)}
    for path, skipped in skipped_checks.skipped_faults(model, document.data, places, further):
        faults.append(_of_field(document, path, skipped))
    unique: dict[tuple[PathOf, str], Fault] = {}
    for fault in faults:
        unique.setdefault((fault.path, fault.error.what), fault)
    return list(unique.values())


def locate(document: Document, errors: Iterable[FieldError]) -> IsthmusError | None:
    """The errors with file and line, in the order of the lines, as one error; None if there are none."""
    faults = [_of_field(document, single.path, single) for error in errors for single in error.all]
    return _joined(faults) if faults else None


def _joined(faults: list[Fault]) -> IsthmusError:
    return join([fault.error for fault in sorted(faults, key=lambda fault: fault.line)])


def _pydantic_faults(model: type[BaseModel], document: Document, error: ValidationError) -> list[Fault]:
    """Each fault that pydantic reports."""
    items: dict[PathOf, dict[str, Any]] = {}
    for item in error.errors(include_url=False):
        # A union reports one error for each branch: the first is enough.
        items.setdefault(_path(document.data, item), dict(item))
    misspelt = _misspelt_keys(model, items, document.data)
    faults: list[Fault] = []
    for path, item in items.items():
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, FieldError):
            place = path[: len(path) - len(cause.path)]
            faults += [_of_field(document, (*place, *single.path), single) for single in cause.all]
        elif path not in misspelt:
            is_key = item["type"] in ("extra_forbidden", "missing")
            message, fix = _explain_error(model, path, item, document.data)
            wrong = InputError(message, where=document.where(path, key=is_key), fix=fix)
            faults.append(Fault(path, wrong, document.line(path, key=is_key) or 0))
    return faults


def _of_field(document: Document, path: PathOf, error: FieldError) -> Fault:
    kind = Refused if error.refused else InputError
    return Fault(path, kind(error.what, where=document.where(path), fix=error.fix), document.line(path) or 0)


def _misspelt_keys(model: type[BaseModel], items: dict[PathOf, dict[str, Any]], data: Any) -> set[PathOf]:
    """Paths of missing keys that are there, but misspelt: the unknown key's error says all of it."""
    missing = {path for path, item in items.items() if item["type"] == "missing"}
    misspelt: set[PathOf] = set()
    for path, item in items.items():
        if item["type"] == "extra_forbidden":
            meant = nearest(path[-1], keys_at(model, path[:-1], data))
            misspelt |= {(*path[:-1], str(meant))} & missing
    return misspelt


def _location(root: Any, item: Any) -> PathOf:
    """pydantic's location without the names of union branches."""
    data: Any = root
    path: list[str | int] = []
    for index, part in enumerate(item["loc"]):
        in_list = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            path.append(part)
            data = data[part]  # pyright: ignore[reportCallIssue, reportArgumentType]
        elif index == len(item["loc"]) - 1 and item["type"] in ("missing", "extra_forbidden"):
            path.append(part)
    return tuple(path)


def _path(root: Any, item: Any) -> PathOf:
    """The location of an error, plus the path of a `FieldError`."""
    cause = item.get("ctx", {}).get("error")
    path = _location(root, item)
    if isinstance(cause, FieldError):
        path += cause.path  # whole, although the data may lack some of its parents
    if item["type"] == "union_tag_invalid":
        path += (str(item["ctx"]["discriminator"]).strip("'"),)
    return path


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
        if isinstance(cause, FieldError):
            return cause.what, cause.fix
        return what_and_fix(str(cause or item["msg"]))
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
            is_number = re.fullmatch(r"[+-]?\d+(\.\d+)?", value.strip()) is not None
            return f"`{value}` is text; {message}", "Write it without quotes" if is_number else ""
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
            models = [kind for kind in models if is_kind(kind, data)] or models
    return models


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
