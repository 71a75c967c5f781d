"""The figures of value, their ranges, and what each assumption does to the net benefit.

Ranges come from drawn cases: each draws every assumption from its distribution, independently, and computes all
figures. A payback is not linear in its assumptions and may be never, so the ends of the ranges cannot be computed from
deviations. Random numbers come from a fixed seed, one column for each assumption, so the same input gives the same
bytes, and a change of one assumption leaves the other draws as they are.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isthmus.contracts.reports.value import Range, TornadoBar
from isthmus.value.assumptions import LABELS, NAMES, Assumption, Floats

if TYPE_CHECKING:
    from isthmus.contracts.requirements.value import Measure

CASES = 10_000
SEED = 28
LOW, HIGH = 0.1, 0.9
"""Percentiles of a range."""
MONTHS = 12
_NEEDS: Mapping[Measure, tuple[str, ...]] = {
    "acceptance": ("acceptance",),
    "adoption": ("people",),
    "cost_per_accepted_answer_usd": ("answers_per_month", "acceptance"),
    "hours_saved_per_month": ("answers_per_month", "acceptance"),
    "net_benefit_usd_per_month": ("answers_per_month", "acceptance"),
    "first_year_return_pct": ("answers_per_month", "acceptance"),
    "payback_months": ("answers_per_month", "acceptance", "one_time_usd"),
}
"""Assumptions without which a figure is not known. The others are always stated."""


@dataclass(frozen=True)
class Facts:
    """What has no range."""

    monthly_cost_usd: float
    active_people: int | None


def computable(measure: Measure, assumptions: Mapping[str, Assumption], facts: Facts) -> bool:
    """Return whether a figure can be computed."""
    is_named = measure != "adoption" or facts.active_people is not None
    return is_named and all(name in assumptions for name in _NEEDS[measure])


def ranges(assumptions: Mapping[str, Assumption], facts: Facts) -> dict[Measure, Range]:
    """Return the figures that can be computed. A range contains its figure, also where most cases are beside it."""
    likely = _compute(
        {name: np.array([each.distribution.likely]) for name, each in assumptions.items()}, facts
    )
    uniform = _uniform()
    drawn = _compute(
        {
            name: assumptions[name].distribution.quantiles(uniform[:, column])
            for column, name in enumerate(NAMES)
            if name in assumptions
        },
        facts,
    )
    return {
        measure: _range(float(likely[measure][0]), np.sort(values))
        for measure, values in drawn.items()
        if computable(measure, assumptions, facts)
    }


def tornado(assumptions: Mapping[str, Assumption], facts: Facts) -> list[TornadoBar]:
    """Return the net benefit with one assumption at its 10th and 90th percentile, the others likely; widest first."""
    if not computable("net_benefit_usd_per_month", assumptions, facts):
        return []
    bars = []
    for name, assumption in assumptions.items():
        if name in ("people", "one_time_usd"):
            continue  # they do not change the net benefit of a month
        ends = assumption.distribution.quantiles(np.array([LOW, HIGH]))
        values = {other: np.full(2, each.distribution.likely) for other, each in assumptions.items()} | {
            name: ends
        }
        at_low, at_high = _compute(values, facts)["net_benefit_usd_per_month"]
        label, unit = LABELS[name]
        bars.append(
            TornadoBar(
                assumption=name,
                label=label,
                unit=unit,
                low=_rounded(float(ends[0])),
                high=_rounded(float(ends[1])),
                net_at_low=round(float(at_low), 2),
                net_at_high=round(float(at_high), 2),
            )
        )
    return sorted(bars, key=lambda bar: (-abs(bar.net_at_high - bar.net_at_low), bar.assumption))


def net_at_worst(assumptions: Mapping[str, Assumption], facts: Facts) -> float | None:
    """Return the net benefit if every assumption is at the bad end of its range at once. None: it is not known."""
    if not computable("net_benefit_usd_per_month", assumptions, facts):
        return None
    ends = [(each.distribution.low, each.distribution.high) for each in assumptions.values()]
    # The net benefit is linear in each assumption, so its lowest value is at a corner of the ranges.
    corners = np.array(list(itertools.product(*ends)))
    values = {name: corners[:, column] for column, name in enumerate(assumptions)}
    return round(float(_compute(values, facts)["net_benefit_usd_per_month"].min()), 2)


def _compute(values: Mapping[str, Floats], facts: Facts) -> dict[Measure, Floats]:
    """Compute all figures of each case. A value that is missing gives figures that nobody reads."""
    count = len(next(iter(values.values())))
    answers, acceptance, one_time, people = (
        values.get(name, np.full(count, missing))
        for name, missing in (
            ("answers_per_month", 1.0),
            ("acceptance", 1.0),
            ("one_time_usd", 0.0),
            ("people", 1.0),
        )
    )
    cost = np.full(count, facts.monthly_cost_usd)
    minutes = acceptance * values["baseline_minutes"] - values["assisted_minutes"]
    hours = answers * values["units_per_answer"] * minutes / 60
    net = hours * values["usd_per_hour"] - cost
    with np.errstate(divide="ignore", invalid="ignore"):
        per_answer = np.where(answers * acceptance > 0, cost / (answers * acceptance), np.inf)
        payback = np.where(net > 0, one_time / net, np.inf)
        spent = MONTHS * cost + one_time
        returned = np.where(spent > 0, 100 * (MONTHS * net - one_time) / spent, np.inf)
    return {
        "acceptance": acceptance,
        "adoption": np.minimum((facts.active_people or 0) / people, 1.0),
        "cost_per_accepted_answer_usd": per_answer,
        "hours_saved_per_month": hours,
        "net_benefit_usd_per_month": net,
        "first_year_return_pct": returned,
        "payback_months": payback,
    }


@functools.cache
def _uniform() -> Floats:
    """Random numbers from 0 to 1, a row for each case. NumPy keeps the stream of `RandomState` fixed for ever."""
    return np.random.RandomState(SEED).random_sample((CASES, len(NAMES)))


def _range(point: float, ordered: Floats) -> Range:
    low, high = (float(ordered[round(share * (len(ordered) - 1))]) for share in (LOW, HIGH))
    return Range(point=_finite(point), low=_finite(min(low, point)), high=_finite(max(high, point)))


def _finite(value: float) -> float | None:
    return _rounded(value) if math.isfinite(value) else None


def _rounded(value: float) -> float:
    """Six significant digits: more are not known, and the last bits depend on the processor."""
    return float(f"{value:.6g}")
