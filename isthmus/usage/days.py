"""Turns the ledger's sums into days of the contract. A closed month has its frozen figures; later lines are apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import cast

from edge.usage.ledger import Closed, Day, Hour, Loaded, next_month
from edge.usage.rows import EVALUATION, JUDGE, NOTHING, SHADOW, Sums
from isthmus.contracts.reports.usage import ClosedMonth, LoadedStore, UsageDay, UsageHour, UsageTotals
from isthmus.contracts.vocabulary import Sensitivity


def usage_days(days: Sequence[Day], closed: Sequence[Closed]) -> list[UsageDay]:
    """Days for reports: of a closed month its frozen figures, of others what the records say now. In order.

    Evaluations, shadows and judges are left out: `evaluation_days`, `shadow_days`, `judge_days`.
    """
    return _days_for(days, closed, "")


def evaluation_days(days: Sequence[Day], closed: Sequence[Closed]) -> list[UsageDay]:
    """The same of requests of evaluations, which do not count as usage."""
    return _days_for(days, closed, EVALUATION)


def shadow_days(days: Sequence[Day], closed: Sequence[Closed]) -> list[UsageDay]:
    """The same of copies of requests for canaries, which do not count as usage."""
    return _days_for(days, closed, SHADOW)


def judge_days(days: Sequence[Day], closed: Sequence[Closed]) -> list[UsageDay]:
    """The same of requests to the judges of releases, which do not count as usage."""
    return _days_for(days, closed, JUDGE)


def _days_for(days: Sequence[Day], closed: Sequence[Closed], purpose: str) -> list[UsageDay]:
    frozen = {(month.place, month.month) for month in closed}
    current = [day for day in days if (day.place, day.key.day.replace(day=1)) not in frozen]
    figures = (day for month in closed for day in month.figures)
    return [_usage_day(day) for day in sorted([*current, *figures]) if day.key.purpose == purpose]


def usage_hours(hours: Iterable[Hour]) -> list[UsageHour]:
    """Answered requests by hour, for reports. Sites of a class are added up."""
    counts: Counter[tuple[datetime, str, str]] = Counter()
    for hour in hours:
        counts[hour.key.hour, hour.place.data_class, hour.key.workload] += hour.requests
    return [
        UsageHour(hour=hour, sensitivity=_class(data_class), workload=workload, requests=counts[key])
        for key in sorted(counts)
        for hour, data_class, workload in [key]
    ]


def closed_months(days: Sequence[Day], closed: Sequence[Closed]) -> list[ClosedMonth]:
    """Closed months, each with what came after its closing. `days` must have all days of these months.

    Evaluations, shadows and judges are left out.
    """
    return [_closed_month(days, month) for month in closed]


def loaded_stores(loaded: Iterable[Loaded]) -> list[LoadedStore]:
    """How far each class at a site is read."""
    return [
        LoadedStore(
            sensitivity=_class(each.place.data_class),
            site=each.place.site,
            seal=each.seal,
            sealed_at=each.sealed_at,
        )
        for each in loaded
    ]


def month_of(text: str) -> date | None:
    """The first day of a month written as `2026-11`. None: it is not written so."""
    try:
        parsed = date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
    return parsed if len(text) == len("2026-11") else None


def _closed_month(days: Sequence[Day], closed: Closed) -> ClosedMonth:
    end = next_month(closed.month)
    now = _sum(day for day in days if day.place == closed.place and closed.month <= day.key.day < end)
    figures = _sum(closed.figures)
    return ClosedMonth(
        month=closed.month,
        sensitivity=_class(closed.place.data_class),
        site=closed.place.site,
        closed_at=closed.closed_at,
        seal=closed.seal,
        digest=closed.digest,
        totals=_totals(figures),
        adjustment=_totals(now.minus(figures)),
    )


def _sum(days: Iterable[Day]) -> Sums:
    """Sums of usage."""
    total = NOTHING
    for day in days:
        total = total if day.key.purpose else total.plus(day.sums)
    return total


def _totals(sums: Sums) -> UsageTotals:
    return UsageTotals(
        **{name: value for name, value in sums._asdict().items() if name not in ("gpu_seconds", "usd")},
        gpu_seconds=float(sums.gpu_seconds),
        cost_usd=sums.usd,
    )


def _usage_day(day: Day) -> UsageDay:
    key, sums = day.key, day.sums
    return UsageDay(
        day=key.day,
        sensitivity=_class(day.place.data_class),
        site=day.place.site,
        team=key.team,
        workload=key.workload,
        person=key.person or None,
        model=key.model,
        endpoint=key.endpoint or None,
        requests=sums.requests,
        failed=sums.failed,
        unfinished=sums.unfinished,
        prompt_tokens=sums.prompt_tokens,
        cached_tokens=sums.cached_tokens,
        completion_tokens=sums.completion_tokens,
        gpu_seconds=float(sums.gpu_seconds),
        cost_usd=sums.usd,
        unpriced=sums.unpriced,
        full_price_cached_tokens=sums.full_price_cached_tokens,
    )


def _class(name: str) -> Sensitivity:
    return cast("Sensitivity", name)
