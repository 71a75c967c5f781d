"""Chooses the fallbacks of workloads: endpoints of the plan that answer when a workload's own endpoint cannot.

A fallback costs nothing while it is not used, so no hardware is added for it. Every endpoint that the planner could
have chosen for the workload may be one: of its class, good enough, within residency and handling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.contracts.plan.document import Placement
from isthmus.contracts.requirements.document import Requirements
from isthmus.contracts.requirements.workloads import Workload
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.planning.options import gateway_sites
from isthmus.planning.options.option import OnApi, OnGpus, Option, Options
from isthmus.planning.output.endpoints import SizedEndpoint
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

MOST = 2
"""Fallbacks of a workload."""


def build_fallbacks(
    requirements: Requirements, options: Options, sized_endpoints: Sequence[SizedEndpoint]
) -> Iterator[Placement]:
    """The fallbacks of the workloads that allow one, best score first."""
    for workload in requirements.workloads:
        if workload.allow_fallback:
            yield from _of_workload(requirements, options, workload, sized_endpoints)


def fallback_warnings(requirements: Requirements, placements: Sequence[Placement]) -> list[str]:
    """A sentence for each workload that allows a fallback and has none."""
    served = {placement.workload for placement in placements if placement.role == "fallback"}
    return [
        f"{workload.name}: no other endpoint of the plan may be its fallback. Fix: add a candidate that another "
        f"{workload.sensitivity} workload uses, with its score, or remove `allow_fallback`"
        for workload in requirements.workloads
        if workload.allow_fallback and workload.name not in served
    ]


def _of_workload(
    requirements: Requirements, options: Options, workload: Workload, sized_endpoints: Sequence[SizedEndpoint]
) -> Iterator[Placement]:
    own = next(sized for sized in sized_endpoints if workload.name in sized.primary)
    taken = {
        sized.endpoint.id for sized in sized_endpoints if workload.name in (*sized.primary, *sized.overflow)
    }
    site = _gateway_site(requirements, workload, own)
    possible: dict[str, tuple[SizedEndpoint, Option]] = {}
    for option in options.by_workload[workload.name]:
        for sized in sized_endpoints:
            endpoint = sized.endpoint
            reachable = endpoint.target in CALLED_TARGETS or endpoint.site == site
            same_class = endpoint.class_ == workload.sensitivity
            if same_class and reachable and endpoint.id not in taken and _is_at(option, sized):
                possible.setdefault(endpoint.id, (sized, option))
    ranked = sorted(possible.values(), key=lambda pair: (-pair[1].score, pair[0].endpoint.id))
    for sized, option in ranked[:MOST]:
        yield Placement(
            workload=workload.name,
            sensitivity=workload.sensitivity,
            endpoint=sized.endpoint.id,
            role="fallback",
            share=0,
            why=f"Answers when {own.endpoint.id} cannot, with score {option.score:g}. {_room(workload, sized, option)}",
        )


def _gateway_site(requirements: Requirements, workload: Workload, own: SizedEndpoint) -> str | None:
    """The site of the workload's gateway: that of its model server, or the home of the class for APIs."""
    if own.endpoint.target in CALLED_TARGETS:
        return gateway_sites.home_site(requirements, workload.sensitivity)
    return own.endpoint.site


def _is_at(option: Option, sized: SizedEndpoint) -> bool:
    """Whether an option of a workload is this endpoint."""
    endpoint = sized.endpoint
    if isinstance(option, OnGpus):
        return sized.column is not None and option.column.plain == sized.column.plain
    return (
        sized.column is None
        and (endpoint.site, endpoint.model) == (option.site, option.model)
        and endpoint.inference_profile == option.call.profile
    )


def _room(workload: Workload, sized: SizedEndpoint, option: Option) -> str:
    """What it carries of the workload's peak, or what it costs."""
    if isinstance(option, OnApi):
        requests = workload.traffic.mean_rps * HOURS_PER_MONTH * 3600
        return f"1,000 requests cost about {option.monthly / requests * 1000:,.2f} USD there."
    predicted = sized.endpoint.predicted
    if predicted is None or predicted.capacity_rps is None:
        return "How much of its peak it carries is not known."
    room = max(0.0, predicted.capacity_rps - predicted.peak_rps) / workload.traffic.peak_rps
    return f"At its own peak it has room for about {min(room, 1):.0%} of this workload's peak."
