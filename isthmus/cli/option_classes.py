"""Lets a command take its arguments and options as one object: a dataclass with a field for each of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_type_hints

OptionsClass = TypeVar("OptionsClass")


def takes(
    options_class: type[OptionsClass],
) -> Callable[[Callable[[OptionsClass], None]], Callable[..., None]]:
    """Decorate a command that takes one object of `options_class`, a dataclass with keyword-only fields.

    Typer sees the fields as the command's parameters, in their order: the annotation of a field declares the argument
    or option, its default is the default. A field that is itself such a dataclass contributes its fields in its place,
    so that several commands can share a group of options.
    """

    def decorate(command: Callable[[OptionsClass], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            command(_build(options_class, values))

        parameters = list(_parameters(options_class))
        del call.__wrapped__
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    return decorate


def _parameters(options_class: type[Any]) -> Iterator[inspect.Parameter]:
    types = get_type_hints(options_class, include_extras=True)
    for field in dataclasses.fields(options_class):
        if dataclasses.is_dataclass(types[field.name]):
            yield from _parameters(types[field.name])
            continue
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=types[field.name],
        )


def _build(options_class: type[OptionsClass], values: Mapping[str, Any]) -> OptionsClass:
    types = get_type_hints(options_class)
    fields: dict[str, Any] = {
        field.name: _build(types[field.name], values)
        if dataclasses.is_dataclass(types[field.name])
        else values[field.name]
        for field in dataclasses.fields(options_class)  # type: ignore[arg-type]
    }
    return options_class(**fields)
