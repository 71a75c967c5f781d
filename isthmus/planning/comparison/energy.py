"""Energy and carbon of each plan by site, a month.

On-prem it is the power that the requirements state, for the share of nodes in use. For instances it is an estimate from
the power of their GPUs. AWS publishes no energy of a call to Bedrock, so it is unknown unless somebody assumes one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.contracts.reference.jurisdictions import AWS_REGIONS
from isthmus.contracts.reports.comparison import Energy, EnergyRow
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances, gpus, grid_factors
from isthmus.planning.explanation.cost_bases import gpus_in_use
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.comparison.assumptions import Assumptions

Site = OnPremSite | AwsSite


@dataclass
class _Use:
    """The energy of one site in one plan."""

    kwh: float = 0.0
    has_known: bool = False
    unknown: list[str] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, kwh: float, note: str) -> None:
        self.kwh, self.has_known = self.kwh + kwh, True
        self.notes[note] = None


def energy(plans: Sequence[tuple[Plan, Requirements] | None], assumptions: Assumptions) -> Energy:
    """Return energy and carbon by site, and the sums of what is known."""
    # Files may give one name to sites in two countries, whose grids differ.
    sites = {_key(site): site for entry in plans if entry is not None for site in entry[1].sites}
    uses = [
        None if entry is None else {_key(site): _use(*entry, site, assumptions) for site in entry[1].sites}
        for entry in plans
    ]
    rows = [
        _row(site, [None if by_site is None else by_site.get(key) for by_site in uses], assumptions)
        for key, site in sites.items()
    ]
    rows = [row for row in rows if any(value for value in row.kwh) or row.notes]
    columns = range(len(plans))
    return Energy(
        rows=rows,
        kwh=[_sum([row.kwh[index] for row in rows]) if plans[index] else None for index in columns],
        kg_co2e=[_sum([row.kg_co2e[index] for row in rows]) if plans[index] else None for index in columns],
        unknown=[
            [reason for use in (uses[index] or {}).values() for reason in use.unknown]
            + [
                f"the grid of {row.site} has no factor, so its carbon is not known"
                for row in rows
                if row.g_per_kwh is None and row.kwh[index]
            ]
            for index in columns
        ],
    )


def _key(site: Site) -> tuple[str, str]:
    """Return the name of a site, and its region or jurisdiction."""
    return site.name, site.region if isinstance(site, AwsSite) else site.jurisdiction


def _sum(values: Sequence[float | None]) -> float:
    return round(math.fsum(value for value in values if value is not None), 1)


def _row(site: Site, uses: Sequence[_Use | None], assumptions: Assumptions) -> EnergyRow:
    factor, place, source = _grid(site, assumptions)
    kwh = [None if use is None or not use.has_known else round(use.kwh, 1) for use in uses]
    return EnergyRow(
        site=site.name,
        place=place,
        kwh=kwh,
        kg_co2e=[
            None if value is None or factor is None else round(value * factor / 1000, 1) for value in kwh
        ],
        g_per_kwh=factor,
        source=source,
        notes=list(dict.fromkeys(note for use in uses if use is not None for note in use.notes)),
    )


def _grid(site: Site, assumptions: Assumptions) -> tuple[float | None, str, str]:
    """Return the grid factor of a site, its place in words, and the source."""
    country = AWS_REGIONS[site.region] if isinstance(site, AwsSite) else site.jurisdiction
    factor = grid_factors.find(country)
    name = factor.name if factor is not None else country
    place = f"{site.region}, {name}" if isinstance(site, AwsSite) else name
    if site.name in assumptions.grid:
        return assumptions.grid[site.name], place, f"given by --assume grid.{site.name}"
    if factor is None:
        return None, place, f"not known for `{country}`; state it with --assume grid.{site.name}=…"
    return factor.g_co2e_per_kwh, place, f"{factor.source}, {factor.as_of}"


def _use(plan: Plan, requirements: Requirements, site: Site, assumptions: Assumptions) -> _Use:
    use = _Use()
    if isinstance(site, OnPremSite):
        _add_pools(use, plan, requirements, site, assumptions)
    else:
        _add_instances(use, plan, site, assumptions)
        _add_calls(use, plan, requirements, site, assumptions)
    return use


def _add_pools(
    use: _Use, plan: Plan, requirements: Requirements, site: OnPremSite, assumptions: Assumptions
) -> None:
    used = gpus_in_use(plan, requirements)
    for pool in site.pools:
        in_use = used[site.name, pool.gpu]
        power = site.cost.power_kw_per_node.get(pool.gpu) if site.cost is not None else None
        if site.cost is None or power is None:
            if in_use:
                use.unknown.append(f"power_kw_per_node of {pool.gpu} at {site.name} is not stated")
            continue
        a_gpu = power * site.cost.pue * HOURS_PER_MONTH / pool.gpus_per_node
        idle = pool.nodes * pool.gpus_per_node - pool.reserved_gpus - in_use
        if in_use:
            use.add(
                in_use * a_gpu, f"given: {power:g} kW a node of {pool.gpu}, PUE {site.cost.pue:g}, all hours"
            )
        if idle > 0 and assumptions.idle_power:
            use.add(
                idle * a_gpu * assumptions.idle_power,
                f"assumption: idle GPUs draw {assumptions.idle_power:.0%} of that",
            )


def _add_instances(use: _Use, plan: Plan, site: AwsSite, assumptions: Assumptions) -> None:
    for item in plan.cost_items or []:
        rented = rented_instances(item)
        if rented is None or rented.site != site.name:
            continue
        instance = aws_instances.find(rented.instance)
        watts = gpus.find(instance.gpu).power_w * instance.gpus * assumptions.server_power
        use.add(
            rented.count * watts * assumptions.aws_pue * HOURS_PER_MONTH / 1000,
            f"estimated: power of the GPUs x {assumptions.server_power:g} for the node x PUE {assumptions.aws_pue:g}, "
            "all hours",
        )


def _add_calls(
    use: _Use, plan: Plan, requirements: Requirements, site: AwsSite, assumptions: Assumptions
) -> None:
    called = {
        endpoint.id: endpoint
        for endpoint in plan.endpoints
        if endpoint.site == site.name and endpoint.target == "bedrock"
    }
    for placement in plan.placements:
        endpoint, workload = called.get(placement.endpoint), requirements.workload(placement.workload)
        if endpoint is None or workload is None:
            continue
        if assumptions.api_energy is None:
            use.unknown.append(
                f"energy of {endpoint.model} for {workload.name}: AWS does not publish it (--assume api-energy=…)"
            )
            continue
        traffic = workload.traffic
        tokens = traffic.prompt_tokens.mean + traffic.output_tokens.mean
        thousands = placement.share * traffic.mean_rps * 3600 * HOURS_PER_MONTH * tokens / 1000
        use.add(
            thousands * assumptions.api_energy / 1000,
            f"assumption: {assumptions.api_energy:g} Wh for a thousand tokens of an API",
        )
