"""Ways out against an enumeration of every purchase, and each applied again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import OnPremSite, Requirements
from isthmus.core import yaml_files
from isthmus.planning.options.option import Rules
from isthmus.planning.solver import infeasibility
from tests.generated_requirements import generate_small

TODAY = "2026-11-25"
CASES, LARGEST_PURCHASE = 40, 4
GAP = 0.0005
"""What two runs of the solver may differ by, as a share of the cost."""


def small(seed: int) -> Requirements:
    return requirements_of.parse(yaml_files.loads(yaml_files.dumps(generate_small(seed)), "r.yaml"))


def lacking_gpus() -> Iterator[tuple[int, Requirements, list[infeasibility.Demand]]]:
    """Cases that are infeasible because GPUs are missing."""
    for seed in itertools.count():
        requirements = small(seed)
        rules = Rules(TODAY)
        if infeasibility.is_feasible(requirements, rules, frozenset()):
            continue
        conflicts = infeasibility.find_conflicts(requirements, rules)
        if any(demand.name == "gpus" for demand in conflicts):
            yield seed, requirements, conflicts


def costs_of_purchases(requirements: Requirements, rules: Rules) -> dict[tuple[int, ...], float | None]:
    """The cost of the cheapest plan with each purchase of up to four nodes of each pool."""
    places = [
        (site.name, pool.gpu)
        for site in requirements.sites
        if isinstance(site, OnPremSite)
        for pool in site.pools
    ]
    return {
        nodes: infeasibility._least_cost(
            infeasibility._with_nodes(requirements, dict(zip(places, nodes, strict=True))), rules
        )
        for nodes in itertools.product(range(LARGEST_PURCHASE + 1), repeat=len(places))
    }


def smallest(costs: dict[tuple[int, ...], float | None]) -> list[float]:
    """Costs of purchases from which no node can be left out; a larger one may cost less, since idle GPUs are free."""

    def is_smallest(nodes: tuple[int, ...]) -> bool:
        less = (
            (*nodes[:index], count - 1, *nodes[index + 1 :]) for index, count in enumerate(nodes) if count
        )
        return all(costs[fewer] is None for fewer in less)

    return [cost for nodes, cost in costs.items() if cost is not None and is_smallest(nodes)]


def check(seed: int, requirements: Requirements, conflicts: list[Any]) -> bool:
    """Whether the enumeration had a purchase to compare with. Fails if one is cheaper than every way out."""
    rules = Rules(TODAY)
    known = smallest(costs_of_purchases(requirements, rules))
    ways = infeasibility.find_ways_out(requirements, conflicts, rules)
    if not known:
        return False
    assert ways, f"case {seed}: a purchase of up to {LARGEST_PURCHASE} nodes is enough, and none is offered"
    assert ways[0].monthly_cost_usd <= min(known) * (1 + GAP) + 0.01, f"case {seed}"
    return True


@pytest.mark.soak
def test_no_purchase_of_up_to_four_nodes_of_each_pool_is_cheaper_than_the_ways_out():
    compared = 0
    for seed, requirements, conflicts in lacking_gpus():
        compared += check(seed, requirements, conflicts)
        if compared == CASES:
            break
    assert compared == CASES


def test_in_two_small_cases_no_purchase_is_cheaper():
    cases = itertools.islice(lacking_gpus(), 2)
    assert [check(*case) for case in cases].count(True) >= 1
