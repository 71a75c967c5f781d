"""What `isthmus render` would refuse of a new plan, and what its reader should know, before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import estates, template_filters, trial
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.files import REQUIREMENTS
from isthmus.core.errors import IsthmusError
from isthmus.core.yaml_documents import dotted
from isthmus.engine.project import project as projects
from sandbox import sample_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isthmus.contracts.plan.document import Plan, WhatIf
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.core.validation_errors import Fault
    from isthmus.planning.planner import PlanningResult


def check(
    planned: PlanningResult, requirements: Requirements, path: Path, what_if: WhatIf | None
) -> tuple[PlanningResult, list[Fault], list[str]]:
    """Return the plan with its mark and its warnings, what `isthmus render` would refuse of it, and notes.

    `path`: the file of the requirements; settings of a stack beside it count. A what-if cannot be built, so it is not
    rendered.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    if planned.plan.feasible:
        # A new plan must pass the same checks as a plan file.
        plan_rules.check(planned.plan, requirements)
        if what_if is None:
            settings = settings_beside(path)
            faults = render_faults(requirements, planned.plan, settings)
            notes = unstated_languages(requirements, planned.plan, settings)
    planned = _with_faults(planned, faults, requirements)
    return replace(planned, plan=planned.plan.model_copy(update={"what_if": what_if})), faults, notes


def render_faults(requirements: Requirements, plan: Plan, overrides: Mapping[str, Any]) -> list[Fault]:
    """What `isthmus render` would refuse of a feasible plan; made-up settings stand in for those not yet written.

    `overrides`: those of an existing stack. A fault that they mend is left out.
    """
    return trial.render_faults(requirements, plan, sample_settings.sample_value_source, overrides)


def unstated_languages(requirements: Requirements, plan: Plan, overrides: Mapping[str, Any]) -> list[str]:
    """A note for each workload whose names are redacted in English only, because nobody has stated its languages."""
    names = template_filters.unstated_languages(plan, requirements)
    gateways = overrides.get("gateways")
    if not names or any("screening" in gateway for gateway in gateways or [] if isinstance(gateway, dict)):
        return []
    numbers = {workload.name: index for index, workload in enumerate(requirements.workloads)}
    return [
        f"{requirements.document.where(('workloads', numbers[name], 'languages'))}: prompts leave site {site}, and "
        "names in them are redacted in English only, because `languages` is not stated. Fix: Add the languages of its "
        "prompts, e.g. `languages: [en]`"
        for name, site in names
    ]


def settings_beside(requirements: Path) -> dict[str, Any]:
    """The overrides of the stack or estate whose requirements these are; empty if there is none.

    Invalid settings count as none: `isthmus render` reports them.
    """
    name = requirements.name.removesuffix(REQUIREMENTS)
    folder = requirements.resolve().parent
    for root in (folder, *folder.parents):
        if (root / "Pulumi.yaml").is_file():
            project = projects.Project(root)
            try:
                if project.stacks_dir != folder:
                    return {}
                stack = projects.Stack(project, name)
                return stack.overrides if stack.config_file.exists() else estates.overrides(folder, name)
            except IsthmusError:
                return {}
    return {}


def _with_faults(
    planned: PlanningResult, faults: Sequence[Fault], requirements: Requirements
) -> PlanningResult:
    """The plan with a warning for each fault, so that a reader of its file knows."""
    warnings = [
        f"`isthmus render` refuses this plan: {dotted(requirements.document.data, fault.path) or 'requirements'}: "
        f"{fault.error.what}. Fix: {fault.error.fix}"
        for fault in faults
    ]
    plan = planned.plan.model_copy(update={"warnings": [*planned.plan.warnings, *warnings]})
    return replace(planned, plan=plan) if faults else planned
