"""Warns when a plan's prices are old. The age is not stored in the plan, so that plans stay reproducible."""

from __future__ import annotations

import datetime

from isthmus.core.errors import InputError

OLD_DAYS = 90


def describe_price_age(prices_as_of: str | None, today: str) -> tuple[str, bool]:
    """Return a sentence about the age, and whether it is a warning."""
    if prices_as_of is None:
        return "no list price makes up a hundredth of the cost, so the age of prices is not judged", False
    days = (parse_day(today) - parse_day(prices_as_of)).days
    age = f"the oldest list price is from {prices_as_of}, {days} days old"
    if days > OLD_DAYS:
        return f"{age}, more than {OLD_DAYS}. Fix: Add today's prices to `sites[].prices`", True
    return age, False


def parse_day(text: str) -> datetime.date:
    """Parse YYYY-MM-DD, or YYYY-MM as the first of the month. Raises `InputError` for anything else."""
    full_date = text if len(text) == 10 else f"{text}-01"
    try:
        return datetime.date.fromisoformat(full_date)
    except ValueError:
        raise InputError(f"`{text}` is not a date", where="--as-of", fix="Write it like 2026-11-25") from None
