"""Arguments and options that several commands share, with their completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_stack(incomplete: str) -> list[str]:
    """Stack names of the project around the working folder; nothing where there is none."""
    from isthmus.core.errors import IsthmusError
    from isthmus.engine.project import project

    try:
        found = project.find_project()
        return [name for name in [*found.stacks(), *found.estates()] if name.startswith(incomplete)]
    except IsthmusError:
        return []


def complete_blueprint(incomplete: str) -> list[str]:
    """Names of the blueprints of this checkout."""
    from isthmus import blueprints
    from isthmus.core.errors import IsthmusError

    try:
        return [found.name for found in blueprints.blueprints() if found.name.startswith(incomplete)]
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
