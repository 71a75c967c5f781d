"""What a preview says of one stack: the command line's contract (`isthmus preview --format json`).

Every report (text, Markdown, HTML, SARIF) is made from this and from nothing else, so the same preview gives the
same bytes. Secrets are masked before they come here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.vocabulary import Evidence, Part, Sensitivity

Status = Literal["complete", "partial", "failed"]
"""`partial`: the engine ended early, or a value that decides something is not known before the change is made."""
Op = Literal["create", "update", "replace", "delete", "import", "read", "same"]
OPS: tuple[Op, ...] = ("delete", "replace", "update", "create", "import", "read", "same")
"""In the order of what can hurt."""


class PropertyChange(Part):
    """One property of a resource, before and after."""

    path: str
    """As the provider spells it, e.g. `spec.replicas`."""
    old: Any = None
    new: Any = None
    secret: bool = False
    """Both sides are masked."""
    noise: bool = False
    """A tag, checksum or annotation that follows from something else."""


class Change(Part):
    """One resource that changes."""

    urn: str
    op: Op
    type: str = ""
    name: str = ""
    component: str = ""
    """Name of the component that it belongs to; empty where it stands alone."""
    properties: list[PropertyChange] = []
    replaces_because: list[str] = []
    """Properties that force the replacement."""
    may_replace: list[str] = []
    """Of an update that no engine has looked at: changed properties of which it is not known whether they force a
    replacement."""
    stateful: bool = False
    """It holds what a new one would not: a volume, key, bucket, network, cluster."""
    retained: bool = False
    """Deleted or replaced, the old one stays where it is, and the stack forgets it."""


class Hop(Part):
    """One step of a data path."""

    kind: Literal["workload", "gateway", "translator", "endpoint", "network", "identity", "region", "site"]
    name: str
    where: str = ""
    """Site or region."""


class DataPath(Part):
    """One way that a workload's or a class's data can take."""

    id: str
    """Stable over changes: the class, then the names of its hops."""
    workload: str = ""
    class_: Sensitivity = Field(alias="class")
    hops: list[Hop]
    verdict: Literal["allowed", "refused", "undecided"]
    why: str = ""


class DataPaths(Part):
    """Sorted by id; null where there was nothing before, or it could not be found out."""

    before: list[DataPath] | None = None
    after: list[DataPath] | None = None


class CostItem(Part):
    """A cost driver of the plan."""

    what: str
    monthly_usd: float
    evidence: Evidence | None = None
    """Null: the plan does not say, as one that was written by hand."""
    source: str = ""
    as_of: str = ""


class Cost(Part):
    """By the plan's prices."""

    monthly_usd: float | None = None
    """Null: a price is missing, so nobody knows."""
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
    """There are; null where nobody wrote down how many there were."""
    reserved: int = 0
    used: float = 0
    """By endpoints; a slice counts by its share."""


class Capacities(Part):
    before: list[PoolCapacity] | None = None
    after: list[PoolCapacity] | None = None


class Diagnostic(Part):
    """What the engine or a provider said."""

    severity: Literal["error", "warning"]
    message: str
    urn: str = ""


class RuleChange(Part):
    """A change to what judges: a class lowered, a handling loosened, a silence added, a rule switched off."""

    kind: Literal["sensitivity", "handling", "silence", "rule", "placement"]
    what: str
    old: str = ""
    new: str = ""
    loosens: bool
    """Whether it lets through what was refused before."""


class Preview(Part):
    """What a change to one stack would do."""

    version: Literal["v1"] = "v1"
    stack: str = Field(min_length=1)
    """As the engine calls it, which is no name of ours."""
    status: Status
    baseline: Literal["state", "commit"] = "state"
    """Against what: what stands, or another commit's rendering."""
    base: str = ""
    """That commit, where it is one."""
    commit: str = ""
    """What was looked at; empty outside a repository."""
    summary: dict[Op, int] = {}
    """Components, providers and the stack itself left out."""
    changes: list[Change] = []
    """All but `same`, by what can hurt, then by URN."""
    data_paths: DataPaths = DataPaths.model_construct()
    policy: list[Finding] = []
    rules: list[RuleChange] = []
    cost: Costs = Costs.model_construct()
    capacity: Capacities = Capacities.model_construct()
    diagnostics: list[Diagnostic] = []
    digest: str = ""
    """Of what would be done: an approval names it, and a fresh preview must give the same."""
