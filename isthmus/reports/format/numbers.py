"""Formats figures for pages: numbers with at most three significant digits, amounts, and lengths of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return `1 finding` or `1,200 findings`. `plural`: if it is not the singular with an `s`."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def number(value: float) -> str:
    """Format a number with thousands separators: whole from 100 up, three significant digits below."""
    if not math.isfinite(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):.12f}".rstrip("0").rstrip(".")


def usd(value: float) -> str:
    """Format an amount in USD: without cents from 100 up, with three significant digits below one dollar."""
    if not math.isfinite(value) or abs(value) >= 100 or value == 0:
        return f"USD {value:,.0f}"
    return f"USD {value:.2f}" if abs(value) >= 1 else f"USD {number(value)}"


def cents(value: float) -> str:
    """Format an amount to the cent: `28,932.79`. All reports of a comparison show the same digits."""
    return f"{value:,.2f}"


def signed_cents(value: float) -> str:
    """Format a difference to the cent, with its sign: `+1,999.39`."""
    return f"{value:+,.2f}"


def predicted(value: float) -> str:
    """Format a predicted figure with three significant digits, because a prediction has no more."""
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else number(value)


def times(value: float) -> str:
    """Format a multiple with at most two decimals: `1.5 ×`."""
    return f"{number(round(value, 2))} ×"


def per_cent(share: float) -> str:
    """Format a share (0 to 1) as whole per cent. Shares near 0 or 1 are `under 1 %` and `over 99 %`."""
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def bar(value: float, most: float) -> int:
    """Return the length of a bar in per cent of the longest, `most`."""
    if not (math.isfinite(value) and math.isfinite(most)) or most <= 0:
        return 0
    return round(100 * min(max(value / most, 0), 1))


def scale(interval: Sequence[float], goals: Sequence[float]) -> tuple[int, int, list[int]]:
    """Return start and length of an interval and the positions of goals on an axis from zero, in per cent."""
    most = max((value for value in (*interval, *goals) if math.isfinite(value)), default=0) * 1.06
    first, last = bar(interval[0], most), bar(interval[1], most)
    return first, max(last - first, 1), sorted({bar(goal, most) for goal in goals})
