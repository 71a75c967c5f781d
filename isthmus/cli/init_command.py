"""`isthmus init STACK`: creates the three files of a stack from its requirements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.options import ProjectDir, complete_blueprint

if TYPE_CHECKING:
    from isthmus.blueprints.missing_values import Missing
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def init(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The new stack's name.", show_default=False)],
    requirements: Annotated[
        Path,
        typer.Option("--requirements", metavar="FILE", help="The requirements file.", show_default=False),
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
    `isthmus sandbox up`. Overwrites nothing. Writes nothing if no plan is feasible, or if `isthmus render` would refuse
    it whatever the settings are.
    """
    from isthmus import blueprints
    from isthmus.blueprints import missing_values, offers, settings_template
    from isthmus.cli import console, plan_command
    from isthmus.contracts.plan import files as plan_files
    from isthmus.core import yaml_files
    from isthmus.engine.project import project as projects
    from isthmus.planning import planner

    target_project = projects.find_project(project)
    _check_name_is_free(stack, target_project.stacks_dir, requirements)
    _check_is_no_what_if(requirements)
    today = plan_command.planning_day(as_of)
    parsed = plan_command.load_requirements(requirements)
    planned = planner.make_plan(parsed, offers.offers(), today, blueprint=blueprint)
    plan_command.show_text(planned, parsed)
    if not planned.plan.feasible:
        raise typer.Exit(1)
    _check_can_be_rendered(parsed, planned.plan)
    platform = blueprints.render(planned.plan.blueprint, parsed, planned.plan)
    missing = missing_values.list_missing_values(platform)
    tree = _settings_tree(platform, missing, sandbox=sandbox)
    files = {
        f"{stack}.requirements.yaml": requirements.read_text("utf-8"),
        f"{stack}.plan.yaml": plan_files.plan_text(planned.plan),
        f"Pulumi.{stack}.yaml": settings_template.settings_text(stack, tree, sandbox=sandbox),
    }
    for name, content in files.items():
        yaml_files.write_text(target_project.stacks_dir / name, content)
    err = console.err()
    err.print(f"written to {target_project.stacks_dir}: {', '.join(files)}", markup=False)
    file = target_project.stacks_dir / f"{stack}.requirements.yaml"
    err.print(f"next: {_next_step(stack, file, len(missing), sandbox=sandbox)}", markup=False)


def _next_step(stack: str, requirements: Path, missing_values: int, *, sandbox: bool) -> str:
    """What to do with the new files."""
    if sandbox:
        here = Path.cwd()
        shown_path = requirements.relative_to(here) if requirements.is_relative_to(here) else requirements
        return f"isthmus sandbox up {shown_path}, then isthmus up {stack}"
    if missing_values:
        return f"complete the {missing_values} values in Pulumi.{stack}.yaml, then isthmus render {stack}"
    return f"isthmus render {stack}"


def _settings_tree(platform: dict[str, Any], missing: Missing, *, sandbox: bool) -> dict[str, Any]:
    from isthmus.blueprints import settings_template

    if not sandbox:
        return settings_template.overrides_tree(missing)
    from sandbox import sample_settings

    return settings_template.overrides_tree(
        [*missing, *sample_settings.sandbox_settings(platform)], sample_settings.sample_value_source(platform)
    )


def _check_can_be_rendered(requirements: Requirements, plan: Plan) -> None:
    """Raise what the rules of plans and `isthmus render` refuse, whatever the settings are."""
    from isthmus.cli import console
    from isthmus.contracts.plan import rules as plan_rules
    from isthmus.core.errors import join
    from isthmus.engine import plan_checks

    plan_rules.check(plan, requirements)
    if faults := plan_checks.render_faults(requirements, plan, {}):
        raise join([fault.error for fault in faults])
    for note in plan_checks.unstated_languages(requirements, plan, {}):
        console.err().print(f"note: {note}", markup=False)


def _check_is_no_what_if(requirements: Path) -> None:
    """Raise `Refused` for a what-if plan, and `InputError` for any other plan."""
    from isthmus.contracts.plan import document as plan_of
    from isthmus.core import yaml_files
    from isthmus.core.errors import InputError, Refused

    data = yaml_files.load(requirements).data
    if "what_if" in data:
        changes = plan_of.load(requirements).what_if.summary  # type: ignore[union-attr]
        raise Refused(
            f"this file is a what-if plan ({changes}), from which no stack is created",
            where=str(requirements),
            fix="Make these changes in the requirements, and give the requirements file",
        )
    if "placements" in data and "workloads" not in data:
        raise InputError(
            "this file is a plan, not requirements",
            where=str(requirements),
            fix="Give the requirements file; `init` plans by itself",
        )


def _check_name_is_free(stack: str, folder: Path, requirements: Path) -> None:
    """Raise `InputError` for an invalid name, and for existing files other than the requirements."""
    import re

    from isthmus.core.errors import InputError

    # Pulumi's rule for stack names, without the dot, which would make file names ambiguous.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", stack):
        raise InputError(
            f"`{stack}` is not a valid stack name",
            where="STACK",
            fix="Use at most 100 letters, digits, `-` and `_`, beginning with a letter or digit",
        )
    for name in (f"Pulumi.{stack}.yaml", f"{stack}.plan.yaml", f"{stack}.requirements.yaml"):
        file = folder / name
        if file.exists() and not (requirements.exists() and file.samefile(requirements)):
            raise InputError(
                f"the file {name} already exists",
                where=str(folder),
                fix=f"Choose another name, or change the existing files and run `isthmus plan` for {stack} again",
            )
