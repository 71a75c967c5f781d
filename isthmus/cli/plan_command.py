"""`isthmus plan`: makes a sized and priced plan from requirements, or explains why none is possible."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import complete_blueprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isthmus.contracts.plan.document import Plan, PlannedEndpoint, WhatIf
    from isthmus.contracts.reports.explanation import Explanation
    from isthmus.contracts.reports.measured_traffic import FromUsage
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.core.validation_errors import Fault
    from isthmus.planning.planner import PlanningResult
    from isthmus.planning.solver.watch import Watch

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    yaml = "yaml"
    html = "html"


RequirementsFile = Annotated[
    Path, typer.Argument(metavar="REQUIREMENTS", help="The requirements' file.", show_default=False)
]
BlueprintName = Annotated[
    str | None,
    typer.Option(
        "--blueprint", help="Take this blueprint.", autocompletion=complete_blueprint, show_default=False
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="PLAN", help="Write the plan here.", show_default=False),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="The day on which prices' age and exceptions are judged; default: today.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="What if: change a value of the requirements, e.g. budget.monthly_usd=30000 or"
        " workloads.NAME.slo.ttft_p95_ms=500. Repeatable.",
        show_default=False,
    ),
]
ScaleTraffic = Annotated[
    float,
    typer.Option(
        "--scale-traffic",
        metavar="FACTOR",
        help="What if: multiply peak_rps and mean_rps of all workloads.",
        show_default=False,
    ),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Add runner-ups, what would change the choice, and idle hardware.")
]


FromUsageFile = Annotated[
    Path | None,
    typer.Option(
        "--from-usage",
        metavar="FILE",
        help="What if: replace guessed traffic by measured traffic; FILE is from `isthmus usage STACK --format json`.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Argument and options of `isthmus plan`."""

    requirements: RequirementsFile
    blueprint: BlueprintName = None
    output: Output = None
    as_of: AsOf = None
    format: Annotated[Format, typer.Option("--format", help="text, json, yaml or html.")] = Format.text
    set_: Changes = None
    scale_traffic: ScaleTraffic = 1.0
    from_usage: FromUsageFile = None
    explain: Explain = False


@app.command()
@takes(PlanOptions)
def plan(options: PlanOptions) -> None:
    """Choose models and places for every workload at the lowest cost, sized, priced and explained.

    The plan is a lock file: an existing plan (PLAN, or the one beside the requirements) is an input, and at equal cost
    its placements stay. Without `-o` nothing is written. An infeasible plan never overwrites a feasible one.
    What `isthmus init` and `isthmus render` would refuse is listed, and the exit code is 1. Ctrl-C ends a long search
    with the best plan so far, which overwrites nothing.

    With `--explain` it also gives the runner-up of each workload, what would change the choice, and why hardware stands
    idle. It plans again some twenty times for each workload.

    With `--set`, `--scale-traffic` or `--from-usage` the plan is a what-if: it answers a question, is marked in its
    file, and `init`, `render` and `up` refuse it. `--from-usage` also plans without usage, compares the two plans, and
    prints the measured traffic as YAML for the requirements.
    """
    from isthmus.cli import console
    from isthmus.core.errors import InputError
    from isthmus.engine import plan_checks
    from isthmus.planning.catalogues import price_age as age
    from isthmus.planning.catalogues.model_ends import describe_ends

    if options.explain and options.format is Format.yaml:
        raise InputError(
            "a plan file has no place for reasons",
            where="--explain",
            fix="Choose --format text, json or html",
        )
    today = planning_day(options.as_of)
    with _following() as watch:
        made = _make(options, today)
    parsed, planned = made.requirements, made.planned
    planned, faults, notes = plan_checks.check(planned, parsed, options.requirements, made.what_if)
    err = console.err()
    for note in notes:
        err.print(f"note: {note}", markup=False)
    price_note, is_old = age.describe_price_age(planned.plan.prices_as_of, today)
    err.print(f"{'warning: ' if is_old else ''}{price_note}", markup=False)
    for end_note, is_soon in describe_ends(planned.plan, today):
        err.print(f"{'warning: ' if is_soon else ''}{end_note}", markup=False)
    for line in _differences(made.existing, planned.plan):
        err.print(f"compared with the existing plan: {line}", markup=False)
    if options.output is not None:
        _write(options.output, planned.plan, watch)
    reasons = _reasons(parsed, planned) if options.explain else None
    _show(planned, parsed, options.format, price_note, _Extras(faults, reasons, made.from_usage))
    for line in _fault_lines(faults):
        print(line, file=sys.stderr)
    if faults or not planned.plan.feasible:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Made:
    """A plan with what it was made from."""

    requirements: Requirements
    planned: PlanningResult
    what_if: WhatIf | None
    existing: Plan | None
    from_usage: FromUsage | None = None


@dataclass(frozen=True)
class _Extras:
    """What is shown beside a plan."""

    faults: Sequence[Fault]
    explanation: Explanation | None
    from_usage: FromUsage | None


def _make(options: PlanOptions, today: str) -> _Made:
    """Make the plan. With usage: plan from the guesses too, and compare."""
    from isthmus.blueprints import offers
    from isthmus.planning import planner
    from isthmus.planning import what_if as what_ifs

    file, texts, scale = options.requirements, options.set_ or [], options.scale_traffic
    parsed, what_if = what_ifs.load(file, texts, scale)

    def make(requirements: Requirements, before: Plan | None) -> PlanningResult:
        return planner.make_plan(
            requirements, offers.offers(), today, blueprint=options.blueprint, before=before
        )

    if options.from_usage is None:
        existing = _existing_plan(file, options.output, what_if)
        return _Made(parsed, make(parsed, existing), what_if, existing)

    from isthmus.contracts.reports import usage_file
    from isthmus.planning.from_usage import report, traffic

    usage = usage_file.load(options.from_usage, traffic.WHERE)
    measured_texts = report.changes(traffic.measure(parsed, usage))
    changed, what_if = what_ifs.load(file, [*measured_texts, *texts], scale, traffic.WHERE)
    existing = _existing_plan(file, options.output, what_if)
    guessed, measured = make(parsed, existing), make(changed, existing)
    plans = report.PlannedTwice(parsed, guessed, changed, measured, existing)
    return _Made(changed, measured, what_if, existing, report.report(usage, plans))


@contextlib.contextmanager
def _following() -> Iterator[Watch]:
    """Show the progress of a long search. Ctrl-C ends it with the best plan so far; a second one ends the command."""
    from isthmus.cli import console
    from isthmus.planning.solver.watch import watching

    err = console.err()

    def say(text: str) -> None:
        err.print(f"  {text}", markup=False)

    def end(_number: int, _frame: object) -> None:
        if watch.is_ending:
            raise KeyboardInterrupt
        watch.is_ending = True
        say("ends with the best plan so far; Ctrl-C again stops without one")

    with watching(say) as watch:
        if threading.current_thread() is not threading.main_thread():
            yield watch
            return
        before = signal.signal(signal.SIGINT, end)
        try:
            yield watch
        finally:
            signal.signal(signal.SIGINT, before)


def planning_day(as_of: str | None) -> str:
    """The day of `--as-of`, or today (UTC), as text. Raises `InputError`."""
    import datetime

    from isthmus.planning.catalogues import price_age

    return (
        price_age.parse_day(as_of).isoformat()
        if as_of
        else datetime.datetime.now(datetime.UTC).date().isoformat()
    )


def load_requirements(path: Path) -> Requirements:
    """The requirements of a file. Raises `InputError` for every mistake, names that no catalogue has included."""
    from isthmus.contracts.requirements import document as requirements_of
    from isthmus.planning.options import candidates

    return requirements_of.load(path, candidates.catalogue_faults)


def _fault_data(fault: Fault, requirements: Requirements) -> dict[str, Any]:
    from isthmus.core.yaml_documents import dotted

    document = requirements.document
    return {
        "file": document.file,
        "line": fault.line or None,
        "path": dotted(document.data, fault.path),
        "what": fault.error.what,
        "fix": fault.error.fix,
    }


def _fault_lines(faults: Sequence[Fault]) -> list[str]:
    from isthmus.cli import error_lines
    from isthmus.core.errors import join

    return error_lines(join([fault.error for fault in faults])) if faults else []


def _existing_plan(requirements: Path, output: Path | None, what_if: WhatIf | None) -> Plan | None:
    """The existing plan: PLAN, otherwise the file beside the requirements; None if there is none.

    A what-if is compared with the plan beside the requirements, whatever PLAN is. Raises `InputError` if it would
    overwrite a plan that can be built.
    """
    from isthmus.contracts.plan import document as plan_of
    from isthmus.contracts.plan import files
    from isthmus.core.errors import InputError

    if (
        what_if is not None
        and output is not None
        and output.exists()
        and plan_of.load(output).what_if is None
    ):
        raise InputError(
            f"{output} is a plan that can be built, and a what-if would overwrite it",
            where="-o",
            fix=f"Name another file, e.g. {output.name.removesuffix(files.PLAN)}-what-if{files.PLAN}",
        )
    path = (None if what_if is not None else output) or files.plan_beside(requirements)
    existing = plan_of.load(path) if path is not None and path.exists() else None
    return existing if existing is not None and existing.what_if is None else None


def _plan_data(plan: Plan) -> dict[str, object]:
    return plan.model_dump(by_alias=True, mode="json")


def _differences(before: Plan | None, plan: Plan) -> list[str]:
    """What differs from an existing plan, in words; empty if there is none, or if the new one is infeasible."""
    from isthmus.planning.output import differences

    return differences.describe_differences(before, plan) if before is not None and plan.feasible else []


def _write(path: Path, plan: Plan, watch: Watch) -> None:
    from isthmus.cli import console
    from isthmus.contracts.plan import document as plan_of
    from isthmus.contracts.plan import files
    from isthmus.core import yaml_files

    if watch.has_ended_early and path.exists():
        console.err().print(f"{path} is not overwritten, because the search was ended early", markup=False)
        return
    if not plan.feasible and path.exists() and plan_of.load(path).feasible:
        console.err().print(f"{path} is not overwritten: it is feasible, the new plan is not", markup=False)
        return
    content = files.plan_text(plan)
    if path.exists() and path.read_text("utf-8") == content:
        console.err().print(f"{path}: nothing changed", markup=False)
        return
    yaml_files.write_text(path, content)
    console.err().print(f"{path} is written", markup=False)


def _reasons(requirements: Requirements, planned: PlanningResult) -> Explanation | None:
    from isthmus.cli import console
    from isthmus.planning.explanation import explain

    err = console.err()
    return explain.explain(
        requirements, planned, progress=lambda name: err.print(f"reasons: {name}", markup=False)
    )


def _show(
    planned: PlanningResult, requirements: Requirements, format: Format, age: str, extras: _Extras
) -> None:
    from isthmus.cli import console

    if format is Format.json:
        console.print_json({**_plan_data(planned.plan), **_extra_data(extras, requirements)})
    elif format is Format.yaml:
        from isthmus.contracts.plan import files

        print(files.plan_text(planned.plan), end="")
    elif format is Format.html:
        from isthmus.reports import plan_page

        print(
            plan_page.page(
                planned.plan,
                requirements,
                explained=planned.notes,
                age=age,
                rejected=planned.rejected,
                explanation=extras.explanation,
                from_usage=extras.from_usage,
            ),
            end="",
        )
    else:
        show_text(planned, requirements, extras.explanation)
        if extras.from_usage is not None:
            from isthmus.reports.measured_traffic_text import measured_traffic_lines

            print("\n".join(measured_traffic_lines(extras.from_usage)))


def _extra_data(extras: _Extras, requirements: Requirements) -> dict[str, Any]:
    """Keys of the JSON that are no part of a plan file."""
    data: dict[str, Any] = {}
    if extras.explanation is not None:
        data["explanation"] = extras.explanation.model_dump(mode="json")
    if extras.from_usage is not None:
        data["from_usage"] = extras.from_usage.model_dump(mode="json")
    if extras.faults:
        data["mistakes"] = [_fault_data(fault, requirements) for fault in extras.faults]
    return data


def show_text(
    planned: PlanningResult, requirements: Requirements, explanation: Explanation | None = None
) -> None:
    """Print the decisions and their reasons to stdout."""
    print("\n".join(_plan_lines(planned, requirements, explanation)))


def _plan_lines(
    planned: PlanningResult, requirements: Requirements, explanation: Explanation | None
) -> list[str]:
    """Text of a plan: blueprint, placements with reasons, cost, stress test, alternatives, warnings."""
    from isthmus.reports.explanation_text import explanation_lines

    plan = planned.plan
    if not plan.feasible:
        return [*_what_if_lines(plan), *_infeasible_lines(planned)]
    return [
        *_what_if_lines(plan),
        *_placement_lines(plan, requirements),
        *_cost_lines(plan, requirements),
        *_stress_lines(plan),
        *_availability_lines(plan),
        *_alternative_lines(plan),
        *_ruled_out_lines(planned, requirements),
        *(explanation_lines(explanation) if explanation is not None else []),
        "",
        *planned.notes,
        *(f"warning: {warning}" for warning in plan.warnings),
    ]


def _what_if_lines(plan: Plan) -> list[str]:
    if plan.what_if is None:
        return []
    return [f"what if {plan.what_if.summary}: an answer, not a plan to build", ""]


def _ruled_out_lines(planned: PlanningResult, requirements: Requirements) -> list[str]:
    from isthmus.planning.explanation import ruled_out
    from isthmus.reports.explanation_text import ruled_out_lines

    options = planned.judged.options if planned.judged is not None else None
    if options is None:
        return []
    return ruled_out_lines(
        ruled_out.ruled_out_candidates(requirements, planned.rejected, options.by_workload)
    )


def _infeasible_lines(planned: PlanningResult) -> list[str]:
    plan = planned.plan
    lines = ["infeasible: these requirements contradict each other"]
    lines += [f"  - {conflict}" for conflict in plan.conflicts]
    lines += [
        "",
        "ways out (each was solved again):"
        if plan.ways_out
        else "none of the changes that were tried makes a plan possible; see the reasons for each workload",
    ]
    lines += [f"  - {way_out.what}: {way_out.monthly_cost_usd:,.0f} USD a month" for way_out in plan.ways_out]
    for name, why in planned.rejected.items():
        lines += ["", f"{name}: options that were ruled out"] + [f"  - {reason}" for reason in why]
    return lines


def _placement_lines(plan: Plan, requirements: Requirements) -> list[str]:
    from isthmus.reports import plan_page

    lines = [
        f"{plan.blueprint}: {plan.monthly_cost_usd:,.0f} USD a month, {plan_page.hardware_in_use(plan)} in use",
        "",
    ]
    for placement in plan.placements:
        endpoint = plan.endpoint(placement.endpoint)
        if endpoint is None:
            continue
        size = plan_page.describe_size(endpoint) if endpoint.gpu else endpoint.target
        part = "" if placement.share == 1 else f", {placement.share:.0%} of requests"
        part = ", fallback" if placement.role == "fallback" else part
        lines.append(
            f"{placement.workload} ({placement.sensitivity}) on {endpoint.model}, {endpoint.precision}: {size} at "
            f"{endpoint.site}{part}"
        )
        lines.append(f"  {placement.why}")
        lines += _latency_lines(endpoint, requirements.workload(placement.workload))
    return lines


def _latency_lines(endpoint: PlannedEndpoint, workload: Workload | None) -> list[str]:
    """The predicted latencies beside the goals, if both are known."""
    from isthmus.reports import plan_page

    predicted = endpoint.predicted
    if predicted is None or workload is None or predicted.slo != "kept":
        return []
    whole_answer = plan_page.whole_answer_ms(predicted, workload)
    goals = (
        ("first token", predicted.ttft_interval_ms, workload.slo.ttft_p95_ms),
        ("each further token", predicted.tpot_interval_ms, workload.slo.tpot_p95_ms),
        ("whole answer", whole_answer, workload.slo.answer_p95_ms),
    )
    parts = [
        f"{what} {interval[0]:,g} to {interval[1]:,g} ms (goal {goal:,g})"
        for what, interval, goal in goals
        if interval is not None and goal is not None
    ]
    if whole_answer is not None and workload.slo.answer_p95_ms is None:
        parts.append(f"whole answer {whole_answer[0]:,g} to {whole_answer[1]:,g} ms (no goal)")
    lines = [f"  Predicted at the peak, p95, in 80 % of cases: {'; '.join(parts)}."] if parts else []
    if workload.is_collected:
        lines.append(
            "  Nothing of an answer arrives before it is whole, because people may have to decide on it."
        )
    return lines


def _cost_lines(plan: Plan, requirements: Requirements) -> list[str]:
    from isthmus.planning.explanation.cost_bases import compare_bases
    from isthmus.reports.explanation_text import bases_line

    lines = ["", "cost a month:"]
    for item in plan.cost_items or []:
        amount = f"{item.monthly_usd:>12,.2f}" if item.counted else f"({item.monthly_usd:,.2f})".rjust(12)
        lines.append(
            f"  {amount}  {item.what} ({item.quantity:,.6g} {item.unit} at {item.unit_price_usd:,.6g})"
        )
    lines.append(f"  {plan.monthly_cost_usd:>12,.2f}  total; amounts in brackets are not counted")
    lines.append(f"the same plan, {bases_line(compare_bases(plan, requirements))}")
    return lines


def _stress_lines(plan: Plan) -> list[str]:
    from isthmus.reports.format.numbers import counted

    lines: list[str] = []
    stress = plan.stress
    if stress is not None and stress.breaks_first is not None:
        result = "passes" if stress.holds else "fails"
        bottleneck = f"{stress.breaks_first}, at {stress.breaks_at:g} times the peak"
        lines += [
            "",
            f"stress test at {stress.factor:g} times the peak: {result}; first bottleneck: {bottleneck}",
        ]
        lines += [f"  - {need}" for need in stress.needs]
    if stress is not None and stress.outgrown_first is not None:
        months = counted(stress.outgrown_in_months or 0, "month")
        lines.append(
            f"at the stated growth {stress.outgrown_first} is the first to be too small, in {months}"
        )
    return lines


def _availability_lines(plan: Plan) -> list[str]:
    from isthmus.planning.availability import wording

    if plan.availability is None:
        return []
    return [
        "",
        "expected availability (an estimate from the failure rates in the plan; docs/planning.md):",
        *(
            f"  {entry.workload}: {wording.describe_availability(entry)}"
            for entry in plan.availability.workloads
        ),
        *(f"  - {assumption}" for assumption in plan.availability.assumptions),
    ]


def _alternative_lines(plan: Plan) -> list[str]:
    lines: list[str] = []
    for alternative in plan.alternatives or []:
        cost = (
            ""
            if alternative.monthly_cost_usd is None
            else f"{alternative.monthly_cost_usd:,.0f} USD a month; "
        )
        lines += [
            "",
            f"blueprint {alternative.blueprint} was not chosen: {cost}{'; '.join(alternative.rejected_because)}",
        ]
    return lines
