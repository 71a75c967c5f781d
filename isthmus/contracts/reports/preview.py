"""Report of `isthmus preview --format json`: what a change does to one stack.

The text, Markdown, HTML and SARIF reports are built from it alone, so the same preview gives the same bytes.
Secrets are masked before the report is built.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field

from isthmus.contracts.reports.candidates import Candidate
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import Kind
from isthmus.contracts.vocabulary import Evidence, Part, Sensitivity

Status = Literal["complete", "partial", "failed"]
"""`partial`: the engine ended early, or a decision depends on a value that is unknown before deployment."""
Op = Literal["create", "update", "replace", "delete", "import", "read", "same"]
OPS: tuple[Op, ...] = ("delete", "replace", "update", "create", "import", "read", "same")
"""Sort order of reports: the most harmful operation first."""


class PropertyChange(Part):
    """One property of a resource, before and after."""

    path: str
    """Path in the provider's spelling, for example `spec.replicas`."""
    old: Any = None
    new: Any = None
    secret: bool = False
    """Whether `old` and `new` are masked."""
    noise: bool = False
    """Whether it is a tag, checksum or annotation that changes because of another change."""


class Change(Part):
    """One resource that changes."""

    urn: str
    op: Op
    type: str = ""
    name: str = ""
    component: str = ""
    """Name of the component that contains the resource. Empty: no component."""
    properties: list[PropertyChange] = []
    replaces_because: list[str] = []
    """Properties that force the replacement."""
    may_replace: list[str] = []
    """Changed properties of an update that may force a replacement. Only a comparison of two commits has them,
    because the engine did not check it."""
    stateful: bool = False
    """Whether the resource holds data or an identity that a new one lacks: a volume, key, bucket, network or
    cluster."""
    retained: bool = False
    """Whether the old resource survives its deletion or replacement. It then remains in the cluster or cloud, but
    is no longer in the state."""


class Hop(Part):
    """One step of a data path."""

    kind: Literal["workload", "gateway", "translator", "endpoint", "network", "identity", "region", "site"]
    name: str
    where: str = ""
    """Site or region."""


class DataPath(Part):
    """One route that the data of a workload or class can take."""

    id: str
    """The class and the names of the hops. The id stays the same between previews."""
    workload: str = ""
    class_: Sensitivity = Field(alias="class")
    hops: list[Hop]
    verdict: Literal["allowed", "refused", "undecided"]
    why: str = ""


class DataPaths(Part):
    """Data paths sorted by id. Null: the stack does not exist on that side, or its paths are unknown."""

    before: list[DataPath] | None = None
    after: list[DataPath] | None = None


class CostItem(Part):
    """A cost driver of the plan."""

    what: str
    monthly_usd: float
    evidence: Evidence | None = None
    """Null: the plan does not give the evidence, for example because it was written by hand."""
    source: str = ""
    as_of: str = ""


class Cost(Part):
    """Cost by the prices of the plan."""

    monthly_usd: float | None = None
    """USD a month. Null: unknown, because a price is missing or the plan's prices do not apply."""
    items: list[CostItem] = []
    prices_as_of: str = ""


class Costs(Part):
    before: Cost | None = None
    after: Cost | None = None


class PoolCapacity(Part):
    """GPUs of one kind at a site."""

    site: str
    pool: str
    gpus: int | None
    """GPUs in the pool. Null: unknown."""
    reserved: int = 0
    used: float = 0
    """GPUs that endpoints use. A MIG slice counts as its share of a GPU."""


class Capacities(Part):
    before: list[PoolCapacity] | None = None
    after: list[PoolCapacity] | None = None


class Diagnostic(Part):
    """A message of the engine or of a provider."""

    severity: Literal["error", "warning"]
    message: str
    urn: str = ""


class RuleChange(Part):
    """A change to the rules themselves: a lower class, a looser handling, a new silence, a rule that is switched
    off.
    """

    kind: Literal["sensitivity", "handling", "silence", "rule", "placement", "trust", "reach"]
    what: str
    old: str = ""
    new: str = ""
    loosens: bool
    """Whether the new rules allow something that the old rules refuse."""
    entry: tuple[Kind, str] | None = Field(default=None, exclude=True)
    """Kind and value of the entry in the base's `trust.yaml` that would allow it. Not a key of the report."""


class RuleException(Part):
    """A rule that is switched off, or whose findings are silenced, for the organisation or by one stack."""

    kind: Literal["off", "silence"]
    rule: str
    resource: str = ""
    """The silenced resources, with `*` and `?`. Empty: the rule is off."""
    owner: str
    reason: str
    until: date | None = None
    """The last day of a silence."""
    source: str
    """The file that states it, and the key in a stack's file."""

    def __str__(self) -> str:
        if self.kind == "off":
            return f"{self.rule} is off, by {self.owner} in {self.source}: {self.reason}"
        return (
            f"{self.rule} is silenced for {self.resource} until {self.until}, by {self.owner} in {self.source}:"
            f" {self.reason}"
        )


class Preview(Part):
    """What a change would do to one stack."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    """Name of the stack in Pulumi."""
    status: Status
    baseline: Literal["state", "commit"] = "state"
    """What the change is compared with: the state, or the rendering of another commit."""
    base: str = ""
    """Commit that is compared with, if `baseline` is `commit`."""
    commit: str = ""
    """Commit that is previewed. Empty outside a repository."""
    summary: dict[Op, int] = {}
    """Number of resources by operation, without components, providers and the stack itself."""
    changes: list[Change] = []
    """All changes except `same`, the most harmful operation first, then by URN."""
    data_paths: DataPaths = DataPaths.model_construct()
    policy: list[Finding] = []
    rules: list[RuleChange] = []
    exceptions: list[RuleException] = []
    """Rules that are off and silences, of the organisation and of every stack of the estate."""
    candidates: list[Candidate] = []
    """The gate's verdict on each candidate of the stack's platform."""
    cost: Costs = Costs.model_construct()
    capacity: Capacities = Capacities.model_construct()
    diagnostics: list[Diagnostic] = []
    digest: str = ""
    """Digest of the changes. An approval names it, and a new preview must give the same digest before anything is
    changed. Empty unless the status is `complete`."""
