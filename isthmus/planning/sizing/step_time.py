"""Time of one engine step: a prefill of some tokens, or a decoding step of some sequences.

There are two sources: `measured_steps` (a grid of measured kernels) and `roofline` (the GPU's data sheet). Both
implement `StepTimes`. `isthmus.planning.sizing.load` computes latency under load from them.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

PROMPTS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
"""Tokens of a prefill of one sequence in the grid."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Sequences of a decoding step in the grid."""
CONTEXTS = (256, 1024, 4096, 16384, 65536)
"""Tokens that each sequence has already."""


class StepTimes(Protocol):
    """Milliseconds of one replica's steps."""

    def prefill(self, tokens: float) -> float:
        """A prefill of one sequence of `tokens`, alone."""
        ...

    def decode(self, batch: float, context: float) -> float:
        """One step that gives each of `batch` sequences, of `context` tokens on average, one more."""
        ...

    def decode_at(self, context: float) -> Callable[[float], float]:
        """`decode` for one context, as a function of the batch: for many batches."""
        ...


@dataclass(frozen=True)
class Grid:
    """Step times at the points of the grid, interpolated in between and extrapolated beyond."""

    prefill_us: tuple[int, ...]
    decode_us: tuple[tuple[int, ...], ...]

    def prefill(self, tokens: float) -> float:
        points = PROMPTS[: len(self.prefill_us)]
        return _interpolate_log(points, self.prefill_us, max(tokens, 1.0)) / 1000

    def decode(self, batch: float, context: float) -> float:
        return self.decode_at(context)(batch)

    def decode_at(self, context: float) -> Callable[[float], float]:
        row_us = functools.cache(lambda row: _interpolate_linear(CONTEXTS, self.decode_us[row], context))

        def decode(batch: float) -> float:
            if batch <= BATCHES[0]:
                return row_us(0) / 1000
            low = min(bisect_right(BATCHES, batch), len(BATCHES) - 1) - 1
            low_us, high_us = row_us(low), row_us(low + 1)
            share = (batch - BATCHES[low]) / (BATCHES[low + 1] - BATCHES[low])
            return (low_us + share * (high_us - low_us)) / 1000

        return decode


def _interpolate_log(points: Sequence[float], values: Sequence[float], point: float) -> float:
    """Interpolate on logarithms of both axes. Below the first point its value applies: a step has a minimum time."""
    if point <= points[0] or len(points) == 1:
        return values[0]
    low = min(bisect_right(points, point), len(points) - 1) - 1
    slope = math.log(values[low + 1] / values[low]) / math.log(points[low + 1] / points[low])
    return values[low] * (point / points[low]) ** slope


def _interpolate_linear(points: Sequence[float], values: Sequence[float], point: float) -> float:
    """Interpolate linearly: a decoding step grows with what it reads. Below the first point its value is used."""
    if point <= points[0]:
        return values[0]
    low = min(bisect_right(points, point), len(points) - 1) - 1
    share = (point - points[low]) / (points[low + 1] - points[low])
    return values[low] + share * (values[low + 1] - values[low])
