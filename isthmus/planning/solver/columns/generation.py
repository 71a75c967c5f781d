"""Generates the patterns of a large program until none lowers the cost, and takes the bound and a plan from them.

The bound holds for all options. A pattern has as many replicas as its workloads need together. Where the search for a
cheaper pattern is cut off, the bound counts what it could still save.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.planning.solver import watch
from isthmus.planning.solver.columns import pattern_search, plan_choice
from isthmus.planning.solver.columns.endpoints import Endpoint, Needed, Pattern
from isthmus.planning.solver.columns.master import Master
from isthmus.planning.solver.columns.plan_choice import Chosen
from isthmus.planning.solver.milp import Rows

MAX_ROUNDS = 120
MAX_NEW_PATTERNS = 400
"""In one round."""
MOST_OF_ONE = 12
"""Patterns with the same workload in one round, unless other workloads need more."""
CLOSE, NEARLY = 1e-3, 0.05
"""The bound is sought until it is the first share below the cost of the relaxed program; from the second one on,
patterns are sought thoroughly."""
FEW = 40
"""New patterns of a quick round, from which on they are sought thoroughly."""
MAX_RAISES, RAISE = 2, 1000.0
"""To leave something out becomes so many times dearer, so often, before the program counts as impossible."""


@dataclass(frozen=True)
class Relaxation:
    """What is known of a large program."""

    bound: float
    """USD a month. No plan costs less."""
    penalties: Mapping[int, float]
    """By variable of a choice on an endpoint: USD a month that it costs more, at the shadow prices, than what the
    relaxed program chose; an estimate."""
    values: Mapping[int, float] | None
    """Variables of the best plan of the patterns; None if they give none."""
    least: float
    """USD a month of the cheapest plan that was found."""


def relax(
    rows: Rows, endpoints: Sequence[Endpoint], needed_together: Needed, near_tie_pct: float = 0.0
) -> Relaxation | None:
    """Bound a program and find a plan of it; None if it has none.

    `rows`: all rows, with a block for each endpoint's variables. `near_tie_pct`: by how much the plan may cost more
    than the cheapest one that was found, for a better score.
    """
    master = Master(rows, endpoints, needed_together)
    bound = _generate(master)
    if bound is None or master.is_short():
        return None
    gains, _ = master.gains()
    penalties = dict(zip(master.members.tolist(), (-gains).tolist(), strict=True))
    # An endpoint of which the relaxed program has parts of several patterns would get several.
    master.forbid_several([min(1.0, value * 1e6) for value in master.solver.getSolution().col_value])
    if bound > 0:
        watch.say(f"no plan costs less than {bound:,.0f} USD a month; looks for one that is near")
    chosen = plan_choice.first_plan(master)
    if chosen is None:
        return Relaxation(bound, penalties, None, math.inf)
    chosen = plan_choice.improve(master, chosen)
    least = chosen.cost
    too_dear = f", at most {1 - bound / least:.1%} too dear" if bound > 0 else ""
    watch.say(f"found a plan of {least:,.0f} USD a month{too_dear}")
    if near_tie_pct > 0 and not watch.is_ending():
        master.decide_by_score(least * (1 + near_tie_pct / 100))
        chosen = plan_choice.improve(master, Chosen(0.0, chosen.values, chosen.patterns))
    return Relaxation(bound, penalties, master.program_values(chosen.values, chosen.patterns), least)


def _generate(master: Master) -> float | None:
    """Add patterns until none saves anything. Returns the bound; None if the program is infeasible."""
    bound, is_thorough, raises = -math.inf, False, 0
    for number in range(MAX_ROUNDS):
        if number and not master.is_short() and watch.is_ending():
            break
        cost = master.solve()
        if cost is None:
            return None
        if is_thorough and master.forbid_several(master.solver.getSolution().col_value):
            continue
        is_thorough |= cost - bound <= NEARLY * abs(cost)
        patterns, missing = _round(master, is_thorough=is_thorough)
        bound = max(bound, cost - missing)
        added = master.add(patterns)
        if added <= FEW and master.is_short() and raises < MAX_RAISES:
            master.raise_missing(RAISE)
            bound, raises, is_thorough = -math.inf, raises + 1, False
        elif cost - bound <= CLOSE * abs(cost) or (is_thorough and not added):
            break
        elif added <= FEW:
            is_thorough = True
    return bound


def _round(master: Master, *, is_thorough: bool) -> tuple[list[Pattern], float]:
    """Search patterns at the present shadow prices. Returns them, and what all endpoints together could save."""
    _, sums = master.gains()
    patterns: list[Pattern] = []
    missing = 0.0
    covered: dict[int, int] = {}
    for place in map(int, np.argsort(-sums, kind="stable")):
        if sums[place] <= pattern_search.LEAST_SAVING:
            break
        if len(patterns) >= MAX_NEW_PATTERNS or _is_covered(master, place, covered):
            missing += float(sums[place])
            continue
        found = pattern_search.find_patterns(master, place, is_thorough=is_thorough)
        missing += found.at_most
        patterns += found.patterns
        for row in (row for pattern in found.patterns for row in master.rows_of(pattern)):
            covered[row] = covered.get(row, 0) + 1
    return patterns, missing


def _is_covered(master: Master, number: int, covered: Mapping[int, int]) -> bool:
    """Whether a round has enough patterns of all members that would be worth a pattern of this endpoint."""
    return all(
        covered.get(master.row_of(index), 0) >= MOST_OF_ONE
        for index in master.endpoints[number].members
        if master.reduced[index] < 0
    )
