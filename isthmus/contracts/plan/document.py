"""Data model of the plan, the lock file between requirements and infrastructure. `plan.rules` has the rules.

The keys are a fixed interface (`isthmus plan --format json`). In a plan written by hand,
`predicted`, `stress`, `cost_items`, `monthly_cost_usd` and `alternatives` may be null.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, StringConstraints

from isthmus.contracts.vocabulary import (
    SURVIVES,
    DnsLabel,
    Evidence,
    FailurePart,
    FilePart,
    Precision,
    Sensitivity,
    Survive,
    Target,
)
from isthmus.core.yaml_documents import Document


class Sourced(FilePart):
    """Where a figure comes from."""

    kind: Evidence
    """How the figure was found: measured, interpolated between measurements, estimated, a list price, or given by the
    requirements."""
    source: str
    """Where it comes from."""
    as_of: str
    """The day of the figure."""


class Predicted(FilePart):
    """Predicted performance of an endpoint at its workloads' peak."""

    slo: Literal["kept", "unverified", "none"]
    """`kept` at the slow end of the interval; `unverified` where nobody knows an API's latency; none asked for."""
    peak_rps: float
    """Requests a second that its workloads send at their peak, all together."""
    capacity_rps: float | None = None
    """Requests a second of that mixture that it carries within the goals; null for an API."""
    after_loss_rps: float | None = None
    """The same after the loss of what its workloads must survive."""
    ttft_p95_ms: float | None = None
    """Time to the first token, which 95 % of requests keep."""
    ttft_interval_ms: list[float] | None = None
    """80 % of cases lie within, here and below."""
    tpot_p95_ms: float | None = None
    """Time for each further token, which 95 % of requests keep."""
    tpot_interval_ms: list[float] | None = None
    """80 % of cases lie between these two."""
    kv_cache_tokens: int | None = None
    """Of one replica."""


class Stress(FilePart):
    """Result of the stress test: what the plan carries beyond the peak."""

    factor: float = Field(json_schema_extra={"unit": "times the peak"})
    """The load, as a multiple of the peak."""
    holds: bool
    """Whether the plan carries this load within its goals."""
    breaks_first: str | None = None
    """The endpoint that no longer carries its load first; null where all hold at every load (APIs)."""
    breaks_at: float | None = Field(default=None, json_schema_extra={"unit": "times the peak"})
    """The multiple of the peak at which it does."""
    needs: list[str] = []
    """What it would take to hold at `factor`, a sentence each."""
    outgrown_first: str | None = None
    """The endpoint that growth makes too small first; null where no workload grows, or none is in ten years."""
    outgrown_in_months: int | None = None
    """Whole months from now until its intact replicas no longer carry the peak."""


class WayOut(FilePart):
    """A change that makes infeasible requirements feasible, with its cost."""

    what: str
    """The change, in words."""
    monthly_cost_usd: float = Field(ge=0)
    """Cost of the plan after the change."""


class PlannedAdapter(FilePart):
    """A LoRA adapter served beside the base model."""

    name: DnsLabel
    """Name of the adapter."""
    rank: int = Field(ge=1, json_schema_extra={"unit": "dimensions"})
    """LoRA rank of the adapter."""
    size_mib: int = Field(ge=1)
    """Size of its weights."""


class PlannedTokenPrice(FilePart):
    """USD for a million tokens of a model that is charged by the token alone."""

    prompt: float = Field(ge=0, json_schema_extra={"unit": "USD per million tokens"}, examples=[1.1])
    """Price of prompts."""
    completion: float = Field(ge=0, json_schema_extra={"unit": "USD per million tokens"}, examples=[5.5])
    """Price of answers."""
    cached: float | None = Field(
        default=None,
        ge=0,
        json_schema_extra={"unit": "USD per million tokens"},
        examples=[0.11],
        exclude_if=lambda value: value is None,
    )
    """Price of the prompts' tokens that the provider's cache had. Absent: not known."""


class PlannedEndpoint(FilePart):
    """One served model on a target, for one class."""

    id: DnsLabel
    """Name of the endpoint."""
    class_: Sensitivity = Field(alias="class")
    """Class of the data that it serves."""
    site: DnsLabel
    """Site where the model runs or is called."""
    target: Target
    """What runs the model."""
    region: str | None = None
    """AWS region; the site's where absent."""
    inference_profile: str | None = None
    """Bedrock's inference profile. Absent: the model is called directly."""
    model: str
    """The hub's or the provider's own id of the model."""
    precision: Precision
    """Precision in which it is served; `api`: the provider decides."""
    gpu: str | None = None
    """GPU id. With `site` it names the pool."""
    mig_profile: str | None = None
    """On slices of cut GPUs, one a replica."""
    instance_type: str | None = None
    """AWS instance type. Absent on-prem and on Bedrock."""
    purchase: str | None = None
    """How instances are bought, such as `on-demand` or `reserved-12`."""
    tensor_parallel: int | None = Field(default=None, ge=1)
    """GPUs of one node over which a replica is split."""
    nodes_per_replica: int | None = Field(default=None, ge=1)
    """Nodes over which a replica is split."""
    replicas: int | None = Field(default=None, ge=1)
    """Copies of the model."""
    replicas_by_domain: dict[str, Annotated[int, Field(ge=0)]] | None = Field(
        default=None, json_schema_extra={"unit": "replicas"}
    )
    """Replicas by failure domain, by the name of its zone (`fra1-a`)."""
    gpus: int = Field(default=0, ge=0)
    """GPUs in all: tensor parallel × nodes a replica × replicas; slices where `mig_profile` is given."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Tokens of prompt and answer together."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Most requests in one batch of a replica."""
    gpu_memory_utilization: float | None = Field(
        default=None, gt=0, le=1, json_schema_extra={"unit": "share from 0 to 1"}
    )
    """Share of a GPU's memory that the engine takes."""
    kv_cache_dtype: str | None = None
    """Type of the KV cache."""
    adapters: list[PlannedAdapter] = []
    """LoRA adapters that are served beside the model."""
    engine_version: str | None = None
    """Version of vLLM for which it was sized."""
    predicted: Predicted | None = None
    """Predicted performance at its workloads' peak."""
    usd_per_million_tokens: PlannedTokenPrice | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Price of its tokens, from the same source. Absent: it is charged by the hour or also by the request."""
    evidence: Sourced | None = None
    """What the prediction rests on, or the price of tokens."""


PlacementRole = Literal["primary", "overflow", "fallback"]


class Placement(FilePart):
    """Which endpoint serves a workload, and why."""

    workload: DnsLabel
    """Name of the workload."""
    sensitivity: Sensitivity
    """Class of the workload's data."""
    endpoint: DnsLabel
    """The endpoint that serves it."""
    role: PlacementRole
    """`primary`: its own endpoint. `overflow`: takes load above what the primary one carries. `fallback`: answers when
    the primary one cannot."""
    share: float = Field(ge=0, le=1, json_schema_extra={"unit": "share from 0 to 1"})
    """Part of the workload's requests, 0 to 1. 0 for a fallback."""
    peak_share: float | None = Field(
        default=None, gt=0, le=1, json_schema_extra={"unit": "share from 0 to 1"}
    )
    """Part of the workload's peak, where it is another one: what overflows is little of a month, much of a peak."""
    why: str
    """Why this endpoint was chosen."""


class PlannedGateway(FilePart):
    """The gateway of a class at a site."""

    class_: Sensitivity = Field(alias="class")
    """Class of the data that it serves."""
    site: DnsLabel
    """Site where it runs."""
    host: str
    """Name by which applications call it."""


class CostItem(FilePart):
    """One part of the monthly cost: a quantity times a unit price."""

    what: str
    """What is paid for."""
    quantity: float = Field(json_schema_extra={"unit": "as `unit` says"})
    """How many units a month."""
    unit: str
    """What one unit is."""
    unit_price_usd: float
    """Price of one unit."""
    monthly_usd: float
    """Quantity times unit price."""
    counted: bool = True
    """False: shown, and no part of the total (what stands idle)."""
    evidence: Sourced | None = None
    """Where the price comes from."""


class Alternative(FilePart):
    """Another blueprint, and why it was not chosen."""

    blueprint: str
    """The other blueprint."""
    monthly_cost_usd: float | None
    """Cost of its best plan. Null: it has none."""
    rejected_because: list[str] = []
    """Why it was not chosen."""


class FailureMode(FilePart):
    """How often one part of a platform fails, and for how long: an assumption of every availability."""

    part: FailurePart
    """The kind of part that fails."""
    rate_per_year: float = Field(ge=0, json_schema_extra={"unit": "failures per year"}, examples=[2.4])
    """Failures of one such part in a year."""
    repair_hours: float = Field(gt=0, examples=[15])
    """Mean time from the failure until the part works again."""
    common_cause: float = Field(
        ge=0, le=1, json_schema_extra={"unit": "share of the failures"}, examples=[0.02]
    )
    """Share of the failures that hit all parts of the kind at once."""
    kind: Literal["estimated", "assumed", "given"]
    """`estimated`: from published figures; `assumed`: no public source is good enough; `given`: the requirements'."""
    source: str = Field(examples=["Kokolis et al., arXiv 2410.21680"])
    """Where the figures come from."""
    as_of: str
    """Of which day the source is."""


class AvailabilityLoss(FilePart):
    """What a workload would gain if a part never failed."""

    part: FailurePart
    """The kind of part that fails."""
    at: str = Field(examples=["fra1"])
    """The part: the name of a site, an endpoint, a gateway or a link."""
    hours_per_year: float = Field(ge=0, examples=[1.6])
    """Time that the workload would not be down."""


class WorkloadAvailability(FilePart):
    """The expected availability of a workload that states a goal (`slo.availability`)."""

    workload: DnsLabel
    """The workload."""
    goal: float = Field(gt=0, lt=1, json_schema_extra={"unit": "share of the time"}, examples=[0.999])
    """`slo.availability` of the requirements."""
    expected: float = Field(ge=0, le=1, json_schema_extra={"unit": "share of the time"}, examples=[0.999482])
    """Share of the time in which the workload's path carries its peak."""
    survive: Survive
    """What the plan survives for it: at least `survive` of the requirements."""
    raised_from: Survive | None = None
    """`survive` of the requirements, where the planner raised it to reach the goal."""
    limited_by: list[AvailabilityLoss]
    """The parts of its path, the one that limits it most first."""


class Availability(FilePart):
    """Expected availabilities, with the assumptions that they rest on."""

    workloads: list[WorkloadAvailability]
    """The workloads that state a goal."""
    failure_modes: list[FailureMode]
    """Failure modes of the parts in use."""
    assumptions: list[str] = Field(examples=[["A provider's SLA promises a refund, not an availability."]])
    """What the estimate rests on, in sentences."""
    raised_usd_per_month: float | None = Field(default=None, examples=[1250.0])
    """What the raised `survive` of all workloads together add to the monthly cost."""


class WhatIf(FilePart):
    """Marks a plan of changed requirements. It answers a question and cannot be built."""

    changes: list[str] = Field(min_length=1, examples=[["budget.monthly_usd=30000", "scale-traffic=2"]])
    """The changes of the requirements: `budget.monthly_usd=30000`, `scale-traffic=2`."""
    base_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    )
    """SHA-256 of the requirements without the changes."""

    @property
    def summary(self) -> str:
        """The changes in a line: at most four are named."""
        named = ", ".join(self.changes[:_NAMED_CHANGES])
        more = len(self.changes) - _NAMED_CHANGES
        return f"{named} and {more} more changes" if more > 1 else ", ".join(self.changes)


_NAMED_CHANGES = 4


class Plan(FilePart):
    """The plan of one stack."""

    version: str
    """The version of Isthmus that made the plan."""
    requirements_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    )
    """SHA-256 of the requirements that it was made from (`yaml_files.digest`)."""
    blueprint: DnsLabel
    """The chosen blueprint."""
    feasible: bool
    """Whether the requirements can be met."""
    endpoints: list[PlannedEndpoint]
    """Models to serve, on which hardware and where."""
    placements: list[Placement]
    """Which endpoint serves which workload."""
    gateways: list[PlannedGateway]
    """Gateways, one for each class at a site."""
    cost_items: list[CostItem] | None = None
    """What the monthly cost is made of."""
    monthly_cost_usd: float | None = Field(default=None, ge=0)
    """Sum of the cost items that count."""
    stress: Stress | None = None
    """Result of the stress test."""
    alternatives: list[Alternative] | None = None
    """The other blueprints, with their cost or with what rules them out."""
    conflicts: list[str] = []
    """Demands that cannot hold together; dropping any one of them makes the rest feasible."""
    ways_out: list[WayOut] = []
    """Changes that make infeasible requirements feasible, the cheapest first."""
    warnings: list[str] = []
    """What a reader of the plan must know."""
    prices_as_of: str | None = None
    """The oldest day of a list price that matters for the cost."""
    availability: Availability | None = Field(default=None, exclude_if=lambda value: value is None)
    """Expected availabilities. Absent if no workload states `slo.availability`."""
    what_if: WhatIf | None = Field(default=None, exclude_if=lambda value: value is None)
    """Only in the plan of a what-if (`isthmus plan --set`, `--scale-traffic`, `--from-usage`); such a plan cannot be
    built."""

    _document: Document | None = PrivateAttr(default=None)
    """The file that it was read from, for errors with lines."""

    def endpoint(self, name: str) -> PlannedEndpoint | None:
        """The endpoint of that id, if there is one."""
        return next((endpoint for endpoint in self.endpoints if endpoint.id == name), None)

    def gateway_of(self, workload: str) -> PlannedGateway | None:
        """The gateway for a workload's applications: that of its class at the site of its primary endpoint.

        If the class has no gateway there (as for work in the cloud), the first gateway of the class.
        """
        primary = next(
            (
                placement
                for placement in self.placements
                if (placement.workload, placement.role) == (workload, "primary")
            ),
            None,
        )
        if primary is None:
            return None
        endpoint = self.endpoint(primary.endpoint)
        gateways = [gateway for gateway in self.gateways if gateway.class_ == primary.sensitivity]
        at_site = [gateway for gateway in gateways if endpoint is not None and gateway.site == endpoint.site]
        return next(iter(at_site or gateways), None)

    def survive_of(self, workload: str, stated: Survive) -> Survive:
        """What the plan survives for a workload: `stated` by the requirements, or more where the planner raised it."""
        entries = self.availability.workloads if self.availability is not None else []
        levels: list[Survive] = [stated, *(entry.survive for entry in entries if entry.workload == workload)]
        return max(levels, key=SURVIVES.index)

    def pool(self, endpoint: PlannedEndpoint) -> str | None:
        """Name of the pool of an endpoint on GPUs: `SITE-GPU`."""
        return pool_name(endpoint.site, endpoint.gpu) if endpoint.gpu else None


def pool_name(site: str, gpu: str) -> str:
    """The name of a pool: `fra1-h100-sxm-80gb`."""
    return f"{site}-{gpu}"


def zone_name(site: str, domain: int) -> str:
    """The name of a failure domain, the value of the nodes' zone label: `fra1-a`, `fra1-b`, …"""
    letters = ""
    number = domain
    while True:
        letters = chr(ord("a") + number % 26) + letters
        number = number // 26 - 1
        if number < 0:
            return f"{site}-{letters}"


def load(path: str | os.PathLike[str]) -> Plan:
    """Read a plan file. Raises `InputError` with file, line and path. `plan.rules.check` runs the rules."""
    from isthmus.core import yaml_files

    document = yaml_files.load(path)
    plan = yaml_files.parse(Plan, document)
    plan._document = document
    return plan
