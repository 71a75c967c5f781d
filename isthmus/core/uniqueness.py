"""Checks that the items of a list have different names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.core.errors import FieldError, raise_all


def unique(
    items: Sequence[Any],
    field: str,
    *path: str | int,
    key: str | None = None,
    reason: str = "",
    fix: str | None = None,
) -> None:
    """Raise `FieldError` for each item whose `field` repeats the value of an earlier item.

    `path` leads to the list; `key` is the field's name in the file, if it differs. `reason` says why the items may not
    share a value, and `fix` what to do instead of the usual fix.
    """
    first: dict[Any, int] = {}
    repeated: list[FieldError] = []
    for index, item in enumerate(items):
        value = getattr(item, field)
        if value in first:
            places = f"{path[-1]}[{first[value]}] and {path[-1]}[{index}]"
            repeated.append(
                FieldError(
                    f"`{value}` appears twice in {path[-1]} ({places})" + (f": {reason}" if reason else ""),
                    *(*path, index, key or field),
                    fix=fix or f"Give each item its own {key or field}",
                )
            )
        first.setdefault(value, index)
    raise_all(repeated)
