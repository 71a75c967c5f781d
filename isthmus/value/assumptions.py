"""The assumptions that figures of value rest on: each has a likeliest value and a distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.intervals import wilson

if TYPE_CHECKING:
    from isthmus.contracts.requirements.value import Figure, Value

Floats = np.ndarray
NAMES = (
    "answers_per_month",
    "acceptance",
    "units_per_answer",
    "baseline_minutes",
    "assisted_minutes",
    "usd_per_hour",
    "one_time_usd",
    "people",
)
"""In the order of their random numbers, so that none depends on another's distribution."""
LABELS: Mapping[str, tuple[str, str]] = {
    "answers_per_month": ("answers a month", "answers"),
    "acceptance": ("accepted share of the answers", "share"),
    "units_per_answer": ("units of work for an answer", "units"),
    "baseline_minutes": ("minutes for a unit without the workload", "minutes"),
    "assisted_minutes": ("minutes for a unit with an answer", "minutes"),
    "usd_per_hour": ("cost of an hour of the people", "USD"),
    "one_time_usd": ("cost of the project, once", "USD"),
    "people": ("people who could use it", "people"),
}
"""By name: label and unit."""


class Distribution(Protocol):
    """The distribution of an assumption."""

    @property
    def likely(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...

    def quantiles(self, shares: Floats) -> Floats:
        """Return the values below which these shares of the distribution lie."""
        ...


@dataclass(frozen=True)
class Triangle:
    """A triangular distribution: it asks for no more than the low, likely and high that people state."""

    low: float
    likely: float
    high: float

    def quantiles(self, shares: Floats) -> Floats:
        width, left, right = self.high - self.low, self.likely - self.low, self.high - self.likely
        if width <= 0:
            return np.full(len(shares), self.likely)
        rising = self.low + np.sqrt(shares * width * left)
        falling = self.high - np.sqrt((1 - shares) * width * right)
        return np.where(shares < left / width, rising, falling)


@dataclass(frozen=True)
class Accepted:
    """The accepted share, from judged answers of the random sample. Its quantiles are bounds of Wilson's interval."""

    right: int
    judged: int

    @property
    def likely(self) -> float:
        return self.right / self.judged

    @property
    def low(self) -> float:
        return wilson(self.right, self.judged)[0]

    @property
    def high(self) -> float:
        return wilson(self.right, self.judged)[1]

    def quantiles(self, shares: Floats) -> Floats:
        inverse = NormalDist().inv_cdf
        deviations = np.array([inverse(min(max(float(share), 1e-9), 1 - 1e-9)) for share in shares])
        squares, share, count = deviations**2, self.likely, self.judged
        spread = np.sqrt(share * (1 - share) / count + squares / (4 * count * count))
        bounds = (share + squares / (2 * count) + deviations * spread) / (1 + squares / count)
        return np.clip(bounds, 0.0, 1.0)


@dataclass(frozen=True)
class Assumption:
    """An assumption with its source."""

    name: str
    is_measured: bool
    distribution: Distribution
    source: str
    as_of: str


def stated(value: Value) -> dict[str, Assumption]:
    """Return the figures that the requirements state, by name."""
    figures: dict[str, Figure | None] = {
        "units_per_answer": value.units_per_answer,
        "baseline_minutes": value.baseline_minutes,
        "assisted_minutes": value.assisted_minutes,
        "usd_per_hour": value.usd_per_hour,
        "one_time_usd": value.one_time_usd,
        "people": value.people,
    }
    return {
        name: Assumption(
            name, False, Triangle(figure.lowest, figure.likely, figure.highest), figure.source, figure.as_of
        )
        for name, figure in figures.items()
        if figure is not None
    }


def measured_answers(weeks: list[int], begin: str, end: str) -> Assumption:
    """Return the answers of a month, from whole weeks: their mean, from the quietest to the busiest week."""
    monthly = [answered * 730 / 168 for answered in weeks]
    triangle = Triangle(min(monthly), math.fsum(monthly) / len(monthly), max(monthly))
    source = f"usage of {begin} to {end}: the mean week, from the quietest to the busiest"
    return Assumption("answers_per_month", True, triangle, source, end)


def measured_acceptance(right: int, judged: int, source: str, as_of: str) -> Assumption:
    """Return the accepted share of the random sample; `judged` is above zero."""
    return Assumption("acceptance", True, Accepted(right, judged), source, as_of)
