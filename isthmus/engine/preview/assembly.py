"""One preview from its parts: what would change, and what is so before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.reports.preview import (
    Capacities,
    Change,
    Cost,
    Costs,
    DataPath,
    DataPaths,
    Diagnostic,
    Op,
    PoolCapacity,
    Preview,
    RuleChange,
    Status,
)
from isthmus.engine.preview.changes import digest
from isthmus.engine.preview.masking import Masker
from isthmus.reports.preview import cost_and_capacity

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.migration.capacity import Standing
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.requirements.document import Requirements


@dataclass(frozen=True)
class Side:
    """What is known of a stack before the change, or after it."""

    plan: Plan | None = None
    requirements: Requirements | None = None
    data_paths: list[DataPath] | None = None
    built: tuple[Standing, ...] = ()
    """Endpoints on GPUs, overrides laid over the plan."""
    priced: bool = True
    """Whether the plan's prices are of what is built."""

    def cost(self) -> Cost | None:
        return (
            cost_and_capacity.plan_cost(self.plan, prices_apply=self.priced)
            if self.plan is not None
            else None
        )

    def capacity(self) -> list[PoolCapacity] | None:
        if self.plan is None:
            return None
        return cost_and_capacity.plan_capacity(self.plan, self.requirements, self.built)


@dataclass
class Parts:
    """What a preview is made of."""

    stack: str
    status: Status = "complete"
    baseline: Literal["state", "commit"] = "state"
    base: str = ""
    commit: str = ""
    summary: dict[Op, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)
    findings: list[Finding] = field(default_factory=list)
    rules: list[RuleChange] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)
    """Knows the stack's secrets once they could be read."""


def preview(parts: Parts) -> Preview:
    """The preview; partial too where something that decides is not known."""
    open_ = undecided(parts.findings, parts.after.data_paths or [])
    status: Status = "partial" if parts.status == "complete" and open_ else parts.status
    return Preview(
        stack=parts.stack,
        status=status,
        baseline=parts.baseline,
        base=parts.base,
        commit=parts.commit,
        summary=parts.summary,
        changes=parts.changes,
        data_paths=DataPaths(before=parts.before.data_paths, after=parts.after.data_paths),
        policy=[_masked(each, parts.masker) for each in parts.findings],
        rules=parts.rules,
        cost=Costs(before=parts.before.cost(), after=parts.after.cost()),
        capacity=Capacities(before=parts.before.capacity(), after=parts.after.capacity()),
        diagnostics=sorted(parts.diagnostics, key=lambda each: (each.severity, each.urn, each.message)),
        # What was not seen whole cannot be approved.
        digest=digest(parts.changes) if parts.status == "complete" else "",
    )


def _masked(finding: Finding, masker: Masker) -> Finding:
    return finding.model_copy(update={"message": masker.text(finding.message)})


def undecided(findings: Sequence[Finding], paths: Sequence[DataPath]) -> bool:
    """Whether something that decides is not known before the change is made."""
    return any(each.verdict == "undecided" and each.silenced is None for each in findings) or any(
        each.verdict == "undecided" for each in paths
    )
