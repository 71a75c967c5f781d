"""`isthmus models`: the models that can be planned."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from isthmus.planning.catalogues.listing import ListedModel

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"


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


@app.command()
def models(
    task: Task = None,
    class_: Class = None,
    region: Region = None,
    licence: Licence = None,
    max_price: MaxPrice = None,
    memory: Memory = None,
    gpu: Gpu = None,
    format: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.text,
) -> None:
    """List the models that can be planned: open ones by memory, those of Amazon Bedrock by price.

    `candidates[].id` of the requirements takes the names in the first column. `--format json` also says which uses a
    licence restricts, and where each figure is from.
    """
    from isthmus.cli import console
    from isthmus.planning.catalogues.listing import ModelFilter, list_models

    wanted = ModelFilter(task, region, class_.value if class_ else None, licence, max_price, memory, gpu)
    listed = list_models(wanted)
    if format is Format.json:
        console.print_json([model.as_json() for model in listed])
        return
    if not listed:
        console.err().print("No model of the catalogue is so. Leave an option out.", markup=False)
        return
    _print_open([model for model in listed if model.where == "gpus"])
    _print_bedrock([model for model in listed if model.where == "bedrock"])


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
    for column in ("task", "region", "prompts", "answers", "tokens", "served in", "price of"):
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
            model.as_of,
        )
    console.out().print(table)
