"""Daily sums of each workload, and the whole weeks that figures are measured on."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.contracts.reports.measured_traffic import DayPercentiles

if TYPE_CHECKING:
    from isthmus.contracts.reports.usage import UsageDay
    from isthmus.contracts.reports.usage_file import UsageFile

WEEK = 7
LEAST_DAYS = 14
"""Days below which nothing is measured: two of each weekday."""
MOST_DAYS = 28
"""Days that means are measured on, the last ones: a plan is for today's load, not for that of a year ago."""
_DAY = datetime.timedelta(days=1)


@dataclass
class DaySums:
    """Sums of one workload on one day."""

    answered: int = 0
    failed: int = 0
    unfinished: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def add(self, row: UsageDay) -> None:
        self.answered += row.requests - row.failed - row.unfinished
        self.failed += row.failed
        self.unfinished += row.unfinished
        self.prompt_tokens += row.prompt_tokens
        self.cached_tokens += row.cached_tokens
        self.completion_tokens += row.completion_tokens

    @property
    def load(self) -> int:
        """Requests that used a model, as far as known: answered, and those whose end nobody saw."""
        return self.answered + self.unfinished


@dataclass(frozen=True)
class Series:
    """The days of one workload, from the first day with a request on. A day without a row had no request."""

    workload: str
    end: datetime.date
    """The last whole day of the file."""
    sums: dict[datetime.date, DaySums] = field(default_factory=dict)

    @property
    def days(self) -> int:
        """Days from the first request to the end of the file."""
        return (self.end - min(self.sums)).days + 1 if self.sums else 0

    def last_days(self, count: int) -> list[DaySums]:
        """The sums of the last days, the oldest first."""
        days = (self.end - _DAY * back for back in reversed(range(count)))
        return [self.sums.get(day, DaySums()) for day in days]

    def weeks(self, most: int) -> list[int]:
        """Requests of the last whole weeks, the oldest first. They end with the file, so each has all weekdays."""
        count = min(self.days // WEEK, most)
        loads = [day.load for day in self.last_days(count * WEEK)]
        return [sum(loads[start : start + WEEK]) for start in range(0, len(loads), WEEK)]


@dataclass(frozen=True)
class Window:
    """The whole weeks at the end of a series: what means are measured on."""

    begin: datetime.date
    end: datetime.date
    days: list[DaySums]

    @property
    def load(self) -> int:
        return sum(day.load for day in self.days)

    @property
    def answered(self) -> int:
        return sum(day.answered for day in self.days)

    @property
    def mean_rps(self) -> float:
        """Requests a second, nights included."""
        return self.load / (len(self.days) * _DAY.total_seconds())

    @property
    def failed_share(self) -> float:
        failed = sum(day.failed for day in self.days)
        return failed / (failed + self.load) if failed else 0.0

    @property
    def busiest_rps(self) -> float:
        """Mean rate of the busiest day: no peak can be lower."""
        return max(day.load for day in self.days) / _DAY.total_seconds()

    def mean_tokens(self, kind: str) -> float | None:
        """Mean of an answered request. None: no token was counted."""
        total = sum(getattr(day, kind) for day in self.days)
        return total / self.answered if total and self.answered else None

    @property
    def cached_share(self) -> float | None:
        """Share of the prompt tokens that a prefix cache had. None: no engine reported any."""
        prompt = sum(day.prompt_tokens for day in self.days)
        cached = sum(day.cached_tokens for day in self.days)
        return min(cached / prompt, 1.0) if prompt and cached else None

    @property
    def by_day(self) -> DayPercentiles:
        loads = sorted(day.load for day in self.days)
        return DayPercentiles(
            median=percentile(loads, 0.5), p95=round(percentile(loads, 0.95), 1), busiest=loads[-1]
        )

    @property
    def weekdays(self) -> list[float]:
        """Requests of Monday to Sunday as multiples of the mean day."""
        sums = [0] * WEEK
        for offset, day in enumerate(self.days):
            sums[(self.begin + _DAY * offset).weekday()] += day.load
        return [round(total * WEEK / self.load, 3) for total in sums]


def whole_days(usage: UsageFile) -> tuple[datetime.date, datetime.date] | None:
    """The first and the last whole day of a file. Its last day is left out, because it may not be over.

    None: the file has a single day.
    """
    days = [row.day for row in usage.days]
    begin, end = min(days), max(days) - _DAY
    return (begin, end) if begin <= end else None


def series_of(usage: UsageFile) -> dict[str, Series]:
    """The series of each workload of a file. Workloads that only have its last day are left out."""
    span = whole_days(usage)
    series: dict[str, Series] = {}
    if span is None:
        return series
    for row in usage.days:
        if row.day <= span[1]:
            of_workload = series.setdefault(row.workload, Series(row.workload, span[1]))
            of_workload.sums.setdefault(row.day, DaySums()).add(row)
    return series


def window(series: Series) -> Window | None:
    """The last whole weeks, at most four. None: fewer than `LEAST_DAYS`, or no request was answered."""
    if series.days < LEAST_DAYS:
        return None
    count = min(series.days, MOST_DAYS) // WEEK * WEEK
    measured = Window(series.end - _DAY * (count - 1), series.end, series.last_days(count))
    return measured if measured.answered else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values lies, between the two nearest ones."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
