"""How long one step of an engine takes: a prefill of so many tokens, a decoding step of so many sequences.

Two ways to know: `measured` (a grid made ahead of time from measured kernels) and `roofline` (from the card's data
sheet). Both answer as `StepTimes`; what follows from them under a load is `isthmus.planning.sizing.load`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PROMPTS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
"""Tokens of a prefill of one sequence in the grid."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Sequences of a decoding step in the grid."""
CONTEXTS = (256, 1024, 4096, 16384, 65536)
"""Tokens that each of them has already."""


class StepTimes(Protocol):
    """Milliseconds of one replica's steps."""

    def prefill(self, tokens: float) -> float:
        """A prefill of one sequence of `tokens`, alone."""
        ...

    def decode(self, batch: float, context: float) -> float:
        """One step that gives each of `batch` sequences, of `context` tokens on average, one more."""
        ...


@dataclass(frozen=True)
class Grid:
    """Step times at the points of the grid, in between by lines through the logarithms; beyond, along the last line."""

    prefill_us: tuple[int, ...]
    decode_us: tuple[tuple[int, ...], ...]

    def prefill(self, tokens: float) -> float:
        points = PROMPTS[: len(self.prefill_us)]
        return _along(points, self.prefill_us, max(tokens, 1.0)) / 1000

    def decode(self, batch: float, context: float) -> float:
        if batch <= BATCHES[0]:
            return _linear(CONTEXTS, self.decode_us[0], context) / 1000
        low = min(bisect_right(BATCHES, batch), len(BATCHES) - 1) - 1
        less, more = (_linear(CONTEXTS, self.decode_us[row], context) for row in (low, low + 1))
        share = (batch - BATCHES[low]) / (BATCHES[low + 1] - BATCHES[low])
        return (less + share * (more - less)) / 1000


def _along(points: Sequence[float], values: Sequence[float], at: float) -> float:
    """Interpolated on logarithms of both axes; below the first point its value, since a step has a least time."""
    if at <= points[0] or len(points) == 1:
        return values[0]
    low = min(bisect_right(points, at), len(points) - 1) - 1
    slope = math.log(values[low + 1] / values[low]) / math.log(points[low + 1] / points[low])
    return values[low] * (at / points[low]) ** slope


def _linear(points: Sequence[float], values: Sequence[float], at: float) -> float:
    """Interpolated by straight lines: a decoding step grows by what it reads. Below the first point its value."""
    if at <= points[0]:
        return values[0]
    low = min(bisect_right(points, at), len(points) - 1) - 1
    share = (at - points[low]) / (points[low + 1] - points[low])
    return values[low] + share * (values[low + 1] - values[low])
