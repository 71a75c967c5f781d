"""`isthmus schema requirements | plan | overrides | images`: prints a JSON Schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class File(StrEnum):
    """The files with a JSON Schema."""

    requirements = "requirements"
    plan = "plan"
    overrides = "overrides"
    images = "images"


@app.command()
def schema(
    file: Annotated[File, typer.Argument(help="Which file's schema.", show_default=False)],
) -> None:
    """Print the JSON Schema of a file that you write, for editors and checks."""
    from isthmus.cli import console
    from isthmus.contracts import json_schemas as schemas

    console.print_json(schemas.schema(file.value))
