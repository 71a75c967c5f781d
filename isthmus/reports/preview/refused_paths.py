"""The paths of a plan that may not be: no resource is rendered of it, and a reviewer wants to see which way it was."""

from __future__ import annotations

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.plan.rules import served_by
from isthmus.contracts.reference import handling
from isthmus.contracts.reports.preview import DataPath, Hop
from isthmus.contracts.requirements.document import Requirements


def of_plan(plan: Plan, requirements: Requirements) -> list[DataPath]:
    """The way of each placement's data, where its class may not run on what the plan places it on; sorted by id."""
    table = handling.stricter_only(requirements.handling)
    known = {each.name: each for each in requirements.workloads}
    found = {}
    for placement in plan.placements:
        endpoint, workload = plan.endpoint(placement.endpoint), known.get(placement.workload)
        if endpoint is None or workload is None:
            continue
        held = workload.sensitivity
        names = [each.name for each in served_by(plan, requirements, endpoint.id) if each.sensitivity == held]
        why = handling.refusal(held, endpoint.target, names, requirements.exceptions, handling=table[held])
        if not why:
            continue
        gate = plan.gateway_of(workload.name)
        region = endpoint.region or ""
        hops = [Hop(kind="workload", name=workload.name)]
        hops += [Hop(kind="gateway", name=gate.host, where=gate.site)] if gate else []
        hops.append(Hop(kind="endpoint", name=f"{endpoint.id} ({endpoint.target})", where=endpoint.site))
        hops += [Hop(kind="region", name=region)] if region else []
        made = DataPath.model_validate(
            {
                "id": " > ".join([held, *(each.name for each in hops)]),
                "workload": workload.name,
                "class": held,
                "hops": hops,
                "verdict": "refused",
                "why": why,
            }
        )
        found[made.id] = made
    return [found[key] for key in sorted(found)]
