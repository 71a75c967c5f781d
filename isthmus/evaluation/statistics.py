"""Intervals of scores, and comparisons of two versions that answered the same cases.

- Right or wrong answers of independent cases: Wilson's interval (Wilson 1927).
- Two versions, right or wrong: McNemar's exact test, and Newcombe's interval of the difference (Newcombe 1998,
  Statistics in Medicine 17, method 10).
- Shares of an answer that are right, cases in groups, and differences of such: Student's interval of the mean over
  groups, with one made-up group at the least and one at the most value. A few values that agree prove little: without
  these groups they would prove everything. (Agresti and Coull 1998 and Agresti and Min 2005 do so for shares.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge import intervals
from isthmus.calibration.intervals import tail

Z = 1.959963984540054
"""Quantile of the normal distribution for 95 %."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Two versions compared on the same cases."""

    cases: int
    difference: Interval
    """Mean score of the candidate less that of the version in use."""
    better: int
    """Cases that the candidate answers better."""
    worse: int
    """Cases that the candidate answers worse."""
    p: float | None
    """McNemar's exact two-sided test; None for scores between 0 and 1, and for cases in groups."""


def mean_score(scores: Sequence[float], groups: Sequence[str]) -> Interval:
    """The mean of scores, with its interval.

    Args:
        scores: from 0 to 1, one a case; at least one.
        groups: the origin of each case. Cases of one group are one observation.
    """
    if _is_binary(scores) and len(set(groups)) == len(groups):
        return wilson(round(sum(scores)), len(scores))
    return _of_groups(np.asarray(scores, dtype=float), groups, 0.0, 1.0)


def wilson(right: int, of: int) -> Interval:
    """Wilson's interval of a share."""
    return Interval(right / of, *intervals.wilson(right, of))


def compare(serving: Sequence[float], candidate: Sequence[float], groups: Sequence[str]) -> Paired:
    """Compare the scores of two versions, case by case. There is at least one case."""
    pairs = list(zip(serving, candidate, strict=True))
    better = sum(new > old for old, new in pairs)
    worse = sum(new < old for old, new in pairs)
    is_binary = _is_binary(serving) and _is_binary(candidate) and len(set(groups)) == len(groups)
    if is_binary:
        difference = _newcombe(pairs)
    else:
        difference = _of_groups(np.asarray([new - old for old, new in pairs]), groups, -1.0, 1.0)
    return Paired(len(pairs), difference, better, worse, mcnemar(better, worse) if is_binary else None)


def mcnemar(better: int, worse: int) -> float:
    """The probability of so uneven a split of the cases in which two equal versions differ (two-sided, exact)."""
    differing = better + worse
    return min(1.0, 2 * tail(min(better, worse), differing, 0.5)) if differing else 1.0


def cases_to_show(max_loss: float, differing: float, power: float = 0.8) -> int:
    """How many cases show that an equal candidate is at most `max_loss` worse.

    Args:
        max_loss: the loss that is allowed, above 0.
        differing: share of cases in which the two versions differ.
        power: probability of showing it.

    The variance of a difference of equal versions is `differing`; one-sided 97.5 %, as the interval.
    """
    quantile = {0.8: 0.8416212335729143, 0.9: 1.2815515655446004}[power]
    # Even where the two never differ, so many are needed for Newcombe's interval to be so narrow.
    never = Z * Z * (1 - max_loss) / max_loss
    return math.ceil(max(never, (Z + quantile) ** 2 * differing / max_loss**2))


def _newcombe(pairs: Sequence[tuple[float, float]]) -> Interval:
    """Newcombe's interval for the difference of two shares of the same cases, with the correlation of the pairs."""
    of = len(pairs)
    both = sum(old == new == 1 for old, new in pairs)
    only_new = sum(new > old for old, new in pairs)
    only_old = sum(old > new for old, new in pairs)
    neither = of - both - only_new - only_old
    new, old = wilson(both + only_new, of), wilson(both + only_old, of)
    product = (both + only_new) * (only_old + neither) * (both + only_old) * (only_new + neither)
    correlation = 0.0
    if product:
        above = both * neither - only_new * only_old
        if above > of / 2:
            above -= of / 2
        elif above >= 0:
            above = 0.0
        correlation = above / math.sqrt(product)
    down, up = new.value - new.low, old.high - old.value
    low = math.sqrt(max(0.0, down * down - 2 * correlation * down * up + up * up))
    down, up = old.value - old.low, new.high - new.value
    high = math.sqrt(max(0.0, down * down - 2 * correlation * down * up + up * up))
    value = new.value - old.value
    return Interval(value, max(-1.0, value - low), min(1.0, value + high))


def _of_groups(values: np.ndarray, groups: Sequence[str], least: float, most: float) -> Interval:
    """Student's interval of the mean over groups, with a made-up group at each end of the possible values."""
    names, at = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    sizes = np.bincount(at, minlength=count).astype(float)
    sums = np.bincount(at, weights=values, minlength=count)
    size = float(sizes.mean())
    sizes, sums = np.append(sizes, [size, size]), np.append(sums, [size * least, size * most])
    centre = sums.sum() / sizes.sum()
    deviations = sums - centre * sizes
    spread = math.sqrt((count + 2) / (count + 1) * float((deviations**2).sum())) / sizes.sum()
    half = _student(count + 1) * spread
    mean = float(values.mean())
    low, high = min(mean, centre - half), max(mean, centre + half)
    return Interval(mean, max(least, float(low)), min(most, float(high)))


def _student(freedom: int) -> float:
    """The quantile of Student's distribution for 95 %: a table, then Cornish and Fisher's expansion."""
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706}
    if freedom in table:
        return table[freedom]
    first = (Z**3 + Z) / (4 * freedom)
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * freedom**3)
    return Z + first + second + third


def _is_binary(scores: Sequence[float]) -> bool:
    return all(score in (0.0, 1.0) for score in scores)
