"""What another threshold would change: answers held, errors caught, reviewers' time and cost.

How many answers a threshold holds is counted: the records have the measure of every answer. How many of them are wrong
is estimated from judged answers of the random sample that fall into the same group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import median

from isthmus.calibration.intervals import lower, upper
from isthmus.calibration.reviewed_answers import Answered, ReviewedAnswers, Verdict
from isthmus.contracts.reports.review_calibration import (
    LEAST_JUDGED,
    Estimate,
    ReviewerTime,
    ThresholdCount,
    ThresholdEffect,
)

LEAST_TIMED = 10
"""Answers with a known handling time below which the median is not used."""
MONTH_DAYS = 30
_DOUBT = 0.025

Judged = Sequence[tuple[Answered, Verdict]]
"""Judged answers of the random sample."""


@dataclass(frozen=True)
class Gate:
    """A threshold on the scores of a curve."""

    score: Callable[[float], float]
    """The score of a raw measure's logarithm."""
    below: float

    def holds(self, answer: Answered) -> bool:
        return answer.log_measure is not None and not self.score(answer.log_measure) >= self.below


@dataclass(frozen=True)
class ReviewerCost:
    """What the user states of the reviewers' time. None: it is taken from the records, or not known."""

    minutes_per_answer: float | None = None
    usd_per_hour: float | None = None


def share_wrong(judged: Judged) -> Estimate | None:
    """Share of wrong answers (Clopper and Pearson's interval). None of no answer."""
    return _share(sum(not verdict.is_right for _, verdict in judged), len(judged))


def effect_of(
    reviewed: ReviewedAnswers, judged: Judged, in_use: Gate, new: Gate, *, days: float, cost: ReviewerCost
) -> ThresholdEffect:
    """Compare two thresholds on the answers of a period of so many days.

    `judged` tells how many are wrong. With fewer than 100 judgements that is not known. Answers that something else
    holds (impact, a guard) are left out: no threshold changes what happens to them.
    """
    measured = [answer for answer in reviewed.answers if answer.log_measure is not None]
    decided = [answer for answer in measured if not answer.is_held_otherwise]
    known = judged if len(judged) >= LEAST_JUDGED else []
    groups = _Groups(decided, {answer.id: verdict for answer, verdict in known}, (in_use, new))
    more = groups.count(_HELD_THEN) - groups.count(_HELD_NOW)
    per_month = more * MONTH_DAYS / days
    return ThresholdEffect(
        days=days,
        answers=len(decided),
        without_score=len(reviewed.answers) - len(measured),
        held_for_other_reasons=len(measured) - len(decided),
        in_use=ThresholdCount(
            in_use.below,
            groups.count(_HELD_NOW),
            groups.count(_PASSING_NOW),
            groups.errors(_PASSING_NOW),
        ),
        new=ThresholdCount(
            new.below, groups.count(_HELD_THEN), groups.count(_PASSING_THEN), groups.errors(_PASSING_THEN)
        ),
        more_held=more,
        more_held_per_1000=1000 * more / len(decided) if decided else 0.0,
        more_held_per_month=per_month,
        errors_caught=groups.errors({(False, True)}),
        errors_let_through=groups.errors({(True, False)}),
        reviewer=_reviewer_time(reviewed, per_month, cost),
    )


_Fates = AbstractSet[tuple[bool, bool]]
"""Whether an answer is held now, and whether it is held then."""
_HELD_NOW: _Fates = {(True, False), (True, True)}
_PASSING_NOW: _Fates = {(False, False), (False, True)}
_HELD_THEN: _Fates = {(False, True), (True, True)}
_PASSING_THEN: _Fates = {(False, False), (True, False)}


class _Groups:
    """Answers, judged answers of the random sample and wrong ones among them, by what two thresholds do to them."""

    def __init__(
        self, answers: Sequence[Answered], verdicts: Mapping[str, Verdict], gates: tuple[Gate, Gate]
    ) -> None:
        self._is_known = bool(verdicts)
        self._sizes, self._judged, self._wrong = (Counter[tuple[bool, bool]]() for _ in range(3))
        for answer in answers:
            fate = gates[0].holds(answer), gates[1].holds(answer)
            self._sizes[fate] += 1
            if (verdict := verdicts.get(answer.id)) is not None:
                self._judged[fate] += 1
                self._wrong[fate] += not verdict.is_right

    def count(self, fates: _Fates) -> int:
        return sum(self._sizes[fate] for fate in fates)

    def errors(self, fates: _Fates) -> Estimate | None:
        """Wrong answers of a group. None: too few judgements, or none of this group."""
        size = self.count(fates)
        if self._is_known and not size:
            return Estimate(0.0, 0.0, 0.0, 0)
        share = _share(sum(self._wrong[fate] for fate in fates), sum(self._judged[fate] for fate in fates))
        if share is None:
            return None
        return Estimate(size * share.value, size * share.low, size * share.high, share.judged)


def _share(wrong: int, count: int) -> Estimate | None:
    if not count:
        return None
    return Estimate(wrong / count, lower(wrong, count, _DOUBT), upper(wrong, count, _DOUBT), count)


def _reviewer_time(
    reviewed: ReviewedAnswers, more_per_month: float, cost: ReviewerCost
) -> ReviewerTime | None:
    times = [verdict.minutes for verdict in reviewed.verdicts.values() if verdict.minutes is not None]
    minutes, measured_on = cost.minutes_per_answer, None
    if minutes is None:
        if len(times) < LEAST_TIMED:
            return None
        minutes, measured_on = median(times), len(times)
    hours = more_per_month * minutes / 60
    usd = None if cost.usd_per_hour is None else hours * cost.usd_per_hour
    return ReviewerTime(minutes, measured_on, hours, usd)
