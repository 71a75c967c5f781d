"""Explains the plan: why each workload runs where it does, and what the cost includes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling
from isthmus.planning.options.gpu import describe_hardware
from isthmus.planning.options.option import OnApi, OnGpus, Options
from isthmus.planning.solver.problem import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload

_RULES = {
    "restricted": "Restricted work runs on-prem only.",
    "confidential": "Confidential work runs on-prem, or in a cloud with keys that you own.",
    "internal": "Internal work may use the cloud within its residency.",
    "public": "Public work may run anywhere within its residency.",
}
_LOSS = {
    "none": "",
    "replica": ", and still carry the peak after losing a replica",
    "node": ", and still carry the peak after losing a node",
    "domain": ", and still carry the peak after losing a failure domain",
}


def explain_choice(
    requirements: Requirements, options: Options, workload: Workload, solution: Solution
) -> str:
    """Return the rule of the class, the chosen option among how many, its score, and its use of hardware."""
    choice = solution.choices[workload.name]
    feasible_options = options.by_workload[workload.name]
    models = {_model_id(feasible_option) for feasible_option in feasible_options}
    option = choice.option
    score = f"Score {option.score:g}, minimum {workload.model.min_score:g}"

    def describe_selection(label: str) -> str:
        if len(feasible_options) == 1:
            return f"{label} is the only option that meets its goals"
        of_models = f"{len(models)} model{'s' if len(models) > 1 else ''}"
        among = f"of {len(feasible_options)} options ({of_models}) that meet its goals"
        if _is_cheapest(solution):
            return f"{label} makes the plan as a whole cheapest, {among}"
        return f"{label} is in the plan with the best scores near the least cost, {among}"

    rule = _RULES[workload.sensitivity]
    if isinstance(option, OnGpus):
        column = option.column
        label = f"{column.model} at {column.precision} on {describe_hardware(column)}"
        peak_use = f"Its peak needs {option.units * choice.part:.2f} replicas"
        headroom = f"{requirements.planning.headroom:.0%} headroom{_LOSS[workload.survive]}"
        return (
            f"{rule} {describe_selection(label)}. {score}. {peak_use}; the planned replicas have {headroom}."
        )
    label = f"{option.call.profile or option.call.model} from {option.call.region}"
    verified = "" if option.verified else " Its latency is unverified."
    places = ", ".join(option.call.destinations)
    return f"{rule} {describe_selection(label)}. {score}. AWS may serve it in {places}.{verified}"


def _is_cheapest(solution: Solution) -> bool:
    return solution.cost <= solution.least * (1 + 1e-6)


def _model_id(option: OnGpus | OnApi) -> str:
    return option.column.model if isinstance(option, OnGpus) else option.model


def describe_cost_basis(requirements: Requirements, options: Options, solution: Solution) -> list[str]:
    """Return sentences about what the cost includes, what better scores cost, and exceptions in use."""
    sentences = []
    if requirements.objective.cost_basis == "cash":
        sentences.append(
            "Cost basis `cash`: owned hardware is a sunk cost, so only its electricity counts. On-prem looks cheaper "
            "than with `allocated`, which adds capital, colocation and staff."
        )
    else:
        sentences.append(
            "Cost basis `allocated`: each GPU in use pays its part of capital, power and colocation, and each site in "
            "use pays its staff. Idle GPUs are shown but not counted."
        )
    if not _is_cheapest(solution):
        more = solution.cost / solution.least - 1
        sentences.append(
            f"The cheapest plan costs {solution.least:,.0f} USD a month. This plan costs {more:.1%} more for better "
            f"scores (near_tie_pct {requirements.objective.near_tie_pct:g})."
        )
    exceptions = [
        workload.name
        for workload in requirements.workloads
        if handling.handling_of(workload.sensitivity).by_exception
        and isinstance(solution.choices[workload.name].option, OnApi)
    ]
    if exceptions:
        sentences.append(f"On Bedrock by a recorded exception: {', '.join(exceptions)}.")
    return sentences
