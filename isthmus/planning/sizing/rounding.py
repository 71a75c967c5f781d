"""What is promised of a load: goals kept at the slow end of the interval, in no more digits than are known."""

from __future__ import annotations

import math

from isthmus.planning.sizing import load, speed
from isthmus.planning.sizing.load import Served

_OWN = math.exp(speed.EIGHTY * load.TTFT_SPREAD)
"""How many times as long a first token takes at the slow end by its own spread, which comes on top of the steps'."""


def holds(slow: Served | None, middle: Served | None, ttft: float | None, tpot: float | None) -> bool:
    """Whether the goals (milliseconds; None: none) hold at the slow end: of the steps, and of what TTFT has besides.

    `slow` and `middle` are the same load at steps of the slow end and of the middle; None where it is not carried.
    """
    if slow is None or middle is None:
        return False
    first = max(slow.ttft_p95, middle.ttft_p95 * _OWN)
    return (ttft is None or first <= ttft) and (tpot is None or slow.tpot_p95 <= tpot)


def first_token(fast: Served, middle: Served, slow: Served) -> list[float]:
    """The interval of the first token at p95, milliseconds."""
    low, high = sorted((fast.ttft_p95, slow.ttft_p95))
    return [min(low, middle.ttft_p95 / _OWN), max(high, middle.ttft_p95 * _OWN)]


def three(value: float) -> float:
    """Three significant digits: more would be a lie."""
    return float(f"{value:.3g}")
