"""Reasons of a plan (`isthmus plan --explain`, `isthmus compare`): runner-ups, what would change, idle hardware, cost.

Amounts are USD a month, rounded to the cent. Factors are multiples of today's value.
"""

from __future__ import annotations

from typing import Literal

from isthmus.contracts.vocabulary import Part, Sensitivity, Target

DecidedBy = Literal["price", "score", "budget", "hardware", "quotas", "constraint"]
"""`price`: the runner-up costs more. `score`: it costs no more and scores less, or the existing place stays.
`budget`, `hardware`, `quotas`: another place is possible without that limit. `constraint`: every other place is ruled
out, whatever it costs."""


class Place(Part):
    """A model, and where and on what it runs for a workload."""

    model: str
    precision: str
    target: Target
    site: str
    hardware: str
    """`2 x h100-sxm-80gb`; the called profile or model for an API."""
    score: float

    @property
    def words(self) -> str:
        """`Qwen/Qwen3-32B at fp8 on 1 x h100-sxm-80gb at fra1`."""
        service = "" if self.target == "onprem-vllm" else f" ({self.target})"
        if self.precision == "api":
            return f"{self.hardware} at {self.site}{service}"
        return f"{self.model} at {self.precision} on {self.hardware} at {self.site}{service}"


class RunnerUp(Part):
    """The cheapest plan in which a workload does not have its chosen place."""

    place: Place
    monthly_cost_usd: float
    """Of the whole plan."""
    compared_with_usd: float
    """The cheapest plan with the chosen place: the plan's cost, unless that pays for better scores (near tie)."""
    extra_usd: float
    """`monthly_cost_usd` less `compared_with_usd`; negative if it costs less."""
    moves: list[str] = []
    """Other workloads that get another place in that plan, a sentence each."""


class TurningPoint(Part):
    """The value of a price or of the load at which another place is chosen."""

    of: Literal["load", "price", "runner-up price"]
    what: str
    """`the traffic of kyc-extraction`."""
    from_factor: float
    to_factor: float
    """Bounds of the search."""
    factor: float | None = None
    """Where the choice changes; null: nowhere within the bounds."""
    value: str = ""
    """That value with its unit: `USD 512,000 a node`."""
    then: str = ""
    """What is chosen there; empty if nothing else is."""
    sentence: str


class RuledOut(Part):
    """A candidate of a workload that no place may serve."""

    candidate: str
    """`MODEL at PRECISION`."""
    places: int
    """Places that were tried."""
    reason: str
    """The reason of the place that came furthest in the checks."""


class WorkloadReason(Part):
    """Why a workload has its place."""

    workload: str
    sensitivity: Sensitivity
    chosen: Place
    options: int
    """Places that meet its goals."""
    decided_by: DecidedBy
    decided: str
    """What decided, a sentence."""
    runner_up: RunnerUp | None = None
    turning_points: list[TurningPoint] = []
    ruled_out: list[RuledOut] = []


class IdleHardware(Part):
    """GPUs of a pool that are owned, or of instances that are rented, and that the plan does not use."""

    site: str
    gpu: str
    owned: int
    """GPUs of the pool, or of the rented instances."""
    reserved: int
    used: int
    idle: int
    monthly_usd: float
    """What they cost, allocated. For rented instances it is part of the plan's cost."""
    counted: bool
    """Whether `monthly_usd` is in the plan's cost."""
    why: list[str]
    """Sentences."""


class CostBases(Part):
    """The same plan on both cost bases, USD a month."""

    basis: Literal["allocated", "cash"]
    """The basis that the plan was chosen on."""
    allocated_usd: float | None
    """Each GPU in use pays its part of capital, power and colocation, each site its people. Null: no price."""
    idle_usd: float | None
    """What owned GPUs cost that stand idle, allocated."""
    owned_usd: float | None
    """`allocated_usd` and `idle_usd`: what the organisation bears for the hardware that it owns."""
    cash_usd: float
    """Owned hardware is a sunk cost: of it only the electricity of the GPUs in use counts."""
    missing: list[str] = []
    """What is not priced, a sentence each."""


class Explanation(Part):
    """The reasons of one plan."""

    workloads: list[WorkloadReason]
    idle: list[IdleHardware]
    costs: CostBases
    notes: list[str] = []
    """What the reasons rest on."""
