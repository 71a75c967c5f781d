"""Report of `isthmus value --format json`: what workloads cost and what they are worth, with ranges.

The text and the HTML page are built from it alone. Amounts are USD.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from isthmus.contracts.requirements.value import Measure
from isthmus.contracts.vocabulary import Part, Sensitivity

Answer = Literal["scale", "fix", "stop", "not known yet"]
Outcome = Literal["met", "not met", "open"]
"""Of a limit: the whole range keeps it, none of the range does, or the limit lies in the range."""


class Range(Part):
    """A figure with the range in which 80 % of the drawn cases lie."""

    point: float | None
    """The figure from the likeliest value of each assumption. None: savings never pay the cost back."""
    low: float | None
    high: float | None
    """`low` and `high`: ends of the range. None: savings never pay the cost back."""


class ValueFigure(Part):
    """One figure of a workload."""

    measure: Measure
    label: str
    unit: str
    range: Range | None
    """None: not known, for the reason in `why_not_known`."""
    why_not_known: str | None
    target: float | None
    """What the requirements want to reach."""


class ValueAssumption(Part):
    """A figure that goes into the others, with its source."""

    name: str
    label: str
    unit: str
    kind: Literal["measured", "stated"]
    low: float
    likely: float
    high: float
    source: str
    as_of: str


class TornadoBar(Part):
    """The net benefit of a month if one assumption alone is at the low or high end of its range."""

    assumption: str
    label: str
    unit: str
    low: float
    high: float
    """`low` and `high`: the 10th and 90th percentile of the assumption."""
    net_at_low: float
    net_at_high: float


class CriterionResult(Part):
    """A criterion that was agreed beforehand, and whether it is met."""

    rule: Literal["scale", "stop"]
    measure: Measure
    label: str
    limit: str
    """`at least 0.85`."""
    outcome: Outcome
    why: str


class PilotExit(Part):
    """The answer to the exit question of a pilot, by the criteria alone."""

    answer: Answer
    possible: list[Answer]
    """Answers that the evidence leaves open, where the answer is not known yet."""
    because: list[str]
    agreed_by: str
    agreed_on: str
    min_days: int
    criteria: list[CriterionResult]


class WorkloadCost(Part):
    """Cost of a workload in a month."""

    workload: str
    metered_usd: Decimal
    """Tokens and other usage of APIs: by the ledger, or as planned where nothing is measured."""
    metered_is_measured: bool
    shared_usd: Decimal
    """Its part of what the plan costs at any load: GPUs, people, links, parts of sites."""
    gpu_time_usd: Decimal
    """The part of `shared_usd` that the ledger has as GPU time. The rest is capacity that waits."""
    total_usd: Decimal


class AddingUp(Part):
    """How the costs of the workloads add up to the plan's monthly cost."""

    plan_usd: Decimal
    metered_in_plan_usd: Decimal
    """What the plan expects for the usage of APIs."""
    metered_usd: Decimal
    """What that usage costs by the ledger, scaled to a month."""
    total_usd: Decimal
    """`plan_usd` less `metered_in_plan_usd` plus `metered_usd`: the sum over all workloads."""


class WorkloadValue(Part):
    """A workload whose requirements state `value`."""

    workload: str
    sensitivity: Sensitivity
    purpose: str
    unit: str
    beneficiaries: str
    days: int
    """Days of usage."""
    begin: date | None
    end: date | None
    """`begin` and `end`: the days that the measured figures come from. None: too few days."""
    answers: int
    """Answered requests on these days."""
    active_people: int | None
    """People with an answer in `active_month`. None: the usage names no people."""
    active_month: str | None
    """`2026-11`: pseudonyms of people hold for a calendar month."""
    judged: int
    """Judged answers of the random sample."""
    figures: list[ValueFigure]
    assumptions: list[ValueAssumption]
    tornado: list[TornadoBar]
    """The widest bar first. Empty: the net benefit is not known."""
    net_at_worst: float | None
    """Net benefit of a month if every assumption is at the bad end of its stated range at once. None: not known."""
    cost: WorkloadCost
    exit: PilotExit | None
    """None: the requirements state no criteria."""
    notes: list[str]


class ValueReport(Part):
    """What the workloads of a stack cost and what they are worth."""

    version: str
    """The version of Isthmus that made the report."""
    stack: str
    begin: date
    end: date
    """The first and the last whole day of the usage."""
    workloads: list[WorkloadValue]
    not_valued: list[str]
    """Workloads without `value` in the requirements."""
    costs: list[WorkloadCost]
    """All workloads, those without `value` too."""
    adding_up: AddingUp
    method: list[str]
    """How the figures were found, in sentences."""
