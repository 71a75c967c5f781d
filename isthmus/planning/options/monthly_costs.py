"""Monthly cost of on-prem nodes, sites and data over links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import OnPremSite
    from isthmus.contracts.requirements.sites import Link, Pool

BYTES_PER_TOKEN = 5
BYTES_PER_REQUEST = 2000
"""On a link: an estimate (four letters and a sign of JSON; headers of HTTP and TLS)."""


@dataclass(frozen=True)
class NodeCost:
    """A node of a pool, USD a month."""

    capital: float
    power: float
    colocation: float

    def of_gpu(self, pool: Pool, basis: str) -> float:
        """Return one GPU's part. With `cash` the hardware is a sunk cost and only its electricity counts."""
        monthly_usd = self.power if basis == "cash" else self.capital + self.power + self.colocation
        return monthly_usd / pool.gpus_per_node


def node_cost(site: OnPremSite, pool: Pool, basis: str) -> NodeCost | str:
    """Return the monthly cost of a node of the pool, or why it cannot be priced."""
    cost = site.cost
    if cost is None:
        return f"site {site.name} has no `cost`. Fix: Add sites[{site.name}].cost to the requirements"
    missing = [] if pool.gpu in cost.power_kw_per_node else [f"power_kw_per_node.{pool.gpu}"]
    if basis == "allocated" and pool.gpu not in cost.capex_usd_per_node:
        missing.append(f"capex_usd_per_node.{pool.gpu}")
    if missing:
        return f"`cost` of site {site.name} has no {' and no '.join(missing)}"
    power = cost.power_kw_per_node[pool.gpu]
    return NodeCost(
        capital=cost.capex_usd_per_node.get(pool.gpu, 0.0) * (1 - cost.residual) / (cost.life_years * 12),
        power=power * cost.pue * cost.usd_per_kwh * HOURS_PER_MONTH,
        colocation=power * cost.colocation_usd_per_kw_month,
    )


def site_cost(site: OnPremSite, basis: str) -> float:
    """Return USD a month for staff and support of a site, however many GPUs are in use."""
    if site.cost is None or basis == "cash":
        return 0.0
    return site.cost.staff_usd_per_month + site.cost.support_usd_per_month


def transfer_gigabytes(requests: float, tokens: float) -> float:
    """Return the gigabytes that so many requests and tokens move over a link, both ways."""
    return (requests * BYTES_PER_REQUEST + tokens * BYTES_PER_TOKEN) / 1e9


def find_link(links: list[Link], site_a: str, site_b: str) -> Link | None:
    return next((link for link in links if {link.from_, link.to} == {site_a, site_b}), None)
