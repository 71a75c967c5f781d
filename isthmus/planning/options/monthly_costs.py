"""What an on-prem GPU, a call of an API and a link cost in a month, each with the figures that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.sizing.demand import HOURS

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
        """One GPU's part. On the basis of cash what is owned is sunk: its electricity is what it burns."""
        whole = self.power if basis == "cash" else self.capital + self.power + self.colocation
        return whole / pool.gpus_per_node


def node(site: OnPremSite, pool: Pool, basis: str) -> NodeCost | str:
    """What a node of the pool costs, or what its price lacks."""
    cost = site.cost
    if cost is None:
        return f"site {site.name} states no cost"
    missing = [] if pool.gpu in cost.power_kw_per_node else [f"power_kw_per_node.{pool.gpu}"]
    if basis == "allocated" and pool.gpu not in cost.capex_usd_per_node:
        missing.append(f"capex_usd_per_node.{pool.gpu}")
    if missing:
        return f"site {site.name} states no {' and no '.join(missing)}"
    power = cost.power_kw_per_node[pool.gpu]
    return NodeCost(
        capital=cost.capex_usd_per_node.get(pool.gpu, 0.0) * (1 - cost.residual) / (cost.life_years * 12),
        power=power * cost.pue * cost.usd_per_kwh * HOURS,
        colocation=power * cost.colocation_usd_per_kw_month,
    )


def of_site(site: OnPremSite, basis: str) -> float:
    """USD a month that a site costs once, however many GPUs are in use: people and support."""
    if site.cost is None or basis == "cash":
        return 0.0
    return site.cost.staff_usd_per_month + site.cost.support_usd_per_month


def gigabytes(requests: float, tokens: float) -> float:
    """What so many requests with so many tokens move over a link, both ways."""
    return (requests * BYTES_PER_REQUEST + tokens * BYTES_PER_TOKEN) / 1e9


def link_between(links: list[Link], one: str, other: str) -> Link | None:
    return next((each for each in links if {each.from_, each.to} == {one, other}), None)
