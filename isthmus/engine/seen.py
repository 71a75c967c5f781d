"""What one commit's own code says of its stacks, and of another commit's: a process of its own, told and telling JSON.

The code of two commits cannot live in one process, and what a branch has written must not run in the one that
judges it. Only this module's orders and answers are common to both; what else a commit's Isthmus is made of may differ.

    python -m isthmus.engine.seen ORDER ANSWER    two files; run in the folder of that commit's Isthmus
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.core.errors import InputError, IsthmusError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Project
    from isthmus.engine.render.recorder import Resource


class _Said(BaseModel):
    """What another version says besides is left alone."""

    model_config = ConfigDict(extra="ignore")


class Fault(_Said):
    """Why a stack could not be seen, an `IsthmusError` in data."""

    code: int
    what: str
    where: str = ""
    todo: str = ""


class Seen(_Said):
    """A stack in one commit."""

    stack: str
    there: bool = True
    """Whether the commit has it."""
    fault: Fault | None = None
    graph: list[dict[str, Any]] = []
    """The resources of its whole estate, as `graph.json` has them."""
    platform: dict[str, Any] | None = None
    settings: Settings = Settings()
    """Of the organisation and the stack; the organisation's alone where there is no such stack."""
    findings: list[Finding] = []
    """By the commit's own rules, settings and classes."""
    rules: dict[str, Severity] = {}
    """Its code's rules."""
    handling: dict[str, dict[str, Any]] = {}
    """What each class demands, by its code and its organisation."""


class Order(_Said):
    """What a process is to do: see stacks of its project, or judge what another commit makes of one."""

    do: Literal["see", "judge"]
    root: str
    """The project's folder in this commit."""
    stacks: list[str] = []
    judging: bool = True
    """To see: whether the commit's own rules are asked as well."""
    of: dict[str, Seen] = {}
    """To judge: what this commit makes of each stack."""
    other: dict[str, Seen] = {}
    """To judge: what the other makes of it."""


class Answer(_Said):
    seen: dict[str, Seen] = {}
    findings: dict[str, list[Finding]] = {}


def answer(order: Order) -> Answer:
    from isthmus.engine.project.project import Project

    if order.do == "judge":
        pairs = ((name, order.of[name], other) for name, other in order.other.items())
        return Answer(findings={name: _judged(mine, other) for name, mine, other in pairs})
    project, rendered = Project(Path(order.root)), dict[str, "list[Resource]"]()
    return Answer(seen={name: _seen(project, name, rendered, order.judging) for name in order.stacks})


def _seen(project: Project, name: str, rendered: dict[str, list[Resource]], judging: bool) -> Seen:
    """One stack; whatever goes wrong is its fault and no other's."""
    from policies.evaluation.registry import CHANGES, RULES

    found = Seen(
        stack=name,
        there=name in project.stacks(),
        rules={each.id: each.severity for each in (*RULES, *CHANGES)},
    )
    try:
        _fill(found, project, rendered, judging)
    except IsthmusError as error:
        found.fault = Fault(code=error.exit_code, what=error.what, where=error.where, todo=error.fix)
    except Exception as error:  # noqa: BLE001 (a program may raise what it likes)
        found.fault = Fault(
            code=InputError.exit_code,
            what=f"the program raised {type(error).__name__}: {error}",
            where=f"stack {name}",
            todo="Mend the program; `isthmus render --debug` shows where",
        )
    return found


def _fill(found: Seen, project: Project, rendered: dict[str, list[Resource]], judging: bool) -> None:
    """What can be said of a stack. `rendered`: whole estates, which each of their stacks asks for."""
    from isthmus.contracts.reference import handling
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.engine.preview import preview
    from isthmus.engine.render import rendering
    from policies.evaluation import settings as policy_settings_files

    if not found.there:
        found.settings = policy_settings_files.load_settings(project.root)
        return
    stack = project.stack(found.stack)
    found.settings = policy_evaluation.settings([stack])
    table = handling.stricter_only(preview.files(stack)[0].handling)
    found.handling = {each: table[each].model_dump(mode="json", by_alias=True) for each in table}
    platform = stack.platform()
    if stack.family not in rendered:
        with rendering.uncollected():
            rendered[stack.family] = preview.every(preview.rendering(stack))
    resources = rendered[stack.family]
    # What nobody has said is left out: a contract may ask whether it was.
    found.platform = platform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    found.graph = [each.as_json() for each in resources]
    if judging:
        found.findings = policy_evaluation.findings(stack, resources, platform, found.settings)


def _judged(mine: Seen, other: Seen) -> list[Finding]:
    """What this commit's rules say of the other's resources, by this one's settings and word."""
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.graph.data_path import declared_policy

    after = platform_of(other)
    before = platform_of(mine) if mine.platform is not None else after
    by = declared_policy.of(before, after)
    return policy_evaluation.of(other.stack, resources_of(other), by.platform, mine.settings, by.held)


def platform_of(seen: Seen) -> Platform:
    from isthmus.contracts.platform import overrides

    return overrides.validate(seen.platform or {}, f"the platform of {seen.stack}")


def resources_of(seen: Seen) -> list[Resource]:
    from isthmus.engine.preview import comparison as preview_comparison

    return preview_comparison.from_json({"resources": seen.graph})


def main(words: Sequence[str]) -> None:
    order, to = (Path(each) for each in words)
    told = answer(Order.model_validate_json(order.read_text("utf-8"))).model_dump_json()
    to.write_text(told, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
