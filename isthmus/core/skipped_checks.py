"""Runs the checks of a model that pydantic skipped, so that one run reports every mistake.

pydantic runs a model's checks (`model_validator(mode="after")`) only if all of its values are valid, and stops at the
first that fails. Here each check runs on a part that has the valid values alone. A check that reads an invalid value
cannot run; it is left out until that value is corrected.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

from isthmus.core.annotations import is_kind, unwrap
from isthmus.core.errors import FieldError, what_and_fix
from isthmus.core.yaml_documents import PathOf

_INVALID = object()
"""Stands for a part that is invalid as a whole. It has no attribute, so no check can read it."""


FurtherCheck = Callable[[Any], Iterable[FieldError]]
"""A check of a whole file by a higher layer. The paths of its errors lead from the top of the file."""


def skipped_faults(
    model: type[BaseModel], data: Any, invalid: Collection[PathOf], further: FurtherCheck | None = None
) -> list[tuple[PathOf, FieldError]]:
    """Every fault that the checks of a model and of its parts find, with the path to its value.

    Args:
        model: the model of the whole file.
        data: what the file holds.
        invalid: paths of the values that pydantic reports, without the names of union branches.
        further: another check of the whole file, which also runs on what is valid of it.
    """
    faults: list[tuple[PathOf, FieldError]] = []
    whole = _part(model, data, (), _Search(tuple(invalid), faults))
    if further is not None:
        faults += [(error.path, error) for error in _until_invalid(further(whole))]
    return faults


def _until_invalid(errors: Iterable[FieldError]) -> Iterator[FieldError]:
    """The errors until the check reads an invalid value."""
    try:
        yield from errors
    except AttributeError:
        return


class _Search:
    def __init__(self, invalid: tuple[PathOf, ...], faults: list[tuple[PathOf, FieldError]]) -> None:
        self.invalid, self.faults = invalid, faults

    def touches(self, path: PathOf) -> bool:
        """Whether the value at a path, or a value in it, is invalid."""
        return any(wrong[: len(path)] == path for wrong in self.invalid)


def _part(model: type[BaseModel], data: Any, path: PathOf, search: _Search) -> Any:
    """A part with its valid values, after its checks have run. Invalid values are missing attributes."""
    decorators = model.__pydantic_decorators__.model_validators.values()
    if not isinstance(data, dict) or any(decorator.info.mode != "after" for decorator in decorators):
        return _INVALID
    values: dict[str, Any] = {}
    missing: list[str] = []
    for name, info in model.model_fields.items():
        key = info.alias if info.alias is not None and info.alias in data else name
        if key not in data:
            continue
        value = _value(info.annotation, data[key], (*path, key), search)
        if value is _INVALID:
            missing.append(name)
        else:
            values[info.alias or name] = value
    part = model.model_construct(**values)
    for name in missing:
        vars(part).pop(name, None)
    for decorator in decorators:
        try:
            decorator.func(part)
        except FieldError as error:
            search.faults += [((*path, *single.path), single) for single in error.all]
        except ValueError as error:  # of a model that the edge and a contract share
            what, fix = what_and_fix(str(error))
            search.faults.append((path, FieldError(what, fix=fix)))
        except AttributeError:
            continue  # The check needs a value that is invalid.
    return part


def _value(annotation: Any, data: Any, path: PathOf, search: _Search) -> Any:
    """A value as pydantic would give it, or `_INVALID`. A list of parts keeps the places of its invalid parts."""
    if not search.touches(path):
        return TypeAdapter(annotation).validate_python(data)
    kinds = list(_kinds(annotation))
    items = [
        item for kind in kinds if typing.get_origin(kind) is list for item in _kinds(*typing.get_args(kind))
    ]
    if isinstance(data, list) and _models(items):
        return [
            _value_of_models(_models(items), item, (*path, index), search) for index, item in enumerate(data)
        ]
    return _value_of_models(_models(kinds), data, path, search)


def _value_of_models(models: list[type[BaseModel]], data: Any, path: PathOf, search: _Search) -> Any:
    if len(models) > 1 and isinstance(data, dict):
        models = [model for model in models if is_kind(model, data)]
    return _part(models[0], data, path, search) if len(models) == 1 else _INVALID


def _models(kinds: list[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _kinds(annotation: Any) -> Iterator[Any]:
    yield from (kind for kind in unwrap(annotation) if kind is not type(None))
