"""Words and units of the figures of value, the same in text, page and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.requirements.value import Measure


@dataclass(frozen=True)
class Words:
    """How a figure is called."""

    label: str
    unit: str
    meaning: str
    """What it says, in a sentence."""


MEASURES: Mapping[Measure, Words] = {
    "acceptance": Words(
        "accepted share of answers",
        "share",
        "Share of the answers that reviewers found right as the model wrote them, in the random sample.",
    ),
    "adoption": Words("adoption", "share", "People who used it in a month, out of those who could."),
    "cost_per_accepted_answer_usd": Words(
        "cost per accepted answer", "USD", "Monthly cost of the workload divided by its accepted answers."
    ),
    "hours_saved_per_month": Words(
        "time saved a month",
        "hours",
        "Time of people without the workload, less their time with it. Answers that are not accepted cost time.",
    ),
    "net_benefit_usd_per_month": Words(
        "net benefit a month", "USD", "Time saved, at the cost of an hour, less the monthly cost."
    ),
    "first_year_return_pct": Words(
        "return in the first year",
        "%",
        "Twelve months of net benefit less the project's cost, divided by all that is spent in the year.",
    ),
    "payback_months": Words("payback", "months", "Months until the net benefit has paid the project's cost."),
}


def show(measure: str, value: float | None) -> str:
    """Return a value of a measure with its unit. None: a payback that never comes."""
    if value is None:
        return "never"
    if measure in ("acceptance", "adoption"):
        return f"{value * 100:.3g} %"
    if measure == "first_year_return_pct":
        return f"{value:,.0f} %"
    if measure.endswith("_usd") or "_usd_" in measure:
        return _usd(value)
    unit = "months" if measure == "payback_months" else "hours"
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:,.3g} {unit}"


def _usd(value: float) -> str:
    """Return an amount: whole from 100 up, and with three digits below a dollar."""
    if abs(value) >= 100 or value == 0:
        return f"USD {value:,.0f}"
    return f"USD {value:,.2f}" if abs(value) >= 1 else f"USD {value:.3g}"
