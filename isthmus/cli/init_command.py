"""`isthmus init STACK`: a stack's three files, from requirements alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.options import ProjectDir, complete_blueprint

if TYPE_CHECKING:
    from isthmus.blueprints.missing_values import Missing

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def init(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The new stack's name.", show_default=False)],
    requirements: Annotated[
        Path,
        typer.Option("--requirements", metavar="FILE", help="What is wanted.", show_default=False),
    ],
    blueprint: Annotated[
        str | None,
        typer.Option(help="Take this blueprint.", autocompletion=complete_blueprint, show_default=False),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="For the local sandbox, with made-up values.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="The day on which prices' age is judged; default: today."),
    ] = None,
    project: ProjectDir = None,
) -> None:
    """Create the files of a new stack: copy the requirements, plan, and write the settings of the chosen blueprint.

    Writes STACK.requirements.yaml, STACK.plan.yaml and Pulumi.STACK.yaml into the project's folder of stacks. The
    settings hold placeholders for the values that only you know; with --sandbox they hold made-up values that build in
    `isthmus sandbox up`. Overwrites nothing. Writes nothing if no plan is feasible.
    """
    from isthmus import blueprints
    from isthmus.blueprints import missing_values, settings_template
    from isthmus.cli import console, plan_command
    from isthmus.contracts.plan import rules as plan_rules
    from isthmus.contracts.requirements import document as requirements_of
    from isthmus.core import yaml_files
    from isthmus.engine.project import project as projects

    chosen = projects.find_project(project)
    _free(stack, chosen.stacks_dir, requirements)
    today = plan_command.planning_day(as_of)
    wanted = requirements_of.load(requirements)
    found = plan_command.make_plan(requirements, wanted, today, blueprint=blueprint)
    plan_command.show_text(found)
    if not found.plan.feasible:
        raise typer.Exit(1)
    plan_rules.check(found.plan, wanted)
    platform = blueprints.render(found.plan.blueprint, wanted, found.plan)
    left = missing_values.wanted(platform)
    tree = _tree(platform, left, sandbox=sandbox)
    files = {
        f"{stack}.requirements.yaml": requirements.read_text("utf-8"),
        f"{stack}.plan.yaml": plan_command.text(found.plan),
        f"Pulumi.{stack}.yaml": settings_template.text(stack, tree, sandbox=sandbox),
    }
    for name, content in files.items():
        yaml_files.write_text(chosen.stacks_dir / name, content)
    err = console.err()
    err.print(f"written to {chosen.stacks_dir}: {', '.join(files)}", markup=False)
    file = chosen.stacks_dir / f"{stack}.requirements.yaml"
    if sandbox:
        here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
        err.print(f"next: isthmus sandbox up {here}, then isthmus up {stack}", markup=False)
    elif left:
        err.print(
            f"next: complete the {len(left)} values in Pulumi.{stack}.yaml, then isthmus render {stack}",
            markup=False,
        )
    else:
        err.print(f"next: isthmus render {stack}", markup=False)


def _tree(platform: dict[str, Any], left: Missing, *, sandbox: bool) -> dict[str, Any]:
    from isthmus.blueprints import settings_template

    if not sandbox:
        return settings_template.overrides(left)
    from sandbox import sample_settings

    return settings_template.overrides(
        [*left, *sample_settings.sandbox_settings(platform)], sample_settings.sample_value_source(platform)
    )


def _free(stack: str, folder: Path, requirements: Path) -> None:
    """The name is a stack's, and no file of it is there but the requirements themselves."""
    import re

    from isthmus.core.errors import InputError

    # Pulumi's own form of a stack's name, without the dot, which would hide where the name ends in a file's.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", stack):
        raise InputError(
            f"`{stack}` is no name of a stack",
            where="STACK",
            fix="Take letters, digits, `-` and `_`, at most 100, the first a letter or a digit",
        )
    for name in (f"Pulumi.{stack}.yaml", f"{stack}.plan.yaml", f"{stack}.requirements.yaml"):
        file = folder / name
        if file.exists() and not (requirements.exists() and file.samefile(requirements)):
            raise InputError(
                f"there is a {name} already",
                where=str(folder),
                fix=f"Take another name, or change the files that are there: `isthmus plan` plans {stack} anew",
            )
