"""Prices in a plan: of tokens by workload and endpoint, of GPU-hours by endpoint, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from isthmus.contracts.hardware.aws_instances import INSTANCES
from isthmus.contracts.plan.document import CostItem, Plan, PlannedEndpoint
from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.contracts.reports.usage import UsagePrice
from isthmus.contracts.vocabulary import ON_PREM_TARGETS
from isthmus.usage.on_prem import Pool, pool_costs

_TOKENS = "million tokens"
MILLION = Decimal(1_000_000)
HOURS_OF_A_PLAN = Decimal(730)
"""The month that a plan's quantities are for: 365 × 24 / 12 hours."""


@dataclass(frozen=True, order=True)
class Use:
    """A workload at an endpoint."""

    endpoint: str
    workload: str


@dataclass(frozen=True)
class TokenPrice:
    """USD for a million tokens of prompts and of answers, and the planned millions a month."""

    prompt: Decimal
    completion: Decimal
    planned_prompt: Decimal
    planned_completion: Decimal
    cached: Decimal | None = None
    """USD for a million tokens of prompts that the provider's cache had. None: not known."""

    def cost(self, prompt: Decimal, cached: Decimal, completion: Decimal) -> Decimal:
        """USD for millions of tokens. `cached`: the part of `prompt` that is charged as cached."""
        usd = (prompt - cached) * self.prompt + completion * self.completion
        return usd + cached * (self.prompt if self.cached is None else self.cached)


def token_prices(plan: Plan) -> Mapping[Use, TokenPrice]:
    """The prices of the plan's endpoints, with the tokens of its cost items (`WORKLOAD: MODEL, input` and `…, output`).

    Tokens of batches are left out. Plans of earlier releases have the prices in the cost items alone.
    """
    items = {item.what: item for item in plan.cost_items or [] if item.unit == _TOKENS}
    prices: dict[Use, TokenPrice] = {}
    for placement in plan.placements:
        endpoint = plan.endpoint(placement.endpoint)
        if endpoint is None:
            continue
        title = f"{placement.workload}: {endpoint.inference_profile or endpoint.model}"
        price = _token_price(endpoint, items.get(f"{title}, input"), items.get(f"{title}, output"))
        if price is not None:
            prices[Use(placement.endpoint, placement.workload)] = price
    return prices


def _token_price(
    endpoint: PlannedEndpoint, prompt: CostItem | None, completion: CostItem | None
) -> TokenPrice | None:
    """The price of an endpoint's tokens, with the planned tokens of a workload's cost items."""
    prompts, answers = (Decimal(str(item.quantity)) if item else Decimal(0) for item in (prompt, completion))
    if (stated := endpoint.usd_per_million_tokens) is not None:
        cached = None if stated.cached is None else Decimal(str(stated.cached))
        return TokenPrice(
            Decimal(str(stated.prompt)), Decimal(str(stated.completion)), prompts, answers, cached
        )
    if prompt is None:
        return None
    completion_usd = Decimal(str(completion.unit_price_usd)) if completion else Decimal(0)
    return TokenPrice(Decimal(str(prompt.unit_price_usd)), completion_usd, prompts, answers)


@dataclass(frozen=True)
class EndpointPrice:
    """What an endpoint's work costs by the plan: either by the token or by the GPU-hour."""

    tokens: TokenPrice | None
    gpu_hour: Decimal | None
    """USD for an hour of one GPU."""
    source: str
    as_of: str


def endpoint_prices(plan: Plan) -> dict[str, EndpointPrice]:
    """The price of each endpoint that the plan prices, by its id.

    An endpoint is left out if the plan does not know its whole price: it also costs by the request, or SageMaker bills
    its instances. In plans of earlier releases also if no workload was planned with it, or at different prices.
    """
    prices = _prices_by_token(plan) | _prices_by_gpu_hour(plan)
    return {endpoint.id: prices[endpoint.id] for endpoint in plan.endpoints if endpoint.id in prices}


def explain_unknown(prices: Iterable[UsagePrice], plan: Plan) -> list[UsagePrice]:
    """The prices, where those without an amount have the reason why, and the hourly price of SageMaker's instances."""
    planned = endpoint_prices(plan)
    return [price if price.is_known else _explained(price, plan, planned) for price in prices]


def _explained(price: UsagePrice, plan: Plan, planned: Mapping[str, EndpointPrice]) -> UsagePrice:
    endpoint = plan.endpoint(price.endpoint)
    if endpoint is None:
        return price.model_copy(update={"unknown_because": "the plan has no such endpoint"})
    if endpoint.id in planned:
        because = "overrides remove its price, or make it another endpoint than the plan's"
    elif _costs_by_request(plan, endpoint):
        because = "it also costs by the request"
    elif endpoint.target == "bedrock":
        because = "this plan has no price of its tokens: plan again"
    elif (
        endpoint.target == "sagemaker"
        and (item := _instances_of(plan.cost_items or [], endpoint)) is not None
    ):
        source, as_of = _evidence([item], item.what)
        hour = item.unit_price_usd * (endpoint.replicas or 1)  # each instance has one replica
        return price.model_copy(
            update={
                "usd_per_hour": hour,
                "source": source,
                "as_of": as_of,
                "unknown_because": "AWS charges instances",
            }
        )
    else:
        because = "the plan has no price of its GPUs or instances"
    return price.model_copy(update={"unknown_because": because})


def gpu_hour_prices(plan: Plan) -> dict[str, Decimal]:
    """USD for an hour of a GPU by on-prem endpoint, at the cost basis of the plan."""
    costs = pool_costs(plan)
    prices: dict[str, Decimal] = {}
    for endpoint in plan.endpoints:
        cost = costs.get(Pool(endpoint.site, endpoint.gpu or ""))
        if endpoint.target in ON_PREM_TARGETS and cost is not None and cost.gpus:
            prices[endpoint.id] = cost.usd / cost.gpus / HOURS_OF_A_PLAN
    return prices


def _prices_by_token(plan: Plan) -> dict[str, EndpointPrice]:
    by_endpoint: dict[str, set[tuple[Decimal, Decimal]]] = {}
    found: dict[str, TokenPrice] = {}
    for use, price in token_prices(plan).items():
        by_endpoint.setdefault(use.endpoint, set()).add((price.prompt, price.completion))
        found[use.endpoint] = price
    prices: dict[str, EndpointPrice] = {}
    for endpoint in plan.endpoints:
        stated = _token_price(endpoint, None, None)
        if stated is not None and endpoint.evidence is not None:
            prices[endpoint.id] = EndpointPrice(
                stated, None, endpoint.evidence.source, endpoint.evidence.as_of
            )
            continue
        if len(by_endpoint.get(endpoint.id, ())) != 1 or _costs_by_request(plan, endpoint):
            continue
        called = endpoint.inference_profile or endpoint.model
        evidence = _evidence(plan.cost_items or [], f": {called}, input")
        prices[endpoint.id] = EndpointPrice(found[endpoint.id], None, *evidence)
    return prices


def _costs_by_request(plan: Plan, endpoint: PlannedEndpoint) -> bool:
    title = f": {endpoint.inference_profile or endpoint.model}, requests"
    return any(item.what.endswith(title) for item in plan.cost_items or [])


def _prices_by_gpu_hour(plan: Plan) -> dict[str, EndpointPrice]:
    items = plan.cost_items or []
    owned = gpu_hour_prices(plan)
    prices: dict[str, EndpointPrice] = {}
    for endpoint in plan.endpoints:
        if endpoint.id in owned:
            evidence = _evidence(items, f"{endpoint.site}, {endpoint.gpu}: power")
            prices[endpoint.id] = EndpointPrice(None, owned[endpoint.id], *evidence)
        elif (
            endpoint.target == "eks-vllm"
            and endpoint.instance_type in INSTANCES
            and (item := _instances_of(items, endpoint)) is not None
        ):
            gpus = INSTANCES[endpoint.instance_type].gpus
            price = Decimal(str(item.unit_price_usd)) / gpus
            prices[endpoint.id] = EndpointPrice(None, price, *_evidence([item], item.what))
    return prices


def _instances_of(items: Iterable[CostItem], endpoint: PlannedEndpoint) -> CostItem | None:
    """The item of the rented instances on which an endpoint runs."""
    for item in items:
        rented = rented_instances(item)
        if rented is not None and (rented.site, rented.instance, rented.purchase, rented.sensitivity) == (
            endpoint.site,
            endpoint.instance_type,
            endpoint.purchase,
            endpoint.class_,
        ):
            return item
    return None


def _evidence(items: Iterable[CostItem], title_end: str) -> tuple[str, str]:
    """Source and date of the first item with this end of its title."""
    item = next((item for item in items if item.what.endswith(title_end)), None)
    if item is None or item.evidence is None:
        return "the plan", "as planned"
    return item.evidence.source, item.evidence.as_of
