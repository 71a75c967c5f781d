"""Report of `isthmus compare --format json`: two or three plans side by side.

The text and the HTML page are built from it alone, so all three show the same figures. Amounts are USD, rounded to the
cent. A list `amounts`, `cells` or the like has one entry for each column, in their order; null where a column has none.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isthmus.contracts.plan.document import Alternative, WayOut
from isthmus.contracts.reports.explanation import CostBases, Explanation
from isthmus.contracts.vocabulary import Part, Sensitivity, Survive

Status = Literal["feasible", "infeasible", "refused"]
"""`refused`: the blueprint does not fit the requirements."""
Category = Literal[
    "hardware",
    "colocation",
    "electricity",
    "people",
    "idle",
    "instances",
    "tokens",
    "links",
    "other",
]
Driver = Literal["cloud price", "load", "electricity price", "life of hardware", "utilisation"]
Choice = Literal["buy", "rent", "reserve"]


class Assumption(Part):
    """A figure that nobody measured or stated, and the option that changes it."""

    name: str
    value: str
    """With its unit."""
    why: str
    """What it rests on."""
    option: str
    """`--assume price-decline=…`; empty if the requirements state it."""


class Column(Part):
    """One plan of the comparison."""

    id: Literal["A", "B", "C"]
    label: str
    """The argument, as it was written."""
    what: str
    """What is compared, a sentence."""
    requirements: str
    """Name of the requirements."""
    requirements_sha256: str
    status: Status
    why_not: list[str] = []
    """Why there is no feasible plan: conflicts, or why the blueprint does not fit."""
    ways_out: list[WayOut] = []
    changes: list[str] = []
    """Changes of a what-if."""
    blueprint: str = ""
    monthly_cost_usd: float | None = None
    """As the plan states it."""
    costs: CostBases | None = None
    requests_per_month: float = 0.0
    """Of all workloads, as the requirements state."""
    usd_per_1000_requests: float | None = None
    """Of the monthly cost, without the idle hardware."""
    hardware: str = ""
    """`10 GPUs and 2 MIG slices`."""
    stress: str = ""
    """What the stress test says, a sentence."""
    first_bottleneck: str = ""
    alternatives: list[Alternative] = []
    warnings: list[str] = []
    prices_as_of: str | None = None
    explanation: Explanation | None = None
    notes: list[str] = []


class CostLine(Part):
    """A cost item of the plans, by its name."""

    what: str
    amounts: list[float | None]
    """USD a month."""
    counted: bool
    """Whether it is in the plans' total. Idle hardware is not."""
    sources: list[str]
    """`KIND, SOURCE, DATE` of the amounts, each once."""


class WorkloadCell(Part):
    """A workload in one plan."""

    places: list[str]
    """Each endpoint that serves it, the primary first."""
    models: list[str]
    sites: list[str]
    size: str
    """Replicas and GPUs of the primary endpoint."""
    score: float | None
    survive: Survive
    ttft_p95_ms: float | None
    tpot_p95_ms: float | None


class WorkloadRow(Part):
    """A workload in all plans."""

    workload: str
    sensitivity: Sensitivity
    cells: list[WorkloadCell | None]


class HardwareCell(Part):
    """The GPUs of a kind at a site in one plan."""

    owned: int
    """Of a pool, or of rented instances."""
    used: int
    idle: int


class HardwareRow(Part):
    """The GPUs of a kind at a site in all plans."""

    site: str
    gpu: str
    kind: Literal["owned", "rented"]
    cells: list[HardwareCell | None]


class Moves(Part):
    """What changes from the first plan to another one."""

    from_: str = Field(alias="from")
    to: str
    sentences: list[str]


class TotalCostRow(Part):
    """A part of the total cost over the years."""

    category: Category
    label: str
    amounts: list[float | None]


class TotalCost(Part):
    """The cost over the years, with growth, price decline, depreciation and idle hardware."""

    years: int
    rows: list[TotalCostRow]
    totals: list[float | None]
    """Of all rows: what the organisation bears, idle hardware that it owns included."""
    by_year: list[list[float | None]]
    """For each year, the total of each column."""
    cash: list[float | None]
    """Cash: owned hardware is paid, its electricity counts, and nodes for growth are bought at their full price."""
    events: list[list[str]]
    """For each column, when hardware is added for growth."""
    missing: list[list[str]]
    """For each column, why its total is not known."""


class Acquisition(Part):
    """To buy, rent or reserve the GPUs of one kind that a plan uses."""

    column: str
    site: str
    gpu: str
    gpus: int
    chosen: Choice
    """How the plan has them."""
    buy_usd: float | None
    """USD a month: capital over its life, colocation and electricity of whole nodes."""
    buy_source: str
    rent_usd: float | None
    """USD a month: whole instances on demand, all hours."""
    rent_source: str
    reserve_usd: float | None
    reserve_source: str
    cheapest: Choice | None
    break_even_months: float | None
    """Months of renting on demand that cost as much as the purchase, running costs taken off; null: never."""
    break_even_share: float | None
    """Share of all hours from which buying is cheaper than renting by the hour; above 1: never; null: unknown."""


class EnergyRow(Part):
    """Energy and carbon of one site in all plans, a month."""

    site: str
    place: str
    """The country or region, and its name."""
    kwh: list[float | None]
    """Of GPUs in use and, where owned, of idle ones; null: not known."""
    kg_co2e: list[float | None]
    g_per_kwh: float | None
    source: str
    notes: list[str] = []


class Energy(Part):
    """Energy and carbon a month."""

    rows: list[EnergyRow]
    kwh: list[float | None]
    """What is known, in all; null for a column without a plan."""
    kg_co2e: list[float | None]
    unknown: list[list[str]]
    """For each column, what is not in its sums."""


class DriverCell(Part):
    """The total cost of one plan at the low and the high end of a driver."""

    low_usd: float
    high_usd: float


class DriverEffect(Part):
    """What a driver does to the total cost of each plan, all else the same."""

    driver: Driver
    low: str
    """What the low end means: `16 % less traffic`."""
    high: str
    cells: list[DriverCell | None]
    cheapest_low: str | None
    """The column that is cheapest at the low end; null if totals are not known."""
    cheapest_high: str | None


class Comparison(Part):
    """Two or three plans side by side."""

    version: Literal["v1"] = "v1"
    isthmus: str
    """Version of Isthmus that made it."""
    as_of: str
    columns: list[Column]
    headline: list[str]
    """The comparison in sentences."""
    cost_lines: list[CostLine]
    workloads: list[WorkloadRow]
    hardware: list[HardwareRow]
    moves: list[Moves]
    total_cost: TotalCost
    acquisition: list[Acquisition]
    energy: Energy
    driver_range_pct: float
    """By how much each driver is varied, down and up."""
    drivers_of: Literal["owned", "cash"]
    """The total over the years that the drivers change: what is borne, or cash where that is not known."""
    drivers: list[DriverEffect]
    """The driver with the widest range first."""
    assumptions: list[Assumption]
    sources: list[str]
    """`FIGURE: KIND, SOURCE, DATE` of everything beside the cost lines."""
