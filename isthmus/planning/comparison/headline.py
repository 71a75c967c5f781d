"""A comparison in a few sentences: cost a month, cost over the years, and whether a driver changes the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.reports.comparison import Column, DriverEffect, TotalCost


def headline(
    columns: Sequence[Column], total: TotalCost, tornado: Sequence[DriverEffect], share: float
) -> list[str]:
    """Return the comparison in sentences. `share`: by how much drivers vary, 0 to 1."""
    return [
        *_monthly(columns),
        *_over_years(columns, total),
        *_robust(columns, total, tornado, share),
        *_other_work(columns),
        *_without_plan(columns),
    ]


def _monthly(columns: Sequence[Column]) -> Iterator[str]:
    known = [column for column in columns if column.monthly_cost_usd is not None]
    if not known:
        return
    first = known[0]
    base = first.monthly_cost_usd or 0.0
    parts = [f"{first.id} costs {base:,.2f} USD a month"]
    for column in known[1:]:
        cost = column.monthly_cost_usd or 0.0
        share = f", {cost / base - 1:+.1%}" if base else ""
        parts.append(f"{column.id} {cost:,.2f} ({cost - base:+,.2f}{share})")
    yield f"{', '.join(parts)}."


def _over_years(columns: Sequence[Column], total: TotalCost) -> Iterator[str]:
    known = [
        (amount, column.id)
        for amount, column in zip(total.totals, columns, strict=True)
        if amount is not None
    ]
    years = f"{total.years} year{'' if total.years == 1 else 's'}"
    if known:
        amounts = ", ".join(f"{id} {amount:,.2f}" for amount, id in known)
        yield f"Over {years}, with growth and idle hardware that you own: {amounts} USD."
    for column, reasons in zip(columns, total.missing, strict=True):
        if reasons:
            yield f"The total of {column.id} over {years} is not known: {'; '.join(reasons)}."


def _robust(
    columns: Sequence[Column], total: TotalCost, tornado: Sequence[DriverEffect], share: float
) -> Iterator[str]:
    known = [
        (amount, column.id)
        for amount, column in zip(total.totals, columns, strict=True)
        if amount is not None
    ]
    if len(known) < 2:
        return
    least = min(known)[0]
    cheapest = [id for amount, id in known if amount < least + 0.005]
    changes = [
        f"{end} makes {winner} the cheapest"
        for effect in tornado
        for end, winner in ((effect.low, effect.cheapest_low), (effect.high, effect.cheapest_high))
        if winner is not None and winner not in cheapest
    ]
    subject = f"{cheapest[0]} is" if len(cheapest) == 1 else f"{' and '.join(cheapest)} are"
    if changes:
        yield f"{subject} the cheapest over the years, but {'; '.join(changes)}."
    else:
        yield f"{subject} the cheapest over the years, and no single driver within {share:.0%} changes that."


def _other_work(columns: Sequence[Column]) -> Iterator[str]:
    """Yield a warning if the columns do not carry the same work."""
    first = columns[0]
    others = [column for column in columns[1:] if column.requests_per_month != first.requests_per_month]
    if others:
        amounts = ", ".join(f"{column.id} {column.requests_per_month:,.0f}" for column in (first, *others))
        yield f"The columns do not carry the same load. Requests a month: {amounts}."


def _without_plan(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        if column.status == "infeasible":
            cheapest = min((way.monthly_cost_usd for way in column.ways_out), default=None)
            way = "" if cheapest is None else f" The cheapest way out costs {cheapest:,.2f} USD a month."
            yield f"{column.id} is infeasible: {'; '.join(column.why_not)}.{way}"
        if column.status == "refused":
            yield f"{column.id} has no plan: {'; '.join(column.why_not)}."
