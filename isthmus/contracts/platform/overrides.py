"""Overrides: the organisation's word laid over a rendered blueprint (`isthmus:overrides` in the stack).

Maps merge. Lists of parts merge by `id` or `name`, an unknown one is appended. Other lists replace. Null
deletes. `check` says what is wrong with an override by itself, before it is laid over anything.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from isthmus.core.errors import InputError, Where
from isthmus.core.yaml_documents import Document, PathOf, dotted

if typing.TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`overrides` laid over `base`; neither is changed. Laying them twice is as laying them once."""
    return _map(base, overrides)


def _map(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _value(result.get(key), value)
    return result


def _value(base: Any, over: Any) -> Any:
    if isinstance(over, Mapping):
        return _map(base if isinstance(base, Mapping) else {}, over)
    key = _key(over) if isinstance(over, list) else None
    if key is None:
        return copy.deepcopy(over)
    return _list(base if isinstance(base, list) and _has(base, key) else [], over, key)


def _key(items: list[Any]) -> str | None:
    """The key by which a list of parts merges: `id` or `name`; None for other and for empty lists."""
    return next((key for key in ("id", "name") if items and _has(items, key)), None)


def _has(items: list[Any], key: str) -> bool:
    return all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items)


def _list(base: list[Any], over: list[Any], key: str) -> list[Any]:
    result = copy.deepcopy(base)
    places = {item[key]: index for index, item in enumerate(result)}
    for item in over:
        name = item[key]
        if name in places:
            result[places[name]] = _map(result[places[name]], item)
        else:
            places[name] = len(result)
            result.append(_map({}, item))
    return result


def check(overrides: Any, where: str = "isthmus:overrides", file: str | None = None) -> None:
    """Raise `InputError` on a key that the platform has not, or a value of a wrong type.

    The error names the path, what is allowed and the nearest name. Whether the whole holds together is
    for the merged platform to say.
    """
    from isthmus.contracts.platform.model.platform import Platform

    if not isinstance(overrides, Mapping):
        what = f"a mapping is wanted, not `{overrides}`"
        raise InputError(what, where=Where(file, None, where), fix="Write `key: value` lines")
    _check_map(Platform, dict(overrides), (), _Context(dict(overrides), where, file))


class _Context:
    def __init__(self, data: dict[str, Any], prefix: str, file: str | None) -> None:
        self.data, self.prefix, self.file = data, prefix, file

    def fault(self, what: str, path: PathOf, fix: str = "") -> InputError:
        place = dotted(self.data, path)
        joined = f"{self.prefix}.{place}" if self.prefix and place else self.prefix or place
        return InputError(what, where=Where(self.file, None, joined), fix=fix)


def _check_map(model: type[BaseModel], value: Any, path: PathOf, context: _Context) -> None:
    from isthmus.core.validation_errors import did_you_mean

    if not isinstance(value, Mapping):
        keys = ", ".join(_fields(model))
        raise context.fault(f"a mapping is wanted, not `{value}`", path, f"Keys: {keys}")
    fields = _fields(model)
    for key, item in value.items():
        if key not in fields:
            hint = f"{did_you_mean(key, fields)} Allowed here: {', '.join(fields)}".strip()
            raise context.fault(f"unknown key `{key}`", (*path, key), hint)
        if item is not None:
            _check_value(fields[key], item, (*path, key), context)


def _check_value(annotation: Any, value: Any, path: PathOf, context: _Context) -> None:
    kind = _part(annotation)
    if kind is not None:
        _check_map(kind, value, path, context)
        return
    item = _part_of_list(annotation)
    if item is not None:
        if not isinstance(value, list):
            raise context.fault(f"a list is wanted, not `{value}`", path, "Write `- ` before each item")
        seen: dict[str, int] = {}
        for index, one in enumerate(value):
            _check_map(item, one, (*path, index), context)
            name = one.get("id") or one.get("name")
            if isinstance(name, str):
                if name in seen:
                    raise context.fault(f"`{name}` stands twice", (*path, index), "Keep one of the two")
                seen[name] = index
        return
    _check_leaf(annotation, value, path, context)


def _check_leaf(annotation: Any, value: Any, path: PathOf, context: _Context) -> None:
    from pydantic import TypeAdapter, ValidationError

    from isthmus.core.validation_errors import reason

    try:
        # `true` would pass for the number 1.
        TypeAdapter(annotation).validate_python(value, strict=True if isinstance(value, bool) else None)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        below = tuple(part for part in first["loc"] if isinstance(value, (dict, list)))
        what, fix = reason(dict(first), path[-1] if path else "")
        raise context.fault(what, (*path, *below), fix) from None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a part and the type of each, its constraints included."""
    hints: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation: Any = info.annotation
        for constraint in info.metadata:
            annotation = typing.Annotated[annotation, constraint]
        hints[info.alias or name] = annotation
    return hints


def _bare(annotation: Any) -> list[Any]:
    from isthmus.core.validation_errors import unwrap

    return [kind for kind in unwrap(annotation) if kind is not type(None)]


def _part(annotation: Any) -> type[BaseModel] | None:
    kinds = _bare(annotation)
    if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel):
        return kinds[0]
    return None


def _part_of_list(annotation: Any) -> type[BaseModel] | None:
    kinds = _bare(annotation)
    if len(kinds) == 1 and typing.get_origin(kinds[0]) is list:
        return _part(typing.get_args(kinds[0])[0])
    return None


def validate(merged: Mapping[str, Any], file: str | None = None) -> Platform:
    """The platform that came out of `merge`, validated whole.

    Raises `InputError`, or `Refused` where a boundary is broken, with the path in the platform.
    """
    from isthmus.contracts.platform.checked import CheckedPlatform
    from isthmus.core import yaml_files

    return yaml_files.parse(CheckedPlatform, Document(dict(merged), file))


def apply(rendered: Mapping[str, Any], overrides: Mapping[str, Any], file: str | None = None) -> Platform:
    """`check`, `merge` and `validate` in one."""
    check(overrides, file=file)
    return validate(merge(rendered, overrides), file)
