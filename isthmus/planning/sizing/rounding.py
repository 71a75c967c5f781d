"""Judges goals at the slow end of the interval, and rounds predictions to the digits that are known."""

from __future__ import annotations

import math

from isthmus.planning.sizing import load, speed
from isthmus.planning.sizing.load import Served

_TTFT_SLOW_FACTOR = math.exp(speed.EIGHTY_PERCENT_DEVIATIONS * load.TTFT_SPREAD)
"""Factor on a first token at the slow end, by the spread of TTFT, which adds to that of step times."""


def goals_hold(slow: Served | None, middle: Served | None, ttft: float | None, tpot: float | None) -> bool:
    """Whether the goals (milliseconds; None: no goal) hold at the slow end of step times and of TTFT.

    `slow` and `middle` are the same load with step times of the slow end and of the middle; None if it is too much.
    """
    if middle is None or not may_hold(slow, ttft, tpot):
        return False
    return ttft is None or middle.ttft_p95 * _TTFT_SLOW_FACTOR <= ttft


def may_hold(slow: Served | None, ttft: float | None, tpot: float | None) -> bool:
    """Whether `goals_hold` depends on the middle: the slow end of step times alone does not miss a goal."""
    return (
        slow is not None
        and (ttft is None or slow.ttft_p95 <= ttft)
        and (tpot is None or slow.tpot_p95 <= tpot)
    )


def first_token_interval(fast: Served, middle: Served, slow: Served) -> list[float]:
    """Return the interval of the first token at p95, milliseconds."""
    low, high = sorted((fast.ttft_p95, slow.ttft_p95))
    return [min(low, middle.ttft_p95 / _TTFT_SLOW_FACTOR), max(high, middle.ttft_p95 * _TTFT_SLOW_FACTOR)]


def three_digits(value: float) -> float:
    """Round to three significant digits. More would not be accurate."""
    return float(f"{value:.3g}")
