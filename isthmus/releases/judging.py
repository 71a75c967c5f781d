"""Decides between the steps of a release: continue, wait or abort. It may look as often as it likes.

For each metric, two assumptions are weighed: the candidate loses nothing, or it loses `margin`. The ratio of their
likelihoods (Wald 1945, "Sequential tests of statistical hypotheses") follows from the difference and its variance.
Where it reaches 1 / `false_alarm` the candidate is worse; where it falls to `missed_loss` it is as good. Both are
bounds over all looks together: an equal candidate is called worse with at most the probability `false_alarm`, and one
that loses `margin` is called as good with at most `missed_loss`. They hold as far as the difference is normally
distributed, which needs a few dozen people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from isthmus.releases.evidence import Day, Evidence, Kind

Z = 1.959963984540054
"""Quantile of the normal distribution for intervals of 95 %."""
FEWEST_PEOPLE = 30
"""People with answers of each version below which nothing is concluded."""
FEWEST_REQUESTS = 200
"""Requests of the candidate at a step, on whole days, before it may take the next one."""
WIDE_PERCENT = 25.0
"""From this share on, a step needs a candidate that is shown to be as good in every metric."""


@dataclass(frozen=True)
class Metric:
    """What is compared."""

    name: str
    kind: Kind
    margin: float
    """The loss that must be found: a difference, or for a ratio the logarithm of a factor."""
    sign: Literal[1, -1]
    """1 if more is worse (failures), -1 if less is worse (scores)."""
    false_alarm: float
    """Bound of the probability that an equal candidate is called worse."""
    missed_loss: float
    """Bound of the probability that a candidate which loses `margin` is called as good."""
    with_shadow: bool = False
    """Whether a shadow's answers count: its quality does, but its speed and failures are not those of operation."""
    is_needed: bool = True
    """Whether a wide step needs it. Others are judged if there are values."""


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("judged", "share", 0.03, -1, 0.02, 0.01, with_shadow=True),
        Metric("failed", "share", 0.02, 1, 0.0075, 0.05),
        Metric("guard_refused", "share", 0.02, 1, 0.0075, 0.05),
        Metric("latency", "ratio", math.log(1.25), 1, 0.0075, 0.05),
        Metric("score", "share", 0.03, -1, 0.0075, 0.05, is_needed=False),
    )
}
"""Metrics by name. The false alarms add up to 5 %. We chose the margins; nobody measured them: 3 points of judged
answers and of confidence, 2 points of failures and of refusals by guards, a quarter of the latency.
"""


Verdict = Literal["worse", "as-good", "open"]


@dataclass(frozen=True)
class Finding:
    """What is known of one metric."""

    metric: str
    verdict: Verdict
    loss: float
    """The candidate's loss: above 0 it is worse."""
    low: float
    high: float
    """Ends of the loss's 95 % interval at this look."""
    answers: int
    """Answers of the candidate that were compared."""
    people: int


@dataclass(frozen=True)
class Decision:
    """What to do before the next step."""

    action: Literal["continue", "wait", "abort"]
    reasons: tuple[str, ...]
    """Why, one sentence each. Empty to continue."""
    findings: tuple[Finding, ...]


class Trial:
    """One metric of a release, day after day. What was once found stays found, unless the candidate turns out worse."""

    def __init__(self, metric: Metric, people: int) -> None:
        """`people`: how many positions each day has."""
        self._metric, self._evidence = metric, Evidence(metric.kind, people)
        self._verdict: Verdict = "open"

    def add(self, day: Day) -> None:
        """Take a day, and look."""
        self._evidence.add(day)
        if self._verdict != "worse":
            verdict = self._look()
            self._verdict = self._verdict if verdict == "open" else verdict

    def _look(self) -> Verdict:
        margin, variance = self._metric.margin, self._evidence.variance
        if self._evidence.people < FEWEST_PEOPLE or variance == math.inf:
            return "open"
        likelihood = (self._loss * margin - margin**2 / 2) / variance
        if likelihood >= -math.log(self._metric.false_alarm):
            return "worse"
        return "as-good" if likelihood <= math.log(self._metric.missed_loss) else "open"

    @property
    def _loss(self) -> float:
        return self._metric.sign * self._evidence.difference

    @property
    def finding(self) -> Finding:
        """What is known after the days so far. A candidate that was as good and now loses half of `margin` is open."""
        evidence, half = self._evidence, Z * math.sqrt(self._evidence.variance)
        low, high = self._loss - half, self._loss + half
        name, verdict = self._metric.name, self._verdict
        if verdict == "as-good" and self._loss > self._metric.margin / 2:
            verdict = "open"
        return Finding(name, verdict, self._loss, low, high, evidence.answers, evidence.people)


def decide(
    findings: Iterable[Finding],
    requests: int,
    next_percent: float,
    *,
    is_judged: bool = True,
) -> Decision:
    """Say whether the release may take its next step.

    Args:
        findings: of the metrics that have values.
        requests: of the candidate at its present share, on whole days.
        next_percent: share of the next step.
        is_judged: whether answers of the workload are judged at all. If not, a wide step does not wait for them.
    """
    known = tuple(findings)
    worse = [describe(finding) for finding in known if finding.verdict == "worse"]
    if worse:
        return Decision("abort", tuple(worse), known)
    missing: list[str] = []
    if requests < FEWEST_REQUESTS:
        missing.append(
            f"the candidate answered {requests} requests of at least {FEWEST_REQUESTS} on days after its last step"
        )
    if next_percent >= WIDE_PERCENT:
        missing += _open(known, is_judged=is_judged)
    return Decision("wait" if missing else "continue", tuple(missing), known)


def _open(findings: Sequence[Finding], *, is_judged: bool) -> list[str]:
    by_name = {finding.metric: finding for finding in findings}
    reasons: list[str] = []
    for name, metric in METRICS.items():
        finding = by_name.get(name)
        if finding is None:
            if metric.is_needed and (is_judged or name != "judged"):
                reasons.append(f"{_TITLES[name]}: no answers of both versions yet")
        elif finding.verdict == "open":
            reasons.append(describe(finding))
    return reasons


_TITLES = {
    "judged": "judged answers",
    "failed": "failures",
    "guard_refused": "refusals by guards",
    "latency": "latency",
    "score": "confidence scores",
}
_VERDICTS = {"worse": "the candidate is worse", "as-good": "as good", "open": "not known yet"}


def describe(finding: Finding) -> str:
    """A sentence about one of `METRICS`."""
    metric = METRICS[finding.metric]
    if finding.people < FEWEST_PEOPLE:
        numbers = f"{finding.people} people or conversations of at least {FEWEST_PEOPLE} had each version"
    elif metric.kind == "ratio":
        factors = [math.exp(value) for value in (finding.loss, finding.low, finding.high)]
        numbers = "{:.2f} times as long ({:.2f} to {:.2f})".format(*factors)
        numbers += f", limit {math.exp(metric.margin):.2f}"
    else:
        points = [100 * value for value in (finding.loss, finding.low, finding.high, metric.margin)]
        numbers = "a loss of {:.1f} points ({:.1f} to {:.1f}), limit {:g}".format(*points)
    return f"{_TITLES[finding.metric]}: {_VERDICTS[finding.verdict]}, {numbers}, {finding.answers} answers"
