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
from isthmus.planning.solver.columns.endpoints import Carried, Endpoint, Pattern
from isthmus.planning.solver.columns.master import Master
from isthmus.planning.solver.columns.pattern_search import Effort
from isthmus.planning.solver.columns.plan_choice import Chosen
from isthmus.planning.solver.milp import Rows

MAX_ROUNDS = 120
MAX_STALLED, PROGRESS = 3, 0.9
"""The bound is not sought further after so many thorough rounds in turn that leave more than this share of the gap."""
MAX_NEW_PATTERNS = 400
"""In one round."""
MOST_OF_ONE = 12
"""Patterns with the same workload in one round, unless other workloads need more."""
CLOSE = 2e-3
"""The bound is sought until it is this share below the cost of the relaxed program."""
EFFORTS = (Effort(1, 1024), Effort(8, 1024), Effort(60, 8192), Effort(400, 8192))
"""Of the searches of a round: quick ones first, thorough ones at last."""
SPLIT = 0.01
"""A sum that is so near to a whole number counts as one."""
FEW = 40
"""New patterns of a round, from which on they are sought with more effort."""


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
    rows: Rows,
    endpoints: Sequence[Endpoint],
    carried_together: Carried,
    near_tie_pct: float = 0.0,
    counted: Sequence[int] = (),
) -> Relaxation | None:
    """Bound a program and find a plan of it; None if it has none.

    `rows`: all rows, with a block for each endpoint's variables. `near_tie_pct`: by how much the plan may cost more
    than the cheapest one that was found, for a better score. `counted`: variables of no endpoint that are 0 or 1;
    that their sum is a whole number raises the bound.
    """
    master = Master(rows, endpoints, carried_together)
    bound = _generate(master)
    if bound is None or master.is_short():
        return None
    gains, _ = master.gains()
    penalties = dict(zip(master.members.tolist(), (-gains).tolist(), strict=True))
    bound, first_plans = _with_whole_sum(master, counted, bound)
    if bound > 0:
        watch.say(f"no plan costs less than {bound:,.0f} USD a month; looks for one that is near")
    if not first_plans:
        return Relaxation(bound, penalties, None, math.inf)
    chosen = min(first_plans, key=lambda plan: plan.cost)
    chosen = plan_choice.improve(master, chosen)
    least = chosen.cost
    too_dear = f", at most {1 - bound / least:.1%} too dear" if bound > 0 else ""
    watch.say(f"found a plan of {least:,.0f} USD a month{too_dear}")
    if near_tie_pct > 0 and not watch.is_ending():
        master.decide_by_score(least * (1 + near_tie_pct / 100))
        chosen = plan_choice.improve(master, Chosen(0.0, chosen.values, chosen.patterns))
    return Relaxation(bound, penalties, master.program_values(chosen.values, chosen.patterns), least)


def _with_whole_sum(master: Master, counted: Sequence[int], bound: float) -> tuple[float, list[Chosen]]:
    """Bound the program with a whole sum of the counted variables. Returns the bound and first plans."""
    total = master.sum_of(counted)
    if abs(total - round(total)) < SPLIT:
        chosen = plan_choice.first_plan(master)
        return bound, [chosen] if chosen else []
    row = master.count(counted)
    bounds: list[float] = []
    plans: list[Chosen] = []
    for low, high in ((math.floor(total) + 1.0, math.inf), (-math.inf, float(math.floor(total)))):
        master.limit(row, low, high)
        branch_bound = _generate(master, again=True, enough=bounds[0] if bounds else math.inf)
        # A branch that the solver gives up bounds nothing.
        bounds.append(-math.inf if branch_bound is None else branch_bound)
        chosen = None if branch_bound is None or master.is_short() else plan_choice.first_plan(master)
        plans += [chosen] if chosen else []
        if plans and watch.is_ending():
            bounds.append(bound)
            break
    master.limit(row, -math.inf, math.inf)
    return max(bound, min(bounds)), plans


def _generate(master: Master, *, again: bool = False, enough: float = math.inf) -> float | None:
    """Add patterns until none saves anything. Returns the bound; None if the program is infeasible.

    `again`: for a program that has most of its patterns. `enough`: a bound that need not be raised further.
    """
    bound, level, stalled, gap = -math.inf, 1 if again else 0, 0, math.inf
    for number in range(MAX_ROUNDS):
        if number and not master.is_short() and watch.is_ending():
            break
        cost = master.solve()
        if cost is None:
            return None
        is_last = level == len(EFFORTS) - 1
        if is_last and master.forbid_several(master.solver.getSolution().col_value):
            continue
        patterns, missing = _round(master, EFFORTS[level])
        bound = max(bound, cost - missing)
        added = master.add(patterns)
        if bound >= enough or (is_last and (cost - bound <= CLOSE * abs(cost) or not added)):
            break
        elif is_last:
            stalled = 0 if cost - bound < gap * PROGRESS else stalled + 1
            gap = min(gap, cost - bound)
            if stalled == MAX_STALLED:
                break
        elif added <= FEW:
            level += 1
    return bound


def _round(master: Master, effort: Effort) -> tuple[list[Pattern], float]:
    """Search patterns at the present shadow prices. Returns them, and what a plan could save with all of them."""
    _, at_most = master.gains()
    patterns: list[Pattern] = []
    covered: dict[int, int] = {}
    least = pattern_search.LEAST_SAVING * master.cost
    for place in map(int, np.argsort(-at_most, kind="stable")):
        if at_most[place] <= least or len(patterns) >= MAX_NEW_PATTERNS:
            break
        if _is_covered(master, place, covered):
            continue
        found = pattern_search.find_patterns(master, place, effort)
        at_most[place] = found.at_most
        patterns += found.patterns
        for row in (row for pattern in found.patterns for row in master.rows_of(pattern)):
            covered[row] = covered.get(row, 0) + 1
    return patterns, master.missing(at_most)


def _is_covered(master: Master, number: int, covered: Mapping[int, int]) -> bool:
    """Whether a round has enough patterns of all members that would be worth a pattern of this endpoint."""
    return all(
        covered.get(master.row_of(index), 0) >= MOST_OF_ONE
        for index in master.endpoints[number].members
        if master.reduced[index] < 0
    )
