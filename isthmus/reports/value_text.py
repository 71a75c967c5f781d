"""What workloads cost and what they are worth, as lines of text (`isthmus value`)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from isthmus.reports.format.escaping import visible
from isthmus.reports.format.numbers import number
from isthmus.value.words import MEASURES, show

if TYPE_CHECKING:
    from isthmus.contracts.reports.value import (
        PilotExit,
        Range,
        TornadoBar,
        ValueAssumption,
        ValueReport,
        WorkloadValue,
    )


def value_lines(report: ValueReport) -> list[str]:
    """Return the report: each workload with its answer first, then the costs and the method."""
    lines = [f"value of {report.stack}, usage of {report.begin} to {report.end}", CAVEAT]
    for workload in report.workloads:
        lines += ["", *_workload_lines(workload)]
    if report.not_valued:
        lines += ["", f"without `value` in the requirements: {', '.join(report.not_valued)}"]
    lines += ["", *_cost_lines(report), "", "how the figures were found:"]
    lines += [f"  - {sentence}" for sentence in report.method]
    return [visible(line) for line in lines]


CAVEAT = (
    "Saved time is money only if its hours go into other work, or are no longer paid. The time of reviewers is not "
    "counted, nor are benefits other than time, such as fewer mistakes or faster service."
)


def answer_sentence(exit_: PilotExit) -> str:
    """Return the answer to the exit question in a sentence."""
    if exit_.answer != "not known yet":
        return f"{exit_.answer.capitalize()}."
    return f"Not known yet. Still possible: {', '.join(exit_.possible[:-1])} or {exit_.possible[-1]}."


def span(measure: str, found: Range) -> str:
    """Return a range in words: `USD 1,200 to USD 1,900`, or one figure where both ends are the same."""
    low, high = show(measure, found.low), show(measure, found.high)
    return low if low == high else f"{low} to {high}"


def figure_of(assumption: ValueAssumption) -> str:
    """Return the value of an assumption with its range and unit."""
    likely, unit = _amount(assumption.likely, assumption.unit), _unit(assumption.unit)
    if assumption.low == assumption.high:
        return f"{likely}{unit}, no range"
    return f"{likely} ({bounds(assumption.low, assumption.high, assumption.unit)}){unit}"


def bounds(low: float, high: float, unit: str) -> str:
    """Return two ends of an assumption, without a unit that follows."""
    return f"{_amount(low, unit)} to {_amount(high, unit)}"


def bar_sentence(bar: TornadoBar) -> str:
    """Return what an assumption does to the net benefit."""
    if bar.net_at_low == bar.net_at_high:
        return f"{bar.label}: no range"
    ends = f"{bounds(bar.low, bar.high, bar.unit)}{_unit(bar.unit)}"
    net = "net_benefit_usd_per_month"
    return f"{bar.label}, {ends}: {show(net, bar.net_at_low)} to {show(net, bar.net_at_high)}"


def certainty(workload: WorkloadValue) -> str:
    """Return the source of the assumption that matters most, and the benefit if it, or all, are worse than likely."""
    first = workload.tornado[0]
    source = next(each.source for each in workload.assumptions if each.name == first.assumption)
    worst = min(first.net_at_low, first.net_at_high)
    end = first.low if worst == first.net_at_low else first.high
    alone = f"With it alone at {_amount(end, first.unit)}{_unit(first.unit)} (one case in ten is worse)"
    sentences = [f"Its source: {source}.", f"{alone}, the workload {_result(worst)}."]
    if workload.net_at_worst is not None:
        everything = "With every assumption at the bad end of its stated range at once, it"
        sentences.append(f"{everything} {_result(workload.net_at_worst)}.")
    return " ".join(sentences)


def _result(net: float) -> str:
    amount = show("net_benefit_usd_per_month", abs(net))
    return (
        f"saves {amount} a month more than it costs"
        if net > 0
        else f"costs {amount} a month more than it saves"
    )


def usd(amount: Decimal) -> str:
    """Return an amount to the cent."""
    return f"{amount:,.2f}"


def _amount(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.3g} %"
    return f"USD {number(value)}" if unit == "USD" else number(value)


def _unit(unit: str) -> str:
    return "" if unit in ("share", "USD") else f" {unit}"


def _workload_lines(workload: WorkloadValue) -> Iterator[str]:
    yield f"{workload.workload} ({workload.sensitivity}): {workload.purpose}"
    if workload.exit is not None:
        exit_ = workload.exit
        yield f"  scale, fix or stop? {answer_sentence(exit_)}"
        yield from (f"    {reason}" for reason in exit_.because)
        yield (
            f"    by criteria of {exit_.agreed_by}, agreed on {exit_.agreed_on}, for at least {exit_.min_days} days of "
            f"usage; there are {workload.days}"
        )
        for result in exit_.criteria:
            yield f"    {result.rule} if {result.label} {result.limit}: {result.outcome}"
    measured = f"{workload.answers:,} answers of {workload.begin} to {workload.end}"
    yield f"  {measured if workload.begin else f'{workload.days} days of usage'}; {workload.judged:,} judged"
    for figure in workload.figures:
        target = "" if figure.target is None else f"; target {show(figure.measure, figure.target)}"
        if figure.range is None:
            yield f"  {figure.label}: not known, because {figure.why_not_known}{target}"
        else:
            point = show(figure.measure, figure.range.point)
            yield f"  {figure.label}: {point} (80 %: {span(figure.measure, figure.range)}){target}"
    yield f"  assumptions (unit of work: {workload.unit}; who benefits: {workload.beneficiaries}):"
    for assumption in workload.assumptions:
        origin = f"{assumption.kind}, {assumption.source}, {assumption.as_of}"
        yield f"    {assumption.label}: {figure_of(assumption)} [{origin}]"
    if workload.tornado:
        yield f"  the money rests most on: {workload.tornado[0].label}. {certainty(workload)}"
        yield "  net benefit a month if one assumption alone is at its 10th or 90th percentile, the widest first:"
        yield from (f"    {bar_sentence(bar)}" for bar in workload.tornado)
    yield from (f"  note: {note}" for note in workload.notes)


def _cost_lines(report: ValueReport) -> Iterator[str]:
    yield "cost a month, USD (metered usage of APIs; part of what the plan costs at any load; together):"
    width = max(len(cost.workload) for cost in report.costs)
    for cost in report.costs:
        basis = "by the ledger" if cost.metered_is_measured else "as planned"
        yield (
            f"  {cost.workload.ljust(width)}  {usd(cost.metered_usd):>12} {basis:<13}  {usd(cost.shared_usd):>12} "
            f"(GPU time in the ledger: {usd(cost.gpu_time_usd)})  {usd(cost.total_usd):>12}"
        )
    total = report.adding_up
    yield (
        f"  the plan's {usd(total.plan_usd)} - {usd(total.metered_in_plan_usd)} metered as planned + "
        f"{usd(total.metered_usd)} metered = {usd(total.total_usd)}, the sum of the workloads"
    )


def meaning(measure: str) -> str:
    """Return what a figure says, in a sentence."""
    return next(words.meaning for name, words in MEASURES.items() if name == measure)
