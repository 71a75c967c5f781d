"""The keys of JSON data and of a JSON Schema as flat tables: path → type."""

from __future__ import annotations

import json
from typing import Any

_PROSE = frozenset({"title", "description", "unit", "examples", "$schema", "$id", "$comment"})
"""Text for people, and names of classes: both may change."""
_STRUCTURE = frozenset(
    {"properties", "items", "required", "additionalProperties", "anyOf", "oneOf", "allOf", "$ref", "$defs"}
) | {"discriminator", "prefixItems"}


def keys_of(value: Any, path: str = "$") -> dict[str, str]:
    """The keys of JSON data with their types. The items of a list are merged; null and a type become `null or type`."""
    types: dict[str, set[str]] = {}
    _note_value(value, path, types)
    return {key: " or ".join(sorted(names)) for key, names in types.items()}


def _note_value(value: Any, path: str, types: dict[str, set[str]]) -> None:
    types.setdefault(path, set()).add(_type_name(value))
    if isinstance(value, dict):
        for key, item in value.items():
            _note_value(item, f"{path}.{key}", types)
    elif isinstance(value, list):
        for item in value:
            _note_value(item, f"{path}[]", types)


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {"str": "string", "list": "array", "dict": "object"}[type(value).__name__]


def keys_of_schema(schema: dict[str, Any], path: str = "$") -> dict[str, str]:
    """The keys that a JSON Schema allows, with types, limits and defaults. Names of `$defs` and prose are left out."""
    rules: dict[str, set[str]] = {}
    _note_schema(schema, path, schema.get("$defs", {}), (), False, rules)
    return {key: " or ".join(sorted(texts)) for key, texts in rules.items()}


def _note_schema(
    schema: Any,
    path: str,
    definitions: dict[str, Any],
    parents: tuple[str, ...],
    required: bool,
    rules: dict[str, set[str]],
) -> None:
    if schema is True:
        schema = {}
    constraints = {
        key: value
        for key, value in schema.items()
        if key not in _PROSE and key not in _STRUCTURE and key != "type"
    }
    notes = [str(schema["type"])] if "type" in schema else []
    notes += [f"{key}={compact(value)}" for key, value in sorted(constraints.items())]
    if schema.get("additionalProperties") is False:
        notes.append("no other keys")
    if required:
        notes.append("required")
    if notes:
        rules.setdefault(path, set()).add(", ".join(notes))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in parents:
            rules.setdefault(path, set()).add("as above")
        else:
            _note_schema(definitions[name], path, definitions, (*parents, name), False, rules)
    for kind in ("anyOf", "oneOf", "allOf"):
        for variant in schema.get(kind, []):
            _note_schema(variant, path, definitions, parents, False, rules)
    for key, value in schema.get("properties", {}).items():
        _note_schema(value, f"{path}.{key}", definitions, parents, key in schema.get("required", []), rules)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict) or additional is True:
        _note_schema(additional, f"{path}.*", definitions, parents, False, rules)
    if "items" in schema:
        _note_schema(schema["items"], f"{path}[]", definitions, parents, False, rules)
    for number, value in enumerate(schema.get("prefixItems", [])):
        _note_schema(value, f"{path}[{number}]", definitions, parents, False, rules)
    if path not in rules:
        rules[path] = {"any"}


def without_prose(value: Any) -> Any:
    """A schema without its titles and descriptions."""
    if isinstance(value, dict):
        return {key: without_prose(item) for key, item in value.items() if key not in _PROSE}
    return [without_prose(item) for item in value] if isinstance(value, list) else value


def compact(value: Any) -> str:
    """JSON on one line, with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
