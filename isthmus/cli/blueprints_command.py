"""`isthmus blueprints [NAME]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import Format, TextOrJson, complete_blueprint

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.blueprints import Blueprint

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def blueprints(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Show this one.", autocompletion=complete_blueprint, show_default=False
        ),
    ] = None,
    format: TextOrJson = Format.text,
) -> None:
    """List the blueprints, or show one: purpose, contents, requirements, cost of leaving."""
    from isthmus import blueprints as catalogue
    from isthmus.cli import console

    shown = [catalogue.show(name)] if name else catalogue.blueprints()
    if format is Format.json:
        headers = [blueprint.header.model_dump(mode="json", by_alias=True) for blueprint in shown]
        console.print_json({**headers[0], "readme": shown[0].readme} if name else headers)
        return
    out = console.out()
    if name:
        _show(out, shown[0])
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("blueprint", no_wrap=True)
    for column in ("topology", "classes", "scale", "for"):
        table.add_column(column)
    for blueprint in shown:
        header = blueprint.header
        table.add_row(
            blueprint.name, header.topology, ", ".join(header.classes), header.scale.words, header.summary
        )
    out.print(table)


def _show(out: Console, blueprint: Blueprint) -> None:
    from rich.markdown import Markdown

    header = blueprint.header
    rows = {
        "for": header.summary,
        "topology": header.topology,
        "classes": ", ".join(header.classes),
        "builds": ", ".join(header.builds),
        "scale": header.scale.words,
        "availability": header.availability,
        "it needs": "; ".join(header.requires),
        "to leave it": "; ".join(header.cost_to_leave),
    }
    out.print(f"{blueprint.name}", style="bold", markup=False)
    for key, value in rows.items():
        out.print(f"  {key}: {value}", markup=False)
    out.print()
    out.print(Markdown(blueprint.readme))
