"""Protocol between two versions of Isthmus: describes or judges the stacks of one commit in a process of its own.

`isthmus ci` starts it with the code of the base commit and with the code of the branch. Code of two commits cannot live
in one process, and code of a branch must not run in the process that judges it. Both versions share only the JSON of
`Order` and `Answer`, so keep this module's path, fields and keys.

    python -m isthmus.engine.seen ORDER ANSWER    two files; run in the folder of that commit's Isthmus
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from isthmus.contracts.named_results import NamedResult
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.contracts.reports.preview import RuleException
from isthmus.contracts.trust import Trust
from isthmus.core.errors import InputError, IsthmusError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Project
    from isthmus.engine.render.recorder import Resource


class _Said(BaseModel):
    """Base of the messages. Fields that only another version knows are ignored."""

    model_config = ConfigDict(extra="ignore")


class Fault(_Said):
    """Why a stack could not be described: an `IsthmusError` as data."""

    code: int
    what: str
    where: str = ""
    todo: str = ""


class Seen(_Said):
    """Description of a stack in one commit."""

    stack: str
    there: bool = True
    """Whether the commit has it."""
    fault: Fault | None = None
    graph: list[dict[str, Any]] = []
    """The resources of its whole estate, in the form of `graph.json`."""
    platform: dict[str, Any] | None = None
    settings: Settings = Settings()
    """Policy settings of the organisation and the stack; if the commit lacks the stack, of the organisation only."""
    trust: Trust = Trust()
    """What its `trust.yaml` states. Apart from the settings, so that an earlier version can still read those."""
    evaluations: list[NamedResult] | None = None
    """The results that its candidates name. Apart from the settings, like the trust. None: an earlier version."""
    exceptions: list[RuleException] = []
    """Rules that are off and silences, of the organisation and of every stack of its estate."""
    findings: list[Finding] = []
    """Findings by the commit's own rules, settings and classes."""
    rules: dict[str, Severity] = {}
    """Rule id → severity, for every rule of the commit's code."""
    handling: dict[str, dict[str, Any]] = {}
    """Class → its handling, from the commit's code and organisation."""

    @property
    def policy_settings(self) -> Settings:
        """The policy settings with the trust and the results."""
        return self.settings.model_copy(update={"trust": self.trust, "evaluations": self.evaluations})


class Order(_Said):
    """Task of the process: `see` describes stacks of its project, `judge` checks stacks of the other commit."""

    do: Literal["see", "judge"]
    root: str
    """The project's folder in this commit."""
    stacks: list[str] = []
    judging: bool = True
    """For `see`: also evaluate the commit's own rules."""
    of: dict[str, Seen] = {}
    """For `judge`: each stack as this commit describes it."""
    other: dict[str, Seen] = {}
    """For `judge`: each stack as the other commit describes it."""


class Answer(_Said):
    seen: dict[str, Seen] = {}
    findings: dict[str, list[Finding]] = {}


def answer(order: Order) -> Answer:
    from isthmus.engine.project.project import Project

    if order.do == "judge":
        pairs = ((name, order.of[name], counterpart) for name, counterpart in order.other.items())
        return Answer(findings={name: _judge(own, counterpart) for name, own, counterpart in pairs})
    project, rendered = Project(Path(order.root)), dict[str, "list[Resource]"]()
    return Answer(
        seen={name: _describe_stack(project, name, rendered, order.judging) for name in order.stacks}
    )


def _describe_stack(project: Project, name: str, rendered: dict[str, list[Resource]], judging: bool) -> Seen:
    """Describe one stack. An error is reported for this stack; the other stacks continue."""
    from policies.evaluation.registry import CHANGES, RULES

    description = Seen(
        stack=name,
        there=name in project.stacks(),
        rules={rule.id: rule.severity for rule in (*RULES, *CHANGES)},
    )
    try:
        _fill(description, project, rendered, judging)
    except IsthmusError as error:
        description.fault = Fault(code=error.exit_code, what=error.what, where=error.where, todo=error.fix)
    except Exception as error:  # noqa: BLE001 (a program may raise what it likes)
        description.fault = Fault(
            code=InputError.exit_code,
            what=f"the program raised {type(error).__name__}: {error}",
            where=f"stack {name}",
            todo="Fix the program; `isthmus render --debug` shows a traceback",
        )
    return description


def _fill(description: Seen, project: Project, rendered: dict[str, list[Resource]], judging: bool) -> None:
    """Fill in a description. `rendered` caches whole estates, since each stack of an estate needs all of it."""
    from isthmus.contracts.reference import handling
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.engine.policy import exceptions as policy_exceptions
    from isthmus.engine.preview import preview
    from isthmus.engine.render import rendering
    from policies.evaluation import settings as policy_settings_files

    if not description.there:
        _set_policy_settings(description, policy_settings_files.load_settings(project.root))
        return
    stack = project.stack(description.stack)
    _set_policy_settings(description, policy_evaluation.settings([stack]))
    description.exceptions = policy_exceptions.exceptions(stack)
    handling_rules = handling.stricter_only(preview.read_plan_files(stack)[0].handling)
    description.handling = {
        data_class: handling_rules[data_class].model_dump(mode="json", by_alias=True)
        for data_class in handling_rules
    }
    platform = stack.platform()
    if stack.family not in rendered:
        with rendering.without_garbage_collection():
            rendered[stack.family] = preview.resources_of_estate(preview.render_checked(stack))
    resources = rendered[stack.family]
    # Unset fields are left out, because contracts ask which fields were set.
    description.platform = platform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    description.graph = [resource.as_json() for resource in resources]
    if judging:
        description.findings = policy_evaluation.findings(
            stack, resources, platform, description.policy_settings
        )


def _set_policy_settings(description: Seen, settings: Settings) -> None:
    description.settings, description.trust = settings, settings.trust
    description.evaluations = settings.evaluations


def _judge(own: Seen, counterpart: Seen) -> list[Finding]:
    """Findings of this commit's rules in the other commit's resources, with this commit's settings and classes."""
    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.graph.data_path import declared_policy

    after = platform_of(counterpart)
    before = platform_of(own) if own.platform is not None else after
    declared = declared_policy.with_declared_before(before, after)
    # The other commit's results are judged by whom this commit trusts.
    settings = own.policy_settings.model_copy(update={"evaluations": counterpart.evaluations})
    return policy_evaluation.findings_of_stack(
        counterpart.stack, resources_of(counterpart), declared.platform, settings, declared.held
    )


def platform_of(seen: Seen) -> Platform:
    from isthmus.contracts.platform import overrides

    return overrides.validate(seen.platform or {}, f"the platform of {seen.stack}")


def resources_of(seen: Seen) -> list[Resource]:
    from isthmus.engine.preview import comparison as preview_comparison

    return preview_comparison.resources_from_json({"resources": seen.graph})


def main(paths: Sequence[str]) -> None:
    order_file, answer_file = (Path(path) for path in paths)
    response = answer(Order.model_validate_json(order_file.read_text("utf-8"))).model_dump_json()
    answer_file.write_text(response, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
