"""Compares buying, renting and reserving the GPUs of each kind that a plan uses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.reports.comparison import Acquisition, Choice
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.explanation.cost_bases import gpus_in_use
from isthmus.planning.options import monthly_costs
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.comparison.assumptions import Assumptions


@dataclass(frozen=True)
class _Use:
    """The GPUs of one kind that a plan uses at a site."""

    site: str
    gpu: str
    gpus: int
    chosen: Choice


@dataclass(frozen=True)
class _Offer:
    """A monthly price of all GPUs of a use, with its source. `usd` is None if it is not known."""

    usd: float | None
    source: str
    capital: float = 0.0
    """The purchase price."""
    running: float = 0.0
    """USD a month for colocation and electricity."""


def acquisitions(
    column: str, plan: Plan, requirements: Requirements, assumptions: Assumptions
) -> list[Acquisition]:
    """Return what buying, renting and reserving the plan's GPUs costs, by site and kind of GPU."""
    compared = []
    for use in _uses(plan, requirements):
        buy = _buy(requirements, use)
        rent = _rent(requirements, use)
        reserve = _reserve(requirements, use, rent, assumptions)
        known: list[tuple[float, Choice]] = [
            (offer.usd, choice)
            for offer, choice in ((buy, "buy"), (rent, "rent"), (reserve, "reserve"))
            if offer.usd is not None
        ]  # type: ignore[misc]
        compared.append(
            Acquisition(
                column=column,
                site=use.site,
                gpu=use.gpu,
                gpus=use.gpus,
                chosen=use.chosen,
                buy_usd=buy.usd,
                buy_source=buy.source,
                rent_usd=rent.usd,
                rent_source=rent.source,
                reserve_usd=reserve.usd,
                reserve_source=reserve.source,
                cheapest=min(known)[1] if len(known) > 1 else None,
                break_even_months=_break_even_months(buy, rent),
                break_even_share=_break_even_share(buy, rent),
            )
        )
    return compared


def _uses(plan: Plan, requirements: Requirements) -> Iterator[_Use]:
    for (site, gpu), gpus in gpus_in_use(plan, requirements).items():
        if gpus:
            yield _Use(site, gpu, gpus, "buy")
    rented: dict[tuple[str, str, Choice], int] = {}
    for endpoint in plan.endpoints:
        if endpoint.gpu and endpoint.instance_type:
            is_reserved = (endpoint.purchase or "").startswith("reserved")
            key: tuple[str, str, Choice] = (endpoint.site, endpoint.gpu, "reserve" if is_reserved else "rent")
            rented[key] = rented.get(key, 0) + endpoint.gpus
    for (site, gpu, chosen), gpus in rented.items():
        yield _Use(site, gpu, gpus, chosen)


def _buy(requirements: Requirements, use: _Use) -> _Offer:
    """Return the cost of whole nodes: at the site if it has the pool, else at the first site that states the price."""
    own = [site for site in requirements.sites if isinstance(site, OnPremSite)]
    for site in sorted(own, key=lambda site: site.name != use.site):
        for pool in site.pools:
            if pool.gpu != use.gpu or site.cost is None:
                continue
            price = monthly_costs.node_cost(site, pool, "allocated")
            if isinstance(price, str):
                return _Offer(None, price)
            nodes = math.ceil(use.gpus / pool.gpus_per_node)
            capital = nodes * site.cost.capex_usd_per_node[use.gpu]
            running = nodes * (price.colocation + price.power)
            source = site.cost.source or "the requirements"
            dated = f", {site.cost.as_of}" if site.cost.as_of else ""
            counted = f"{nodes} node{'s' if nodes > 1 else ''} of {pool.gpus_per_node} GPUs at {site.name}"
            usd = round(nodes * price.capital + running, 2)
            return _Offer(usd, f"{counted}: given, {source}{dated}", capital, running)
    return _Offer(None, f"not known: no on-prem site of the requirements states a cost of {use.gpu}")


def _rent(requirements: Requirements, use: _Use) -> _Offer:
    """Return the cheapest way to rent whole instances on demand in an AWS region of the requirements."""
    return _cheapest_instances(requirements, use, 0) or _Offer(
        None, f"not known: no price of an instance with {use.gpu} in {_regions(requirements)}"
    )


def _reserve(requirements: Requirements, use: _Use, rent: _Offer, assumptions: Assumptions) -> _Offer:
    """Return a stated reserved price if it is lower than on demand, else an assumed discount on the price on demand."""
    stated = _cheapest_instances(requirements, use, 120)
    if stated is not None and "reserved-" in stated.source:
        return stated
    if rent.usd is None:
        return _Offer(None, rent.source)
    usd = round(rent.usd * (1 - assumptions.reserved_discount), 2)
    return _Offer(
        usd,
        f"assumption: {assumptions.reserved_discount:.0%} below on demand for a year (--assume reserved-discount=…)",
    )


def _regions(requirements: Requirements) -> str:
    regions = dict.fromkeys(site.region for site in requirements.sites if isinstance(site, AwsSite))
    return ", ".join(regions) or "any region (the requirements have no AWS site)"


def _cheapest_instances(requirements: Requirements, use: _Use, months: int) -> _Offer | None:
    offers: list[_Offer] = []
    for site in requirements.sites:
        if not isinstance(site, AwsSite):
            continue
        for instance in aws_instances.offered_instances(site.region):
            rate = aws_instances.cheapest_rate(instance, "ec2", site.region, site.prices, months)
            if instance.gpu == use.gpu and rate is not None:
                count = math.ceil(use.gpus / instance.gpus)
                offers.append(
                    _Offer(
                        round(count * rate.usd_per_hour * HOURS_PER_MONTH, 2),
                        f"{count} x {instance.type} in {site.region}, {rate.purchase}: {rate.kind}, {rate.source}, "
                        f"{rate.as_of}",
                    )
                )
    return min(offers, key=lambda offer: (offer.usd or 0.0, offer.source), default=None)


def _break_even_months(buy: _Offer, rent: _Offer) -> float | None:
    if buy.usd is None or rent.usd is None or rent.usd <= buy.running:
        return None
    return round(buy.capital / (rent.usd - buy.running), 1)


def _break_even_share(buy: _Offer, rent: _Offer) -> float | None:
    return round(buy.usd / rent.usd, 3) if buy.usd is not None and rent.usd else None
