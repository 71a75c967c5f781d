"""The cost over the years of each plan of a comparison, and what single drivers do to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.reports.comparison import (
    Driver,
    DriverCell,
    DriverEffect,
    TotalCost,
    TotalCostRow,
)
from isthmus.planning.comparison.cost_model import CATEGORIES, CostModel, Months, Scenario

if TYPE_CHECKING:
    from isthmus.contracts.reports.comparison import Column
    from isthmus.planning.comparison.assumptions import Assumptions

Basis = Literal["owned", "cash"]


def total_cost(models: Sequence[CostModel | None], assumptions: Assumptions) -> TotalCost:
    """Return the cost over the years of each plan; a column without a plan has nulls."""
    runs = [None if model is None else model.run() for model in models]
    missing = [[] if model is None else model.missing for model in models]
    known = [None if run is None or lacks else run for run, lacks in zip(runs, missing, strict=True)]
    rows = [
        TotalCostRow(
            category=category,
            label=label,
            amounts=[None if run is None else run.total(category) for run in known],
        )
        for category, label in CATEGORIES.items()
        if any(run is not None and run.total(category) for run in known)
    ]
    return TotalCost(
        years=assumptions.years,
        rows=rows,
        totals=[None if run is None else run.owned for run in known],
        by_year=[
            [None if run is None else run.year(year) for run in known] for year in range(assumptions.years)
        ],
        cash=[None if run is None else run.cash for run in runs],
        events=[[] if run is None else run.events for run in runs],
        missing=missing,
    )


def basis_of(total: TotalCost) -> Basis:
    """Return the total that drivers change: what is borne, or cash if that is not known for a plan."""
    is_known = all(
        owned is not None or cash is None for owned, cash in zip(total.totals, total.cash, strict=True)
    )
    return "owned" if is_known else "cash"


def driver_effects(
    models: Sequence[CostModel | None], columns: Sequence[Column], assumptions: Assumptions, basis: Basis
) -> list[DriverEffect]:
    """Return what each driver does to the totals, the one with the widest range first."""
    share = assumptions.driver_range
    percent = f"{share * 100:g} %"
    drivers: list[tuple[Driver, str, str, str]] = [
        (
            "cloud price",
            "cloud_price",
            f"{percent} lower prices of tokens and instances",
            f"{percent} higher prices",
        ),
        ("load", "load", f"{percent} less traffic", f"{percent} more traffic"),
        (
            "electricity price",
            "electricity",
            f"{percent} cheaper electricity",
            f"{percent} dearer electricity",
        ),
        ("life of hardware", "life", f"hardware is used {percent} less long", f"{percent} longer"),
        (
            "utilisation",
            "utilisation",
            f"a replica carries {percent} less than predicted",
            f"{percent} more than predicted",
        ),
    ]
    effects = []
    for driver, name, low, high in drivers:
        ends = [
            [_total(model, Scenario(**{name: factor}), basis) for model in models]
            for factor in (1 - share, 1 + share)
        ]
        cells = [
            None if at_low is None or at_high is None else DriverCell(low_usd=at_low, high_usd=at_high)
            for at_low, at_high in zip(*ends, strict=True)
        ]
        effects.append(
            DriverEffect(
                driver=driver,
                low=low,
                high=high,
                cells=cells,
                cheapest_low=_cheapest(ends[0], columns),
                cheapest_high=_cheapest(ends[1], columns),
            )
        )
    return sorted(effects, key=_range, reverse=True)


def _total(model: CostModel | None, scenario: Scenario, basis: Basis) -> float | None:
    if model is None:
        return None
    months: Months = model.run(scenario)
    return months.owned if basis == "owned" else months.cash


def _range(effect: DriverEffect) -> float:
    return max((abs(cell.high_usd - cell.low_usd) for cell in effect.cells if cell is not None), default=0.0)


def _cheapest(totals: Sequence[float | None], columns: Sequence[Column]) -> str | None:
    known = [(total, column.id) for total, column in zip(totals, columns, strict=True) if total is not None]
    return min(known)[1] if len(known) > 1 else None
