"""Searches for the smallest number that suffices."""

from __future__ import annotations

from collections.abc import Callable


def first_that_passes(count: int, passes: Callable[[int], bool]) -> int | None:
    """The first of so many places that passes, where all after it pass too; None if none does.

    It is sought near the beginning first.
    """
    low, high, step = -1, 0, 1
    while high < count and not passes(high):
        low, high, step = high, high + step, 2 * step
    if high >= count:
        high = count - 1
        if low == high or not passes(high):
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
