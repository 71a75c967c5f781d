"""The loss of a candidate against the version in use, from sums of each person and day.

The share of a release grows from day to day, and days differ: at the end of a month people may ask harder questions. So
the versions are compared within each day, and the days are weighted by what they can tell (Mantel and Haenszel 1959).
Answers to one person are alike. So the variance is the sum over people of their squared influence (Liang and Zeger
1986), over all days and both versions: where a person has answers of both (a shadow), that is a paired comparison.
People differ, and a small share has few of them. So each person's values are compared with the ones before the
candidate's first answer, as far as there are such (Deng and others 2013, "Improving the sensitivity of online
controlled experiments by utilizing pre-experiment data").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["share", "mean", "ratio"]
"""`share`: of counts or of scores from 0 to 1, compared by difference. `mean`: any value, by difference. `ratio`:
positive values, compared by the logarithm of the ratio of their means.
"""

ALIKE = 20.0
"""Answers before the release that count as much as what is known of all people: right for a correlation of 0.05 among
the answers to one person. Another correlation makes the comparison less sharp, and not wrong.
"""
LEAST_VARIANCE = 1e-12
"""So that answers which are all alike have a variance, too."""


@dataclass(frozen=True)
class Day:
    """Sums of one day by person: arrays of one length, in which a position is the same person on each day."""

    in_use_count: np.ndarray
    """Answers of the version in use."""
    in_use_sum: np.ndarray
    """Sum of their values."""
    candidate_count: np.ndarray
    candidate_sum: np.ndarray


class Evidence:
    """What is known of one metric of a release. Days are added one after the other."""

    def __init__(self, kind: Kind, people: int) -> None:
        """`people`: how many positions each day has."""
        self._kind: Kind = kind
        self._influence = np.zeros(people)
        self._before_count, self._before_sum = np.zeros(people), np.zeros(people)
        self._weight = self._difference = 0.0
        self._in_use = self._candidate = (0.0, 0.0)
        """Answers and the sum of their values, on days with answers of both."""
        self._has_candidate = np.zeros(people, dtype=bool)
        self._has_in_use = np.zeros(people, dtype=bool)
        self.answers = 0
        """Answers of the candidate on days with answers of both."""

    def add(self, day: Day) -> None:
        """Take a day. One without answers of both versions tells nothing, but how people were before."""
        in_use, candidate = float(day.in_use_count.sum()), float(day.candidate_count.sum())
        if not candidate:
            if not self.answers:
                self._before_count += day.in_use_count
                self._before_sum += day.in_use_sum
            return
        if not in_use:
            return
        in_use_sum, candidate_sum = self._adjusted(day)
        old, new = float(in_use_sum.sum()) / in_use, float(candidate_sum.sum()) / candidate
        if self._kind == "ratio" and not (old > 0 and new > 0):
            return
        weight = in_use * candidate / (in_use + candidate)
        scale_old, scale_new = (old, new) if self._kind == "ratio" else (1.0, 1.0)
        self._difference += weight * (math.log(new / old) if self._kind == "ratio" else new - old)
        self._influence += (weight / candidate / scale_new) * (candidate_sum - new * day.candidate_count)
        self._influence -= (weight / in_use / scale_old) * (in_use_sum - old * day.in_use_count)
        self._weight += weight
        self._in_use = (self._in_use[0] + in_use, self._in_use[1] + float(day.in_use_sum.sum()))
        self._candidate = (
            self._candidate[0] + candidate,
            self._candidate[1] + float(day.candidate_sum.sum()),
        )
        self._has_candidate |= day.candidate_count > 0
        self._has_in_use |= day.in_use_count > 0
        self.answers += round(candidate)

    def _adjusted(self, day: Day) -> tuple[np.ndarray, np.ndarray]:
        """The day's sums, in use and candidate, compared with what each person had before."""
        of_all = float(self._before_count.sum())
        mean = float(self._before_sum.sum()) / of_all if of_all else 0.0
        if not mean:
            return day.in_use_sum, day.candidate_sum
        before = (self._before_sum + ALIKE * mean) / (self._before_count + ALIKE)
        if self._kind == "ratio":
            return day.in_use_sum / before, day.candidate_sum / before
        return day.in_use_sum - before * day.in_use_count, day.candidate_sum - before * day.candidate_count

    @property
    def people(self) -> int:
        """People with answers of the version that fewer people have."""
        return min(int(self._has_candidate.sum()), int(self._has_in_use.sum()))

    @property
    def difference(self) -> float:
        """The candidate's value less that of the version in use: of logarithms, for a ratio. 0 without answers."""
        return self._difference / self._weight if self._weight else 0.0

    @property
    def variance(self) -> float:
        """Variance of the difference; infinite without answers of a few people."""
        people = self.people
        if people < 2:
            return math.inf
        spread = float((self._influence**2).sum()) * people / (people - 1) / self._weight**2
        if self._kind != "share":
            return spread + LEAST_VARIANCE
        arms = (self._in_use, self._has_in_use), (self._candidate, self._has_candidate)
        return spread + sum(_made_up(total / count, int(has.sum())) for (count, total), has in arms)


def _made_up(share: float, people: int) -> float:
    """Variance that one made-up person adds, whose answers are all at the farther end: 50 people without a failure do
    not prove that no fiftieth person has failures only.
    """
    return (max(share, 1 - share) / people) ** 2
