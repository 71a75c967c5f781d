"""Bounds of shares, from counts."""

from __future__ import annotations

import math

import numpy as np


def tail(wrong: int, of: int, rate: float) -> float:
    """The probability of so few wrong ones or fewer among `of`, were their rate this one (binomial)."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 1.0 if wrong >= of else 0.0
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, of + 1)))])
    few = np.arange(wrong + 1)
    logs = factorials[of] - factorials[few] - factorials[of - few] + few * math.log(rate)
    return min(1.0, float(np.exp(logs + (of - few) * math.log1p(-rate)).sum()))


def upper(wrong: int, of: int, doubt: float) -> float:
    """The highest rate that so few wrong ones do not contradict (Clopper and Pearson, one-sided); 1 of none."""
    if wrong >= of:
        return 1.0
    low, high = wrong / of, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(wrong, of, middle) > doubt else (low, middle)
    return high


def lower(wrong: int, of: int, doubt: float) -> float:
    """The lowest rate that so many wrong ones do not contradict (Clopper and Pearson, one-sided); 0 of none."""
    return 1 - upper(of - wrong, of, doubt)
