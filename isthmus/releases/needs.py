"""How many judged answers, and how many days, decide a release: computed before it starts.

While the candidate loses nothing, the logarithm of the ratio of likelihoods is a Brownian motion with drift -1/2 in
"information" (margin squared, by variance). When it falls to the bound is an inverse Gaussian distribution (Cox and
Miller 1965, section 5.7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from isthmus.releases.evidence import ALIKE
from isthmus.releases.judging import METRICS, Metric

REACHED = 0.9
"""Share of releases of an equal candidate that are decided with so many answers."""
CORRELATION = 1 / (1 + ALIKE)
"""Assumed correlation of the answers to one person: 0.05."""
LONGEST_DAYS = 28
"""Days after which a step is called too long."""


@dataclass(frozen=True)
class Traffic:
    """Requests of a workload, and how many of their answers are judged."""

    requests: float
    """A day."""
    people: int
    """Who asked in the days before."""
    judged: float
    """Share of answers that are judged, 0 to 1."""
    rate: float = 0.9
    """Share of judged answers that are right."""
    uneven: float = 2.4
    """1 and the squared coefficient of variation of the requests of a person; 2.4 where a tenth asks half of all."""
    before: float = 0.0
    """Judged answers of a person before the release, on average."""


@dataclass(frozen=True)
class Need:
    """What a step needs to decide about a loss."""

    days: int | None
    """Days; None if `LONGEST_DAYS` do not decide it."""
    answers: int | None
    """Judged answers of the candidate in these days."""
    loss_shown: float
    """The loss that `LONGEST_DAYS` show, 0 to 1; infinite without judged answers."""


def need(traffic: Traffic, percent: float, metric: Metric = METRICS["judged"]) -> Need:
    """What a step of `percent` needs, so that nine in ten releases of an equal candidate are decided."""
    information = _information(metric.missed_loss)

    def loss(days: int) -> float:
        return math.sqrt(information * _variance(traffic, percent, days))

    answers_a_day = traffic.requests * traffic.judged * percent / 100
    enough = [days for days in range(1, LONGEST_DAYS + 1) if loss(days) <= metric.margin]
    shown = loss(LONGEST_DAYS)
    if not enough:
        return Need(None, None, shown)
    return Need(enough[0], math.ceil(answers_a_day * enough[0]), shown)


def _variance(traffic: Traffic, percent: float, days: int) -> float:
    """Variance of the difference after so many days: of single answers, and of the people whom the step has."""
    share = percent / 100
    answers, people = traffic.requests * traffic.judged * share * days, traffic.people * share
    if answers <= 0 or people <= 0 or share >= 1:
        return math.inf
    known = ALIKE / (ALIKE + traffic.before)
    of_one = (1 - CORRELATION) / answers + CORRELATION * known * traffic.uneven / people
    return max(traffic.rate * (1 - traffic.rate), 0.01) * of_one / (1 - share)


def _information(missed_loss: float) -> float:
    """Information at which `REACHED` of equal candidates are decided, by bisection."""
    bound = -math.log(missed_loss)
    low, high = 0.0, 100.0 * bound
    for _ in range(60):
        middle = (low + high) / 2
        if _decided(middle, bound) < REACHED:
            low = middle
        else:
            high = middle
    return high


def _decided(information: float, bound: float) -> float:
    """Probability that an equal candidate is found as good by then."""
    root = math.sqrt(information)
    first = _normal((information / 2 - bound) / root)
    return first + math.exp(bound) * _normal((-information / 2 - bound) / root)


def _normal(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))
