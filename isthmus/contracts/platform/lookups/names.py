"""Finds a name among known names."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import did_you_mean


def known(name: str, names: Iterable[str], what: str, *path: str | int) -> None:
    """Raise `FieldError` with the nearest name where `name` is none of `names`."""
    listed = list(names)
    if name not in listed:
        hint = f"{did_you_mean(name, listed)} Known: {', '.join(listed) or 'none'}".strip()
        raise FieldError(f"`{name}` is no {what}", *path, fix=hint)
