"""Why a workload runs where it does, in a sentence or two that its owner can defend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling
from isthmus.planning.options.gpu import words
from isthmus.planning.options.option import OnApi, OnGpus, Options
from isthmus.planning.solver.problem import Choice
from isthmus.planning.solver.program import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload

_RULES = {
    "restricted": "Restricted work runs on-prem only.",
    "confidential": "Confidential work stays on-prem, or in a cloud under our keys.",
    "internal": "Internal work may use the cloud within its residency.",
    "public": "Public work may run anywhere within its residency.",
}
_LOSS = {
    "none": "",
    "replica": " and outlive the loss of a replica",
    "node": " and outlive the loss of a node",
    "domain": " and outlive the loss of a failure domain",
}


def why(requirements: Requirements, found: Options, workload: Workload, choice: Choice) -> str:
    """The class's rule, what was chosen among how many, its score, and what its goals needed."""
    every = found.by_workload[workload.name]
    models = {_model(each) for each in every}
    option = choice.option
    score = f"it scores {option.score:g} against a floor of {workload.model.min_score:g}"

    def chosen(way: str) -> str:
        if len(every) == 1:
            return f"{way} is the only way that keeps its goals"
        many = f"Of {len(every)} ways with {len(models)} model{'s' if len(models) > 1 else ''} that keep its goals"
        return f"{many} {way} costs the least in the whole plan, or is worth its near tie"

    rule = _RULES[workload.sensitivity]
    if isinstance(option, OnGpus):
        column = option.column
        way = f"{column.model} at {column.precision} on {words(column)}"
        taken = f"Its peak takes {option.units * choice.part:.2f} of a replica"
        headroom = f"{requirements.planning.headroom:.0%} headroom{_LOSS[workload.survive]}"
        return f"{rule} {chosen(way)}; {score}. {taken}; replicas carry it with {headroom}."
    way = f"{option.call.profile or option.call.model} from {option.call.region}"
    verified = "" if option.verified else " Its latency is unverified."
    places = ", ".join(option.call.destinations)
    return f"{rule} {chosen(way)}; {score}. It can be served in {places}.{verified}"


def _model(option: OnGpus | OnApi) -> str:
    return option.column.model if isinstance(option, OnGpus) else option.model


def basis(requirements: Requirements, found: Options, solution: Solution) -> list[str]:
    """What the cost is of, and what the near tie gave."""
    told = []
    if requirements.objective.cost_basis == "cash":
        told.append(
            "On the basis of cash owned hardware is sunk: of it only electricity counts, so on-prem looks cheaper than "
            "when its capital, its space and its people are allocated."
        )
    else:
        told.append(
            "On the allocated basis a GPU in use bears its part of capital, power and colocation, a site in use its "
            "people; what stands idle is shown and not counted."
        )
    if solution.cost > solution.least * (1 + 1e-6):
        more = solution.cost / solution.least - 1
        told.append(
            f"The cheapest plan costs {solution.least:,.0f} USD a month; {more:.1%} more buy better scores "
            f"(near_tie_pct {requirements.objective.near_tie_pct:g})."
        )
    exceptions = [
        workload.name
        for workload in requirements.workloads
        if handling.of(workload.sensitivity).by_exception
        and isinstance(solution.choices[workload.name].option, OnApi)
    ]
    if exceptions:
        told.append(f"By recorded exception on Bedrock: {', '.join(exceptions)}.")
    return told
