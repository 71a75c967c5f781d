"""A comparison as text: tables with a column for each plan, and sentences below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.reports.explanation_text import explanation_lines
from isthmus.reports.format.numbers import cents, signed_cents

if TYPE_CHECKING:
    from isthmus.contracts.reports.comparison import Acquisition, Column, Comparison, WorkloadCell

_LABEL, _CELL = 62, 17
"""Widths of the first column and of the others, in characters."""


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return the whole comparison."""
    return [
        *_head(comparison),
        *_cost_lines(comparison),
        *_workload_lines(comparison),
        *_hardware_lines(comparison),
        *_move_lines(comparison),
        *_total_lines(comparison),
        *_acquisition_lines(comparison),
        *_energy_lines(comparison),
        *_driver_lines(comparison),
        *_column_details(comparison),
        *_basis_lines(comparison),
    ]


def _row(label: str, cells: Sequence[str]) -> str:
    """Return a row. A label that is too long keeps its own line, so that no text is lost."""
    line = "".join(cell.rjust(_CELL) for cell in cells)
    if len(label) > _LABEL:
        return f"  {label}\n  {' ' * _LABEL}{line}".rstrip()
    return f"  {label.ljust(_LABEL)}{line}".rstrip()


def _usd(value: float | None) -> str:
    return "-" if value is None else cents(value)


def _head(comparison: Comparison) -> Iterator[str]:
    for column in comparison.columns:
        status = "" if column.status == "feasible" else f" ({column.status})"
        yield f"{column.id}: {column.what}{status}"
    yield ""
    yield from comparison.headline
    yield ""
    yield _row("", [column.id for column in comparison.columns])
    for label, values in summary_rows(comparison.columns):
        yield _row(label, values)


def summary_rows(columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
    """Return the first figures of each plan: label and a text for each column."""

    def base(column: Column, key: str) -> str:
        value = getattr(column.costs, key) if column.costs is not None else None
        return _usd(value)

    return [
        ("blueprint", [column.blueprint or "-" for column in columns]),
        ("cost of the plan, USD a month", [_usd(column.monthly_cost_usd) for column in columns]),
        ("allocated, USD a month", [base(column, "allocated_usd") for column in columns]),
        ("idle hardware that you own, USD a month", [base(column, "idle_usd") for column in columns]),
        ("allocated and idle, USD a month", [base(column, "owned_usd") for column in columns]),
        ("cash, USD a month", [base(column, "cash_usd") for column in columns]),
        ("requests a month", [f"{column.requests_per_month:,.0f}" for column in columns]),
        ("USD for 1,000 requests", [_usd(column.usd_per_1000_requests) for column in columns]),
        ("hardware in use", [column.hardware or "-" for column in columns]),
    ]


def _cost_lines(comparison: Comparison) -> Iterator[str]:
    yield from ("", "cost a month, USD (in brackets: not counted)")
    for line in comparison.cost_lines:
        cells = [
            _usd(amount) if line.counted or amount is None else f"({cents(amount)})"
            for amount in line.amounts
        ]
        yield _row(line.what, cells)
    yield _row("total", [_usd(column.monthly_cost_usd) for column in comparison.columns])


def _workload_lines(comparison: Comparison) -> Iterator[str]:
    yield from ("", "workloads")
    for row in comparison.workloads:
        yield f"  {row.workload} ({row.sensitivity})"
        for column, cell in zip(comparison.columns, row.cells, strict=True):
            yield f"    {column.id}: {describe_cell(cell)}"


def describe_cell(cell: WorkloadCell | None) -> str:
    """Return a workload in one plan as one line."""
    if cell is None:
        return "no place"
    parts = ["; ".join(f"{model} at {place}" for model, place in zip(cell.models, cell.places, strict=True))]
    if cell.size:
        parts.append(cell.size)
    if cell.score is not None:
        parts.append(f"score {cell.score:g}")
    parts.append(f"survives: {cell.survive}")
    if cell.ttft_p95_ms is not None:
        tpot = f", TPOT {cell.tpot_p95_ms:,.3g} ms" if cell.tpot_p95_ms is not None else ""
        parts.append(f"p95 TTFT {cell.ttft_p95_ms:,.4g} ms{tpot}")
    return "; ".join(parts)


def _hardware_lines(comparison: Comparison) -> Iterator[str]:
    if not comparison.hardware:
        return
    yield from ("", "GPUs in use of those owned or rented")
    for row in comparison.hardware:
        cells = ["-" if cell is None else f"{cell.used} of {cell.owned}" for cell in row.cells]
        yield _row(f"{row.gpu} at {row.site} ({row.kind})", cells)


def _move_lines(comparison: Comparison) -> Iterator[str]:
    for moves in comparison.moves:
        yield from ("", f"what moves from {moves.from_} to {moves.to}")
        yield from (f"  - {sentence}" for sentence in moves.sentences)


def _total_lines(comparison: Comparison) -> Iterator[str]:
    total = comparison.total_cost
    yield from ("", f"cost over {total.years} years, USD")
    for row in total.rows:
        yield _row(row.label, [_usd(amount) for amount in row.amounts])
    yield _row("total, with idle hardware that you own", [_usd(amount) for amount in total.totals])
    for year, amounts in enumerate(total.by_year, 1):
        yield _row(f"of it in year {year}", [_usd(amount) for amount in amounts])
    yield _row("cash", [_usd(amount) for amount in total.cash])
    for column, events in zip(comparison.columns, total.events, strict=True):
        yield from (f"  {column.id}, {event}" for event in events)


def _acquisition_lines(comparison: Comparison) -> Iterator[str]:
    if not comparison.acquisition:
        return
    yield from ("", "buy, rent or reserve, USD a month")
    for row in comparison.acquisition:
        yield f"  {row.column}: {row.gpus} x {row.gpu} at {row.site} ({row.chosen} in the plan)"
        for choice, usd, source in acquisition_offers(row):
            mark = " (cheapest)" if choice == row.cheapest else ""
            yield f"    {choice}: {_usd(usd)}{mark}; {source}"
        yield from (f"    {sentence}" for sentence in break_even_sentences(row))


def acquisition_offers(row: Acquisition) -> list[tuple[str, float | None, str]]:
    """Return choice, USD a month and source of buying, renting and reserving."""
    return [
        ("buy", row.buy_usd, row.buy_source),
        ("rent", row.rent_usd, row.rent_source),
        ("reserve", row.reserve_usd, row.reserve_source),
    ]


def break_even_sentences(row: Acquisition) -> list[str]:
    """Return from which use on buying pays, as sentences; empty if a price is not known."""
    sentences = []
    if row.break_even_months is not None:
        sentences.append(
            f"Renting on demand costs as much as the purchase after {row.break_even_months:g} months."
        )
    if row.break_even_share is not None:
        sentences.append(
            f"Buying is cheaper than renting by the hour from {row.break_even_share:.1%} of all hours on."
            if row.break_even_share <= 1
            else "Buying is dearer than renting, even for all hours."
        )
    return sentences


def _energy_lines(comparison: Comparison) -> Iterator[str]:
    energy = comparison.energy
    yield from ("", "energy a month, kWh, and carbon, kg CO2e")
    for row in energy.rows:
        factor = "not known" if row.g_per_kwh is None else f"{row.g_per_kwh:g} g CO2e a kWh"
        yield _row(f"{row.site}, {row.place}: kWh", [_amount(value) for value in row.kwh])
        yield _row(f"{row.site}, {row.place}: kg CO2e", [_amount(value) for value in row.kg_co2e])
        yield f"    {factor}: {row.source}"
        yield from (f"    {note}" for note in row.notes)
    yield _row("known in all: kWh", [_amount(value) for value in energy.kwh])
    yield _row("known in all: kg CO2e", [_amount(value) for value in energy.kg_co2e])
    for column, reasons in zip(comparison.columns, energy.unknown, strict=True):
        yield from (f"  not in the sums of {column.id}: {reason}" for reason in reasons)


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _driver_lines(comparison: Comparison) -> Iterator[str]:
    total = comparison.total_cost
    base = total.totals if comparison.drivers_of == "owned" else total.cash
    yield from (
        "",
        f"what drives the cost over {total.years} years (change in USD of the {comparison.drivers_of} total)",
    )
    for effect in comparison.drivers:
        for end, words in (("low_usd", effect.low), ("high_usd", effect.high)):
            cells = [
                "-" if cell is None or amount is None else signed_cents(round(getattr(cell, end) - amount, 2))
                for cell, amount in zip(effect.cells, base, strict=True)
            ]
            yield _row(f"{effect.driver}: {words}", cells)


def _column_details(comparison: Comparison) -> Iterator[str]:
    for column in comparison.columns:
        yield from ("", f"{column.id}: {column.label}")
        if column.status != "feasible":
            yield from (f"  - {reason}" for reason in column.why_not)
            yield from (
                f"  way out: {way.what}: {cents(way.monthly_cost_usd)} USD a month" for way in column.ways_out
            )
            continue
        if column.stress:
            bottleneck = f"; first bottleneck: {column.first_bottleneck}" if column.first_bottleneck else ""
            yield f"  stress test {column.stress}{bottleneck}"
        for other in column.alternatives:
            cost = "" if other.monthly_cost_usd is None else f"{cents(other.monthly_cost_usd)} USD a month; "
            yield f"  blueprint {other.blueprint}: {cost}{'; '.join(other.rejected_because)}"
        yield from (f"  note: {note}" for note in column.notes)
        yield from (f"  warning: {warning}" for warning in column.warnings)
        if column.explanation is not None:
            yield from (f"  {line}".rstrip() for line in explanation_lines(column.explanation)[1:])


def _basis_lines(comparison: Comparison) -> Iterator[str]:
    yield from ("", "assumptions")
    for assumption in comparison.assumptions:
        yield f"  {assumption.name}: {assumption.value}; {assumption.why} ({assumption.option})"
    yield from ("", "sources")
    yield from (f"  {source}" for source in comparison.sources)
    for line in comparison.cost_lines:
        yield f"  {line.what}: {'; '.join(line.sources)}"
