"""`isthmus break-glass STACK ID`: prints the text to sign for emergency access to a stack or an estate."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def break_glass(
    stack: StackName,
    access: Annotated[str, typer.Argument(metavar="ID", help="The access in STACK.break-glass.yaml.")],
    project: ProjectDir = None,
) -> None:
    """Print what two people sign for emergency access, with `ssh-keygen -Y sign -n isthmus-break-glass`."""
    from isthmus.blueprints import emergency_access as records
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects

    selected = projects.find_project(project).chosen([stack])[0]
    folder, name = selected.project.stacks_dir, selected.family
    accesses = records.load(folder, name).accesses
    for listed in accesses:
        if listed.id == access:
            sys.stdout.write(listed.text(name))
            return
    raise InputError(
        f"unknown access `{access}`",
        where=str(records.file_of(folder, name)),
        fix=f"Choose one of: {', '.join(listed.id for listed in accesses) or 'none'}",
    )
