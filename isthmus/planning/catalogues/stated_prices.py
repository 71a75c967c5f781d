"""Checks prices of the requirements: numbers of at least 0, with a date."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import InputError


def mapping(value: Any, name: str, where: str, fix: str) -> dict[str, Any]:
    """Return the stated price. Raises `InputError` if it is not a mapping, for example a bare number."""
    if not isinstance(value, dict):
        raise InputError(f"the price of {name} is `{value}`, not a mapping", where=where, fix=fix)
    return value


def number(value: Any, key: str, where: str, *, below: float, fix: str = "Correct the number") -> float:
    """Return the number. Raises `InputError` if it is not a number, negative, or not below `below`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
        raise InputError(
            f"{key} is {value!r}, but must be a number of at least 0 and below {below:,.0f}",
            where=where,
            fix=fix,
        )
    return float(value)


def evidence(row: dict[str, Any], where: str) -> tuple[str, str]:
    """Return the source and the date of a price. Raises `InputError` if it has no date."""
    as_of = row.get("as_of")
    if not isinstance(as_of, str):
        raise InputError("the price has no date", where=where, fix='Add `as_of: "2026-11-25"`')
    return str(row.get("source", "the requirements")), as_of
