"""Figures as a plan's page writes them: no invented precision, bars in per cent of the longest."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float) -> str:
    """A number with thousands separators: whole from 100 up, at most three digits that count below."""
    if not math.isfinite(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):.12f}".rstrip("0").rstrip(".")


def usd(value: float) -> str:
    """An amount without cents from 100 up; a price below a dollar by the digits that count."""
    if not math.isfinite(value) or abs(value) >= 100 or value == 0:
        return f"USD {value:,.0f}"
    return f"USD {value:.2f}" if abs(value) >= 1 else f"USD {number(value)}"


def predicted(value: float) -> str:
    """A predicted figure: three digits that count, since more would not be known."""
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else number(value)


def times(value: float) -> str:
    """A multiple: at most two decimals."""
    return f"{number(round(value, 2))} ×"


def per_cent(share: float) -> str:
    """A share of 0 to 1 as whole per cent; a small one is not nothing, and a large one is not all."""
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def bar(value: float, most: float) -> int:
    """The length of a bar in per cent of the longest."""
    if not (math.isfinite(value) and math.isfinite(most)) or most <= 0:
        return 0
    return round(100 * min(max(value / most, 0), 1))


def scale(interval: Sequence[float], goals: Sequence[float]) -> tuple[int, int, list[int]]:
    """An interval drawn from zero: where it begins, how long it is, where the goals stand, in per cent."""
    most = max((value for value in (*interval, *goals) if math.isfinite(value)), default=0) * 1.06
    first, last = bar(interval[0], most), bar(interval[1], most)
    return first, max(last - first, 1), sorted({bar(goal, most) for goal in goals})
