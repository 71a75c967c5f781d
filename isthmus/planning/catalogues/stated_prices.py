"""Prices that the requirements give: a number of at least 0, of a day."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import InputError


def mapping(value: Any, name: str, where: str, fix: str) -> dict[str, Any]:
    """The price as it is stated. Raises `InputError` for a bare number and whatever else has no keys."""
    if not isinstance(value, dict):
        raise InputError(f"the price of {name} is `{value}`, not a mapping", where=where, fix=fix)
    return value


def number(value: Any, key: str, where: str, *, below: float, fix: str = "Correct it") -> float:
    """Raises `InputError` for what is none, negative, or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
        raise InputError(f"{key} is {value!r}, not a number of at least 0", where=where, fix=fix)
    return float(value)


def evidence(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Its source, and its day. Raises `InputError` where there is no day."""
    as_of = row.get("as_of")
    if not isinstance(as_of, str):
        raise InputError("the price has no day", where=where, fix='Add `as_of: "2026-11-25"`')
    return str(row.get("source", "the requirements")), as_of
