"""How old the prices of a plan are: told beside it, never in it, since the same input gives the same bytes."""

from __future__ import annotations

import datetime

from isthmus.core.errors import InputError

OLD_DAYS = 90


def told(prices_as_of: str | None, today: str) -> tuple[str, bool]:
    """One sentence, and whether it is a warning."""
    if prices_as_of is None:
        return "no listed price is used", False
    days = (day(today) - day(prices_as_of)).days
    words = f"the oldest listed price is of {prices_as_of}, {days} days old"
    if days > OLD_DAYS:
        return f"{words}: over {OLD_DAYS}, so state the prices that hold today (`sites[].prices`)", True
    return words, False


def day(text: str) -> datetime.date:
    """A day, or the first of a month. Raises `InputError` for anything else."""
    whole = text if len(text) == 10 else f"{text}-01"
    try:
        return datetime.date.fromisoformat(whole)
    except ValueError:
        raise InputError(f"`{text}` is no day", where="--as-of", fix="Write it like 2026-11-25") from None
