"""Usage of a stack: what `isthmus usage --format json` prints. Invoices, forecasts, plans and value read its `days`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field

from isthmus.contracts.vocabulary import Part, Sensitivity


class UsageDay(Part):
    """Sums of the requests of one day (UTC) that agree in all names.

    These sums alone leave a class. Whether they name people follows from the class's handling.
    """

    day: date
    sensitivity: Sensitivity
    site: str
    """Site of the gateway."""
    team: str
    workload: str
    person: str | None = None
    """Pseudonym of the person. None: the caller is a program, or the class names no people."""
    model: str
    """The model's name, as the caller asked for it."""
    endpoint: str | None
    """Id of the plan's endpoint that answered. None: no endpoint was asked."""
    requests: int = Field(ge=0)
    """All requests, with refused, failed and unfinished ones."""
    failed: int = Field(ge=0)
    """Requests that ended with an error or were refused."""
    unfinished: int = Field(ge=0)
    """Requests with an intent and no outcome: their gateway was killed. What they used is not known."""
    prompt_tokens: int = Field(ge=0)
    cached_tokens: int = Field(ge=0)
    """Part of `prompt_tokens` that a prefix cache had."""
    completion_tokens: int = Field(ge=0)
    gpu_seconds: float = Field(ge=0)
    """GPU time, divided among what ran at once."""
    cost_usd: Decimal = Field(ge=0)
    """Sum of the priced requests, at the prices of the plan. On-prem: GPU time."""
    unpriced: int = Field(ge=0)
    """Answered requests without a price: `cost_usd` lacks them."""
    full_price_cached_tokens: int = Field(default=0, ge=0)
    """Part of `cached_tokens` that cost as much as others, because no price of cached tokens was known."""


class UsageHour(Part):
    """Requests of one workload in one hour (UTC), as far as they ended well."""

    hour: datetime
    """The beginning of the hour."""
    sensitivity: Sensitivity
    workload: str
    requests: int = Field(ge=0)
    """Requests of the hour. Refused and failed ones are left out."""


class UsageTotals(Part):
    """Sums of days, without their names. Adjustments of a closed month may be negative."""

    requests: int = 0
    failed: int = 0
    unfinished: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    gpu_seconds: float = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0
    full_price_cached_tokens: int = 0


class UsageGroup(Part):
    """Sums of the days that agree in the names of `by`."""

    names: dict[str, str]
    """By name of `by`, in its order."""
    totals: UsageTotals


class UsageTrend(Part):
    """The period compared with the period of as many days before it."""

    begin: date
    end: date
    """First and last day of the period before."""
    totals: UsageTotals | None
    """Of the period before. None: records begin later."""


class UnusualDay(Part):
    """A day on which a workload was used much more or less than on the same weekdays before."""

    day: date
    sensitivity: Sensitivity
    workload: str
    measure: Literal["requests", "cost_usd"]
    value: float
    median: float
    """Of the same weekdays before."""
    deviation: float
    """Median absolute deviation of the same weekdays before."""
    weekdays: int = Field(ge=4)
    """How many weekdays before it is compared with."""


class ClosedMonth(Part):
    """A month of a class at a site with frozen figures, and what came later."""

    month: date
    """Its first day."""
    sensitivity: Sensitivity
    site: str
    closed_at: datetime
    seal: int
    """Number of the last seal in the figures."""
    digest: str
    """SHA-256 of the figures, as the ledger stores them."""
    totals: UsageTotals
    adjustment: UsageTotals
    """Lines that came after the closing: what the records say now, less the frozen figures. Not part of `days`."""


class LoadedStore(Part):
    """How far a class at a site is read."""

    sensitivity: Sensitivity
    site: str
    seal: int
    sealed_at: datetime
    """Requests that were recorded later are not counted yet."""


class UsagePrice(Part):
    """The price that gateways count for an endpoint's work now."""

    endpoint: str
    usd_per_gpu_hour: float | None = None
    usd_per_million_prompt_tokens: float | None = None
    usd_per_million_completion_tokens: float | None = None
    usd_per_million_cached_tokens: float | None = None
    """Of prompts, as far as the provider's cache had them. None: not known, they cost as much as others."""
    usd_per_hour: float | None = None
    """Of its instances, which AWS charges by the hour whatever they answer (SageMaker). No request has a part of it."""
    source: str | None = None
    """Where the price is from. None: the platform states it, or there is none."""
    as_of: str | None = None
    """The day of the price."""
    unknown_because: str | None = None
    """Why no request at it has a price. None: it has one, or nothing says why."""

    @property
    def is_known(self) -> bool:
        return self.usd_per_gpu_hour is not None or self.usd_per_million_prompt_tokens is not None


class UsageBudget(Part):
    """A team's budget in the month of the last day: spent, and forecast to the month's end."""

    team: str
    month: str
    """The month, e.g. 2026-11."""
    usd_per_month: Decimal
    spent_usd: Decimal
    """What the ledger has of the month, until the last day. Answers without a price are missing."""
    unpriced: int = Field(ge=0)
    """Answered requests of the month without a price."""
    expected_usd: Decimal | None
    """Forecast at the month's end. None: not known."""
    low_usd: Decimal | None
    high_usd: Decimal | None
    """80 % of months end between both."""
    method: str
    """How it was forecast, or why it is not known."""

    @property
    def share(self) -> float:
        """Part of the budget that is spent: 1 is all of it."""
        return float(self.spent_usd / self.usd_per_month)


class UsageReport(Part):
    """Usage of a stack in a period."""

    stack: str
    begin: date
    end: date
    """First and last day, UTC. Both count."""
    by: list[str]
    loaded: list[LoadedStore]
    totals: UsageTotals
    groups: list[UsageGroup]
    trend: UsageTrend
    unusual: list[UnusualDay]
    closed: list[ClosedMonth]
    """Closed months that the period touches."""
    days: list[UsageDay]
    """Of a closed month: the frozen figures."""
    evaluations: list[UsageDay] = []
    """Sums of the requests of evaluations, without a team. They are in no other figure, but AWS bills them too."""
    shadows: list[UsageDay] = []
    """Sums of copies of requests that went to a canary too, without a team. They are in no other figure."""
    judges: list[UsageDay] = []
    """Sums of requests to the judges of releases, by the workload that is judged. They are in no other figure."""
    hours: list[UsageHour] = []
    """As far back as the ledger keeps them. Hours without a request are left out."""
    prices: list[UsagePrice] = []
    """Of each endpoint that answered in the period."""
    budgets: list[UsageBudget] = []
    """Of the platform's teams."""
