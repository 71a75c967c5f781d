"""Groups days of usage, compares a period with the one before, and finds days that are unlike earlier weekdays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from statistics import median
from typing import Any, Literal, get_args

from isthmus.contracts.reports.usage import (
    ClosedMonth,
    LoadedStore,
    UnusualDay,
    UsageDay,
    UsageGroup,
    UsageHour,
    UsagePrice,
    UsageReport,
    UsageTotals,
    UsageTrend,
)
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.usage.budgets import team_budgets

By = Literal["class", "site", "team", "workload", "model", "endpoint", "day"]
NAMES: tuple[By, ...] = get_args(By)
"""What days can be grouped by."""
DEVIATIONS = 3
"""Median absolute deviations from the median beyond which a day is unusual."""
LEAST_SHARE = 0.2
"""Part of the median by which a day differs at least. Otherwise weekdays that are all alike make each other unusual."""
LEAST_WEEKDAYS, MOST_WEEKDAYS = 4, 8
"""How many of the same weekdays before a day is compared with."""
_MEASURES: tuple[Literal["requests", "cost_usd"], ...] = ("requests", "cost_usd")
_SUMMED = tuple(UsageTotals.model_fields)


@dataclass(frozen=True)
class Period:
    """Days from `begin` to `end`, UTC. Both count."""

    begin: date
    end: date

    @property
    def before(self) -> Period:
        """The period of as many days that ends the day before."""
        length = self.end - self.begin + timedelta(days=1)
        return Period(self.begin - length, self.end - length)

    @property
    def first_needed(self) -> date:
        """The first day that a report of this period reads."""
        return min(self.before.begin, self.begin - timedelta(weeks=MOST_WEEKDAYS))

    def covers(self, day: date) -> bool:
        return self.begin <= day <= self.end


@dataclass(frozen=True)
class Read:
    """What was read of a stack: days, with those before the period, closed months, and how far its stores are read."""

    days: Sequence[UsageDay]
    closed: Sequence[ClosedMonth]
    loaded: Sequence[LoadedStore]
    hours: Sequence[UsageHour] = ()
    prices: Sequence[UsagePrice] = ()
    """Of the platform's endpoints."""
    budgets: Mapping[str, float] = field(default_factory=dict)
    """USD a month, by team of the platform."""
    evaluations: Sequence[UsageDay] = ()
    """Days of evaluations, which do not count as usage."""
    shadows: Sequence[UsageDay] = ()
    """Days of copies of requests for canaries, which do not count as usage."""
    judges: Sequence[UsageDay] = ()
    """Days of requests to the judges of releases, which do not count as usage."""


def report(stack: str, read: Read, period: Period, by: Sequence[By], today: date) -> UsageReport:
    """The report of a period. `today`: it is not over, so it is not judged as unusual."""
    days = [day for day in read.days if period.covers(day.day)]
    evaluations = [day for day in read.evaluations if period.covers(day.day)]
    shadows = [day for day in read.shadows if period.covers(day.day)]
    judges = [day for day in read.judges if period.covers(day.day)]
    return UsageReport(
        stack=stack,
        begin=period.begin,
        end=period.end,
        by=list(by),
        loaded=list(read.loaded),
        totals=total(days),
        groups=groups(days, by),
        trend=_trend(read.days, period.before),
        unusual=unusual_days(read.days, period, today),
        closed=[month for month in read.closed if _touches(month, period)],
        days=days,
        evaluations=evaluations,
        shadows=shadows,
        judges=judges,
        hours=[hour for hour in read.hours if period.covers(hour.hour.date())],
        prices=_prices(read.prices, [*days, *evaluations, *shadows, *judges]),
        budgets=team_budgets(stack, read.budgets, read.days, period.end, today) if read.budgets else [],
    )


def total(days: Iterable[UsageDay]) -> UsageTotals:
    """The sums of all days."""
    sums: dict[str, Any] = {**dict.fromkeys(_SUMMED, 0), "cost_usd": Decimal(0)}
    for day in days:
        for name in _SUMMED:
            sums[name] += getattr(day, name)
    return UsageTotals.model_validate(sums)


def groups(days: Iterable[UsageDay], by: Sequence[By]) -> list[UsageGroup]:
    """The sums of days that agree in these names: by day in order, otherwise the most expensive first."""
    by_names: defaultdict[tuple[str, ...], list[UsageDay]] = defaultdict(list)
    for day in days:
        by_names[tuple(_name(day, name) for name in by)].append(day)
    found = [
        UsageGroup(names=dict(zip(by, names, strict=True)), totals=total(members))
        for names, members in by_names.items()
    ]
    return sorted(
        found,
        key=lambda group: (
            group.names.get("day", ""),
            -group.totals.cost_usd,
            -group.totals.requests,
            list(group.names.values()),
        ),
    )


def unusual_days(days: Sequence[UsageDay], period: Period, today: date) -> list[UnusualDay]:
    """Days of a period on which a workload was used unlike on the same weekdays before. Needs four of them."""
    first = min((day.day for day in days), default=period.begin)
    by_workload: defaultdict[tuple[Sensitivity, str], defaultdict[date, list[UsageDay]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for day in days:
        by_workload[day.sensitivity, day.workload][day.day].append(day)
    last = min(period.end, today - timedelta(days=1))
    found: list[UnusualDay] = []
    for (sensitivity, workload), by_day in by_workload.items():
        totals = {day: total(members) for day, members in by_day.items()}
        for measure in _MEASURES:
            values = {day: float(getattr(totals[day], measure)) for day in totals}
            make = partial(UnusualDay, sensitivity=sensitivity, workload=workload, measure=measure)
            found += list(_judge(values, Period(max(period.begin, first), last), first, make))
    return sorted(found, key=lambda each: (each.day, each.workload, each.measure))


def _judge(
    values: Mapping[date, float], period: Period, first: date, make: Callable[..., UnusualDay]
) -> Iterator[UnusualDay]:
    """Unusual days of one workload and measure. A day without usage counts as zero, from the `first` day on."""
    for number in range((period.end - period.begin).days + 1):
        day = period.begin + timedelta(days=number)
        weekdays = [day - timedelta(weeks=week) for week in range(1, MOST_WEEKDAYS + 1)]
        earlier = [values.get(weekday, 0.0) for weekday in weekdays if weekday >= first]
        if len(earlier) < LEAST_WEEKDAYS:
            continue
        middle = median(earlier)
        deviation = median(abs(value - middle) for value in earlier)
        value = values.get(day, 0.0)
        if abs(value - middle) > max(DEVIATIONS * deviation, LEAST_SHARE * middle):
            yield make(day=day, value=value, median=middle, deviation=deviation, weekdays=len(earlier))


def _trend(days: Sequence[UsageDay], before: Period) -> UsageTrend:
    first = min((day.day for day in days), default=None)
    known = first is not None and first <= before.begin
    members = [day for day in days if before.covers(day.day)]
    return UsageTrend(begin=before.begin, end=before.end, totals=total(members) if known else None)


def _prices(known: Sequence[UsagePrice], days: Iterable[UsageDay]) -> list[UsagePrice]:
    """The price of each endpoint that was used. One that the platform does not price has no amount."""
    by_endpoint = {price.endpoint: price for price in known}
    used = sorted({day.endpoint for day in days if day.endpoint})
    return [by_endpoint.get(name) or _unplanned(name) for name in used] if known else []


def _unplanned(endpoint: str) -> UsagePrice:
    return UsagePrice(endpoint=endpoint, unknown_because="the platform has no such endpoint")


def _touches(month: ClosedMonth, period: Period) -> bool:
    last = (month.month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return month.month <= period.end and last >= period.begin


def _name(day: UsageDay, name: By) -> str:
    if name == "class":
        return day.sensitivity
    value = getattr(day, name)
    return value.isoformat() if isinstance(value, date) else value or ""
