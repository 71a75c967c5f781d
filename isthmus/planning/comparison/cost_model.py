"""The cost of a plan over months: its placements stay, replicas grow with the load, prices change.

The model starts from the plan's own cost items, so its first month is the plan's cost and that of its idle hardware, to
the cent. Nothing is planned again: a workload keeps its model and its place, and gets more replicas there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.contracts.plan.rented_instances import RentedInstances, rented_instances
from isthmus.contracts.reports.comparison import Category
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.explanation.cost_bases import gpus_in_use, missing_prices
from isthmus.planning.options import monthly_costs
from isthmus.planning.output import cost_items

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import CostItem, Plan, PlannedEndpoint
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool
    from isthmus.planning.comparison.assumptions import Assumptions
    from isthmus.planning.options.monthly_costs import NodeCost

CATEGORIES: Mapping[Category, str] = {
    "hardware": "depreciation of owned hardware in use",
    "colocation": "colocation of hardware in use",
    "electricity": "electricity of hardware in use",
    "people": "people and support",
    "idle": "owned hardware that stands idle",
    "instances": "rented instances",
    "tokens": "tokens of APIs, and their guardrails",
    "links": "links",
    "other": "fixed parts of AWS sites, and others",
}
ROUNDING = 0.005
"""Predictions in a plan have three digits, so a replica is added only beyond this share of one."""


@dataclass(frozen=True)
class Scenario:
    """What differs from today's figures, each as a factor."""

    cloud_price: float = 1.0
    load: float = 1.0
    electricity: float = 1.0
    life: float = 1.0
    """Of owned hardware."""
    utilisation: float = 1.0
    """What a replica carries, in use or after a loss."""


@dataclass
class Months:
    """The cost of all months of a scenario."""

    by_month: list[dict[Category, float]] = field(default_factory=list)
    outlay: list[float] = field(default_factory=list)
    """By month, USD paid for nodes that are bought."""
    events: list[str] = field(default_factory=list)

    def total(self, category: Category) -> float:
        return round(math.fsum(month[category] for month in self.by_month), 2)

    @property
    def owned(self) -> float:
        """What the organisation bears, idle hardware included."""
        return round(math.fsum(self.total(category) for category in CATEGORIES), 2)

    def year(self, year: int) -> float:
        """What the organisation bears in a year, from 0."""
        months = self.by_month[12 * year : 12 * (year + 1)]
        return round(math.fsum(month[category] for month in months for category in CATEGORIES), 2)

    @property
    def cash(self) -> float:
        """Electricity of GPUs in use, what is rented, called and linked, and nodes that are bought."""
        paid: tuple[Category, ...] = ("electricity", "instances", "tokens", "links", "other")
        return round(math.fsum(self.total(category) for category in paid) + math.fsum(self.outlay), 2)


class CostModel:
    """The cost of one plan by month and scenario."""

    def __init__(self, plan: Plan, requirements: Requirements, assumptions: Assumptions) -> None:
        self.plan, self.requirements, self.assumptions = plan, requirements, assumptions
        self._used = gpus_in_use(plan, requirements)
        self._used_sites = {endpoint.site for endpoint in plan.endpoints if endpoint.gpu}
        self._items = [
            item
            for item in plan.cost_items or []
            if item.counted and cost_items.kind_of(item) not in ("owned", "idle")
        ]

    @property
    def missing(self) -> list[str]:
        """Why owned hardware cannot be priced, a sentence for each pool in use; empty if it can."""
        return missing_prices(self.requirements, self._used)

    def run(self, scenario: Scenario | None = None) -> Months:
        """Return the months of a scenario (default: today's figures), from the plan's first month on."""
        scenario = scenario or Scenario()
        months = Months()
        bought: dict[tuple[str, str], list[float]] = {}
        rented: dict[str, int] = {}
        for index in range(12 * self.assumptions.years):
            costs: dict[Category, float] = dict.fromkeys(CATEGORIES, 0.0)
            replicas = {
                endpoint.id: self.replicas(endpoint, self._load(endpoint, index, scenario), scenario)
                for endpoint in self.plan.endpoints
                if endpoint.gpu
            }
            outlay = 0.0
            for site, pool in self._pools():
                outlay += self._add_pool(costs, months, bought, (site, pool), index, scenario, replicas)
            self._add_people(costs)
            self._note_instances(months, rented, index, replicas)
            for item in self._items:
                category, usd = self._item_cost(item, index, scenario, replicas)
                costs[category] += usd
            months.by_month.append({category: round(usd, 2) for category, usd in costs.items()})
            months.outlay.append(round(outlay, 2))
        return months

    # Load

    def growth(self, workload: str, month: int) -> float:
        """Return the traffic of a workload as a multiple of today's."""
        planned = self.requirements.workload(workload)
        stated = planned.traffic.growth_pct_month / 100 if planned is not None else 0.0
        rate = self.assumptions.growth if self.assumptions.growth is not None else stated
        return (1 + rate) ** month

    def _load(self, endpoint: PlannedEndpoint, month: int, scenario: Scenario) -> float:
        """Return the peak of an endpoint as a multiple of today's."""
        weights: dict[str, float] = {}
        for placement in self.plan.placements:
            workload = self.requirements.workload(placement.workload)
            if placement.endpoint == endpoint.id and workload is not None:
                part = placement.peak_share if placement.peak_share is not None else placement.share
                weights[placement.workload] = part * workload.traffic.peak_rps
        return scenario.load * self._weighted_growth(weights, month)

    def _weighted_growth(self, weights: Mapping[str, float], month: int) -> float:
        total = math.fsum(weights.values())
        if not total:
            return 1.0
        return math.fsum(weight * self.growth(name, month) for name, weight in weights.items()) / total

    def replicas(self, endpoint: PlannedEndpoint, load: float, scenario: Scenario) -> int:
        """Return the replicas of an endpoint at `load` times its peak: for headroom, and after the loss it survives."""
        count = endpoint.replicas or 1
        factor = load / scenario.utilisation
        predicted = endpoint.predicted
        if predicted is None or not predicted.capacity_rps:
            needed = count * factor
        else:
            peak = predicted.peak_rps * factor * (1 + self.requirements.planning.headroom)
            needed = count * peak / predicted.capacity_rps
            if predicted.after_loss_rps:
                needed = max(needed, count * predicted.peak_rps * factor / predicted.after_loss_rps)
        whole = max(1, math.ceil(needed - ROUNDING * max(needed, 1)))
        return max(count, whole) if factor >= 1 else min(count, whole)

    # Owned hardware

    def _pools(self) -> Iterator[tuple[OnPremSite, Pool]]:
        for site in self.requirements.sites:
            if isinstance(site, OnPremSite):
                for pool in site.pools:
                    yield site, pool

    def pool_gpus(self, site: str, gpu: str, replicas: Mapping[str, int]) -> int:
        """Return the GPUs of a pool in use with so many replicas of each endpoint."""
        whole, slices, slices_now = 0, 0.0, 0
        for endpoint in self.plan.endpoints:
            if (endpoint.site, endpoint.gpu) != (site, gpu):
                continue
            share = replicas[endpoint.id] / (endpoint.replicas or 1)
            if endpoint.mig_profile:
                slices, slices_now = slices + endpoint.gpus * share, slices_now + endpoint.gpus
            else:
                whole += round(endpoint.gpus * share)
        whole_now = sum(
            endpoint.gpus
            for endpoint in self.plan.endpoints
            if (endpoint.site, endpoint.gpu) == (site, gpu) and not endpoint.mig_profile
        )
        cut_now = self._used[site, gpu] - whole_now
        return whole + (math.ceil(cut_now * slices / slices_now - 1e-9) if slices_now else 0)

    def _add_pool(
        self,
        costs: dict[Category, float],
        months: Months,
        bought: dict[tuple[str, str], list[float]],
        place: tuple[OnPremSite, Pool],
        index: int,
        scenario: Scenario,
        replicas: Mapping[str, int],
    ) -> float:
        """Add the cost of a pool in a month, and return what is paid for nodes that are bought in it."""
        site, pool = place
        price = self._node_price(site, pool, scenario)
        if price is None:
            return 0.0
        used = self.pool_gpus(site.name, pool.gpu, replicas)
        extra = bought.setdefault((site.name, pool.gpu), [])
        free = pool.nodes * pool.gpus_per_node - pool.reserved_gpus
        lacking = used - free - len(extra) * pool.gpus_per_node
        outlay, nodes = 0.0, max(0, math.ceil(lacking / pool.gpus_per_node))
        if nodes:
            factor = self._decline(index)
            extra += [factor] * nodes
            capital = site.cost.capex_usd_per_node.get(pool.gpu, 0.0) if site.cost else 0.0
            outlay = nodes * capital * factor
            plural = "nodes" if nodes > 1 else "node"
            months.events.append(f"month {index + 1}: {nodes} more {plural} of {pool.gpu} at {site.name}")
        gpus = free + len(extra) * pool.gpus_per_node
        per_gpu = [
            round(part / pool.gpus_per_node, 6) for part in (price.capital, price.colocation, price.power)
        ]
        # Nodes that are bought later cost less by the decline; all GPUs share the mean.
        mean = (free + pool.gpus_per_node * math.fsum(extra)) / gpus if gpus else 1.0
        per_gpu[0] *= mean
        for category, part in zip(("hardware", "colocation", "electricity"), per_gpu, strict=True):
            costs[category] += round(used * part, 2)  # type: ignore[index]
        whole = round((price.capital * mean + price.colocation + price.power) / pool.gpus_per_node, 6)
        costs["idle"] += round(max(0, gpus - used) * whole, 2)
        return outlay

    def _node_price(self, site: OnPremSite, pool: Pool, scenario: Scenario) -> NodeCost | None:
        price = monthly_costs.node_cost(site, pool, "allocated")
        if isinstance(price, str):
            price = monthly_costs.node_cost(site, pool, "cash")
        if isinstance(price, str):
            return None
        return monthly_costs.NodeCost(
            capital=price.capital / scenario.life,
            power=price.power * scenario.electricity,
            colocation=price.colocation,
        )

    def _add_people(self, costs: dict[Category, float]) -> None:
        for site in self.requirements.sites:
            if isinstance(site, OnPremSite) and site.name in self._used_sites and site.cost is not None:
                costs["people"] += site.cost.staff_usd_per_month + site.cost.support_usd_per_month

    # Everything else

    def _item_cost(
        self, item: CostItem, index: int, scenario: Scenario, replicas: Mapping[str, int]
    ) -> tuple[Category, float]:
        """Return the category of an item that is not owned, and its cost in a month."""
        kind, rented = cost_items.kind_of(item), rented_instances(item)
        quantity, price = item.quantity, item.unit_price_usd
        if rented is not None:
            quantity *= self.instances(rented, replicas) / rented.count
            price *= scenario.cloud_price * self._decline(_last_renewal(rented.purchase, index))
            return "instances", _amount(quantity, price)
        if kind == "tokens":
            workload = item.what.partition(": ")[0]
            quantity *= scenario.load * self.growth(workload, index)
            price *= scenario.cloud_price * self._decline(index)
            return "tokens", _amount(quantity, price)
        if kind == "link":
            if item.unit == "GB":
                quantity *= scenario.load * self._weighted_growth(self._cloud_tokens(), index)
            return "links", _amount(quantity, price)
        return "other", item.monthly_usd

    def instances(self, rented: RentedInstances, replicas: Mapping[str, int]) -> int:
        """Return how many instances of an item are needed with so many replicas of each endpoint."""
        gpus_now, gpus = 0, 0.0
        for endpoint in self.plan.endpoints:
            same = (endpoint.site, endpoint.instance_type, endpoint.purchase, endpoint.class_)
            if same == (
                rented.site,
                rented.instance,
                rented.purchase,
                rented.sensitivity,
            ) and rented.model in (
                None,
                endpoint.model,
            ):
                gpus_now += endpoint.gpus
                gpus += endpoint.gpus * replicas[endpoint.id] / (endpoint.replicas or 1)
        return math.ceil(rented.count * gpus / gpus_now - 1e-9) if gpus_now else rented.count

    def _note_instances(
        self, months: Months, rented: dict[str, int], index: int, replicas: Mapping[str, int]
    ) -> None:
        """Note when more instances are rented than before."""
        for item in self._items:
            instances = rented_instances(item)
            if instances is None:
                continue
            count = self.instances(instances, replicas)
            before = rented.setdefault(item.what, instances.count)
            if count > before:
                rented[item.what] = count
                months.events.append(
                    f"month {index + 1}: {count} x {instances.instance} at {instances.site} (before: {before})"
                )

    def _cloud_tokens(self) -> dict[str, float]:
        """Return the tokens a second of each workload that runs in AWS: what crosses links."""
        tokens: dict[str, float] = {}
        for placement in self.plan.placements:
            endpoint, workload = (
                self.plan.endpoint(placement.endpoint),
                self.requirements.workload(placement.workload),
            )
            if endpoint is None or workload is None:
                continue
            if isinstance(self.requirements.site(endpoint.site), AwsSite):
                traffic = workload.traffic
                a_request = traffic.prompt_tokens.mean + traffic.output_tokens.mean
                tokens[workload.name] = placement.share * traffic.mean_rps * a_request
        return tokens

    def _decline(self, month: int) -> float:
        """Return a price of the market as a multiple of today's."""
        return (1 - self.assumptions.price_decline) ** (month / 12)


def _last_renewal(purchase: str, month: int) -> int:
    """Return the month in which a rate was agreed: a reserved rate holds for its term."""
    term = int(purchase.removeprefix("reserved-")) if purchase.startswith("reserved-") else 1
    return month // term * term


def _amount(quantity: float, price: float) -> float:
    """Return a cost as the plan's items are computed: figures are rounded before they are multiplied."""
    return round(round(quantity, 4) * round(price, 6), 2)
