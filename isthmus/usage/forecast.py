"""Forecasts the cost of a month from its days so far, by weekday, with an 80 % interval.

A day costs the mean of its weekday, or of workdays and weekend days while a weekday was seen less than twice. The
interval comes from the deviations of the days from these means (Student's t). Growth, holidays and the last day of a
month are not modelled, and days are taken as independent.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from isthmus.contracts.reports.usage import UsageDay
from isthmus.contracts.reports.variance import Forecast, ForecastRow
from isthmus.core.cents import to_cents

LEAST_DAYS = 7
"""Days that a forecast needs."""
WINDOW_DAYS = 56
"""Older days do not count."""
By = Literal["all", "team", "workload"]
_SATURDAY = 5
_T90 = (
    *(
        3.078,
        1.886,
        1.638,
        1.533,
        1.476,
        1.440,
        1.415,
        1.397,
        1.383,
        1.372,
        1.363,
        1.356,
        1.350,
        1.345,
        1.341,
    ),
    *(
        1.337,
        1.333,
        1.330,
        1.328,
        1.325,
        1.323,
        1.321,
        1.319,
        1.318,
        1.316,
        1.315,
        1.314,
        1.313,
        1.311,
        1.310,
    ),
)
"""90 % quantiles of Student's t for 1 to 30 degrees of freedom: 80 % lie between both signs of one."""
_Z90 = 1.2816


@dataclass(frozen=True)
class _Estimate:
    """Cost of the remaining days: the mean, and half the width of the interval."""

    mean: float
    half: float
    method: str


def forecast(stack: str, days: Sequence[UsageDay], month: date, through: date, by: By = "all") -> Forecast:
    """Forecast the cost of a month at its end.

    Args:
        stack: name of the stack.
        days: sums of the ledger, earlier months too.
        month: first day of the month.
        through: the last complete day of the ledger.
        by: one row for the whole stack, or more rows for its teams or workloads.

    Days between the first day of the ledger and `through` without usage count as zero.
    """
    days = [day for day in days if day.day <= through]
    begin = max(min((day.day for day in days), default=through), through - timedelta(days=WINDOW_DAYS - 1))
    observed = (
        [begin + timedelta(days=number) for number in range((through - begin).days + 1)] if days else []
    )
    rows = [_row("all", days, observed, month, through)]
    if by != "all":
        names = sorted({getattr(day, by) for day in days})
        rows += [
            _row(name, [day for day in days if getattr(day, by) == name], observed, month, through)
            for name in names
        ]
    return Forecast(
        stack=stack, month=f"{month:%Y-%m}", through=through, days_observed=len(observed), rows=rows
    )


def _row(
    name: str, days: Sequence[UsageDay], observed: Sequence[date], month: date, through: date
) -> ForecastRow:
    costs: dict[date, Decimal] = defaultdict(Decimal)
    for day in days:
        costs[day.day] += day.cost_usd
    so_far = sum(
        (cost for day, cost in costs.items() if (day.year, day.month) == (month.year, month.month)),
        Decimal(0),
    )
    last = month.replace(day=monthrange(month.year, month.month)[1])
    remaining = [through + timedelta(days=number) for number in range(1, (last - through).days + 1)]
    estimate = _estimate({day: float(costs[day]) for day in observed}, remaining)
    if isinstance(estimate, str):
        return ForecastRow(
            name=name, so_far=to_cents(so_far), expected=None, low=None, high=None, method=estimate
        )
    so_far_and = [Decimal(str(round(part, 6))) for part in _bounds(estimate)]
    mean, low, high = (to_cents(so_far + part) for part in so_far_and)
    return ForecastRow(
        name=name, so_far=to_cents(so_far), expected=mean, low=low, high=high, method=estimate.method
    )


def _bounds(estimate: _Estimate) -> tuple[float, float, float]:
    return estimate.mean, max(0.0, estimate.mean - estimate.half), estimate.mean + estimate.half


def _estimate(costs: Mapping[date, float], remaining: Sequence[date]) -> _Estimate | str:
    """Estimate the remaining days, or say why they are not known."""
    if not remaining:
        return _Estimate(0.0, 0.0, "the month is over")
    if len(costs) < LEAST_DAYS:
        return f"not known: {len(costs)} days are observed, {LEAST_DAYS} are needed"
    by_weekday = _grouped(costs, lambda day: day.weekday())
    if len(by_weekday) == LEAST_DAYS and min(map(len, by_weekday.values())) > 1:
        return _from_groups(by_weekday, [day.weekday() for day in remaining], "means of each weekday")
    groups = _grouped(costs, _is_weekend)
    return _from_groups(groups, [_is_weekend(day) for day in remaining], "means of workdays and weekend days")


def _is_weekend(day: date) -> int:
    return int(day.weekday() >= _SATURDAY)


def _grouped(costs: Mapping[date, float], group_of: Callable[[date], int]) -> dict[int, list[float]]:
    groups: dict[int, list[float]] = defaultdict(list)
    for day, cost in costs.items():
        groups[group_of(day)].append(cost)
    return groups


def _from_groups(groups: Mapping[int, Sequence[float]], remaining: Sequence[int], method: str) -> _Estimate:
    means = {group: sum(values) / len(values) for group, values in groups.items()}
    squares = sum((value - means[group]) ** 2 for group, values in groups.items() for value in values)
    freedom = sum(map(len, groups.values())) - len(groups)
    counts = {group: remaining.count(group) for group in groups}
    mean = sum(count * means[group] for group, count in counts.items())
    # Each remaining day deviates, and so does each mean that it rests on.
    spread = sum(count + count**2 / len(groups[group]) for group, count in counts.items())
    return _Estimate(mean, _t90(freedom) * math.sqrt(squares / freedom * spread), method)


def _t90(freedom: int) -> float:
    return _T90[freedom - 1] if freedom <= len(_T90) else _Z90 * (1 + (_Z90**2 + 1) / (4 * freedom))
