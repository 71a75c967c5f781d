"""Builds the report of a comparison from its plans: everything that text, JSON and HTML show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus import __version__
from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.contracts.reports.comparison import (
    Column,
    Comparison,
    CostLine,
    HardwareCell,
    HardwareRow,
    Moves,
    WorkloadCell,
    WorkloadRow,
)
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.comparison.acquisition import acquisitions
from isthmus.planning.comparison.assumptions import list_assumptions
from isthmus.planning.comparison.cost_model import CostModel
from isthmus.planning.comparison.energy import energy
from isthmus.planning.comparison.headline import headline
from isthmus.planning.comparison.total_cost import basis_of, driver_effects, total_cost
from isthmus.planning.explanation import cost_bases
from isthmus.planning.explanation.explain import explain
from isthmus.planning.output.differences import describe_differences
from isthmus.planning.sizing import demand

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import CostItem, Plan, PlannedEndpoint
    from isthmus.contracts.reports.explanation import Explanation
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.planning.comparison.assumptions import Assumptions
    from isthmus.planning.comparison.variants import Variant

IDS = ("A", "B", "C")


def compare(
    variants: Sequence[Variant],
    assumptions: Assumptions,
    as_of: str,
    *,
    reasons: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare two or three plans.

    `reasons`: also explain each plan, which plans again some twenty times for each workload. `progress` is called with
    what is done next.
    """
    columns = [
        _column(variant, id, _explanation(variant, id, progress) if reasons else None)
        for id, variant in zip(IDS, variants, strict=False)
    ]
    plans = [_feasible_plan(variant) for variant in variants]
    models = [None if entry is None else CostModel(*entry, assumptions) for entry in plans]
    total = total_cost(models, assumptions)
    basis = basis_of(total)
    tornado = driver_effects(models, columns, assumptions, basis)
    used_energy = energy(plans, assumptions)
    return Comparison(
        isthmus=__version__,
        as_of=as_of,
        columns=columns,
        headline=headline(columns, total, tornado, assumptions.driver_range),
        cost_lines=_cost_lines([None if entry is None else entry[0] for entry in plans]),
        workloads=_workload_rows(variants, plans),
        hardware=_hardware_rows(plans),
        moves=list(_moves(columns, plans)),
        total_cost=total,
        acquisition=[
            row
            for column, entry in zip(columns, plans, strict=True)
            if entry is not None
            for row in acquisitions(column.id, *entry, assumptions)
        ],
        energy=used_energy,
        driver_range_pct=round(assumptions.driver_range * 100, 6),
        drivers_of=basis,
        drivers=tornado,
        assumptions=list_assumptions(assumptions),
        sources=list(_sources(variants, used_energy.rows)),
    )


def _feasible_plan(variant: Variant) -> tuple[Plan, Requirements] | None:
    plan = variant.plan
    return (plan, variant.requirements) if plan is not None and plan.feasible else None


def _explanation(variant: Variant, id: str, progress: Callable[[str], None]) -> Explanation | None:
    if variant.planned is None or variant.plan is None or not variant.plan.feasible:
        return None
    return explain(
        variant.requirements, variant.planned, progress=lambda name: progress(f"reasons of {id}: {name}")
    )


def _column(variant: Variant, id: str, explanation: Explanation | None) -> Column:
    plan, requirements = variant.plan, variant.requirements
    requests = sum(demand.of_workload(workload).requests for workload in requirements.workloads)
    fields: dict[str, object] = {
        "id": id,
        "label": variant.argument.text,
        "what": variant.what,
        "requirements": requirements.name,
        "requirements_sha256": requirements.digest,
        "changes": list(variant.argument.changes),
        "notes": variant.notes,
        "requests_per_month": round(requests),
    }
    if plan is None:
        return Column.model_validate({**fields, "status": "refused", "why_not": [variant.refused]})
    fields |= {
        "blueprint": plan.blueprint,
        "changes": plan.what_if.changes if plan.what_if is not None else [],
        "prices_as_of": plan.prices_as_of,
        "warnings": plan.warnings,
    }
    if not plan.feasible:
        return Column.model_validate(
            {**fields, "status": "infeasible", "why_not": plan.conflicts, "ways_out": plan.ways_out}
        )
    stress = plan.stress
    bottleneck = stress.breaks_first if stress is not None else None
    return Column.model_validate(
        {
            **fields,
            "status": "feasible",
            "monthly_cost_usd": plan.monthly_cost_usd,
            "usd_per_1000_requests": None
            if plan.monthly_cost_usd is None
            else round(1000 * plan.monthly_cost_usd / requests, 2),
            "costs": cost_bases.compare_bases(plan, requirements),
            "hardware": _hardware_in_use(plan),
            "stress": ""
            if stress is None
            else f"{'passes' if stress.holds else 'fails'} at {stress.factor:g} times the peak",
            "first_bottleneck": ""
            if stress is None or bottleneck is None
            else f"{bottleneck} at {stress.breaks_at:g} times the peak",
            "alternatives": plan.alternatives or [],
            "explanation": explanation,
        }
    )


def _hardware_in_use(plan: Plan) -> str:
    gpus = sum(endpoint.gpus for endpoint in plan.endpoints if not endpoint.mig_profile)
    slices = sum(endpoint.gpus for endpoint in plan.endpoints if endpoint.mig_profile)
    text = f"{gpus} GPU{'' if gpus == 1 else 's'}"
    return f"{text} and {slices} MIG slice{'' if slices == 1 else 's'}" if slices else text


# Cost lines


def _cost_lines(plans: Sequence[Plan | None]) -> list[CostLine]:
    """Return the items of all plans by their name, in the order of the first plan that has each."""
    by_plan = [_items_by_name(plan) for plan in plans]
    lines = []
    for name in dict.fromkeys(name for items in by_plan for name in items):
        items = [by_name.get(name, []) for by_name in by_plan]
        present = [item for of_plan in items for item in of_plan]
        sources = dict.fromkeys(
            f"{item.evidence.kind}, {item.evidence.source}, {item.evidence.as_of}"
            for item in present
            if item.evidence is not None
        )
        lines.append(
            CostLine(
                what=name,
                amounts=[
                    round(sum(item.monthly_usd for item in of_plan), 2) if of_plan else None
                    for of_plan in items
                ],
                counted=present[0].counted,
                sources=list(sources) or ["no source"],
            )
        )
    return lines


def _items_by_name(plan: Plan | None) -> dict[str, list[CostItem]]:
    """Return the items by name; instances by type, so that another number of them is the same line."""
    items: dict[str, list[CostItem]] = {}
    for item in plan.cost_items or [] if plan is not None else []:
        rented = rented_instances(item)
        name = item.what
        if rented is not None:
            alone = f", {rented.model}" if rented.model else ""
            name = f"{rented.site}, {rented.instance} ({rented.purchase}), {rented.sensitivity}{alone}"
        items.setdefault(name, []).append(item)
    return items


# Workloads and hardware


def _workload_rows(
    variants: Sequence[Variant], plans: Sequence[tuple[Plan, Requirements] | None]
) -> list[WorkloadRow]:
    workloads: dict[str, Workload] = {}
    for variant in variants:
        for workload in variant.requirements.workloads:
            workloads.setdefault(workload.name, workload)
    return [
        WorkloadRow(
            workload=name,
            sensitivity=workload.sensitivity,
            cells=[None if entry is None else _workload_cell(*entry, name) for entry in plans],
        )
        for name, workload in workloads.items()
    ]


def _workload_cell(plan: Plan, requirements: Requirements, name: str) -> WorkloadCell | None:
    workload = requirements.workload(name)
    placements = sorted(
        (placement for placement in plan.placements if placement.workload == name),
        key=lambda placement: placement.role != "primary",
    )
    places = [
        (placement, endpoint)
        for placement in placements
        if (endpoint := plan.endpoint(placement.endpoint)) is not None
    ]
    if workload is None or not places:
        return None
    primary = places[0][1]
    candidate = next((entry for entry in workload.model.candidates if entry.id == primary.model), None)
    predicted = primary.predicted
    return WorkloadCell(
        places=[
            f"{_place(endpoint)}{'' if placement.share == 1 else f', {placement.share:.0%} of requests'}"
            for placement, endpoint in places
        ],
        models=[f"{endpoint.model}, {endpoint.precision}" for _, endpoint in places],
        sites=list(dict.fromkeys(endpoint.site for _, endpoint in places)),
        size=_size(primary),
        score=candidate.scores.get(primary.precision) if candidate is not None else None,
        survive=workload.survive,
        ttft_p95_ms=predicted.ttft_p95_ms if predicted is not None else None,
        tpot_p95_ms=predicted.tpot_p95_ms if predicted is not None else None,
    )


def _place(endpoint: PlannedEndpoint) -> str:
    on = f" on {endpoint.gpu}" if endpoint.gpu else ""
    return f"{endpoint.site}: {endpoint.target}{on}"


def _size(endpoint: PlannedEndpoint) -> str:
    """Return replicas × GPUs: `6 x 1 h100-sxm-80gb`; empty for an API."""
    if not endpoint.gpu:
        return ""
    each = (endpoint.tensor_parallel or 1) * (endpoint.nodes_per_replica or 1)
    sliced = f" MIG {endpoint.mig_profile} of" if endpoint.mig_profile else ""
    bought = f" ({endpoint.instance_type}, {endpoint.purchase})" if endpoint.instance_type else ""
    return f"{endpoint.replicas or 1} x {each}{sliced} {endpoint.gpu}{bought}"


def _hardware_rows(plans: Sequence[tuple[Plan, Requirements] | None]) -> list[HardwareRow]:
    by_plan = [{} if entry is None else _hardware_of(*entry) for entry in plans]
    return [
        HardwareRow(
            site=key[0],
            gpu=key[1],
            kind="owned" if key[2] == "owned" else "rented",
            cells=[hardware.get(key) for hardware in by_plan],
        )
        for key in dict.fromkeys(key for hardware in by_plan for key in hardware)
    ]


def _hardware_of(plan: Plan, requirements: Requirements) -> dict[tuple[str, str, str], HardwareCell]:
    used = cost_bases.gpus_in_use(plan, requirements)
    hardware: dict[tuple[str, str, str], HardwareCell] = {}
    for site in requirements.sites:
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            owned, in_use = pool.nodes * pool.gpus_per_node, used[site.name, pool.gpu]
            idle = max(0, owned - pool.reserved_gpus - in_use)
            hardware[site.name, pool.gpu, "owned"] = HardwareCell(owned=owned, used=in_use, idle=idle)
    for item in plan.cost_items or []:
        rented = rented_instances(item)
        if rented is None:
            continue
        instance = aws_instances.find(rented.instance)
        key = rented.site, instance.gpu, "rented"
        before = hardware.get(key)
        hardware[key] = HardwareCell(
            owned=(before.owned if before else 0) + rented.count * instance.gpus, used=0, idle=0
        )
    for (site, gpu, kind), cell in hardware.items():
        if kind == "rented":
            in_use = sum(
                endpoint.gpus
                for endpoint in plan.endpoints
                if (endpoint.site, endpoint.gpu) == (site, gpu) and endpoint.instance_type
            )
            hardware[site, gpu, kind] = HardwareCell(owned=cell.owned, used=in_use, idle=cell.owned - in_use)
    return hardware


def _moves(columns: Sequence[Column], plans: Sequence[tuple[Plan, Requirements] | None]) -> Iterator[Moves]:
    """Yield what changes from the first feasible plan to each other one."""
    feasible = [(column, entry[0]) for column, entry in zip(columns, plans, strict=True) if entry is not None]
    for column, plan in feasible[1:]:
        first, before = feasible[0]
        sentences = [
            sentence
            for sentence in describe_differences(before, plan)
            if not sentence.startswith("the requirements have changed")
        ]
        yield Moves.model_validate(
            {"from": first.id, "to": column.id, "sentences": sentences or ["nothing moves"]}
        )


def _sources(variants: Sequence[Variant], rows: Sequence[object]) -> Iterator[str]:
    """Yield the sources of what is beside the cost lines: predictions, and what the requirements state."""
    seen: dict[str, None] = {}
    for variant in variants:
        for endpoint in variant.plan.endpoints if variant.plan is not None else []:
            if endpoint.evidence is not None:
                basis = endpoint.evidence
                what = "size and predictions" if endpoint.gpu else "calls"
                seen[f"{what} of {endpoint.model}: {basis.kind}, {basis.source}, {basis.as_of}"] = None
        for site in variant.requirements.sites:
            if isinstance(site, OnPremSite) and site.cost is not None:
                source, day = site.cost.source or "the requirements", site.cost.as_of or "as stated"
                seen[f"capital, power, colocation and people of {site.name}: given, {source}, {day}"] = None
    yield from seen
    yield "scores, traffic, growth and what must survive: given, the requirements"
