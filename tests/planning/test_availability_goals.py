"""Which workloads get a higher `survive`: with a solver that the tests make up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from bench.replay import read
from isthmus.contracts.requirements.document import Requirements
from isthmus.contracts.vocabulary import SURVIVES, Survive
from isthmus.planning.availability import goals, model
from isthmus.planning.availability.goals import Attempt, Levels
from isthmus.planning.availability.model import Copies, Path
from tests.planning.test_availability_model import group, mode
from tests.planning.test_planner import bank, workload

NAMES = ("transaction-narratives", "kyc-extraction")
SITE = Copies(mode("site-on-prem", 0.1, 1), "fra1")


def asked(**wanted: float) -> Requirements:
    """The bank; only the named workloads state a goal, and all of them survive nothing."""
    data = bank()
    for entry in data["workloads"]:
        entry["survive"] = "none"
        entry["slo"].pop("availability", None)
        if goal := wanted.get(entry["name"].partition("-")[0]):
            entry["slo"]["availability"] = goal
    return read(data)


def path_of(level: Survive) -> Path:
    """Two replicas carry the peak; more of them, on nodes and domains of their own, survive the level."""
    domains = {"none": [[2]], "replica": [[3]], "node": [[1, 1, 1]], "domain": [[1, 1], [1, 1]]}[level]
    rare = {
        "replica": mode("replica", 12, 0.25),
        "node": mode("node-on-prem", 2, 15),
        "domain": mode("domain-on-prem", 0.5, 10),
    }
    return Path((SITE,), (group(domains, 2, 0, **rare),))


class Solver:
    """Makes a plan of any levels, unless it is told that there is none, and remembers what it was asked."""

    def __init__(self, refused: Mapping[str, Survive] | None = None, together: bool = True) -> None:
        self.refused, self.together = dict(refused or {}), together
        self.asked: list[dict[str, Survive]] = []

    def attempt(self, levels: Levels) -> Attempt[str]:
        paths = {name: path_of(levels.get(name, "none")) for name in NAMES}
        return Attempt(f"plan of {dict(levels)}", paths)

    def solve(self, levels: Levels) -> Attempt[str] | None:
        self.asked.append(dict(levels))
        if any(self.refused.get(name) == level for name, level in levels.items()):
            return None
        return self.attempt(levels) if self.together or len(levels) < 2 else None


def raise_for(solver: Solver, requirements: Requirements, *, large: bool = False) -> goals.Raised[str]:
    first = solver.attempt({})
    named = {entry.name for entry in requirements.workloads if entry.slo.availability is not None}
    first = Attempt(first.made, {name: path for name, path in first.paths.items() if name in named})
    return goals.raise_survive(requirements, first, solver.solve, large=large)


def availability(level: Survive) -> float:
    return model.availability(path_of(level))


def missed_by_all() -> float:
    """A goal that no level reaches, but that no part besides the replicas rules out."""
    most = model.availability(goals.outlived(path_of("domain"), "domain"))
    return (availability("domain") + most) / 2


def test_no_plan_is_made_again_if_every_goal_is_met() -> None:
    solver = Solver()
    raised = raise_for(solver, asked(kyc=0.9))
    assert (solver.asked, raised.levels, raised.attempt.made) == ([], {}, "plan of {}")


def test_the_lowest_level_that_reaches_the_goal_is_taken() -> None:
    for lower, level in itertools.pairwise(SURVIVES):
        goal = (availability(lower) + availability(level)) / 2
        raised = raise_for(Solver(), asked(kyc=goal))
        assert raised.levels == {"kyc-extraction": level}
        assert model.availability(raised.attempt.paths["kyc-extraction"]) >= goal


def test_a_goal_that_other_parts_rule_out_is_not_paid_for() -> None:
    solver = Solver()
    raised = raise_for(solver, asked(kyc=0.999999))
    assert (solver.asked, raised.levels, raised.useless) == ([], {}, {})


def test_a_level_that_was_tried_and_misses_the_goal_is_taken_back() -> None:
    goal = missed_by_all()
    solver = Solver()
    raised = raise_for(solver, asked(kyc=goal))
    assert solver.asked[-1] == {"kyc-extraction": "domain"}
    assert (raised.levels, raised.attempt.made) == ({}, "plan of {}")
    assert raised.useless == {"kyc-extraction": ("domain", availability("domain"))}


def test_a_level_that_helps_stays_where_that_of_another_workload_is_taken_back() -> None:
    reached = (availability("replica") + availability("node")) / 2
    missed = missed_by_all()
    raised = raise_for(Solver(), asked(kyc=reached, transaction=missed))
    assert raised.levels == {"kyc-extraction": "node"}
    assert raised.attempt.made == "plan of {'kyc-extraction': 'node'}"
    assert set(raised.useless) == {"transaction-narratives"}


def test_several_workloads_are_raised_in_one_plan() -> None:
    goal = (availability("replica") + availability("node")) / 2
    solver = Solver()
    raised = raise_for(solver, asked(kyc=goal, transaction=goal))
    assert raised.levels == dict.fromkeys(NAMES, "node")
    assert all(len(levels) == 2 for levels in solver.asked)


def test_without_room_for_all_they_are_raised_one_by_one_in_the_order_of_the_requirements() -> None:
    goal = (availability("none") + availability("replica")) / 2
    raised = raise_for(Solver(together=False), asked(kyc=goal, transaction=goal))
    assert raised.levels == {"transaction-narratives": "replica"}
    assert raised.blocked == {"kyc-extraction": "replica"}


def test_a_level_without_a_plan_is_named_as_blocked() -> None:
    goal = (availability("none") + availability("replica")) / 2
    raised = raise_for(Solver({"kyc-extraction": "replica"}), asked(kyc=goal))
    assert (raised.levels, raised.blocked) == ({}, {"kyc-extraction": "replica"})


@pytest.mark.parametrize("large", [False, True])
def test_the_number_of_plans_is_bounded(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    goal = (availability("none") + availability("replica")) / 2
    requirements = asked(kyc=goal, transaction=goal)
    solver = Solver(together=False)
    raise_for(solver, requirements)
    assert len(solver.asked) == 3, "together, and each alone"
    monkeypatch.setattr(goals, "MOST_LARGE_PLANS" if large else "MOST_PLANS", 1)
    solver = Solver(together=False)
    raised = raise_for(solver, requirements, large=large)
    assert len(solver.asked) == 1
    assert raised.blocked == dict.fromkeys(NAMES, "replica")


def test_an_api_has_no_level_that_helps() -> None:
    assert goals.levels_that_help(Path((SITE,)), 0.999999, "none") == []


def test_levels_change_only_the_named_workloads_and_keep_the_digest() -> None:
    requirements = asked()
    changed = goals.with_levels(requirements, {"kyc-extraction": "node"})
    assert [entry.survive for entry in changed.workloads] == ["none", "node", "none", "none"]
    assert changed.digest == requirements.digest
    assert workload(bank(), "kyc-extraction")["survive"] == "node", "the bank itself is unchanged"
