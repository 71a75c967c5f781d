"""`isthmus break-glass STACK ID`, of a stack or an estate."""

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

    chosen = projects.find_project(project).chosen([stack])[0]
    folder, name = chosen.project.stacks_dir, chosen.family
    found = records.load(folder, name).accesses
    for each in found:
        if each.id == access:
            sys.stdout.write(each.text(name))
            return
    raise InputError(
        f"there is no access `{access}`",
        where=str(records.file_of(folder, name)),
        fix=f"It has: {', '.join(each.id for each in found) or 'none'}",
    )
