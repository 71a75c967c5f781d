"""Each way out of an infeasible plan is read as a person reads it, written into the requirements, and planned again."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bench.replay import TODAY, read
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan.document import Plan
from isthmus.planning import planner
from tests.generated_requirements import generate_large

CASES = 200
NODES = re.compile(r"(?P<gpus>\d+) more (?P<gpu>\S+) at (?P<site>\S+) \((?P<nodes>\d+) nodes?\)")
BUDGET = re.compile(r"budget [\d,]+ to (?P<usd>[\d,]+) USD a month")
CHANGE = re.compile(r"(?P<workload>\S+): (?P<key>\w+) (?P<old>.+) to (?P<new>.+)")
MOST_DEARER = 0.02
"""Ways out are priced within 2 %, and a plan may pay as much for better scores."""


def plan(data: dict[str, Any]) -> Plan:
    return planner.make_plan(read(data), offers(), TODAY).plan


def applied(data: dict[str, Any], what: str) -> dict[str, Any]:
    """The requirements after a way out. Fails if a part of its text is none of the known changes."""
    changed = copy.deepcopy(data)
    for part in re.split(r", and |(?<=\)) and ", what):
        if match := NODES.fullmatch(part):
            site = next(site for site in changed["sites"] if site["name"] == match["site"])
            pool = next(pool for pool in site["pools"] if pool["gpu"] == match["gpu"])
            assert int(match["gpus"]) == int(match["nodes"]) * pool["gpus_per_node"]
            pool["nodes"] += int(match["nodes"])
        elif match := BUDGET.fullmatch(part):
            changed["budget"]["monthly_usd"] = int(match["usd"].replace(",", ""))
        elif match := CHANGE.fullmatch(part):
            workload = next(entry for entry in changed["workloads"] if entry["name"] == match["workload"])
            change(workload, match["key"], match["old"], match["new"])
        else:
            raise AssertionError(f"nobody knows how to do this: {part!r}")
    return changed


def change(workload: dict[str, Any], key: str, old: str, new: str) -> None:
    if key == "residency":
        assert ", ".join(workload[key]) == old
        del workload[key]
        if new != "any":
            workload[key] = new.split(", ")
        return
    owner = workload["model"] if key in ("min_score", "context_tokens") else workload["slo"]
    owner = workload if key == "survive" else owner
    assert str(owner[key]) == old.replace(",", "") or float(owner[key]) == float(old.replace(",", ""))
    owner[key] = new if key == "survive" else float(new.replace(",", ""))
    if key == "context_tokens":
        owner[key] = int(owner[key])


def infeasible() -> Iterator[tuple[int, dict[str, Any], Plan]]:
    """Requirements that no plan meets, but that a change makes feasible: seed, requirements and plan."""
    for seed in itertools.count():
        data = generate_large(seed)
        made = plan(data)
        if not made.feasible and made.ways_out:
            yield seed, data, made


def check(seed: int, data: dict[str, Any], made: Plan) -> int:
    """Plan again with each way out, and return their number."""
    for way in made.ways_out:
        after = plan(applied(data, way.what))
        assert after.feasible, f"case {seed}: {way.what}: {after.conflicts}"
        budget = applied(data, way.what).get("budget")
        assert after.monthly_cost_usd is not None
        if budget is not None:
            assert after.monthly_cost_usd <= budget["monthly_usd"] * (1 + 1e-6), f"case {seed}: {way.what}"
    return len(made.ways_out)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_way_out_of_200_larger_cases_makes_a_plan_possible():
    ways = [check(*case) for case in itertools.islice(infeasible(), CASES)]
    assert len(ways) == CASES
    assert sum(ways) > CASES


def test_every_way_out_of_three_larger_cases_makes_a_plan_possible():
    assert sum(check(*case) for case in itertools.islice(infeasible(), 3)) >= 3


def test_a_way_out_suffices_where_many_similar_plans_do_not_fit_on_the_nodes():
    assert plan(applied(generate_large(138), "16 more h100-sxm-80gb at there (2 nodes)")).feasible
