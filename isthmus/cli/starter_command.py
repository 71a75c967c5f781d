"""`isthmus starter [INDUSTRY]`: prints commented requirements to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


def complete_industry(incomplete: str) -> list[str]:
    from isthmus.blueprints import starters

    names = [starter.industry for starter in starters.starters()]
    return [name for name in names if name.startswith(incomplete)]


@app.command()
def starter(
    industry: Annotated[
        str | None,
        typer.Argument(
            metavar="[INDUSTRY]",
            help="Print this one.",
            autocompletion=complete_industry,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write it here.", show_default=False),
    ] = None,
) -> None:
    """List requirement files to start from, or print the one of an industry, with a comment at each key.

    Each can be planned and rendered as it is. `-o` overwrites nothing.
    """
    from isthmus.blueprints import starters
    from isthmus.core.errors import InputError

    if industry is None:
        for known in starters.starters():
            print(f"{known.industry:16} {known.summary}")
        return
    text = starters.text(industry)
    if output is None:
        print(text, end="")
        return
    if output.exists():
        raise InputError("the file already exists", where=str(output), fix="Choose another name")
    from isthmus.cli import console
    from isthmus.core import yaml_files

    yaml_files.write_text(output, text)
    console.err().print(f"{output} is written. Next: isthmus plan {output}", markup=False)
