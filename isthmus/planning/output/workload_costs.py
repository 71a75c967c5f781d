"""Divides the monthly cost of a plan among its workloads. The parts add up to the cost, to the cent.

- What names a workload (tokens of an API, guardrails, files of batches) is the workload's own.
- A pool's GPUs are divided by the GPUs that each endpoint takes, and among workloads that share an endpoint by the
  tokens of their peaks. People and support of a site are divided like all of its GPUs, rented instances like the
  GPUs on them.
- Links and the fixed parts of a site are divided by the requests that workloads send to endpoints there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.core import cents
from isthmus.planning.output import cost_items

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import CostItem, Placement, Plan, PlannedEndpoint
    from isthmus.contracts.requirements.document import Requirements

_LINK = re.compile(r"link (?P<origin>\S+) to (?P<target>[^:\s]+)")

EndpointShares = Mapping[str, Mapping[str, float]]
"""By endpoint: by workload, its share of the endpoint's GPUs, 0 to 1."""


def endpoint_shares(plan: Plan, requirements: Requirements) -> dict[str, dict[str, float]]:
    """Return how workloads share each endpoint: by the tokens a second of their peaks."""
    weights: dict[str, dict[str, float]] = {endpoint.id: {} for endpoint in plan.endpoints}
    for placement in plan.placements:
        workload = requirements.workload(placement.workload)
        if workload is None or placement.role == "fallback" or placement.endpoint not in weights:
            continue
        traffic = workload.traffic
        part = placement.share if placement.peak_share is None else placement.peak_share
        tokens = traffic.prompt_tokens.mean + traffic.output_tokens.mean
        weights[placement.endpoint][placement.workload] = part * traffic.peak_rps * tokens
    return {name: _as_shares(of_endpoint) for name, of_endpoint in weights.items()}


def workload_gpus(plan: Plan, shares: EndpointShares) -> dict[str, float]:
    """Return the GPUs of each workload: its share of the GPUs of its endpoints."""
    gpus: dict[str, float] = {}
    for endpoint in plan.endpoints:
        for name, share in shares.get(endpoint.id, {}).items():
            gpus[name] = gpus.get(name, 0.0) + share * endpoint.gpus
    return gpus


def workload_costs(plan: Plan, requirements: Requirements, shares: EndpointShares) -> dict[str, Decimal]:
    """Return the monthly cost of each workload, USD. The sum is exactly that of the counted cost items."""
    costs = {workload.name: Decimal(0) for workload in requirements.workloads}
    for item in plan.cost_items or []:
        if item.counted:
            for name, part in divide(item, plan, requirements, shares).items():
                costs[name] += part
    return costs


def own_workload(item: CostItem, requirements: Requirements) -> str | None:
    """Return the workload that an item names as its own. None: the item is shared."""
    name = item.what.partition(": ")[0]
    is_own = cost_items.kind_of(item) == "tokens" or item.what.endswith(": files of batches in the database")
    return name if is_own and requirements.workload(name) is not None else None


def divide(
    item: CostItem, plan: Plan, requirements: Requirements, shares: EndpointShares
) -> dict[str, Decimal]:
    """Return the parts of an item by workload. They add up to the item's amount."""
    amount = cents.to_cents(Decimal(repr(item.monthly_usd)))
    owner = own_workload(item, requirements)
    weights = {owner: 1.0} if owner is not None else _weights(item, plan, requirements, shares)
    if not any(weights.values()):
        weights = {workload.name: 1.0 for workload in requirements.workloads}
    return cents.divide(amount, {name: Decimal(repr(float(weight))) for name, weight in weights.items()})


def _weights(
    item: CostItem, plan: Plan, requirements: Requirements, shares: EndpointShares
) -> dict[str, float]:
    """Return the weights by which a shared item is divided; empty if no workload uses what it is for."""
    instances = rented_instances(item)
    if instances is not None:
        return _by_gpus(
            plan,
            shares,
            lambda endpoint: (
                (endpoint.site, endpoint.instance_type, endpoint.class_)
                == (instances.site, instances.instance, instances.sensitivity)
                and instances.model in (None, endpoint.model)
            ),
        )
    place, _, _ = item.what.partition(": ")
    if cost_items.kind_of(item) == "owned":
        site, _, gpu = place.partition(", ")
        return _by_gpus(
            plan, shares, lambda endpoint: endpoint.site == site and gpu in ("", endpoint.gpu or "")
        )
    link = _LINK.match(item.what)
    return _by_requests(plan, requirements, link["target"] if link else place)


def _by_gpus(
    plan: Plan, shares: EndpointShares, applies: Callable[[PlannedEndpoint], bool]
) -> dict[str, float]:
    weights: dict[str, float] = {}
    for endpoint in plan.endpoints:
        if endpoint.gpus and applies(endpoint):
            for name, share in shares.get(endpoint.id, {}).items():
                weights[name] = weights.get(name, 0.0) + share * endpoint.gpus
    return weights


def _by_requests(plan: Plan, requirements: Requirements, site: str) -> dict[str, float]:
    """Return requests by workload: those to endpoints of the site, or all if no endpoint is there."""

    def requests(placements: Sequence[Placement]) -> dict[str, float]:
        weights: dict[str, float] = {}
        for placement in placements:
            workload = requirements.workload(placement.workload)
            if workload is not None:
                part = placement.share * workload.traffic.mean_rps
                weights[placement.workload] = weights.get(placement.workload, 0.0) + part
        return weights

    at_site = {endpoint.id for endpoint in plan.endpoints if endpoint.site == site}
    there = requests([placement for placement in plan.placements if placement.endpoint in at_site])
    return there if any(there.values()) else requests(plan.placements)


def _as_shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else dict(weights)
