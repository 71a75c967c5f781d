"""Writes plan against actual, and the forecast of a month, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.reports.format.escaping import visible
from isthmus.reports.reconciliation_text import NO_TEAM, money

if TYPE_CHECKING:
    from decimal import Decimal

    from isthmus.contracts.reports.variance import Effects, Forecast, Variance

_EFFECTS = ("load", "mix", "efficiency", "price", "not_planned")


def variance_lines(report: Variance) -> list[str]:
    """The report as lines of text."""
    heads = ("plan", "actual", "difference", "load", "mix", "efficiency", "price", "not planned")
    lines = [
        f"Plan and actual cost of {report.stack}, {report.begin} to {report.end} (USD)",
        f"{'':<52}" + "".join(f"{head:>12}" for head in heads),
    ]
    for row in report.rows:
        planned = "?" if row.planned_requests is None else f"{row.planned_requests:,}"
        lines.append(f"{row.workload} at {row.endpoint}"[:52].ljust(52) + _cells(row.effects))
        lines.append(f"  {row.requests:,} requests answered, {planned} planned")
    lines += [
        f"{'total':<52}" + _cells(report.total),
        "",
        *_meaning(),
        *(f"Note: {note}" for note in report.notes),
    ]
    return [visible(line) for line in lines]


def _cells(effects: Effects) -> str:
    signed = (effects.difference, *(getattr(effects, name) for name in _EFFECTS))
    cells = [money(effects.plan), money(effects.actual), *map(_signed, signed)]
    return "".join(f"{cell:>12}" for cell in cells)


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f}" if amount else "0.00"


def _meaning() -> Iterator[str]:
    yield "The effects add up to the difference. They replace planned by actual values in this order:"
    yield "load (requests of the workload), mix (shares of its endpoints), efficiency (tokens or GPU time for a"
    yield "request), price. What two of them cause together belongs to the later one."


def forecast_lines(report: Forecast) -> list[str]:
    """The forecast as lines of text."""
    lines = [
        f"Cost of {report.stack} at the end of {report.month} (USD)",
        f"From {report.days_observed} days until {report.through}.",
        f"{'':<28}{'so far':>14}{'expected':>14}{'80 % interval':>30}",
    ]
    for row in report.rows:
        if row.expected is None or row.low is None or row.high is None:
            lines.append(f"{(row.name or NO_TEAM)[:28]:<28}{money(row.so_far):>14}  {row.method}")
            continue
        interval = f"{money(row.low)} to {money(row.high)}"
        lines.append(
            f"{(row.name or NO_TEAM)[:28]:<28}{money(row.so_far):>14}{money(row.expected):>14}{interval:>30}"
        )
    methods = sorted({row.method for row in report.rows if row.expected is not None})
    lines += [
        f"Method: {method}; growth and holidays are not in it." for method in methods if "mean" in method
    ]
    return [visible(line) for line in lines]
