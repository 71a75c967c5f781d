"""Reads the outcomes that gateways collected, and judges the release by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from isthmus.releases.evidence import Day
from isthmus.releases.judging import METRICS, Decision, Finding, Metric, Trial, decide
from isthmus.releases.needs import Traffic

if TYPE_CHECKING:
    from edge.canary.outcomes import OutcomeRow, Sums


@dataclass(frozen=True)
class Reading:
    """What the outcomes of a release say."""

    findings: tuple[Finding, ...]
    """Of each metric with answers of both versions."""
    requests: int
    """Of the candidate on days after the last move, without the shadow's."""
    traffic: Traffic | None
    """Of the days before the candidate's first answer, or else of all; None without requests."""
    first_day: date | None

    def decide(self, next_percent: float, *, is_judged: bool = False) -> Decision:
        """Whether the release may take the step to this share. `is_judged`: whether the platform states a judge."""
        is_judged = is_judged or (self.traffic is not None and self.traffic.judged > 0)
        return decide(self.findings, self.requests, next_percent, is_judged=is_judged)


_VALUES: Mapping[str, Callable[[Sums], tuple[float, float]]] = {
    "judged": lambda sums: (sums.judged, sums.judged_score),
    "failed": lambda sums: (sums.requests, sums.failed),
    "guard_refused": lambda sums: (sums.requests - sums.failed, sums.guard_refused),
    "latency": lambda sums: (sums.requests - sums.failed - sums.guard_refused, sums.latency_ms),
    "score": lambda sums: (sums.scored, sums.score),
}
"""Count and sum of each metric."""


def read(rows: Iterable[OutcomeRow], moved: Collection[date] = ()) -> Reading:
    """Judge the outcomes, day after day as they came.

    Args:
        rows: in any order.
        moved: days (UTC) on which the share changed. They are left out: on such a day the candidate has more of the
            afternoon than of the morning, and the two may differ.
    """
    listed = sorted(
        (row for row in rows if row.day not in moved), key=lambda row: (row.day, row.variant, row.unit)
    )
    places = {unit: place for place, unit in enumerate(sorted({row.unit for row in listed}))}
    by_day: dict[date, list[OutcomeRow]] = defaultdict(list)
    for row in listed:
        by_day[row.day].append(row)
    trials = {name: Trial(metric, len(places)) for name, metric in METRICS.items()}
    for day in sorted(by_day):
        for name, trial in trials.items():
            trial.add(_day_of(METRICS[name], by_day[day], places))
    findings = tuple(trial.finding for trial in trials.values() if trial.finding.answers)
    since = max(moved, default=date.min)
    requests = sum(row.sums.requests for row in listed if row.variant == "canary" and row.day > since)
    return Reading(findings, requests, _traffic(listed), min(by_day, default=None))


def _day_of(metric: Metric, rows: Sequence[OutcomeRow], places: Mapping[bytes, int]) -> Day:
    day = Day(*(np.zeros(len(places)) for _ in range(4)))
    for row in rows:
        if row.variant == "shadow" and not metric.with_shadow:
            continue
        count, total = _VALUES[metric.name](row.sums)
        is_in_use, place = row.variant == "in-use", places[row.unit]
        (day.in_use_count if is_in_use else day.candidate_count)[place] += count
        (day.in_use_sum if is_in_use else day.candidate_sum)[place] += total
    return day


def _traffic(rows: Sequence[OutcomeRow]) -> Traffic | None:
    first = min((row.day for row in rows if row.variant != "in-use"), default=None)
    before = [row for row in rows if first is None or row.day < first]
    counted = before or [row for row in rows if row.variant != "shadow"]
    by_unit: dict[bytes, int] = defaultdict(int)
    for row in counted:
        by_unit[row.unit] += row.sums.requests
    requests = sum(by_unit.values())
    if not requests:
        return None
    days, people = len({row.day for row in counted}), len(by_unit)
    judged = sum(row.sums.judged for row in counted)
    right = sum(row.sums.judged_score for row in counted)
    squares = sum(count * count for count in by_unit.values())
    return Traffic(
        requests=requests / days,
        people=people,
        judged=min(1.0, judged / requests),
        rate=right / judged if judged else 0.9,
        uneven=squares * people / requests**2,
        before=judged / people if before else 0.0,
    )
