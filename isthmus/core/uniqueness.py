"""One name, one thing: the check that every list of named parts shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.core.errors import FieldError


def unique(items: Sequence[Any], field: str, *path: str | int, key: str | None = None) -> None:
    """Raise `FieldError` on the second item whose `field` has a value that an earlier one has.

    `path` leads to the list; `key` is the field as the file spells it, where that differs.
    """
    first: dict[Any, int] = {}
    for index, item in enumerate(items):
        value = getattr(item, field)
        if value in first:
            raise FieldError(
                f"`{value}` stands twice in {path[-1]} (items {first[value] + 1} and {index + 1})",
                *(*path, index, key or field),
                fix=f"Give each its own {key or field}",
            )
        first[value] = index
