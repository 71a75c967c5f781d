"""A plan's cost, item by item: every figure with where it comes from, the total nothing but their sum."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import CostItem, Sourced
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.planning.options import gateway_sites, hardware, monthly_costs
from isthmus.planning.options.fixed_costs import FixedCosts
from isthmus.planning.options.option import Column, OnApi
from isthmus.planning.sizing import demand
from isthmus.planning.solver.problem import Choice
from isthmus.planning.solver.program import crosses

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Link, OnPremCost, Pool


def items(
    requirements: Requirements,
    choices: Mapping[str, Choice],
    replicas: Mapping[Column, int],
    builds: Collection[str],
) -> list[CostItem]:
    """All items: pools, sites, instances, fixed parts in AWS, APIs, links; what stands idle is not counted.

    `builds`: what the blueprint builds, which decides where gateways in AWS run.
    """
    found = _pools(requirements, replicas)
    basis = requirements.objective.cost_basis
    used = {column.site for column in replicas}
    for site in requirements.sites:
        if (
            isinstance(site, OnPremSite)
            and site.name in used
            and site.cost
            and monthly_costs.of_site(site, basis)
        ):
            found.append(
                _item(f"{site.name}: people", 1, "month", site.cost.staff_usd_per_month, _given(site.cost))
            )
            found.append(
                _item(f"{site.name}: support", 1, "month", site.cost.support_usd_per_month, _given(site.cost))
            )
    found += _instances(requirements, replicas)
    for name, choice in choices.items():
        for option, share, _ in choice.parts:
            if isinstance(option, OnApi):
                found += _api(requirements, name, option, share)
    found += _links(requirements, choices)
    found += _fixed(requirements, choices, builds)
    return [each for each in found if each.monthly_usd or not each.counted]


def _instances(requirements: Requirements, replicas: Mapping[Column, int]) -> list[CostItem]:
    """Instances that are bought of AWS by the hour, by the class that they serve."""
    found: list[CostItem] = []
    bought = hardware.bought(replicas)
    for site in requirements.sites:
        mine = {of: count for of, count in bought.items() if of.site == site.name}
        for of in sorted(mine, key=str):
            rate = hardware.hourly(requirements, of)
            told = Sourced(kind=rate.kind, source=rate.source, as_of=rate.as_of)  # type: ignore[arg-type]
            whose = f", {of.owner.model}" if of.owner else ""
            title = f"{site.name}, {mine[of]} x {of.instance} ({rate.purchase}), {of.class_}{whose}"
            found.append(_item(title, mine[of] * demand.HOURS, "hours", rate.usd_per_hour, told))
    return found


def _fixed(
    requirements: Requirements, choices: Mapping[str, Choice], builds: Collection[str]
) -> list[CostItem]:
    """Parts of AWS sites that cost the same at any load, as far as the placements need them."""
    fixed = FixedCosts(requirements, builds)
    places = {
        fixed.option_placed(workload.sensitivity, option)
        for workload in requirements.workloads
        if workload.name in choices
        for option, _, _ in choices[workload.name].parts
    }
    return [
        _item(
            part.what,
            part.quantity,
            part.unit,
            part.price.usd,
            Sourced(kind=part.price.kind, source=part.price.source, as_of=part.price.as_of),  # type: ignore[arg-type]
        )
        for part in fixed.parts()
        if any(fixed.applies(part.scope, place) for place in places)
    ]


def _links(requirements: Requirements, choices: Mapping[str, Choice]) -> list[CostItem]:
    found: list[CostItem] = []
    for link in requirements.links:
        moved, over = 0.0, False
        for name, choice in choices.items():
            workload = requirements.workload(name)
            home = gateway_sites.home(requirements, workload.sensitivity) if workload else None
            for option, share, _ in choice.parts:
                if crosses(home, option.site, link):
                    wanted, over = _demand(requirements, name), True
                    tokens = wanted.prompt_tokens + wanted.output_tokens
                    moved += share * monthly_costs.gigabytes(wanted.requests, tokens)
        if not over:
            continue
        title = f"link {link.from_} to {link.to}"
        found.append(_item(title, 1, "month", link.usd_per_month, _given(link)))
        by_token, by_request = monthly_costs.BYTES_PER_TOKEN, monthly_costs.BYTES_PER_REQUEST
        source = f"{by_token} bytes a token and {by_request} a request: an assumption"
        guess = Sourced(kind="estimated", source=source, as_of="2026-11-25")
        found.append(_item(f"{title}: data", moved, "GB", link.usd_per_gb, guess))
    return found


def total(found: list[CostItem]) -> float:
    """USD a month of what counts."""
    return round(sum(each.monthly_usd for each in found if each.counted), 2)


def _pools(requirements: Requirements, replicas: Mapping[Column, int]) -> list[CostItem]:
    taken = hardware.taken(replicas)
    return [
        item
        for site in requirements.sites
        if isinstance(site, OnPremSite)
        for pool in site.pools
        for item in _pool(site, pool, taken.get((site.name, pool.gpu), 0), requirements.objective.cost_basis)
    ]


def _pool(site: OnPremSite, pool: Pool, used: int, basis: str) -> Iterator[CostItem]:
    """What so many GPUs of it cost, and what the rest would if it were counted."""
    price = monthly_costs.node(site, pool, basis)
    if isinstance(price, str):
        return
    name, each, told = f"{site.name}, {pool.gpu}", pool.gpus_per_node, _given(site.cost)
    if used and basis == "allocated":
        yield _item(f"{name}: capital", used, "GPU month", price.capital / each, told)
        yield _item(f"{name}: colocation", used, "GPU month", price.colocation / each, told)
    if used:
        yield _item(f"{name}: power", used, "GPU month", price.power / each, told)
    idle = pool.nodes * each - pool.reserved_gpus - used
    if idle and basis == "allocated":
        yield _item(f"idle: {name}", idle, "GPU month", price.of_gpu(pool, basis), told, counted=False)


def _api(requirements: Requirements, name: str, option: OnApi, share: float) -> list[CostItem]:
    wanted, price = _demand(requirements, name), option.call.price
    told = Sourced(kind=price.kind, source=price.source, as_of=price.as_of)  # type: ignore[arg-type]
    title = f"{name}: {option.call.profile or option.call.model}"
    return [
        _item(f"{title}, input", share * wanted.prompt_tokens / 1e6, "million tokens", price.input, told),
        _item(f"{title}, output", share * wanted.output_tokens / 1e6, "million tokens", price.output, told),
        _item(f"{title}, requests", share * wanted.requests, "requests", price.request, told),
    ]


def _demand(requirements: Requirements, name: str) -> demand.Demand:
    workload = requirements.workload(name)
    if workload is None:
        raise KeyError(name)
    return demand.of(workload)


def _given(stated: OnPremCost | Link | None) -> Sourced:
    """Of the requirements, with the source and the day that they state."""
    source, as_of = (stated.source, stated.as_of) if stated else (None, None)
    return Sourced(kind="given", source=source or "the requirements", as_of=as_of or "as stated")


def _item(
    what: str, quantity: float, unit: str, price: float, evidence: Sourced, *, counted: bool = True
) -> CostItem:
    """Rounded first and multiplied then, so that whoever recomputes the file finds the same."""
    quantity, price = round(quantity, 4), round(price, 6)
    return CostItem(
        what=what,
        quantity=quantity,
        unit=unit,
        unit_price_usd=price,
        monthly_usd=round(quantity * price, 2),
        counted=counted,
        evidence=evidence,
    )
