"""What measured usage says of the traffic that requirements guess: `from_usage` of `isthmus plan --from-usage`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from isthmus.contracts.vocabulary import Part


class TrafficFigure(Part):
    """One figure of a workload's traffic, as the requirements guess it and as it was measured."""

    key: str
    """The key in `workloads[].traffic`."""
    guessed: float
    """The figure of the requirements."""
    used: float
    """The figure that the plan uses."""
    basis: Literal["measured", "derived", "guessed"]
    """`derived`: from a measured mean and a ratio that the requirements guess. `guessed`: the usage does not say it."""
    how: str
    """How the figure was found."""


class DayPercentiles(Part):
    """Answered requests of a day: how the days of the measured weeks differ."""

    median: float
    p95: float
    busiest: int


class Trend(Part):
    """Change of the weekly requests: a straight line through their logarithms."""

    pct_per_week: float
    low: float
    high: float
    """`low` and `high`: 95 % confidence interval of `pct_per_week`."""
    weeks: int
    """Whole weeks that the line goes through."""

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes that nothing changes."""
        return self.low > 0 or self.high < 0


class WorkloadTraffic(Part):
    """The traffic of one workload."""

    workload: str
    measured: bool
    """False: the guess stays, for the reason in `why_guessed`."""
    why_guessed: str | None
    days: int
    """Days from the first day with a request to the last whole day of the file."""
    begin: date | None
    end: date | None
    """`begin` and `end`: the first and the last day that the measured figures come from."""
    figures: list[TrafficFigure]
    by_day: DayPercentiles | None
    weekdays: list[float] | None
    """Requests of Monday to Sunday, as multiples of the mean day."""
    failed_share: float | None
    """Share of the requests that were refused or failed. They are in no figure."""
    trend: Trend | None
    """None: fewer than six whole weeks, or a week without requests."""
    endpoint_guessed: str | None
    endpoint_used: str | None
    """The workload's own endpoint in the plan without and with usage. None: there is no feasible plan."""
    gpus_guessed: float
    gpus_used: float
    """GPUs of its endpoints in the two plans. Workloads that share an endpoint share its GPUs."""
    monthly_usd_guessed: float | None
    monthly_usd_used: float | None
    """Its part of the monthly cost in the two plans (docs/planning.md)."""


class SizeOutlook(Part):
    """When an endpoint of a plan becomes too small or too large, if the trend goes on."""

    endpoint: str
    becomes: Literal["too small", "too large"]
    replicas: int
    """Replicas in the plan."""
    needed_now: int
    """Replicas that the measured traffic needs, with headroom and after the failure to survive."""
    weeks_from: int
    weeks_to: int | None
    """Weeks from the last day of the file, for the ends of the trend's interval. None: more than a year."""
    workloads: list[str]
    """Its workloads with a trend."""


class FromUsage(Part):
    """The plan from measured traffic beside the plan from the guesses of the requirements."""

    begin: date
    end: date
    """The first and the last whole day of the file."""
    workloads: list[WorkloadTraffic]
    gpus_guessed: int
    gpus_used: int
    monthly_usd_guessed: float | None
    monthly_usd_used: float | None
    """Cost of the two plans. None: there is no feasible plan."""
    outlook_of: Literal["the existing plan", "the plan without usage"]
    """The plan that `outlook` judges."""
    outlook: list[SizeOutlook]
    requirements: str
    """The measured traffic as YAML, to paste into the requirements."""
    warnings: list[str]
