"""Assembles a preview report from changes, findings, and the stack before and after the change."""

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
    RuleException,
    Status,
)
from isthmus.engine.preview.changes import digest
from isthmus.engine.preview.masking import Masker
from isthmus.reports.preview import cost_and_capacity

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.migration.capacity import Standing
    from isthmus.contracts.reports.candidates import Candidate
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.requirements.document import Requirements


@dataclass(frozen=True)
class Side:
    """The stack before the change, or after it."""

    plan: Plan | None = None
    requirements: Requirements | None = None
    data_paths: list[DataPath] | None = None
    built: tuple[Standing, ...] = ()
    """Endpoints on GPUs, from the plan with overrides applied."""
    priced: bool = True
    """Whether the plan's prices apply to the built endpoints."""
    resolving: frozenset[str] = frozenset()
    """Namespaces whose pods may ask the cluster's resolvers (`isthmus.engine.policy.evaluation.resolving`)."""

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
class PreviewDraft:
    """A preview while it is being collected."""

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
    exceptions: list[RuleException] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)
    """Masks the stack's secrets, once they have been read."""

    def warn(self, message: str, urn: str = "") -> None:
        """Add a warning."""
        self.diagnostics.append(Diagnostic(severity="warning", message=self.masker.text(message), urn=urn))


def preview(draft: PreviewDraft) -> Preview:
    """The preview report. Its status is partial if a finding or a data path is undecided."""
    open_ = has_undecided(draft.findings, draft.after.data_paths or [])
    status: Status = "partial" if draft.status == "complete" and open_ else draft.status
    return Preview(
        stack=draft.stack,
        status=status,
        baseline=draft.baseline,
        base=draft.base,
        commit=draft.commit,
        summary=draft.summary,
        changes=draft.changes,
        data_paths=DataPaths(before=draft.before.data_paths, after=draft.after.data_paths),
        policy=[_masked_finding(finding, draft.masker) for finding in draft.findings],
        rules=draft.rules,
        exceptions=draft.exceptions,
        candidates=draft.candidates,
        cost=Costs(before=draft.before.cost(), after=draft.after.cost()),
        capacity=Capacities(before=draft.before.capacity(), after=draft.after.capacity()),
        diagnostics=sorted(
            draft.diagnostics,
            key=lambda diagnostic: (diagnostic.severity, diagnostic.urn, diagnostic.message),
        ),
        # Only a complete preview gets a digest, because nothing else can be approved.
        digest=digest(draft.changes) if draft.status == "complete" else "",
    )


def _masked_finding(finding: Finding, masker: Masker) -> Finding:
    return finding.model_copy(update={"message": masker.text(finding.message)})


def has_undecided(findings: Sequence[Finding], paths: Sequence[DataPath]) -> bool:
    """Whether a finding or a data path cannot be decided before the change."""
    return any(finding.verdict == "undecided" and finding.silenced is None for finding in findings) or any(
        path.verdict == "undecided" for path in paths
    )
