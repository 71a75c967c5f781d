"""Finds a name among known names."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import known_names


def check_name(name: str, names: Iterable[str], kind: str, *path: str | int) -> None:
    """Raise `FieldError` with the nearest name if `name` is not in `names`."""
    listed = list(names)
    if name not in listed:
        hint = known_names(name, listed)
        raise FieldError(f"there is no {kind} `{name}`", *path, fix=hint)
