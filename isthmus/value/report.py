"""Builds the report of `isthmus value` from plan, requirements, usage and judged answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from isthmus import __version__
from isthmus.contracts.reports.review_calibration import LEAST_JUDGED
from isthmus.contracts.reports.value import (
    ValueAssumption,
    ValueFigure,
    ValueReport,
    WorkloadCost,
    WorkloadValue,
)
from isthmus.contracts.requirements.value import MEASURES as NAMES
from isthmus.core.errors import InputError
from isthmus.planning.from_usage import series as daily
from isthmus.planning.from_usage.traffic import check_names
from isthmus.value import measures, pilot
from isthmus.value.assumptions import LABELS, Assumption, measured_acceptance, measured_answers, stated
from isthmus.value.costs import rows_of, workload_costs_of
from isthmus.value.measures import Facts
from isthmus.value.words import MEASURES

if TYPE_CHECKING:
    from datetime import date

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.reports.usage_file import UsageFile
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.contracts.requirements.value import Measure, Value
    from isthmus.planning.from_usage.series import Series, Window
    from isthmus.value.acceptance import Sample

WHERE = "--usage"
MUCH_IDLE = Decimal("0.2")
"""Share of GPU time in use below which the report points to the capacity that waits."""
NO_JUDGEMENTS = "no judgements of the random sample were given"
METHOD = [
    sentence.replace("\n", " ")
    for sentence in f"""
A figure is computed from the likeliest value of each assumption. Its range holds 80 % of {measures.CASES:,} drawn
cases: each case draws every assumption from its range, independently of the others.

Stated figures with low, likely and high have a triangular distribution. A stated figure without low and high has no
range, and makes the ranges look narrower than they are. The cost has no range.

Answers are accepted if reviewers of the random sample found them right as the model wrote them. Below {LEAST_JUDGED}
judgements the share is not known.

Time saved is answers × units of work × (accepted share × minutes without the workload − minutes with an answer).
People spend the minutes with an answer on answers that are not accepted, too.

Active people are those with an answered request in one calendar month, because their pseudonyms change with the month:
the month of the measured days with most days of usage. In a month with few days fewer people are active.

The figures are of the measured use. What more people would need and cost is a question for `isthmus plan`.

Targets are those of the requirements. They decide nothing; the criteria do.
""".strip().split("\n\n")
]


@dataclass(frozen=True)
class _Evidence:
    """What is known of one workload."""

    workload: Workload
    value: Value
    series: Series | None
    window: Window | None
    sample: Sample | None
    active: tuple[str, int] | None
    """A month, and the people with an answer in it."""
    cost: WorkloadCost


def value_report(
    stack: str, plan: Plan, requirements: Requirements, usage: UsageFile, samples: Mapping[str, Sample]
) -> ValueReport:
    """Return the report. `samples`: judged answers of the random sample, by workload.

    Raises `InputError` for usage of another stack or of a single day, and if no workload states `value`.
    """
    _check(stack, requirements, usage)
    span = daily.whole_days(usage)
    if span is None:
        raise InputError("the file has usage of one day only", where=WHERE, fix="Choose a longer period")
    series = daily.series_of(usage)
    windows = {
        name: window
        for name, of_workload in series.items()
        if requirements.workload(name) is not None and (window := daily.window(of_workload)) is not None
    }
    costs, adding_up = workload_costs_of(plan, requirements, usage, windows)
    by_name = {cost.workload: cost for cost in costs}
    valued = [
        _Evidence(
            workload,
            workload.value,
            series.get(workload.name),
            windows.get(workload.name),
            samples.get(workload.name),
            _active_people(usage, workload.name, windows.get(workload.name)),
            by_name[workload.name],
        )
        for workload in requirements.workloads
        if workload.value is not None
    ]
    return ValueReport(
        version=__version__,
        stack=stack,
        begin=span[0],
        end=span[1],
        workloads=[_workload_value(evidence, usage) for evidence in valued],
        not_valued=[workload.name for workload in requirements.workloads if workload.value is None],
        costs=costs,
        adding_up=adding_up,
        method=METHOD,
    )


def _check(stack: str, requirements: Requirements, usage: UsageFile) -> None:
    if usage.stack is not None and usage.stack != stack:
        raise InputError(
            f"the usage is of stack `{usage.stack}`, not of `{stack}`",
            where=WHERE,
            fix="Give the usage of the stack",
        )
    check_names(requirements, usage, WHERE)
    if all(workload.value is None for workload in requirements.workloads):
        raise InputError(
            "no workload states its `value`",
            where=str(requirements.document.file or "requirements"),
            fix="State it (docs/value.md)",
        )


def _active_people(usage: UsageFile, name: str, window: Window | None) -> tuple[str, int] | None:
    """The month of the measured days with most days of usage, and the people with an answered request in it.

    Pseudonyms hold for a calendar month, so people of two months cannot be counted together. None: too few days, or
    the usage names nobody.
    """
    if window is None:
        return None
    people: dict[str, set[str]] = {}
    days: dict[str, set[date]] = {}
    for row in rows_of(usage, name, window.begin.replace(day=1), window.end):
        month = f"{row.day:%Y-%m}"
        days.setdefault(month, set()).add(row.day)
        if row.person is not None and row.requests > row.failed + row.unfinished:
            people.setdefault(month, set()).add(row.person)
    if not people:
        return None
    month = max(people, key=lambda each: (len(days[each]), each))
    return month, len(people[month])


def _workload_value(evidence: _Evidence, usage: UsageFile) -> WorkloadValue:
    workload, value, window = evidence.workload, evidence.value, evidence.window
    assumptions = _assumptions(evidence)
    facts = Facts(float(evidence.cost.total_usd), evidence.active[1] if evidence.active else None)
    ranges = measures.ranges(assumptions, facts)
    why = _why_not_known(evidence)
    figures = {
        name: ValueFigure(
            measure=name,
            label=MEASURES[name].label,
            unit=MEASURES[name].unit,
            range=ranges.get(name),
            why_not_known=None if name in ranges else why[name],
            target=getattr(value.target, name, None),
        )
        for name in NAMES
    }
    days = evidence.series.days if evidence.series is not None else 0
    return WorkloadValue(
        workload=workload.name,
        sensitivity=workload.sensitivity,
        purpose=workload.purpose,
        unit=value.unit,
        beneficiaries=value.beneficiaries,
        days=days,
        begin=window.begin if window else None,
        end=window.end if window else None,
        answers=window.answered if window else 0,
        active_people=facts.active_people,
        active_month=evidence.active[0] if evidence.active else None,
        judged=evidence.sample.judged if evidence.sample else 0,
        figures=list(figures.values()),
        assumptions=[_shown(assumption) for assumption in assumptions.values()],
        tornado=measures.tornado(assumptions, facts),
        net_at_worst=measures.net_at_worst(assumptions, facts),
        cost=evidence.cost,
        exit=pilot.exit_of(value.pilot, days, figures) if value.pilot is not None else None,
        notes=list(_notes(evidence, usage)),
    )


def _assumptions(evidence: _Evidence) -> dict[str, Assumption]:
    """The assumptions that are known, measured ones first."""
    known: dict[str, Assumption] = {}
    window, sample = evidence.window, evidence.sample
    if window is not None:
        answered = [day.answered for day in window.days]
        weeks = [sum(answered[start : start + daily.WEEK]) for start in range(0, len(answered), daily.WEEK)]
        known["answers_per_month"] = measured_answers(weeks, str(window.begin), str(window.end))
    if sample is not None and sample.right is not None and sample.judged >= LEAST_JUDGED:
        source = f"{sample.source}: {sample.right:,} of {sample.judged:,} judged answers"
        known["acceptance"] = measured_acceptance(sample.right, sample.judged, source, sample.as_of)
    return known | stated(evidence.value)


def _why_not_known(evidence: _Evidence) -> dict[Measure, str]:
    """Why a figure is not known, for each that may not be."""
    days = evidence.series.days if evidence.series is not None else 0
    too_few = f"the usage has {days} days of it, and {daily.LEAST_DAYS} are needed"
    sample = evidence.sample
    judged = (
        NO_JUDGEMENTS
        if sample is None
        else f"the random sample has {sample.judged} judgements, {LEAST_JUDGED - sample.judged} fewer than the "
        f"{LEAST_JUDGED} that are needed"
    )
    unjudged = judged if evidence.window is not None else too_few
    no_cost = "the requirements do not state `one_time_usd`"
    has_acceptance = sample is not None and sample.right is not None and sample.judged >= LEAST_JUDGED
    nobody = "the usage names no people: the handling of the class forbids it, or the callers are programs"
    return {
        "acceptance": judged,
        "adoption": too_few if evidence.window is None else nobody,
        "cost_per_accepted_answer_usd": unjudged,
        "hours_saved_per_month": unjudged,
        "net_benefit_usd_per_month": unjudged,
        "first_year_return_pct": unjudged,
        "payback_months": no_cost if has_acceptance and evidence.window is not None else unjudged,
    }


def _shown(assumption: Assumption) -> ValueAssumption:
    label, unit = LABELS[assumption.name]
    distribution = assumption.distribution
    low, likely, high = (
        float(f"{end:.6g}") for end in (distribution.low, distribution.likely, distribution.high)
    )
    return ValueAssumption(
        name=assumption.name,
        label=label,
        unit=unit,
        kind="measured" if assumption.is_measured else "stated",
        low=low,
        likely=likely,
        high=high,
        source=assumption.source,
        as_of=assumption.as_of,
    )


def _notes(evidence: _Evidence, usage: UsageFile) -> Iterator[str]:
    window = evidence.window
    if window is not None:
        unpriced = sum(
            row.unpriced for row in rows_of(usage, evidence.workload.name, window.begin, window.end)
        )
        if unpriced:
            yield f"{unpriced:,} answers have no price in the ledger, so the metered cost lacks them"
    without = [
        LABELS[name][0]
        for name, assumption in stated(evidence.value).items()
        if assumption.distribution.low == assumption.distribution.high
    ]
    if without:
        yield f"no range is stated for: {', '.join(without)}"
    yield from _cost_notes(evidence.cost)
    yield from _late_criteria(evidence)
    if evidence.value.pilot is None:
        yield "the requirements state no criteria for the exit of a pilot, so this report gives no answer on it"


def _cost_notes(cost: WorkloadCost) -> Iterator[str]:
    if cost.gpu_time_usd and cost.gpu_time_usd < cost.shared_usd * MUCH_IDLE:
        yield (
            f"of the {cost.shared_usd:,.2f} USD a month for the platform, {cost.gpu_time_usd:,.2f} are GPU time in use."
            " The rest is capacity that waits: more use or a smaller plan would change the cost of an answer"
        )


def _late_criteria(evidence: _Evidence) -> Iterator[str]:
    exit_, series = evidence.value.pilot, evidence.series
    if exit_ is not None and series is not None and series.sums and exit_.agreed_on > str(min(series.sums)):
        yield (
            f"the criteria were agreed on {exit_.agreed_on}, after the first use on {min(series.sums)}, so they were "
            "not agreed beforehand"
        )
