"""Splits the difference of actual cost and plan into load, mix, efficiency and price.

The planned values are replaced by the actual ones in this order, one after the other: requests of a workload, shares of
its endpoints, units for a request, prices. Each effect is what its replacement changes, so that the effects add up to
the difference. Another order would give other effects: what two changes cause together belongs to the later one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.reports.usage import UsageDay
from isthmus.contracts.reports.variance import Effects, Variance, VarianceRow
from isthmus.contracts.vocabulary import ON_PREM_TARGETS
from isthmus.core.cents import rounded_parts, to_cents
from isthmus.usage.prices import HOURS_OF_A_PLAN, MILLION, TokenPrice, Use, gpu_hour_prices, token_prices

_HOUR = Decimal(3600)
_NAMES = ("load", "mix", "efficiency", "price", "not_planned")


@dataclass
class _Planned:
    """What the plan expects of a workload at an endpoint: requests, units and USD for a unit."""

    requests: Decimal
    units: dict[str, Decimal]
    prices: dict[str, Decimal]

    @property
    def cost(self) -> Decimal:
        return sum((self.units[name] * self.prices[name] for name in self.units), Decimal(0))


@dataclass
class _Actual:
    requests: int = 0
    units: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cost: Decimal = Decimal(0)


def variance(
    stack: str, plan: Plan, monthly_requests: Mapping[str, float], days: Sequence[UsageDay], month: date
) -> Variance:
    """Compare a plan with what was used from the first day of a month to its last day in the ledger.

    Args:
        stack: name of the stack.
        plan: its plan.
        monthly_requests: requests of each workload in a month of 730 hours, from the requirements.
        days: sums of the ledger.
        month: first day of the month.
    """
    days = [day for day in days if (day.day.year, day.day.month) == (month.year, month.month)]
    end = max((day.day for day in days), default=month)
    part = Decimal(((end - month) / timedelta(hours=1)) + 24) / HOURS_OF_A_PLAN
    planned, actual = _planned(plan, monthly_requests, part), _actual(days)
    rows = []
    for workload in sorted({use.workload for use in planned.keys() | actual.keys()}):
        uses = sorted(use for use in planned.keys() | actual.keys() if use.workload == workload)
        rows += _rows(uses, planned, actual)
    total = {
        name: sum((getattr(row.effects, name) for row in rows), Decimal("0.00"))
        for name in Effects.model_fields
    }
    return Variance(
        stack=stack,
        begin=month,
        end=end,
        rows=rows,
        total=Effects(**total),
        notes=_notes(plan, planned, days),
    )


def _planned(plan: Plan, monthly_requests: Mapping[str, float], part: Decimal) -> dict[Use, _Planned]:
    endpoints = {endpoint.id: endpoint for endpoint in plan.endpoints}
    tokens, gpu_prices = token_prices(plan), gpu_hour_prices(plan)
    planned: dict[Use, _Planned] = {}
    for placement in plan.placements:
        use, endpoint = Use(placement.endpoint, placement.workload), endpoints.get(placement.endpoint)
        if placement.workload not in monthly_requests or not placement.share or endpoint is None:
            continue
        requests = Decimal(str(monthly_requests[placement.workload])) * Decimal(str(placement.share)) * part
        if use in tokens:
            planned[use] = _planned_tokens(requests, tokens[use], part)
        elif (seconds := _gpu_seconds(endpoint)) is not None and use.endpoint in gpu_prices:
            price = gpu_prices[use.endpoint] / _HOUR
            planned[use] = _Planned(requests, {"gpu_seconds": requests * seconds}, {"gpu_seconds": price})
    return planned


def _planned_tokens(requests: Decimal, price: TokenPrice, part: Decimal) -> _Planned:
    units = {"prompt": price.planned_prompt * part, "completion": price.planned_completion * part}
    prices = {"prompt": price.prompt, "completion": price.completion}
    # The plan expects no cache. Tokens that were charged as cached are efficiency at the planned price of such tokens.
    units["cached"] = Decimal(0)
    prices["cached"] = price.prompt if price.cached is None else price.cached
    return _Planned(requests, units, prices)


def _gpu_seconds(endpoint: PlannedEndpoint) -> Decimal | None:
    """GPU time of a request on a fully used endpoint: its GPUs divided by the requests a second that it carries."""
    if (
        endpoint.target not in ON_PREM_TARGETS
        or endpoint.predicted is None
        or not endpoint.predicted.capacity_rps
    ):
        return None
    return Decimal(endpoint.gpus) / Decimal(str(endpoint.predicted.capacity_rps))


def _actual(days: Iterable[UsageDay]) -> dict[Use, _Actual]:
    actual: dict[Use, _Actual] = defaultdict(_Actual)
    for day in days:
        if day.endpoint is None:
            continue
        used = actual[Use(day.endpoint, day.workload)]
        used.requests += day.requests - day.failed - day.unfinished
        cached = day.cached_tokens - day.full_price_cached_tokens
        used.units["prompt"] += (day.prompt_tokens - cached) / MILLION
        used.units["cached"] += cached / MILLION
        used.units["completion"] += day.completion_tokens / MILLION
        used.units["gpu_seconds"] += Decimal(str(day.gpu_seconds))
        used.cost += day.cost_usd
    return actual


def _rows(
    uses: Sequence[Use], planned: Mapping[Use, _Planned], actual: Mapping[Use, _Actual]
) -> list[VarianceRow]:
    """The rows of one workload."""
    planned_total = sum((planned[use].requests for use in uses if use in planned), Decimal(0))
    total = sum(actual[use].requests for use in uses if use in actual)
    rows = []
    for use in uses:
        used = actual.get(use, _Actual())
        expected = planned.get(use)
        if expected is None or not expected.requests:
            exact = dict.fromkeys(_NAMES, Decimal(0)) | {"not_planned": used.cost}
        else:
            exact = _effects(expected, used, total * expected.requests / planned_total)
        plan_cost = expected.cost if expected else Decimal(0)
        rows.append(
            VarianceRow(
                workload=use.workload,
                endpoint=use.endpoint,
                planned_requests=round(expected.requests) if expected else None,
                requests=used.requests,
                effects=_to_cents(plan_cost, used.cost, exact),
            )
        )
    return rows


def _effects(planned: _Planned, actual: _Actual, at_planned_share: Decimal) -> dict[str, Decimal]:
    """The effects of a row. `at_planned_share`: requests, if the endpoint had its planned share of the actual ones."""
    cost_of_request = planned.cost / planned.requests
    at_planned_prices = sum(
        (actual.units[name] * price for name, price in planned.prices.items()), Decimal(0)
    )
    return {
        "load": (at_planned_share - planned.requests) * cost_of_request,
        "mix": (actual.requests - at_planned_share) * cost_of_request,
        "efficiency": at_planned_prices - actual.requests * cost_of_request,
        "price": actual.cost - at_planned_prices,
        "not_planned": Decimal(0),
    }


def _to_cents(plan: Decimal, actual: Decimal, exact: Mapping[str, Decimal]) -> Effects:
    """Round to cents so that the effects add up. A missing or surplus cent goes to the largest effect."""
    difference = to_cents(actual) - to_cents(plan)
    parts = rounded_parts(exact)
    parts[max(parts, key=lambda name: abs(exact[name]))] += difference - sum(parts.values(), Decimal(0))
    return Effects(plan=to_cents(plan), actual=to_cents(actual), difference=difference, **parts)


def _notes(plan: Plan, planned: Mapping[Use, _Planned], days: Iterable[UsageDay]) -> list[str]:
    notes = []
    unpriced = sum(day.unpriced for day in days)
    if unpriced:
        notes.append(f"Requests without a price in the ledger: {unpriced:,}. The actual cost lacks them.")
    unknown = sorted(
        f"{placement.workload} at {placement.endpoint}"
        for placement in plan.placements
        if placement.share and Use(placement.endpoint, placement.workload) not in planned
    )
    if unknown:
        notes.append(f"The plan cannot say what a request costs: {', '.join(unknown)}.")
    if any("gpu_seconds" in expected.units for expected in planned.values()):
        notes.append(
            "On-prem: GPU time of requests alone, planned at full use. Idle hours: `isthmus usage reconcile`."
        )
    return notes
