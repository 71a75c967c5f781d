"""Gives endpoints without a stated `cost` the price of the plan, with its source and day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.platform import overrides as merging
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import FieldError, InputError

if TYPE_CHECKING:
    from isthmus.contracts.reports.usage import UsagePrice
    from isthmus.usage.prices import EndpointPrice


def fill(merged: dict[str, Any], overrides: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The merged platform with the plan's prices.

    An override of an endpoint with the key `cost` decides, null too: then the endpoint has no price. An endpoint that
    overrides made another one (another model, site or kind of target) has no price of the plan.
    """
    from isthmus.usage.prices import endpoint_prices

    stated = {part.get("id") for part in overrides.get("endpoints") or [] if "cost" in part}
    prices = endpoint_prices(plan)
    endpoints = [
        {**endpoint, "cost": _cost(prices[endpoint["id"]])}
        if endpoint.get("id") in prices and endpoint["id"] not in stated and _is_as_planned(endpoint, plan)
        else endpoint
        for endpoint in merged.get("endpoints") or []
    ]
    return {**merged, "endpoints": endpoints}


@dataclass(frozen=True)
class Figures:
    """Figures of a platform that reports of usage show."""

    prices: list[UsagePrice]
    """Of each endpoint."""
    budgets: dict[str, float]
    """USD a month, by team."""


def without_rendering(plan: Plan, overrides: Mapping[str, Any]) -> Figures:
    """The prices and budgets of the platform of a plan and its overrides, without rendering it, which takes a second.

    Raises `InputError` for overrides of endpoints or teams that a platform does not take. Other mistakes are not found.
    """
    from isthmus.contracts.platform.lookups.prices import usage_price
    from isthmus.contracts.platform.model.costs_and_traces import EndpointCost
    from isthmus.contracts.platform.model.teams import Team

    stated = {key: overrides[key] for key in ("endpoints", "teams") if overrides.get(key) is not None}
    endpoints = [_as_rendered(endpoint, plan) for endpoint in plan.endpoints]
    try:
        merged = fill(merging.merge({"endpoints": endpoints}, stated), stated, plan)
        costs = {endpoint["id"]: endpoint.get("cost") for endpoint in merged["endpoints"]}
        teams = [Team.model_validate(team) for team in merged.get("teams") or []]
        prices = [
            usage_price(name, None if cost is None else EndpointCost.model_validate(cost))
            for name, cost in costs.items()
        ]
    except (ValidationError, FieldError, TypeError, KeyError, AttributeError):
        raise InputError(
            "overrides of endpoints or teams are wrong",
            where="isthmus:overrides",
            fix="Run `isthmus preview STACK`, which says what is wrong",
        ) from None
    return Figures(prices, {team.name: team.budget.usd_per_month for team in teams})


def _as_rendered(endpoint: PlannedEndpoint, plan: Plan) -> dict[str, Any]:
    """The keys of a rendered endpoint that `_is_as_planned` reads."""
    names = ("id", "site", "target", "model", "inference_profile", "region")
    values = {name: getattr(endpoint, name) for name in names}
    return {**values, "pool": plan.pool(endpoint)} if endpoint.target == "onprem-vllm" else values


def _is_as_planned(endpoint: Mapping[str, Any], plan: Plan) -> bool:
    planned = plan.endpoint(endpoint["id"])
    if planned is None or endpoint.get("engine") == "cpu":
        return False
    keys = ("site", "target", "model")
    if planned.target in CALLED_TARGETS:
        keys += ("inference_profile", *(("region",) if planned.region else ()))
    elif planned.target == "onprem-vllm" and endpoint.get("pool") != plan.pool(planned):
        return False
    return all(endpoint.get(key) == getattr(planned, key) for key in keys)


def _cost(price: EndpointPrice) -> dict[str, Any]:
    evidence = {"source": price.source, "as_of": price.as_of}
    if price.tokens is not None:
        amounts = {"prompt": float(price.tokens.prompt), "completion": float(price.tokens.completion)}
        if price.tokens.cached is not None:
            amounts["cached"] = float(price.tokens.cached)
        return {"usd_per_million_tokens": amounts, **evidence}
    return {"usd_per_gpu_hour": round(float(price.gpu_hour or 0), 6), **evidence}
