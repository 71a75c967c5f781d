"""Usage of a month compared with the bill for it: `isthmus usage reconcile --format json`.

Amounts in `usd` and `amount` are whole cents. The parts of each list add up to its total.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field

from isthmus.contracts.vocabulary import Part

Category = Literal[
    "matched usage",
    "usage that the ledger lacks",
    "late lines",
    "not comparable",
    "other resources of the stack",
    "Bedrock outside the stack",
    "others in the account",
    "discounts",
    "credits",
    "refunds",
    "adjustments",
    "tax",
    "fees",
    "other charges",
]
CATEGORIES: dict[Category, str] = {
    "matched usage": "Tokens of the stack's profiles on days that the ledger has, too.",
    "usage that the ledger lacks": "Tokens of the stack's profiles on days without such a request in the ledger.",
    "late lines": "Usage of the stack's profiles in an earlier month, billed in this one.",
    "not comparable": "Usage of the stack's profiles without a known number of tokens or a clear workload.",
    "other resources of the stack": "Usage of resources with the stack's tags: network, keys, logs.",
    "Bedrock outside the stack": "Usage of Bedrock without a profile of the stack.",
    "others in the account": "Usage of everything else in the bill.",
    "discounts": "Discounts in lines of their own, or as the difference to the net cost.",
    "credits": "Credits of AWS.",
    "refunds": "Refunds of AWS.",
    "adjustments": "FOCUS has one category for refunds and corrections.",
    "tax": "Taxes.",
    "fees": "One-time and recurring fees, subscriptions and commitments.",
    "other charges": "Types of lines that Isthmus does not know.",
}
"""The categories of a bill, in the order of reports. Every line is in exactly one."""
AllocationKey = Literal["tokens", "gpu-seconds", "evenly"]
State = Literal["matched", "differs", "only in the bill", "only in the ledger"]


class Amount(Part):
    """An amount in one currency."""

    currency: str
    amount: Decimal


class CategorySum(Part):
    """The lines of one category in one currency."""

    category: Category
    currency: str
    amount: Decimal
    """To the cent. The categories of a currency add up to the bill's total."""
    lines: int


class Converted(Part):
    """The total of another currency in USD, at a stated rate. It is no part of any sum."""

    currency: str
    amount: Decimal
    usd_for_one: Decimal
    as_of: date
    usd: Decimal


class TokenSum(Part):
    """Tokens of one kind in the bill and in the ledger."""

    kind: Literal["input", "cached", "output"]
    bill: Decimal
    ledger: Decimal
    evaluations: Decimal = Decimal(0)
    """Part of `ledger`: of requests of evaluations, which are no team's usage."""


class ProfileSum(Part):
    """A workload at an endpoint: the tokens and the cost of its profiles."""

    endpoint: str
    workload: str
    profiles: list[str]
    """ARNs of its profiles."""
    known_by: list[Literal["file", "state", "tags"]]
    """How each profile is known: the file of `--profiles`, the stack's state, or the tags of the bill."""
    days: int
    """Days with tokens in the bill or in the ledger."""
    days_matched: int
    tokens: list[TokenSum]
    cost: list[Amount]
    """Cost of its tokens, before reductions."""
    reductions: list[Amount]
    """Discounts, credits and refunds that name its profile."""


class Difference(Part):
    """Tokens that differ by more than the tolerance."""

    day: date
    endpoint: str
    workload: str
    kind: Literal["input", "cached", "output"]
    bill: Decimal
    ledger: Decimal
    state: State


class Unmatched(Part):
    """Usage in the bill that is not compared."""

    category: Category
    resource: str
    usage_type: str
    currency: str
    amount: Decimal
    reason: str = ""


class PoolHours(Part):
    """GPU-hours of an on-prem pool at the cost basis of the plan."""

    site: str
    gpu: str
    gpus: int
    """GPUs with an endpoint."""
    gpu_hours: Decimal
    """`gpus` times the hours of the month."""
    used_hours: Decimal
    """From the ledger's GPU-seconds."""
    idle_hours: Decimal
    usd: Decimal
    """Cost of the GPUs in a month: used and idle."""
    used_usd: Decimal
    idle_usd: Decimal
    spare_gpus: int
    """GPUs without an endpoint."""
    spare_usd: Decimal
    """Their cost in a month. It is no part of `usd`."""


class FixedCost(Part):
    """A fixed on-prem cost of the plan, e.g. people."""

    what: str
    usd: Decimal


class TeamCost(Part):
    """What a team costs."""

    team: str
    tokens_usd: Decimal
    """Cost of its tokens in the bill, with the reductions that name their profile."""
    gpu_usd: Decimal
    """Cost of the GPU-hours that it used."""
    shared_usd: Decimal
    """Its part of the shared cost."""
    usd: Decimal


class Allocation(Part):
    """Costs in USD by team. Teams, evaluations and the rest add up to `usd`."""

    key: AllocationKey
    """What shared cost is divided by."""
    shared_usd: Decimal
    """Other resources of the stack, idle GPU-hours, spare GPUs and fixed costs."""
    teams: list[TeamCost]
    evaluations_usd: Decimal = Decimal(0)
    """Tokens and GPU-hours of evaluations, which no team pays."""
    not_allocated_usd: Decimal
    """Cost of the stack that no team can be found for: tokens that the ledger lacks, late lines, not comparable."""
    account_usd: Decimal
    """The bill's lines that are not the stack's alone: others in the account, tax, fees, credits."""
    usd: Decimal


class Reconciliation(Part):
    """The result."""

    stack: str
    month: str
    """As `2026-11`."""
    reconciled: bool
    """Whether a profile is known, and all tokens agree within the tolerance."""
    tolerance: Decimal = Field(ge=0)
    """Share, e.g. 0.005."""
    bill_format: Literal["CUR 2.0", "FOCUS"]
    discounts: Literal["lines", "net cost", "in the cost"]
    bill_lines: int
    totals: list[Amount]
    categories: list[CategorySum]
    converted: list[Converted]
    profiles: list[ProfileSum]
    differences: list[Difference]
    unmatched: list[Unmatched]
    """The largest amounts first. Small ones are summed up in `categories` only."""
    pools: list[PoolHours]
    fixed: list[FixedCost]
    allocation: Allocation | None
    """None: the month has no usage by a team."""
    notes: list[str]
