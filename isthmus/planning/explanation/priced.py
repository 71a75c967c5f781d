"""The price behind a place, and the requirements with that price multiplied by a factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances, bedrock
from isthmus.planning.options.gpu import SERVICES
from isthmus.planning.options.option import OnApi, OnGpus, Option

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.options.option import Column


@dataclass(frozen=True)
class Priced:
    """A price that a place depends on."""

    what: str
    """`the purchase price of h100-sxm-80gb nodes at fra1`."""
    value: Callable[[float], str]
    """The price at a multiple of today's, with its unit."""
    scaled: Callable[[float], Requirements]
    """The requirements at a multiple of today's price."""


def price_of(requirements: Requirements, option: Option) -> Priced | None:
    """Return the price that decides the cost of an option; None if it has none.

    Hardware that is owned: the purchase price of a node, or with the cost basis `cash` the price of electricity. An
    instance: the hourly prices of all instances with that GPU at the site. An API: the prices of its tokens.
    """
    site = requirements.site(option.site)
    if isinstance(option, OnApi) and isinstance(site, AwsSite):
        return _api_price(requirements, site, option)
    if isinstance(option, OnGpus) and isinstance(site, AwsSite):
        return _instance_price(requirements, site, option.column)
    if isinstance(option, OnGpus) and isinstance(site, OnPremSite):
        return _node_price(requirements, site, option.column.gpu)
    return None


def _with_site(requirements: Requirements, site: AwsSite | OnPremSite) -> Requirements:
    sites = [site if other.name == site.name else other for other in requirements.sites]
    return requirements.model_copy(update={"sites": sites})


def _with_prices(requirements: Requirements, site: AwsSite, prices: Mapping[str, Any]) -> Requirements:
    return _with_site(requirements, site.model_copy(update={"prices": {**site.prices, **prices}}))


def _node_price(requirements: Requirements, site: OnPremSite, gpu: str) -> Priced | None:
    cost = site.cost
    if cost is None:
        return None

    def with_cost(**fields: object) -> Requirements:
        return _with_site(requirements, site.model_copy(update={"cost": cost.model_copy(update=fields)}))

    if requirements.objective.cost_basis == "cash":
        return Priced(
            f"the price of electricity at {site.name}",
            lambda factor: f"USD {cost.usd_per_kwh * factor:.3g} a kWh",
            lambda factor: with_cost(usd_per_kwh=cost.usd_per_kwh * factor),
        )
    capital = cost.capex_usd_per_node.get(gpu)
    if not capital:
        return None
    return Priced(
        f"the purchase price of {gpu} nodes at {site.name}",
        lambda factor: f"USD {capital * factor:,.0f} a node",
        lambda factor: with_cost(capex_usd_per_node={**cost.capex_usd_per_node, gpu: capital * factor}),
    )


def _api_price(requirements: Requirements, site: AwsSite, option: OnApi) -> Priced:
    price, model = option.call.price, option.call.model
    calls = bedrock.calls(model, site.region, site.prices)

    def scaled(factor: float) -> Requirements:
        return _with_prices(
            requirements,
            site,
            {
                call.profile or call.model: {
                    "input_usd_per_mtok": call.price.input * factor,
                    "output_usd_per_mtok": call.price.output * factor,
                    "request_usd": call.price.request * factor,
                    "source": call.price.source,
                    "as_of": call.price.as_of,
                }
                for call in calls
            },
        )

    def value(factor: float) -> str:
        prompts, answers = price.input * factor, price.output * factor
        return f"USD {prompts:.3g} and {answers:.3g} for a million tokens of prompts and answers"

    return Priced(f"the price of {option.model} at {site.name}", value, scaled)


def _instance_price(requirements: Requirements, site: AwsSite, column: Column) -> Priced | None:
    price_list = SERVICES[column.target][1]  # type: ignore[index]
    prefix = "" if price_list == "ec2" else "ml."
    rates: dict[str, aws_instances.Rate] = {}
    for instance in aws_instances.offered_instances(site.region):
        if instance.gpu != column.gpu:
            continue
        for months in {0, requirements.commitments.max_term_months}:
            rate = aws_instances.cheapest_rate(instance, price_list, site.region, site.prices, months)
            if rate is not None:
                term = "" if rate.purchase == aws_instances.ON_DEMAND else f"/{rate.purchase}"
                rates[f"{prefix}{instance.type}{term}"] = rate
    term = "" if column.purchase == aws_instances.ON_DEMAND else f"/{column.purchase}"
    own = rates.get(f"{column.instance}{term}")
    if own is None:
        return None

    def scaled(factor: float) -> Requirements:
        rows = {
            name: {"usd_per_hour": rate.usd_per_hour * factor, "source": rate.source, "as_of": rate.as_of}
            for name, rate in rates.items()
        }
        return _with_prices(requirements, site, rows)

    return Priced(
        f"the prices of instances with {column.gpu} at {site.name}",
        lambda factor: f"USD {own.usd_per_hour * factor:,.4g} an hour for {column.instance} ({own.purchase})",
        scaled,
    )
