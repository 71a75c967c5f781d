"""The refused data paths of a plan that cannot be rendered, so that a reviewer sees which path was refused."""

from __future__ import annotations

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.plan.rules import served_by
from isthmus.contracts.reference import handling
from isthmus.contracts.reports.preview import DataPath, Hop
from isthmus.contracts.requirements.document import Requirements


def refused_paths(plan: Plan, requirements: Requirements) -> list[DataPath]:
    """Return the data path of each placement whose class may not run on its target, sorted by id."""
    table = handling.stricter_only(requirements.handling)
    workloads = {workload.name: workload for workload in requirements.workloads}
    paths = {}
    for placement in plan.placements:
        endpoint, workload = plan.endpoint(placement.endpoint), workloads.get(placement.workload)
        if endpoint is None or workload is None:
            continue
        sensitivity = workload.sensitivity
        names = [
            served.name
            for served in served_by(plan, requirements, endpoint.id)
            if served.sensitivity == sensitivity
        ]
        reason = handling.refusal(
            sensitivity, endpoint.target, names, requirements.exceptions, handling=table[sensitivity]
        )
        if not reason:
            continue
        gate = plan.gateway_of(workload.name)
        region = endpoint.region or ""
        hops = [Hop(kind="workload", name=workload.name)]
        hops += [Hop(kind="gateway", name=gate.host, where=gate.site)] if gate else []
        hops.append(Hop(kind="endpoint", name=f"{endpoint.id} ({endpoint.target})", where=endpoint.site))
        hops += [Hop(kind="region", name=region)] if region else []
        path = DataPath.model_validate(
            {
                "id": " > ".join([sensitivity, *(hop.name for hop in hops)]),
                "workload": workload.name,
                "class": sensitivity,
                "hops": hops,
                "verdict": "refused",
                "why": reason,
            }
        )
        paths[path.id] = path
    return [paths[key] for key in sorted(paths)]
