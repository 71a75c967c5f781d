"""Types of options, and the checks that all kinds of places share.

An option on GPUs holds how many replicas the workload's peak needs, at the slow end of the interval. An option on an
API holds its monthly cost. `isthmus.planning.options.candidates` finds the options.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling, jurisdictions
from isthmus.contracts.requirements.workloads import LATENCY_GOALS
from isthmus.planning.catalogues.bedrock import Call
from isthmus.planning.options import gateway_sites, monthly_costs
from isthmus.planning.sizing import demand
from isthmus.planning.sizing.fit import Fit

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import AwsSite, Requirements, Workload
    from isthmus.contracts.vocabulary import Sensitivity, Survive, Target
    from isthmus.planning.sizing.demand import Demand
    from isthmus.planning.sizing.rounding import Goals

BUILDS = frozenset({"onprem-vllm", "bedrock", "overflow"})
"""What a blueprint builds if it does not state `builds`."""


@dataclass(frozen=True)
class Rules:
    """What decides in addition to the requirements."""

    today: str
    """The day on which recorded exceptions must hold."""
    builds: frozenset[str] = BUILDS
    """What the blueprint can build: targets, `mig`, `several-nodes`, `overflow`."""
    dropped: frozenset[tuple[str, str]] = frozenset()
    """Demands to ignore, as (workload or other name, demand): to find what makes a plan impossible."""

    def holds(self, owner: str, demand: str) -> bool:
        return (owner, demand) not in self.dropped


@dataclass(frozen=True)
class Column:
    """A possible endpoint on GPUs. The solver decides how many replicas of it are built."""

    sensitivity: Sensitivity
    site: str
    gpu: str
    model: str
    precision: str
    degree: int
    """Tensor parallelism, within a node."""
    survive: Survive
    """The largest failure that it survives."""
    target: Target = "onprem-vllm"
    mig: str | None = None
    """The MIG profile of the slice that a replica runs on."""
    nodes: int = 1
    """Nodes of a replica: stages of its pipeline."""
    instance: str | None = None
    """On AWS: the instance type; `purchase` holds its terms."""
    purchase: str | None = None

    @property
    def plain(self) -> Column:
        """The column without its `survive`. Columns that are equal then may share an endpoint."""
        return replace(self, survive="none")


@dataclass(frozen=True)
class OnGpus:
    """A workload on a column."""

    workload: str
    column: Column
    score: float
    units: float
    """Replicas that its peak takes, without headroom."""
    monthly: float = 0.0
    """USD of its data over a link."""

    @property
    def site(self) -> str:
        return self.column.site


@dataclass(frozen=True)
class OnApi:
    """A workload on an API."""

    workload: str
    site: str
    call: Call
    score: float
    model: str
    """The candidate's id in requirements and plan."""
    monthly: float
    """USD for all of its tokens, and of its data over a link."""
    verified: bool
    """The site states a latency that keeps the goals."""


Option = OnGpus | OnApi


@dataclass
class Options:
    """All options of one set of requirements, found under some rules."""

    rules: Rules
    by_workload: dict[str, list[Option]] = field(default_factory=dict)
    rejected: dict[str, list[str]] = field(default_factory=dict)
    """Sentences, by workload."""
    fits: dict[Column, Fit] = field(default_factory=dict)
    """By plain column."""

    def fit(self, column: Column) -> Fit:
        return self.fits[column.plain]


@dataclass(frozen=True)
class Case:
    """A candidate of a workload in a precision: what is tried in every place."""

    requirements: Requirements
    rules: Rules
    workload: Workload
    id: str
    precision: str
    score: float
    options: Options
    base: str
    """The catalogue's model whose layers and licence it has: itself, or what it was tuned from."""

    @property
    def label(self) -> str:
        return f"{self.id} at {self.precision}" if self.precision != "api" else self.id

    def holds(self, demand: str) -> bool:
        """Whether the workload's demand is held."""
        return self.rules.holds(self.workload.name, demand)

    def goals(self, workload_demand: Demand) -> Goals:
        """Return the workload's goals that are held."""
        ignored = {name.replace("_p95", ""): None for name in LATENCY_GOALS if not self.holds(name)}
        return replace(workload_demand.goals, **ignored)

    def reject(self, reason: str) -> None:
        self.options.rejected[self.workload.name].append(reason)

    def take(self, option: Option) -> None:
        self.options.by_workload[self.workload.name].append(option)

    def barred(self, target: Target) -> str | None:
        """Return why the class may not run there, or the blueprint cannot build it. Handling rules always apply."""
        table = handling.stricter_only(self.requirements.handling)
        sensitivity = self.workload.sensitivity
        reason = handling.refusal(
            sensitivity,
            target,
            [self.workload.name],
            self.requirements.exceptions,
            self.rules.today,
            table[sensitivity],
        )
        if reason is None and target not in self.rules.builds:
            return f"the blueprint does not build {target}"
        return reason

    def outside(self, destinations: list[tuple[str, str]]) -> str | None:
        """Return the first of `destinations` (name, jurisdiction) that lies outside the workload's residency."""
        if not self.holds("residency"):
            return None
        residency = list(self.workload.residency or [])
        for destination, jurisdiction in destinations:
            if not jurisdictions.meets_residency(jurisdiction, residency):
                allowed = ", ".join(residency)
                return f"its data could reach {destination} in `{jurisdiction}`, outside its residency ({allowed})"
        return None

    def over_link(self, site: AwsSite) -> tuple[str | None, float]:
        """Return why the site cannot be reached as the class requires, and the transfer cost in USD a month."""
        sensitivity = self.workload.sensitivity
        gateway_site = gateway_sites.home_site(self.requirements, sensitivity)
        if gateway_site is None or gateway_site == site.name:
            return None, 0.0
        link = monthly_costs.find_link(self.requirements.links, gateway_site, site.name)
        if link is None:
            table = handling.stricter_only(self.requirements.handling)
            if table[sensitivity].path in ("tls", "mutual-tls"):
                return None, 0.0
            return (
                f"{sensitivity} work needs a private link from {gateway_site}, and `links` has none to {site.name}",
                0.0,
            )
        workload_demand = demand.of_workload(self.workload)
        tokens = workload_demand.prompt_tokens + workload_demand.output_tokens
        return None, monthly_costs.transfer_gigabytes(workload_demand.requests, tokens) * link.usd_per_gb
