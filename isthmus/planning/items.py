"""A plan's cost, item by item: every figure with where it comes from, the total nothing but their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from isthmus.contracts.plan import CostItem, Sourced
from isthmus.contracts.requirements import OnPremSite
from isthmus.planning import costs, demand
from isthmus.planning.options import Column, OnApi
from isthmus.planning.program import Choice, apis_of, crosses

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements


def items(
    requirements: Requirements, choices: Mapping[str, Choice], replicas: Mapping[Column, int]
) -> list[CostItem]:
    """All items, pools first, then sites, APIs and links; what stands idle is not counted."""
    found = _pools(requirements, replicas)
    basis = requirements.objective.cost_basis
    used = {column.site for column in replicas}
    for site in requirements.sites:
        if isinstance(site, OnPremSite) and site.name in used and site.cost and costs.of_site(site, basis):
            found.append(_item(f"{site.name}: people", 1, "month", site.cost.staff_usd_per_month, _given()))
            found.append(
                _item(f"{site.name}: support", 1, "month", site.cost.support_usd_per_month, _given())
            )
    for name, choice in choices.items():
        for option in apis_of(choice):
            share = choice.share if option is choice.overflow else 1.0
            found += _api(requirements, name, option, share)
    for link in requirements.links:
        over = [
            (name, option, choice)
            for name, choice in choices.items()
            for option in apis_of(choice)
            if crosses(requirements, name, option.site, link)
        ]
        if not over:
            continue
        title = f"link {link.from_} to {link.to}"
        found.append(_item(title, 1, "month", link.usd_per_month, _given()))
        moved = 0.0
        for name, option, choice in over:
            wanted = _demand(requirements, name)
            part = choice.share if option is choice.overflow else 1.0
            moved += part * costs.gigabytes(wanted.requests, wanted.prompt_tokens + wanted.output_tokens)
        source = (
            f"{costs.BYTES_PER_TOKEN} bytes a token and {costs.BYTES_PER_REQUEST} a request: an assumption"
        )
        guess = Sourced(kind="estimated", source=source, as_of="2026-11-25")
        found.append(_item(f"{title}: data", moved, "GB", link.usd_per_gb, guess))
    return [each for each in found if each.monthly_usd or not each.counted]


def total(found: list[CostItem]) -> float:
    """USD a month of what counts."""
    return round(sum(each.monthly_usd for each in found if each.counted), 2)


def _pools(requirements: Requirements, replicas: Mapping[Column, int]) -> list[CostItem]:
    found: list[CostItem] = []
    basis = requirements.objective.cost_basis
    for site in requirements.sites:
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            used = sum(
                count * column.degree
                for column, count in replicas.items()
                if (column.site, column.gpu) == (site.name, pool.gpu)
            )
            price = costs.node(site, pool, basis)  # type: ignore[arg-type]
            if isinstance(price, str):
                continue
            name, each = f"{site.name}, {pool.gpu}", pool.gpus_per_node
            if used and basis == "allocated":
                found.append(_item(f"{name}: capital", used, "GPU month", price.capital / each, _given()))
                found.append(
                    _item(f"{name}: colocation", used, "GPU month", price.colocation / each, _given())
                )
            if used:
                found.append(_item(f"{name}: power", used, "GPU month", price.power / each, _given()))
            idle = pool.nodes * each - pool.reserved_gpus - used
            if idle and basis == "allocated":
                cost = price.of_gpu(pool, basis)
                found.append(_item(f"idle: {name}", idle, "GPU month", cost, _given(), counted=False))
    return found


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


def _given() -> Sourced:
    return Sourced(kind="given", source="the requirements", as_of="as stated")


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
