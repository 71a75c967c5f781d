"""Turns the arguments of `isthmus compare` into plans: files, blueprints, changes, or the requirements as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.files import PLAN, REQUIREMENTS, plan_beside
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.planning import planner, what_if

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan, WhatIf
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.planner import BlueprintOffer, PlanningResult

CURRENT = "current"
BLUEPRINT = "blueprint="
Kind = Literal["current", "requirements", "plan", "blueprint", "changes"]
HOW = (
    "Name a plan file, a requirements file, a blueprint, changes like `budget.monthly_usd=30000,scale-traffic=2`, or "
    "`current`"
)


@dataclass(frozen=True)
class Argument:
    """An argument of `compare`, before anything is planned."""

    text: str
    kind: Kind
    path: Path | None = None
    """The file that it names."""
    changes: Sequence[str] = ()
    blueprint: str | None = None

    @property
    def requirements(self) -> Path | None:
        """The requirements file that it names, or the one beside the plan file that it names."""
        if self.kind == "requirements":
            return self.path
        if self.kind == "plan" and self.path is not None and self.path.name.endswith(PLAN):
            beside = self.path.with_name(self.path.name.removesuffix(PLAN) + REQUIREMENTS)
            return beside if beside.exists() else None
        return None


@dataclass(frozen=True)
class Variant:
    """One plan of a comparison, or why there is none."""

    argument: Argument
    what: str
    requirements: Requirements
    plan: Plan | None
    refused: str = ""
    """Why the blueprint does not fit."""
    planned: PlanningResult | None = None
    """What the planner said; None for a plan file from which the planner would now differ."""
    notes: list[str] = field(default_factory=list)


def parse_argument(text: str, blueprints: Sequence[str]) -> Argument:
    """Return what an argument names. Raises `InputError`."""
    path = Path(text)
    if text == CURRENT:
        return Argument(text, "current")
    if path.is_file() or text.endswith((".yaml", ".yml")):
        data = yaml_files.load(path).data
        if "workloads" in data:
            return Argument(text, "requirements", path)
        if "placements" in data:
            return Argument(text, "plan", path)
        raise InputError(
            f"{text} is neither a plan nor requirements: it has no `placements` and no `workloads`",
            where=text,
            fix=HOW,
        )
    if "=" in text:
        return _parse_changes(text, blueprints)
    if text in blueprints:
        return Argument(text, "blueprint", blueprint=text)
    from isthmus.core.validation_errors import did_you_mean

    hint = did_you_mean(text, [*blueprints, CURRENT])
    raise InputError(
        f"`{text}` is no file and no blueprint",
        where="compare",
        fix=f"{hint} {HOW}. Blueprints: {', '.join(blueprints) or 'none is installed'}".strip(),
    )


def _parse_changes(text: str, blueprints: Sequence[str]) -> Argument:
    changes: list[str] = []
    blueprint: str | None = None
    for part in split_at_commas(text):
        if part.startswith(BLUEPRINT):
            blueprint = part.removeprefix(BLUEPRINT)
            if blueprint not in blueprints:
                from isthmus.core.validation_errors import known_names

                raise InputError(
                    f"blueprint `{blueprint}` does not exist",
                    where=text,
                    fix=known_names(blueprint, blueprints),
                )
        else:
            changes.append(part)
    return Argument(text, "changes", changes=changes, blueprint=blueprint)


def split_at_commas(text: str) -> list[str]:
    """Split changes at commas outside brackets, braces and quotes, so that values may be lists and mappings."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter in "[{") - (letter in "]}") if not quote else 0
        if letter == "," and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def default_requirements(arguments: Sequence[Argument], stated: Path | None) -> Path | None:
    """Return the requirements file for arguments that name none: the stated one, else the first that is named."""
    return stated or next((argument.requirements for argument in arguments if argument.requirements), None)


def make_variant(
    argument: Argument,
    default: Path | None,
    offers: Sequence[BlueprintOffer],
    today: str,
) -> Variant:
    """Plan an argument, or read its plan file.

    Raises `InputError` for an argument without requirements, an unknown path of a change, or a plan of other
    requirements, and `Refused` for a plan file that breaks a boundary.
    """
    path = argument.requirements or default
    if path is None:
        raise InputError(
            f"`{argument.text}` needs requirements to plan with",
            where="compare",
            fix="Add `--requirements FILE`, or name a requirements file as one of the arguments",
        )
    if argument.kind == "plan" and argument.path is not None:
        return _of_plan_file(argument, argument.path, path, offers, today)
    requirements, mark = what_if.load(path, argument.changes, where="compare")
    before = _plan_beside(path)
    return _plan(argument, path, (requirements, mark, before), offers, today)


def _plan(
    argument: Argument,
    path: Path,
    given: tuple[Requirements, WhatIf | None, Plan | None],
    offers: Sequence[BlueprintOffer],
    today: str,
) -> Variant:
    requirements, mark, before = given
    what = _what(argument, path)
    try:
        planned = planner.make_plan(requirements, offers, today, blueprint=argument.blueprint, before=before)
    except Refused as error:
        return Variant(argument, what, requirements, None, refused=error.what)
    plan = planned.plan.model_copy(update={"what_if": mark})
    return Variant(argument, what, requirements, plan, planned=planned)


def _what(argument: Argument, path: Path) -> str:
    if argument.kind in ("current", "requirements"):
        return f"{path.name} as it is"
    parts = []
    if argument.blueprint:
        parts.append(f"the blueprint {argument.blueprint}")
    if argument.changes:
        parts.append(", ".join(argument.changes))
    return f"{path.name} with {' and '.join(parts)}"


def _plan_beside(requirements: Path) -> Plan | None:
    """Return the plan of the requirements, so that at equal cost its placements stay; None if there is none."""
    path = plan_beside(requirements)
    if path is None or not path.exists():
        return None
    plan = plan_of.load(path)
    return None if plan.what_if is not None else plan


def _of_plan_file(
    argument: Argument, file: Path, path: Path, offers: Sequence[BlueprintOffer], today: str
) -> Variant:
    plan = plan_of.load(file)
    changes = plan.what_if.changes if plan.what_if is not None else []
    requirements, _ = what_if.load(path, changes, where="compare")
    plan_rules.check(plan, requirements, to_build=False)
    what = f"the plan of {file.name}"
    if not plan.feasible:
        return Variant(argument, what, requirements, plan)
    names = [offer.name for offer in offers]
    if plan.blueprint not in names:
        note = f"The blueprint {plan.blueprint} of the plan is not installed, so no reasons are given."
        return Variant(argument, what, requirements, plan, notes=[note])
    try:
        planned = planner.make_plan(requirements, offers, today, blueprint=plan.blueprint, before=plan)
    except Refused as error:
        return Variant(argument, what, requirements, plan, notes=[f"No reasons are given: {error.what}."])
    if not _is_same_choice(planned.plan, plan):
        note = (
            "Today the planner would choose otherwise than this file (prices or versions have changed), so no reasons "
            f"are given. To see its choice, compare with `{CURRENT}`."
        )
        return Variant(argument, what, requirements, plan, notes=[note])
    return Variant(argument, what, requirements, plan, planned=planned)


def _is_same_choice(new: Plan, old: Plan) -> bool:
    """Whether two plans have the same endpoints and cost, whatever their texts say."""

    def choices(plan: Plan) -> list[object]:
        return [
            (endpoint.id, endpoint.model, endpoint.site, endpoint.target, endpoint.gpu, endpoint.gpus)
            for endpoint in plan.endpoints
        ]

    return new.feasible and choices(new) == choices(old) and new.monthly_cost_usd == old.monthly_cost_usd
