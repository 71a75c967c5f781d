"""Builds the cost items of a plan, each with its evidence. The total is exactly their sum."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.plan.document import CostItem, Sourced
from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.options import gateway_sites, guardrails, hardware, monthly_costs
from isthmus.planning.options.fixed_costs import FixedCosts
from isthmus.planning.options.option import Column, OnApi
from isthmus.planning.output import batches
from isthmus.planning.sizing import demand
from isthmus.planning.solver.problem import Choice
from isthmus.planning.solver.program import crosses_link

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Link, OnPremCost, Pool

ItemKind = Literal["owned", "idle", "instances", "tokens", "link", "other"]
"""What a cost item is for. `other`: the fixed parts of an AWS site, and items of a plan written by hand."""
TEXT_UNITS = "thousand text units"
"""The unit of guardrails: a thousand times up to 1,000 characters."""
_OWNED_PARTS = (": capital", ": colocation", ": power", ": people", ": support")


def kind_of(item: CostItem) -> ItemKind:
    """Return what an item is for, from its title and unit, as `build_cost_items` writes them."""
    if item.what.startswith("idle"):
        return "idle"
    if item.unit in ("GPU month", "month") and item.what.endswith(_OWNED_PARTS):
        return "owned"
    if rented_instances(item) is not None:
        return "instances"
    if item.unit in ("million tokens", "requests", TEXT_UNITS) and ": " in item.what:
        return "tokens"
    return "link" if item.what.startswith("link ") else "other"


def build_cost_items(
    requirements: Requirements,
    choices: Mapping[str, Choice],
    replicas: Mapping[Column, int],
    builds: Collection[str],
) -> list[CostItem]:
    """Return all items: pools, sites, instances, fixed parts in AWS, APIs and links. Idle GPUs are not counted.

    `builds`: what the blueprint builds. It decides whether gateways in AWS run in a cluster or on Fargate.
    """
    used_sites = {column.site for column in replicas}
    basis = requirements.objective.cost_basis
    all_items = onprem_items(requirements, hardware.gpus_in_use(replicas), used_sites, basis)
    all_items += _instance_items(requirements, replicas)
    for name, choice in choices.items():
        for option, share, _ in choice.parts:
            if isinstance(option, OnApi):
                all_items += _api_items(requirements, name, option, share)
        all_items += _batch_items(requirements, name, choice)
    all_items += _link_items(requirements, choices)
    all_items += _fixed_items(requirements, choices, builds)
    return [item for item in all_items if item.monthly_usd or not item.counted]


def _instance_items(requirements: Requirements, replicas: Mapping[Column, int]) -> list[CostItem]:
    """Return the AWS instances that the plan rents by the hour, by the class that they serve."""
    instance_items: list[CostItem] = []
    instance_counts = hardware.instances_needed(replicas)
    for site in requirements.sites:
        site_units = {unit: count for unit, count in instance_counts.items() if unit.site == site.name}
        for unit in sorted(site_units, key=str):
            rate = hardware.hourly_rate(requirements, unit)
            source = Sourced(kind=rate.kind, source=rate.source, as_of=rate.as_of)  # type: ignore[arg-type]
            owner = f", {unit.owner.model}" if unit.owner else ""
            title = f"{site.name}, {site_units[unit]} x {unit.instance} ({rate.purchase}), {unit.sensitivity}{owner}"
            instance_items.append(
                _build_item(
                    title, site_units[unit] * demand.HOURS_PER_MONTH, "hours", rate.usd_per_hour, source
                )
            )
    return instance_items


def _fixed_items(
    requirements: Requirements, choices: Mapping[str, Choice], builds: Collection[str]
) -> list[CostItem]:
    """Return the fixed parts of AWS sites that the placements need. They cost the same at any load."""
    fixed = FixedCosts(requirements, builds)
    places = {
        fixed.option_placed(workload.sensitivity, option)
        for workload in requirements.workloads
        if workload.name in choices
        for option, _, _ in choices[workload.name].parts
    }
    return [
        _build_item(
            fixed_cost.what,
            fixed_cost.quantity,
            fixed_cost.unit,
            fixed_cost.price.usd,
            Sourced(kind=fixed_cost.price.kind, source=fixed_cost.price.source, as_of=fixed_cost.price.as_of),  # type: ignore[arg-type]
        )
        for fixed_cost in fixed.parts()
        if any(fixed.applies(fixed_cost.scope, place) for place in places)
    ]


def _link_items(requirements: Requirements, choices: Mapping[str, Choice]) -> list[CostItem]:
    link_items: list[CostItem] = []
    for link in requirements.links:
        gigabytes, is_used = 0.0, False
        for name, choice in choices.items():
            workload = requirements.workload(name)
            home = gateway_sites.home_site(requirements, workload.sensitivity) if workload else None
            for option, share, _ in choice.parts:
                if crosses_link(home, option.site, link):
                    workload_demand, is_used = _demand_of(requirements, name), True
                    tokens = workload_demand.prompt_tokens + workload_demand.output_tokens
                    part = share + (workload_demand.batch_share if option is choice.option else 0.0)
                    gigabytes += part * monthly_costs.transfer_gigabytes(workload_demand.requests, tokens)
        if not is_used:
            continue
        title = f"link {link.from_} to {link.to}"
        link_items.append(_build_item(title, 1, "month", link.usd_per_month, _requirements_source(link)))
        bytes_per_token, bytes_per_request = monthly_costs.BYTES_PER_TOKEN, monthly_costs.BYTES_PER_REQUEST
        source = f"{bytes_per_token} bytes a token and {bytes_per_request} a request: an assumption"
        assumption = Sourced(kind="estimated", source=source, as_of="2026-11-25")
        link_items.append(_build_item(f"{title}: data", gigabytes, "GB", link.usd_per_gb, assumption))
    return link_items


def monthly_total(cost_items: list[CostItem]) -> float:
    """Return the sum of the counted items, USD a month."""
    return round(sum(item.monthly_usd for item in cost_items if item.counted), 2)


def onprem_items(
    requirements: Requirements,
    gpus_in_use: Mapping[tuple[str, str], int],
    used_sites: Collection[str],
    basis: str,
) -> list[CostItem]:
    """Return the items of pools, idle GPUs, people and support of on-prem sites.

    `gpus_in_use`: by site and GPU kind. `basis`: `allocated`, or `cash` for what owned hardware burns only.
    """
    onprem_sites = [site for site in requirements.sites if isinstance(site, OnPremSite)]
    pool_items = [
        item
        for site in onprem_sites
        for pool in site.pools
        for item in _pool_items(site, pool, gpus_in_use.get((site.name, pool.gpu), 0), basis)
    ]
    site_items = [
        _build_item(f"{site.name}: {what}", 1, "month", usd, _requirements_source(site.cost))
        for site in onprem_sites
        if site.name in used_sites and site.cost and monthly_costs.site_cost(site, basis)
        for what, usd in (
            ("people", site.cost.staff_usd_per_month),
            ("support", site.cost.support_usd_per_month),
        )
    ]
    return [*pool_items, *site_items]


def _pool_items(site: OnPremSite, pool: Pool, used: int, basis: str) -> Iterator[CostItem]:
    """Yield the cost of `used` GPUs of the pool, and the cost of its idle GPUs, which is not counted."""
    price = monthly_costs.node_cost(site, pool, basis)
    if isinstance(price, str):
        return
    name, gpus_per_node, source = (
        f"{site.name}, {pool.gpu}",
        pool.gpus_per_node,
        _requirements_source(site.cost),
    )
    if used and basis == "allocated":
        yield _build_item(f"{name}: capital", used, "GPU month", price.capital / gpus_per_node, source)
        yield _build_item(f"{name}: colocation", used, "GPU month", price.colocation / gpus_per_node, source)
    if used:
        yield _build_item(f"{name}: power", used, "GPU month", price.power / gpus_per_node, source)
    idle = pool.nodes * gpus_per_node - pool.reserved_gpus - used
    if idle and basis == "allocated":
        yield _build_item(
            f"idle: {name}", idle, "GPU month", price.of_gpu(pool, basis), source, counted=False
        )


def _batch_items(requirements: Requirements, name: str, choice: Choice) -> list[CostItem]:
    """Return what the batches of a workload add: tokens of an API, and the storage of their files."""
    workload_demand = _demand_of(requirements, name)
    if not workload_demand.batch_requests:
        return []
    batch_items: list[CostItem] = []
    if isinstance(choice.option, OnApi):  # lines that overflow are none: they wait for their own place
        share = workload_demand.batch_share
        batch_items += _api_items(requirements, name, choice.option, share, ", batches")
    tokens = workload_demand.lengths.prompt + workload_demand.lengths.output
    requests = workload_demand.batch_requests * 24 / demand.HOURS_PER_MONTH * batches.STORED_DAYS
    gigabytes = monthly_costs.transfer_gigabytes(requests, requests * tokens)
    evidence = Sourced(kind="estimated", source=batches.STORAGE_SOURCE, as_of=batches.STORAGE_AS_OF)
    title = f"{name}: files of batches in the database"
    batch_items.append(_build_item(title, gigabytes, "GB month", batches.STORAGE_USD, evidence))
    return batch_items


def _api_items(
    requirements: Requirements, name: str, option: OnApi, share: float, label: str = ""
) -> list[CostItem]:
    """Return the tokens of a workload at an API. `share`: of its requests; `label`: added to the titles."""
    workload_demand, price = _demand_of(requirements, name), option.call.price
    evidence = Sourced(kind=price.kind, source=price.source, as_of=price.as_of)  # type: ignore[arg-type]
    title = f"{name}: {option.call.profile or option.call.model}{label}"
    token_items = [
        _build_item(
            f"{title}, input",
            share * workload_demand.prompt_tokens / 1e6,
            "million tokens",
            price.input,
            evidence,
        ),
        _build_item(
            f"{title}, output",
            share * workload_demand.output_tokens / 1e6,
            "million tokens",
            price.output,
            evidence,
        ),
        _build_item(
            f"{title}, requests", share * workload_demand.requests, "requests", price.request, evidence
        ),
    ]
    return [*token_items, *_guardrail_items(requirements, name, option, share, label)]


def _guardrail_items(
    requirements: Requirements, name: str, option: OnApi, share: float, label: str
) -> Iterator[CostItem]:
    workload, site = requirements.workload(name), requirements.site(option.site)
    if workload is None or not isinstance(site, AwsSite):
        return
    for cost in guardrails.filter_costs(workload, site):
        source = Sourced(kind=cost.price.kind, source=cost.price.source, as_of=cost.price.as_of)  # type: ignore[arg-type]
        title = f"{name}: guardrail{label}, {cost.what}"
        yield _build_item(title, share * cost.thousand_units, TEXT_UNITS, cost.price.usd, source)


def _demand_of(requirements: Requirements, name: str) -> demand.Demand:
    workload = requirements.workload(name)
    if workload is None:
        raise KeyError(name)
    return demand.of_workload(workload)


def _requirements_source(terms: OnPremCost | Link | None) -> Sourced:
    """Return the evidence of a figure of the requirements, with the source and date that they state."""
    source, as_of = (terms.source, terms.as_of) if terms else (None, None)
    return Sourced(kind="given", source=source or "the requirements", as_of=as_of or "as stated")


def _build_item(
    title: str, quantity: float, unit: str, price: float, evidence: Sourced, *, counted: bool = True
) -> CostItem:
    """Build an item. Figures are rounded before they are multiplied, so that the file can be recomputed exactly."""
    quantity, price = round(quantity, 4), round(price, 6)
    return CostItem(
        what=title,
        quantity=quantity,
        unit=unit,
        unit_price_usd=price,
        monthly_usd=round(quantity * price, 2),
        counted=counted,
        evidence=evidence,
    )
