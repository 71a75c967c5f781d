"""From a stack's files to its validated platform: requirements and plan, blueprint, overrides, checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.catalogue import kept, missing, rendering, shelf

if TYPE_CHECKING:
    from isthmus.contracts.plan import Plan
    from isthmus.contracts.platform import Platform
    from isthmus.contracts.requirements import Requirements

OVERRIDES = "isthmus:overrides"


@dataclass(frozen=True)
class StackFiles:
    """A stack's two files, read and found to agree."""

    stack: str
    folder: Path
    requirements: Requirements
    plan: Plan


def read(folder: Path, stack: str) -> StackFiles:
    """Read `STACK.requirements.yaml` and `STACK.plan.yaml` of a folder and hold the plan to the requirements.

    Raises `InputError` for what is not understood or made from other requirements, `AnswerIsNo` for a
    plan that breaks handling, residency or what a site allows.
    """
    from isthmus.contracts import plan as plans
    from isthmus.contracts import plan_checks
    from isthmus.contracts import requirements as wanted

    requirements = wanted.load(folder / f"{stack}.requirements.yaml")
    plan = plans.load(folder / f"{stack}.plan.yaml")
    plan_checks.check(plan, requirements)
    return StackFiles(stack, folder, requirements, plan)


def assemble(files: StackFiles, overrides: dict[str, Any], catalogue: Path = shelf.FOLDER) -> Platform:
    """Render the plan's blueprint, lay the overrides over it and validate what comes out.

    Raises `InputError` for an unknown blueprint, a wrong override or missing ones (all named at once), and
    `AnswerIsNo` where an override breaks a boundary.
    """
    from isthmus.contracts import overrides as laying

    where = f"{files.folder.name}/Pulumi.{files.stack}.yaml ({OVERRIDES}"
    rendered = rendering.render(files.plan.blueprint, files.requirements, files.plan, catalogue)
    merged = laying.merge(rendered, overrides)
    missing.require(merged, f"{where})")
    platform = laying.validate(merged)
    kept.check(platform, files.requirements, where)
    return platform


def platform(folder: Path, stack: str, overrides: dict[str, Any]) -> Platform:
    """The validated platform of a stack: `read` and `assemble` in one."""
    return assemble(read(folder, stack), overrides)
