"""What the studio computes in its own process: a plan's page from a draft, and the comparison of two drafts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints.offers import offers
from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.plan.files import plan_beside, plan_text
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, IsthmusError, Refused, join
from isthmus.engine import plan_checks
from isthmus.planning import planner, what_if
from isthmus.planning.catalogues import price_age
from isthmus.planning.comparison import compare as comparing
from isthmus.planning.comparison.assumptions import Assumptions
from isthmus.planning.comparison.variants import Argument, Variant
from isthmus.planning.explanation import explain
from isthmus.reports import comparison_page, plan_page

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan, WhatIf
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.planner import PlanningResult

Progress = Callable[[str], None]
_PLACE = re.compile(r"(?:(?P<file>.*?):(?P<line>\d+))?\s*(?P<path>\S.*)?", re.DOTALL)


@dataclass(frozen=True)
class Draft:
    """Requirements that are planned: their text, and what is changed for this question alone."""

    text: str
    file: str
    """Path of the file that the text is a draft of. A plan and settings beside it count."""
    scale_traffic: float = 1.0
    blueprint: str | None = None

    @property
    def label(self) -> str:
        """How the draft differs from its text, in words."""
        parts = [f"{self.scale_traffic:g} times the traffic"] if self.scale_traffic != 1 else []
        parts += [f"blueprint {self.blueprint}"] if self.blueprint else []
        return ", ".join(parts) or "as written"


@dataclass(frozen=True)
class Mistake:
    """A mistake of the requirements, or what `isthmus render` would refuse."""

    what: str
    fix: str
    line: int | None = None
    path: str = ""
    """As errors print it: `workloads[kyc].slo`."""


@dataclass(frozen=True)
class Outcome:
    """What a draft comes to."""

    sentence: str = ""
    """The decision in one sentence; empty if there is no plan."""
    page: str = ""
    """The page of the plan, as HTML."""
    feasible: bool = False
    monthly_usd: float | None = None
    mistakes: Sequence[Mistake] = ()
    notes: Sequence[str] = ()
    plan_text: str = field(default="", repr=False)
    """The text of the plan file; empty unless the plan can be built as it is."""


def plan(draft: Draft, today: str, explained: bool, progress: Progress) -> Outcome:
    """Plan a draft. Mistakes of the draft are part of the outcome."""
    try:
        requirements, mark = _requirements(draft)
        made = _make(draft, requirements, today, progress)
        made, faults, notes = plan_checks.check(made, requirements, Path(draft.file), mark)
        reasons = None
        if explained:
            reasons = explain.explain(
                requirements, made, progress=lambda name: progress(f"reasons for {name}")
            )
    except IsthmusError as error:
        return Outcome(mistakes=_mistakes(error))
    page = plan_page.page(
        made.plan,
        requirements,
        explained=made.notes,
        age=price_age.describe_price_age(made.plan.prices_as_of, today)[0],
        rejected=made.rejected,
        explanation=reasons,
    )
    buildable = made.plan.feasible and mark is None and not faults
    return Outcome(
        plan_page.decision_sentence(made.plan),
        page,
        made.plan.feasible,
        made.plan.monthly_cost_usd if made.plan.feasible else None,
        _mistakes(join([fault.error for fault in faults])) if faults else (),
        notes,
        plan_text(made.plan) if buildable else "",
    )


def compare(drafts: Sequence[Draft], today: str, progress: Progress) -> Outcome:
    """Compare two drafts. The page of the outcome is that of `isthmus compare`, without reasons."""
    variants: list[Variant] = []
    for draft, name in zip(drafts, ("kept", "now"), strict=True):
        progress(f"plan of {name}")
        try:
            requirements, mark = _requirements(draft)
            variants.append(_variant(draft, f"{name}: {draft.label}", requirements, mark, today))
        except InputError as error:
            return Outcome(mistakes=_mistakes(error))
    progress("comparison")
    comparison = comparing.compare(variants, Assumptions(), today, reasons=False)
    return Outcome(page=comparison_page.page(comparison))


def mistakes(text: str, file: str) -> Sequence[Mistake]:
    """The mistakes of requirements, before anything is planned."""
    try:
        _requirements(Draft(text, file))
    except IsthmusError as error:
        return _mistakes(error)
    return ()


def _requirements(draft: Draft) -> tuple[Requirements, WhatIf | None]:
    document = yaml_files.loads(draft.text, Path(draft.file).name)
    return what_if.of_document(document, [], draft.scale_traffic, "load")


def _make(draft: Draft, requirements: Requirements, today: str, progress: Progress) -> PlanningResult:
    progress("plan")
    return planner.make_plan(
        requirements, offers(), today, blueprint=draft.blueprint, before=_plan_before(Path(draft.file))
    )


def _variant(draft: Draft, what: str, requirements: Requirements, mark: WhatIf | None, today: str) -> Variant:
    argument = Argument(what, "changes", blueprint=draft.blueprint)
    try:
        made = _make(draft, requirements, today, lambda _: None)
    except Refused as error:
        return Variant(argument, what, requirements, None, refused=error.what)
    marked = made.plan.model_copy(update={"what_if": mark})
    return Variant(argument, what, requirements, marked, planned=made)


def _plan_before(requirements: Path) -> Plan | None:
    """The plan beside the requirements, so that at equal cost its placements stay; None if there is none to use."""
    path = plan_beside(requirements)
    if path is None or not path.exists():
        return None
    try:
        plan = plan_of.load(path)
    except IsthmusError:
        return None
    return plan if plan.what_if is None else None


def _mistakes(error: IsthmusError) -> list[Mistake]:
    return [_mistake(error), *(found for other in error.others for found in _mistakes(other))]


def _mistake(error: IsthmusError) -> Mistake:
    place = _PLACE.fullmatch(error.where)
    parts: dict[str, Any] = place.groupdict() if place else {}
    line = int(parts["line"]) if parts.get("line") else None
    return Mistake(error.what, error.fix, line, parts.get("path") or "")
