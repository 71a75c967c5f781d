"""Judges goals at the slow end of the interval, and rounds predictions to the digits that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isthmus.planning.sizing import load, speed
from isthmus.planning.sizing.load import Served

_TTFT_SLOW_FACTOR = math.exp(speed.EIGHTY_PERCENT_DEVIATIONS * load.TTFT_SPREAD)
"""Factor on a first token at the slow end, by the spread of TTFT, which adds to that of step times."""


@dataclass(frozen=True)
class Goals:
    """Goals for the answers of one workload, milliseconds, which 95 % of its requests keep. None: no goal."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    answer_ms: float | None = None
    """Until the last token."""
    output_tokens: float = 0.0
    """Length of an answer that `answer_ms` counts, the 95th percentile."""

    def keep(self, ttft_ms: float, tpot_ms: float) -> bool:
        """Whether answers with these times keep the goals."""
        return (
            (self.ttft_ms is None or ttft_ms <= self.ttft_ms)
            and (self.tpot_ms is None or tpot_ms <= self.tpot_ms)
            and (self.answer_ms is None or answer_ms(ttft_ms, tpot_ms, self.output_tokens) <= self.answer_ms)
        )


def answer_ms(ttft_ms: float, tpot_ms: float, output_tokens: float) -> float:
    """Return the time to an answer's last token, milliseconds.

    Of 95th percentiles it is an upper bound: the longest answers are not also the slowest ones.
    """
    return ttft_ms + max(0.0, output_tokens - 1) * tpot_ms


def goals_hold(slow: Served | None, middle: Served | None, goals: Goals) -> bool:
    """Whether the goals hold at the slow end of step times and of TTFT.

    `slow` and `middle` are the same load with step times of the slow end and of the middle; None if it is too much.
    """
    if middle is None or slow is None:
        return False
    return goals.keep(max(slow.ttft_p95, middle.ttft_p95 * _TTFT_SLOW_FACTOR), slow.tpot_p95)


def may_hold(slow: Served | None, goals: Goals) -> bool:
    """Whether `goals_hold` depends on the middle: the slow end of step times alone does not miss a goal."""
    return slow is not None and goals.keep(slow.ttft_p95, slow.tpot_p95)


def first_token_interval(fast: Served, middle: Served, slow: Served) -> list[float]:
    """Return the interval of the first token at p95, milliseconds."""
    low, high = sorted((fast.ttft_p95, slow.ttft_p95))
    return [min(low, middle.ttft_p95 / _TTFT_SLOW_FACTOR), max(high, middle.ttft_p95 * _TTFT_SLOW_FACTOR)]


def three_digits(value: float) -> float:
    """Round to three significant digits. More would not be accurate."""
    return float(f"{value:.3g}")
