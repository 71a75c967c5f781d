"""Finds the runner-up of a workload, and what decided against it.

The runner-up is the cheapest plan of the same blueprint in which the workload has another model, target or site. If no
such plan is possible, the same model on other hardware is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.contracts.reports.explanation import DecidedBy, RunnerUp
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.planning.explanation.ruled_out import describe_kinds
from isthmus.planning.explanation.solving import Case, Solved, hardware_identity, identity, place_of

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload
    from isthmus.planning.options.option import Option


def find_runner_up(case: Case, workload: Workload) -> tuple[RunnerUp | None, Option | None, DecidedBy, str]:
    """Return the runner-up, its option, what decided, and that as a sentence. Without a runner-up both are None."""
    chosen = case.chosen.option(workload.name)
    for same in (identity, hardware_identity):
        options = case.options.by_workload[workload.name]
        others = [
            option
            for option in options
            if same(option) != same(chosen) and (same is identity or identity(option) == identity(chosen))
        ]
        solved = (
            case.solve(options=case.with_options(workload.name, others), cheapest=True) if others else None
        )
        if solved is not None:
            option = solved.option(workload.name)
            least = _least_with(
                case, workload.name, [option for option in options if same(option) == same(chosen)]
            )
            runner_up = _runner_up(case, workload.name, solved, least)
            decided_by, sentence = _decided(case, workload, chosen, runner_up)
            return runner_up, option, decided_by, sentence
    others = [
        option for option in case.options.by_workload[workload.name] if identity(option) != identity(chosen)
    ]
    decided_by, sentence = _limit_that_decided(case, workload, others)
    return None, None, decided_by, sentence


def _least_with(case: Case, name: str, options: list[Option]) -> float:
    """Return the cost of the cheapest plan in which the workload has one of the options, those of its chosen place."""
    solution = case.chosen.solution
    if solution.cost <= solution.least * (1 + 1e-9):
        return case.chosen.cost
    solved = case.solve(options=case.with_options(name, options), cheapest=True)
    return case.chosen.cost if solved is None else min(solved.cost, case.chosen.cost)


def _runner_up(case: Case, name: str, solved: Solved, least: float) -> RunnerUp:
    moves = [
        f"{other} moves to {place_of(solved.option(other)).words}"
        for other in case.chosen.solution.choices
        if other != name
        and hardware_identity(solved.option(other)) != hardware_identity(case.chosen.option(other))
    ]
    return RunnerUp(
        place=place_of(solved.option(name)),
        monthly_cost_usd=solved.cost,
        compared_with_usd=least,
        extra_usd=round(solved.cost - least, 2),
        moves=moves,
    )


def _decided(case: Case, workload: Workload, chosen: Option, runner_up: RunnerUp) -> tuple[DecidedBy, str]:
    place, extra = runner_up.place, runner_up.extra_usd
    if extra > 0:
        return "price", f"Price decided: with {place.words} the plan costs {extra:,.2f} USD a month more."
    less = "the same" if extra == 0 else f"{-extra:,.2f} USD a month less"
    near_tie = case.requirements.objective.near_tie_pct
    if chosen.score > place.score:
        sentence = (
            f"The score decided: with {place.words} the plan costs {less}, but it scores {place.score:g} and not "
            f"{chosen.score:g}. Within {near_tie:g} % of the cost the better score wins."
        )
        return "score", sentence
    sentence = (
        f"Nothing of {workload.name} itself decided: with {place.words} the plan costs {less}. The plan as a whole "
        f"scores better within {near_tie:g} % of the cost, or stays as it was."
    )
    return "score", sentence


def _limit_that_decided(case: Case, workload: Workload, others: list[Option]) -> tuple[DecidedBy, str]:
    """Return which limit rules out every other place: each is dropped in turn, and the plan is solved again."""
    if not others:
        reasons = case.options.rejected[workload.name]
        kinds = f" (tried: {describe_kinds(reasons)})" if reasons else ""
        return "constraint", f"A constraint decided: every other model and place is ruled out{kinds}."
    options = case.with_options(workload.name, others)
    budget = case.requirements.budget
    if budget is not None:
        without_budget = case.requirements.model_copy(update={"budget": None})
        if solved := case.solve(without_budget, options, cheapest=True):
            place = place_of(solved.option(workload.name))
            sentence = (
                f"The budget decided: with {place.words} the plan costs {solved.cost:,.2f} USD a month, and "
                f"{budget.monthly_usd:,.2f} are allowed."
            )
            return "budget", sentence
    pools = frozenset(_pools(case))
    rules = replace(options.rules, dropped=options.rules.dropped | pools)
    if solved := case.solve(options=replace(options, rules=rules), cheapest=True):
        place = place_of(solved.option(workload.name))
        return "hardware", f"The hardware decided: for {place.words} the pools have too few GPUs."
    sites = frozenset((site.name, "quotas") for site in case.requirements.sites)
    rules = replace(options.rules, dropped=options.rules.dropped | sites)
    if solved := case.solve(options=replace(options, rules=rules), cheapest=True):
        place = place_of(solved.option(workload.name))
        return "quotas", f"A quota decided: {place.words} needs more than the account's quotas allow."
    sentence = (
        f"A constraint decided: {len(others)} other places meet the goals of {workload.name} alone, and none of them "
        "together with the other workloads."
    )
    return "constraint", sentence


def _pools(case: Case) -> Iterator[tuple[str, str]]:
    for site in case.requirements.sites:
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            yield f"{site.name}/{pool.gpu}", "gpus"
