"""What a workload could run on: its words, and the judgements that every kind of place shares.

An option on GPUs says how much of a replica the workload's peak takes at the slow end of the interval; one on an API
what its month costs. `isthmus.planning.options.candidates` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling, jurisdictions
from isthmus.planning.catalogues.bedrock import Call
from isthmus.planning.options import gateway_sites, monthly_costs
from isthmus.planning.sizing import demand
from isthmus.planning.sizing.fit import Fit

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import AwsSite, Requirements, Workload
    from isthmus.contracts.vocabulary import Sensitivity, Survive, Target

BUILDS = frozenset({"onprem-vllm", "bedrock", "overflow"})
"""What a blueprint builds that says nothing of it."""


@dataclass(frozen=True)
class Rules:
    """What decides besides the requirements."""

    today: str
    """The day on which recorded exceptions must hold."""
    builds: frozenset[str] = BUILDS
    """What the blueprint can build: targets, `mig`, `several-nodes`, `overflow`."""
    dropped: frozenset[tuple[str, str]] = frozenset()
    """Demands that are not held, as (workload or other name, demand): for what stands in the way of a plan."""

    def holds(self, whose: str, demand: str) -> bool:
        return (whose, demand) not in self.dropped


@dataclass(frozen=True)
class Column:
    """One endpoint on GPUs that could be: replicas of it are what the program counts."""

    class_: Sensitivity
    site: str
    gpu: str
    model: str
    precision: str
    degree: int
    """Tensor parallelism, within a node."""
    survive: Survive
    """The largest part whose loss it outlives."""
    target: Target = "onprem-vllm"
    mig: str | None = None
    """The MIG profile of the slice that a replica runs on."""
    nodes: int = 1
    """Nodes of a replica: stages of its pipeline."""
    instance: str | None = None
    """On AWS: the type that is bought, and on which terms."""
    purchase: str | None = None

    @property
    def plain(self) -> Column:
        """Whatever it outlives: columns that are equal so may share an endpoint."""
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
    """The candidate's own id, which requirements and plan know it by."""
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
    found: Options
    base: str
    """The catalogue's model whose layers and licence it has: itself, or what it was tuned from."""

    @property
    def label(self) -> str:
        return f"{self.id} at {self.precision}" if self.precision != "api" else self.id

    def holds(self, demand: str) -> bool:
        """Whether the workload's demand is held."""
        return self.rules.holds(self.workload.name, demand)

    def reject(self, why: str) -> None:
        self.found.rejected[self.workload.name].append(why)

    def take(self, option: Option) -> None:
        self.found.by_workload[self.workload.name].append(option)

    def barred(self, target: Target) -> str | None:
        """Why the class may not run there, or the blueprint cannot build it. Handling is never dropped."""
        table = handling.stricter_only(self.requirements.handling)
        class_ = self.workload.sensitivity
        why = handling.refusal(
            class_,
            target,
            [self.workload.name],
            self.requirements.exceptions,
            self.rules.today,
            table[class_],
        )
        if why is None and target not in self.rules.builds:
            return f"the blueprint does not build {target}"
        return why

    def outside(self, places: list[tuple[str, str]]) -> str | None:
        """The first of (what, jurisdiction) that lies outside of the workload's residency."""
        if not self.holds("residency"):
            return None
        residency = list(self.workload.residency or [])
        for where, place in places:
            if not jurisdictions.meets(place, residency):
                return f"its data could reach {where} in `{place}`, outside its residency ({', '.join(residency)})"
        return None

    def over_link(self, site: AwsSite) -> tuple[str | None, float]:
        """Why the site cannot be reached as the class demands, and what moving the data there costs in a month."""
        class_ = self.workload.sensitivity
        home = gateway_sites.home(self.requirements, class_)
        if home is None or home == site.name:
            return None, 0.0
        link = monthly_costs.link_between(self.requirements.links, home, site.name)
        if link is None:
            table = handling.stricter_only(self.requirements.handling)
            if table[class_].path in ("tls", "mutual-tls"):
                return None, 0.0
            return f"{class_} work leaves {home} over a private link only, and there is none", 0.0
        wanted = demand.of(self.workload)
        tokens = wanted.prompt_tokens + wanted.output_tokens
        return None, monthly_costs.gigabytes(wanted.requests, tokens) * link.usd_per_gb
