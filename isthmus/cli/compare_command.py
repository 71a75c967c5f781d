"""`isthmus compare`: two or three plans side by side, with what they cost over the years and what drives that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import Format, TextOrJson

if TYPE_CHECKING:
    from isthmus.contracts.reports.comparison import Comparison
    from isthmus.planning.comparison.variants import Argument, Variant

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

MOST = 3
"""Columns that fit on a page."""


Arguments = Annotated[
    list[str],
    typer.Argument(
        metavar="PLAN...",
        help="Each is a plan file, a requirements file, a blueprint, changes like"
        " budget.monthly_usd=30000,scale-traffic=2 or the word current.",
        show_default=False,
    ),
]
Requirements = Annotated[
    Path | None,
    typer.Option(
        "--requirements",
        metavar="FILE",
        help="For blueprints, changes and current. Default: the first requirements that A, B or C name.",
        show_default=False,
    ),
]
Assume = Annotated[
    list[str] | None,
    typer.Option(
        "--assume",
        metavar="NAME=VALUE",
        help="Change an assumption, e.g. years=5, growth=3, price-decline=0 or grid.SITE=120. Repeatable; the report"
        " lists all.",
        show_default=False,
    ),
]


@app.command()
def compare(
    arguments: Arguments,
    requirements: Requirements = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            help="The day on which prices and exceptions are judged; default: today.",
        ),
    ] = None,
    assume: Assume = None,
    reasons: Annotated[
        bool, typer.Option("--reasons/--no-reasons", help="Explain the choice for each workload.")
    ] = True,
    format: TextOrJson = Format.text,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write one HTML page, ready to print.", show_default=False
        ),
    ] = None,
) -> None:
    """Compare two or three plans: cost, places, what moves, cost over three years, energy, and what drives them.

    The placements of each plan stay over the years, and replicas grow with the load. Nothing is built or written: plans
    of blueprints and changes are made for this report only. The exit code is 1 if none of them is feasible.
    """
    from isthmus.cli import console, plan_command
    from isthmus.planning.comparison import compare as comparing
    from isthmus.planning.comparison.assumptions import parse_assumptions

    today = plan_command.planning_day(as_of)
    parsed = _parse(arguments)
    variants = _variants(parsed, requirements, today)
    assumptions = parse_assumptions(assume or [], [variant.requirements for variant in variants])
    err = console.err()
    comparison = comparing.compare(
        variants, assumptions, today, reasons=reasons, progress=lambda text: err.print(text, markup=False)
    )
    if html is not None:
        _write_page(comparison, html)
    if format is Format.json:
        console.print_json(comparison.model_dump(mode="json", by_alias=True))
    else:
        from isthmus.reports.comparison_text import comparison_lines

        print("\n".join(comparison_lines(comparison)))
    if all(column.status != "feasible" for column in comparison.columns):
        raise typer.Exit(1)


def _parse(texts: list[str]) -> list[Argument]:
    from isthmus.blueprints import offers
    from isthmus.core.errors import InputError
    from isthmus.planning.comparison import variants

    if not 2 <= len(texts) <= MOST:
        raise InputError(
            f"{len(texts)} {'plan is' if len(texts) == 1 else 'plans are'} named",
            where="compare",
            fix=f"Name two or three. {variants.HOW}",
        )
    names = [offer.name for offer in offers.offers()]
    return [variants.parse_argument(text, names) for text in texts]


def _variants(arguments: list[Argument], requirements: Path | None, today: str) -> list[Variant]:
    from isthmus.blueprints import offers
    from isthmus.cli import console
    from isthmus.planning.comparison import variants

    default = variants.default_requirements(arguments, requirements)
    planned = []
    for argument in arguments:
        console.err().print(f"plan: {argument.text}", markup=False)
        planned.append(variants.make_variant(argument, default, offers.offers(), today))
    return planned


def _write_page(comparison: Comparison, path: Path) -> None:
    from isthmus.cli import console
    from isthmus.core import yaml_files
    from isthmus.reports import comparison_page

    yaml_files.write_text(path, comparison_page.page(comparison))
    console.err().print(f"{path} is written", markup=False)
