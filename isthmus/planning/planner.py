"""`isthmus plan`: from requirements to the plan, solved, placed on nodes, priced and explained.

`plan` gives the whole document; nothing is read or written here. `today` decides which exceptions still hold, and
nothing else: the age of prices is told beside the plan, never in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from isthmus import __version__
from isthmus.contracts.plan import Alternative, CostItem, Placement, Plan, PlannedGateway
from isthmus.contracts.words import SENSITIVITIES
from isthmus.planning import endpoints, gateways, infeasible, items, placing, program, reasons, stress
from isthmus.planning import options as options_of
from isthmus.planning.endpoints import Made
from isthmus.planning.options import Column, Options
from isthmus.planning.program import Problem, Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements, Workload

MOST_CUTS = 40


@dataclass(frozen=True)
class Offer:
    """What of a blueprint decides whether it fits."""

    name: str
    classes: Sequence[str]
    gpus_from: int
    gpus_to: int | None


@dataclass(frozen=True)
class Planned:
    """The plan, and what is told beside it."""

    plan: Plan
    rejected: Mapping[str, Sequence[str]]
    """By workload: what was ruled out, and why."""
    told: Sequence[str] = field(default=())


def plan(
    requirements: Requirements,
    offers: Sequence[Offer],
    today: str,
    *,
    blueprint: str | None = None,
    before: Plan | None = None,
) -> Planned:
    """The cheapest plan, or why there is none and what would make one.

    `before`: the plan that is there; at equal cost what runs stays. Raises `InputError` for what is not understood.
    """
    found = options_of.find(requirements, today)
    solved = solve(requirements, found, before)
    if solved is None:
        return _none(requirements, found, offers, today, blueprint)
    solution, nodes = solved
    made = endpoints.make(requirements, found, solution, nodes)
    costs = items.items(requirements, solution.choices, solution.replicas)
    chosen, alternatives = _blueprint(requirements, offers, solution, items.total(costs), blueprint)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=chosen,
        feasible=True,
        endpoints=[each.endpoint for each in made],
        placements=_placements(requirements, found, solution, made),
        gateways=_gateways(requirements),
        cost_items=costs,
        monthly_cost_usd=items.total(costs),
        stress=stress.of(requirements, made, solution),
        alternatives=alternatives,
        warnings=_warnings(made, solution),
        prices_as_of=_oldest(costs),
    )
    return Planned(document, found.rejected, reasons.basis(requirements, found, solution))


def solve(
    requirements: Requirements, found: Options, before: Plan | None = None
) -> tuple[Solution, dict[Column, placing.Placed]] | None:
    """The solution and the nodes of its replicas; what does not pack is cut off and solved again."""
    problem = Problem(requirements, found, stay=_stay(before))
    for _ in range(MOST_CUTS):
        solution = program.solve(problem)
        if solution is None:
            return None
        nodes = placing.place(requirements, solution.replicas)
        placed = {column: each for column, each in nodes.items() if isinstance(each, placing.Placed)}
        if len(placed) == len(solution.replicas):
            return solution, placed
        problem.cuts.append({column: each for column, each in nodes.items() if isinstance(each, int)})
    return None


def _stay(before: Plan | None) -> dict[str, tuple[str, str]]:
    if before is None or not before.feasible:
        return {}
    found = {}
    for placement in before.placements:
        endpoint = before.endpoint(placement.endpoint)
        if endpoint is not None and placement.role == "primary":
            place = f"{endpoint.site}/{endpoint.gpu}" if endpoint.gpu else endpoint.site
            found[placement.workload] = (endpoint.model, place)
    return found


def _placements(
    requirements: Requirements, found: Options, solution: Solution, made: Sequence[Made]
) -> list[Placement]:
    placements = []
    for workload in requirements.workloads:
        choice = solution.choices[workload.name]
        why = reasons.why(requirements, found, workload, choice)
        primary = next(each for each in made if workload.name in each.primary)
        share = round(1 - choice.share, 6)
        placements.append(_placement(workload, primary, "primary", share, why))
        if choice.overflow is not None:
            other = next(each for each in made if workload.name in each.overflow)
            why = (
                f"What comes above {choice.part:.0%} of the peak goes on to the API: no GPUs are kept for it."
            )
            placements.append(_placement(workload, other, "overflow", round(1 - share, 6), why))
    return placements


def _placement(
    workload: Workload, made: Made, role: Literal["primary", "overflow"], share: float, why: str
) -> Placement:
    return Placement(
        workload=workload.name,
        sensitivity=workload.sensitivity,
        endpoint=made.endpoint.id,
        role=role,
        share=share,
        why=why,
    )


def _gateways(requirements: Requirements) -> list[PlannedGateway]:
    used = {workload.sensitivity for workload in requirements.workloads}
    found = []
    for class_ in reversed(SENSITIVITIES):
        home = gateways.home(requirements, class_) if class_ in used else None
        if home is not None:
            found.append(
                PlannedGateway.model_validate({"class": class_, "site": home, "host": gateways.host(class_)})
            )
    return found


def _blueprint(
    requirements: Requirements,
    offers: Sequence[Offer],
    solution: Solution,
    cost: float,
    wanted: str | None,
) -> tuple[str, list[Alternative]]:
    """The blueprint: the one that was asked for, else the first that fits; all others with what rules them out."""
    from isthmus.contracts.errors import AnswerIsNo, InputError

    used = {workload.sensitivity for workload in requirements.workloads}
    gpus = sum(count * column.degree for column, count in solution.replicas.items())
    against: dict[str, list[str]] = {}
    for offer in offers:
        missing = [class_ for class_ in SENSITIVITIES if class_ in used and class_ not in offer.classes]
        why = [f"it is not made for {', '.join(missing)} work"] if missing else []
        if gpus < offer.gpus_from:
            why.append(f"it is made for {offer.gpus_from} GPUs or more, and {gpus} are needed")
        if offer.gpus_to is not None and gpus > offer.gpus_to:
            why.append(f"it is made for {offer.gpus_to} GPUs at most, and {gpus} are needed")
        against[offer.name] = why
    if wanted is not None and wanted not in against:
        from isthmus.contracts.explain import did_you_mean

        raise InputError(
            f"there is no blueprint `{wanted}`",
            where="--blueprint",
            todo=f"{did_you_mean(wanted, against)} There are: {', '.join(against)}".strip(),
        )
    fitting = [name for name, why in against.items() if not why]
    if wanted is None and not fitting:
        told = "; ".join(f"{name}: {', '.join(why)}" for name, why in against.items())
        raise AnswerIsNo(f"no blueprint fits: {told}", todo="Split the requirements, or write a blueprint")
    if wanted is not None and against[wanted]:
        raise AnswerIsNo(
            f"blueprint {wanted} does not fit: {'; '.join(against[wanted])}",
            where="--blueprint",
            todo=f"Those that do: {', '.join(fitting) or 'none'}",
        )
    chosen = wanted or fitting[0]
    others = [
        Alternative(blueprint=name, monthly_cost_usd=None if why else cost, rejected_because=why)
        for name, why in against.items()
        if name != chosen
    ]
    return chosen, others


def _warnings(made: Sequence[Made], solution: Solution) -> list[str]:
    found = []
    for each in made:
        predicted = each.endpoint.predicted
        if predicted is not None and predicted.slo == "unverified":
            found.append(
                f"{each.endpoint.id}: nobody has measured this API's latency for you, so its goals are unverified; "
                "state `sites[].latency` once you have"
            )
        if each.endpoint.evidence is not None and each.endpoint.evidence.kind == "estimated":
            found.append(
                f"{each.endpoint.id}: no measurements of this case, sized from the card's data sheet"
            )
    if solution.pruned:
        found.append(
            f"there are so many ways that only the {program.LIKELY} likeliest of each workload were weighed"
        )
    if solution.gap > 1e-6:
        found.append(
            f"the cheapest plan may be up to {solution.gap:.1%} cheaper: the search stopped at its gap"
        )
    return found


def _oldest(costs: Sequence[CostItem]) -> str | None:
    """The oldest day of a listed price; null where none is used."""
    days = [
        each.evidence.as_of
        for each in costs
        if each.evidence is not None and each.evidence.kind == "list-price"
    ]
    return min(days, default=None)


def _none(
    requirements: Requirements,
    found: Options,
    offers: Sequence[Offer],
    today: str,
    blueprint: str | None,
) -> Planned:
    """The answer no: what cannot hold together, and what would help."""
    conflicts = infeasible.conflicts(requirements, today)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=blueprint or offers[0].name,
        feasible=False,
        endpoints=[],
        placements=[],
        gateways=[],
        conflicts=[each.words for each in conflicts],
        ways_out=infeasible.ways_out(requirements, conflicts, today),
    )
    return Planned(document, found.rejected)
