"""Merges overrides (`isthmus:overrides` of a stack) into a rendered blueprint.

Maps merge. Lists of parts merge by `id` or `name`; new names are appended. Other lists are replaced. Null deletes a
key. `check` validates the overrides alone, before they are merged.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from isthmus.core.errors import InputError, Where, join
from isthmus.core.yaml_documents import Document, PathOf, dotted

if typing.TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `overrides` into a copy of `base`. Neither argument is changed, and merging twice changes nothing."""
    return _merge_maps(base, overrides)


def _merge_maps(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in override.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_values(result.get(key), value)
    return result


def _merge_values(base: Any, override: Any) -> Any:
    if isinstance(override, Mapping):
        return _merge_maps(base if isinstance(base, Mapping) else {}, override)
    key = _merge_key(override) if isinstance(override, list) else None
    if key is None:
        return copy.deepcopy(override)
    return _merge_lists(base if isinstance(base, list) and _all_have(base, key) else [], override, key)


def _merge_key(items: list[Any]) -> str | None:
    """The key by which a list of parts merges: `id` or `name`. None for other lists and for empty lists."""
    return next((key for key in ("id", "name") if items and _all_have(items, key)), None)


def _all_have(items: list[Any], key: str) -> bool:
    return all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items)


def _merge_lists(base: list[Any], override: list[Any], key: str) -> list[Any]:
    result = copy.deepcopy(base)
    places = {item[key]: index for index, item in enumerate(result)}
    for item in override:
        name = item[key]
        if name in places:
            result[places[name]] = _merge_maps(result[places[name]], item)
        else:
            places[name] = len(result)
            result.append(_merge_maps({}, item))
    return result


def check(overrides: Any, where: str = "isthmus:overrides", file: str | None = None) -> None:
    """Raise `InputError` for every unknown key and every value of the wrong type.

    Each error names the path, what is allowed and the nearest name. Rules between parts are checked on the merged
    platform (`validate`).
    """
    from isthmus.contracts.platform.model.platform import Platform

    if not isinstance(overrides, Mapping):
        message = f"the overrides must be a mapping, not `{overrides}`"
        raise InputError(message, where=Where(file, None, where), fix="Write `key: value` lines")
    context = _Context(dict(overrides), where, file)
    _check_map(Platform, dict(overrides), (), context)
    if context.errors:
        raise join(context.errors)


class _Context:
    def __init__(self, data: dict[str, Any], prefix: str, file: str | None) -> None:
        self.data, self.prefix, self.file = data, prefix, file
        self.errors: list[InputError] = []

    def add(self, message: str, path: PathOf, fix: str = "") -> None:
        place = dotted(self.data, path)
        joined = f"{self.prefix}.{place}" if self.prefix and place else self.prefix or place
        self.errors.append(InputError(message, where=Where(self.file, None, joined), fix=fix))


def _check_map(model: type[BaseModel], value: Any, path: PathOf, context: _Context) -> None:
    from isthmus.core.validation_errors import did_you_mean

    if not isinstance(value, Mapping):
        keys = ", ".join(_field_types(model))
        context.add(f"a mapping is expected, not `{value}`", path, f"Write `key: value` lines. Keys: {keys}")
        return
    fields = _field_types(model)
    for key, item in value.items():
        if key not in fields:
            hint = f"{did_you_mean(key, fields)} Allowed here: {', '.join(fields)}".strip()
            context.add(f"unknown key `{key}`", (*path, key), hint)
        elif item is not None:
            _check_value(fields[key], item, (*path, key), context)


def _check_value(annotation: Any, value: Any, path: PathOf, context: _Context) -> None:
    kind = _part_model(annotation)
    item = _list_item_model(annotation)
    if kind is not None:
        _check_map(kind, value, path, context)
    elif item is None:
        _check_leaf(annotation, value, path, context)
    elif isinstance(value, list):
        _check_list(item, value, path, context)
    else:
        context.add(f"a list is expected, not `{value}`", path, "Write `- ` before each item")


def _check_list(item: type[BaseModel], value: list[Any], path: PathOf, context: _Context) -> None:
    names: set[str] = set()
    for index, part in enumerate(value):
        _check_map(item, part, (*path, index), context)
        name = part.get("id") or part.get("name") if isinstance(part, Mapping) else None
        if isinstance(name, str) and name in names:
            context.add(f"`{name}` appears twice in the list", (*path, index), "Keep one of the two")
        elif isinstance(name, str):
            names.add(name)


def _check_leaf(annotation: Any, value: Any, path: PathOf, context: _Context) -> None:
    from pydantic import TypeAdapter, ValidationError

    from isthmus.core.validation_errors import reason

    try:
        # `true` would pass for the number 1.
        TypeAdapter(annotation).validate_python(value, strict=True if isinstance(value, bool) else None)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        subpath = tuple(part for part in first["loc"] if isinstance(value, (dict, list)))
        message, fix = reason(dict(first), path[-1] if path else "")
        context.add(message, (*path, *subpath), fix)


def _field_types(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a part with their types, including constraints."""
    hints: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation: Any = info.annotation
        for constraint in info.metadata:
            annotation = typing.Annotated[annotation, constraint]
        hints[info.alias or name] = annotation
    return hints


def _types_without_none(annotation: Any) -> list[Any]:
    from isthmus.core.annotations import unwrap

    return [kind for kind in unwrap(annotation) if kind is not type(None)]


def _part_model(annotation: Any) -> type[BaseModel] | None:
    kinds = _types_without_none(annotation)
    if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel):
        return kinds[0]
    return None


def _list_item_model(annotation: Any) -> type[BaseModel] | None:
    kinds = _types_without_none(annotation)
    if len(kinds) == 1 and typing.get_origin(kinds[0]) is list:
        return _part_model(typing.get_args(kinds[0])[0])
    return None


def validate(merged: Mapping[str, Any], file: str | None = None) -> Platform:
    """Validate the merged platform with all rules.

    Raises `InputError`, or `Refused` for a broken boundary, with the path in the platform.
    """
    from isthmus.contracts.platform.checked import CheckedPlatform
    from isthmus.core import yaml_files

    return yaml_files.parse(CheckedPlatform, Document(dict(merged), file))


def apply(rendered: Mapping[str, Any], overrides: Mapping[str, Any], file: str | None = None) -> Platform:
    """`check`, `merge` and `validate` in one."""
    check(overrides, file=file)
    return validate(merge(rendered, overrides), file)
