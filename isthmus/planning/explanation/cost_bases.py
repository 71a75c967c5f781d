"""The cost of one plan on both bases: allocated to what is in use, and as cash that leaves the organisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.plan.capacity_rules import cut_gpus
from isthmus.contracts.reports.explanation import CostBases
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.planning.options import monthly_costs
from isthmus.planning.output import cost_items

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import CostItem, Plan
    from isthmus.contracts.requirements.document import Requirements

Basis = Literal["allocated", "cash"]


def gpus_in_use(plan: Plan, requirements: Requirements) -> dict[tuple[str, str], int]:
    """Return the GPUs of each on-prem pool that a plan uses, by site and GPU kind; a cut GPU counts as one."""
    used: dict[tuple[str, str], int] = {}
    for site in requirements.sites:
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            whole = sum(
                endpoint.gpus
                for endpoint in plan.endpoints
                if (endpoint.site, endpoint.gpu) == (site.name, pool.gpu) and not endpoint.mig_profile
            )
            cut = sum(group.gpus for group in cut_gpus(plan, requirements, site.name, pool))
            used[site.name, pool.gpu] = whole + cut
    return used


def owned_items(plan: Plan, requirements: Requirements, basis: Basis) -> list[CostItem]:
    """Return the cost items of owned hardware, its idle GPUs and its people on a basis, from the plan's endpoints."""
    used = gpus_in_use(plan, requirements)
    sites = {endpoint.site for endpoint in plan.endpoints if endpoint.gpu}
    items = cost_items.onprem_items(requirements, used, sites, basis)
    return [item for item in items if item.monthly_usd or not item.counted]


def compare_bases(plan: Plan, requirements: Requirements) -> CostBases:
    """Return the monthly cost of the plan on both bases, and with the owned hardware that stands idle."""
    allocated, cash = (owned_items(plan, requirements, basis) for basis in ("allocated", "cash"))
    owned = {item.what for item in (*allocated, *cash)}
    # What is rented, called or linked costs the same on both bases.
    others = math.fsum(
        item.monthly_usd for item in plan.cost_items or [] if item.counted and item.what not in owned
    )
    missing = missing_prices(requirements, gpus_in_use(plan, requirements))
    in_use = round(others + _sum(allocated, counted=True), 2)
    idle = round(_sum(allocated, counted=False), 2)
    return CostBases(
        basis=requirements.objective.cost_basis,
        allocated_usd=None if missing else in_use,
        idle_usd=None if missing else idle,
        owned_usd=None if missing else round(in_use + idle, 2),
        cash_usd=round(others + _sum(cash, counted=True), 2),
        missing=missing,
    )


def _sum(items: list[CostItem], *, counted: bool) -> float:
    return math.fsum(item.monthly_usd for item in items if item.counted == counted)


def missing_prices(requirements: Requirements, used: Mapping[tuple[str, str], int]) -> list[str]:
    """Return why owned hardware in use cannot be priced on the allocated basis."""
    reasons = []
    for site in requirements.sites:
        if not isinstance(site, OnPremSite):
            continue
        for pool in site.pools:
            price = monthly_costs.node_cost(site, pool, "allocated")
            if used[site.name, pool.gpu] and isinstance(price, str):
                reasons.append(price)
    return reasons
