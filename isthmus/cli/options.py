"""Arguments and options of several commands, with shell completion."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command answers that writes text or JSON."""

    text = "text"
    json = "json"


def complete_stack(incomplete: str) -> list[str]:
    """Stack and estate names of the project in the working folder; empty outside a project."""
    from isthmus.core.errors import IsthmusError
    from isthmus.engine.project import project

    try:
        root = project.find_project()
        return [name for name in [*root.stacks(), *root.estates()] if name.startswith(incomplete)]
    except IsthmusError:
        return []


def complete_blueprint(incomplete: str) -> list[str]:
    """Names of the blueprints of this checkout."""
    from isthmus import blueprints
    from isthmus.core.errors import IsthmusError

    try:
        return [
            blueprint.name for blueprint in blueprints.blueprints() if blueprint.name.startswith(incomplete)
        ]
    except IsthmusError:
        return []


StackName = Annotated[
    str,
    typer.Argument(
        metavar="STACK",
        help="Name of the stack, e.g. bank-dev.",
        autocompletion=complete_stack,
        show_default=False,
    ),
]
StackNames = Annotated[
    list[str],
    typer.Argument(
        metavar="STACK...",
        help="Names of stacks, or of an estate for all of its stacks, e.g. bank-dev.",
        autocompletion=complete_stack,
        show_default=False,
    ),
]
ProjectDir = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Folder with Pulumi.yaml. Default: the nearest one from here upward.",
        file_okay=False,
        show_default=False,
    ),
]
TextOrJson = Annotated[Format, typer.Option("--format", help="text or json.")]
