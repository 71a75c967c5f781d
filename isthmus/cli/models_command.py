"""`isthmus models`: the models that can be planned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, TextOrJson

if TYPE_CHECKING:
    from isthmus.planning.catalogues.listing import ListedModel
    from isthmus.planning.unconsidered import Unconsidered

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Sensitivity(StrEnum):
    """Class of the data."""

    public = "public"
    internal = "internal"
    confidential = "confidential"
    restricted = "restricted"


Task = Annotated[
    str | None, typer.Option("--task", help="chat, embedding, rerank or guard.", show_default=False)
]
Class = Annotated[
    Sensitivity | None, typer.Option("--class", help="Places that this class may use.", show_default=False)
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region", metavar="REGION", help="Of Bedrock: callable from this region.", show_default=False
    ),
]
Licence = Annotated[
    str | None,
    typer.Option("--licence", metavar="TEXT", help="A part of the licence's name.", show_default=False),
]
MaxPrice = Annotated[
    float | None,
    typer.Option(
        "--max-price",
        metavar="USD",
        help="Of Bedrock: for a million tokens, a fifth of them answers.",
        show_default=False,
        min=0,
    ),
]
Memory = Annotated[
    float | None,
    typer.Option("--memory", metavar="GIB", help="Memory for the weights.", show_default=False, min=0),
]
Gpu = Annotated[
    str | None,
    typer.Option(
        "--gpu", metavar="GPU", help="Weights that one such GPU holds, e.g. l40s-48gb.", show_default=False
    ),
]
For = Annotated[
    Path | None,
    typer.Option(
        "--for",
        metavar="REQUIREMENTS",
        help="Models that its workloads do not consider yet, and could.",
        show_default=False,
    ),
]
Workload = Annotated[
    str | None, typer.Option("--workload", help="With --for: only this one.", show_default=False)
]


@dataclass(frozen=True, kw_only=True)
class ModelsOptions:
    """Options of `isthmus models`."""

    task: Task = None
    class_: Class = None
    region: Region = None
    licence: Licence = None
    max_price: MaxPrice = None
    memory: Memory = None
    gpu: Gpu = None
    requirements: For = None
    workload: Workload = None
    format: TextOrJson = Format.text


@app.command()
@takes(ModelsOptions)
def models(options: ModelsOptions) -> None:
    """List the models that can be planned: open ones by memory, those of Amazon Bedrock by price.

    `candidates[].id` of the requirements takes the names in the first column. `--format json` also says which uses a
    licence restricts, and where each figure is from.

    With `--for` it lists what to evaluate next: models of a workload's task that are not among its candidates, and that
    its class, residency, context, licence and hardware allow, with what each would cost by itself. Their scores are
    not known.
    """
    from isthmus.cli import console
    from isthmus.core.errors import InputError
    from isthmus.planning.catalogues.listing import ModelFilter, list_models

    wanted = ModelFilter(
        options.task,
        options.region,
        options.class_.value if options.class_ else None,
        options.licence,
        options.max_price,
        options.memory,
        options.gpu,
    )
    if options.requirements is not None:
        if wanted != ModelFilter():
            raise InputError(
                "the requirements say which models are listed",
                where="--for",
                fix="Leave the other filters out, or leave --for out",
            )
        _show_unconsidered(options.requirements, options.workload, options.format)
        return
    if options.workload is not None:
        raise InputError("it needs requirements", where="--workload", fix="Add --for REQUIREMENTS")
    listed = list_models(wanted)
    if options.format is Format.json:
        console.print_json([model.as_json() for model in listed])
        return
    if not listed:
        console.err().print("No model of the catalogue is so. Leave an option out.", markup=False)
        return
    _print_open([model for model in listed if model.where == "gpus"])
    _print_bedrock([model for model in listed if model.where == "bedrock"])


def _show_unconsidered(path: Path, workload: str | None, format: Format) -> None:
    from isthmus.blueprints.offers import offers
    from isthmus.cli import console
    from isthmus.cli.plan_command import load_requirements, planning_day
    from isthmus.planning.options.option import Rules
    from isthmus.planning.unconsidered import models_to_evaluate

    requirements = load_requirements(path)
    builds = frozenset[str]().union(*(offer.builds for offer in offers()))
    rules = Rules(planning_day(None), builds)
    if format is Format.json:
        console.print_json([model.as_json() for model in models_to_evaluate(requirements, rules, workload)])
        return
    for name in [workload] if workload else [stated.name for stated in requirements.workloads]:
        _print_unconsidered(name, models_to_evaluate(requirements, rules, name))


def _print_unconsidered(workload: str, unconsidered: list[Unconsidered]) -> None:
    from rich import box
    from rich.table import Table

    from isthmus.cli import console
    from isthmus.planning.unconsidered import DEAREST, worth_a_look

    shown = worth_a_look(unconsidered)
    if not shown:
        console.out().print(
            f"{workload}: no other model of the catalogue is allowed and worth a look.\n", markup=False
        )
        return
    now = shown[0].candidate_usd
    today = "none of its candidates can be placed" if now is None else f"its cheapest candidate: {now:,.0f}"
    table = Table(
        title=f"{workload}, USD a month by itself ({today})",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("model", no_wrap=True)
    for column in ("parameters", "precision", "USD a month", "place"):
        table.add_column(column, justify="right" if column in ("parameters", "USD a month") else "left")
    for model in shown:
        size = "" if model.parameters_billion is None else f"{model.parameters_billion:g} B"
        table.add_row(model.model, size, model.precision, f"{model.monthly_usd:,.0f}", model.place)
    console.out().print(table)
    if left := len(unconsidered) - len(shown):
        rest = f"{left} more are dearer without being larger, or cost over {DEAREST:g} times as much"
        console.out().print(f"{rest}: --format json lists them.\n", markup=False)


def _print_open(listed: list[ListedModel]) -> None:
    if not listed:
        return
    from rich import box
    from rich.table import Table

    from isthmus.cli import console

    table = Table(title="On GPUs", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("task", "parameters", "weights from", "tokens", "precisions", "licence"):
        table.add_column(
            column, justify="right" if column in ("parameters", "weights from", "tokens") else "left"
        )
    for model in listed:
        table.add_row(
            model.model,
            model.task,
            f"{model.parameters_billion:g} B",
            f"{model.weights_gib:g} GiB",
            f"{model.context_tokens:,}",
            " ".join(model.precisions),
            model.licence + (" (restricts uses)" if model.excludes else ""),
        )
    console.out().print(table)


def _print_bedrock(listed: list[ListedModel]) -> None:
    if not listed:
        return
    from rich import box
    from rich.table import Table

    from isthmus.cli import console

    table = Table(
        title="On Amazon Bedrock, USD for a million tokens of prompts and answers",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("model", no_wrap=True)
    for column in ("task", "region", "prompts", "answers", "tokens", "served in", "may end", "price of"):
        table.add_column(column, justify="right" if column in ("prompts", "answers", "tokens") else "left")
    for model in listed:
        table.add_row(
            model.model,
            model.task,
            str(model.region),
            f"{model.input_usd:g}",
            f"{model.output_usd:g}",
            f"{model.context_tokens:,}",
            ", ".join(model.jurisdictions),
            model.ends or "",
            model.as_of,
        )
    console.out().print(table)
