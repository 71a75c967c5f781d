"""`isthmus value`: what the workloads of a stack cost and what they are worth, with ranges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.audit_options import OptionalPublicKeys, Since, StoreAccess, Verification, Volume, proven
from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.reports.usage_file import UsageFile
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.value.acceptance import Sample

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    html = "html"


@dataclass(frozen=True, kw_only=True)
class ValueOptions:
    """Argument and options of `isthmus value`."""

    stack: StackName
    usage: Annotated[
        Path, typer.Option(metavar="FILE", help="Usage: the output of `isthmus usage STACK --format json`.")
    ]
    reviews: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Judged answers: the output of `isthmus calibrate --from-reviews … --format json`. May be repeated.",
            show_default=False,
        ),
    ] = None
    from_reviews: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STORE",
            help="In place of --reviews: an audit store with decisions, a folder or s3://bucket/prefix. May be"
            " repeated.",
            show_default=False,
        ),
    ] = None
    public_key: OptionalPublicKeys = None
    volume: Volume = None
    since: Since = 1
    access: StoreAccess
    format: Annotated[Format, typer.Option("--format", help="text, json or html.")] = Format.text
    project: ProjectDir = None


@app.command()
@takes(ValueOptions)
def value(options: ValueOptions) -> None:
    """Report cost per accepted answer, adoption, time saved, payback and return, each with a range and its assumptions.

    Only workloads whose requirements state `value` are reported. Acceptance comes from the random sample of people's
    reviews alone; below 100 judgements it is not known. Where criteria for the exit of a pilot were agreed beforehand,
    the report answers by them: scale, fix, stop, or not known yet. The exit code is 0 whatever the answer is.
    """
    from isthmus.cli import console
    from isthmus.contracts.reports import usage_file
    from isthmus.value import report as reports

    plan, requirements = _planned(options)
    usage = usage_file.load(options.usage, reports.WHERE)
    samples = _samples(options, requirements, usage)
    made = reports.value_report(options.stack, plan, requirements, usage, samples)
    if options.format is Format.json:
        console.print_json(made.model_dump(mode="json"))
    elif options.format is Format.html:
        from isthmus.reports import value_page

        print(value_page.page(made), end="")
    else:
        from isthmus.reports.value_text import value_lines

        print("\n".join(value_lines(made)))


def _planned(options: ValueOptions) -> tuple[Plan, Requirements]:
    """Plan and requirements of the stack. Raises `InputError`, and `Refused` for a plan that cannot be built."""
    from isthmus.contracts.plan import document as plan_of
    from isthmus.contracts.plan import files
    from isthmus.contracts.plan import rules as plan_rules
    from isthmus.contracts.requirements import document as requirements_of
    from isthmus.engine.project import project as projects

    stack = projects.find_project(options.project).stack(options.stack)
    folder = stack.project.stacks_dir
    requirements = requirements_of.load(folder / f"{stack.family}{files.REQUIREMENTS}")
    plan = plan_of.load(folder / f"{stack.family}{files.PLAN}")
    plan_rules.check(plan, requirements)
    return plan, requirements


def _samples(options: ValueOptions, requirements: Requirements, usage: UsageFile) -> dict[str, Sample]:
    """Judged answers by workload, from reports or from stores."""
    from isthmus.core.errors import InputError
    from isthmus.value import acceptance

    if options.reviews and options.from_reviews:
        raise InputError(
            "--reviews and --from-reviews are two sources", where="--reviews", fix="Give one of them"
        )
    names = [workload.name for workload in requirements.workloads]
    if not options.from_reviews:
        return acceptance.read_reports(options.reviews or [], names, usage)
    if not options.public_key:
        raise InputError("--from-reviews needs --public-key", where="--public-key", fix="Give the sealer's")
    days = [row.day for row in usage.days]
    records = acceptance.SampleRecords(names, min(days), max(days))
    verification = Verification(volume=options.volume, since=options.since, access=options.access)
    for store in options.from_reviews:
        proven(
            store,
            options.public_key,
            verification,
            lambda record, _: records.add(record),
            "no judgement is taken from it",
        )
    return records.samples()
