"""A mixed-integer program in HiGHS: variables, rows and objectives, independent of what they mean.

It uses one thread, a fixed seed, and ends at a gap or a number of nodes, never by time. The same input gives the same
answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.planning.solver import silent

Row = tuple[float, float, Mapping[int, float]]
"""Lower and upper limit, and the coefficient of each variable."""


class Rows:
    """A program whose variables are whole numbers, each with a cost and a score.

    It is passed to HiGHS when it is first solved. Variables of a block and rows between them alone belong together
    (`isthmus.planning.solver.columns`).
    """

    def __init__(self, *, gap: float, nodes: int) -> None:
        highspy, solver = silent.silent_solver()
        self.infinity: float = highspy.kHighsInf
        self.gap = 0.0
        """Gap left open by the last run, as a share of the objective."""
        self._highs: Any = solver
        self._min, self._max = highspy.ObjSense.kMinimize, highspy.ObjSense.kMaximize
        self._integer = highspy.HighsVarType.kInteger
        self._good = highspy.HighsModelStatus.kOptimal
        self._highs.setOptionValue("mip_rel_gap", float(gap))
        self._highs.setOptionValue("mip_max_nodes", nodes)
        self.costs: list[float] = []
        self.rows: list[Row] = []
        self.blocks: list[Hashable] = []
        """By variable: its block, or None."""
        self.scores: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._passed = 0, 0
        """Variables and rows that HiGHS has."""

    def variable(
        self, low: float, high: float, cost: float = 0.0, score: float = 0.0, *, block: Hashable = None
    ) -> int:
        """Add a whole-number variable and return its index."""
        self.costs.append(cost)
        self.blocks.append(block)
        self.scores.append(score)
        self._lower.append(low)
        self._upper.append(high)
        return len(self.costs) - 1

    def row(self, low: float, high: float, terms: Mapping[int, float]) -> None:
        self.rows.append((low, high, terms))

    def at_most(self, terms: Mapping[int, float], high: float = 0.0) -> None:
        self.row(-self.infinity, high, terms)

    def upper(self, index: int) -> float:
        return self._upper[index]

    def lower(self, index: int) -> float:
        return self._lower[index]

    def minimise(self) -> bool:
        """Minimise the cost, and return whether a solution exists."""
        return self._run(self.costs, self._min)

    def maximise_score(self) -> bool:
        return self._run(self.scores, self._max)

    def _run(self, objective: Sequence[float], sense: Any) -> bool:
        self._pass()
        count = len(objective)
        self._highs.changeColsCost(count, np.arange(count), np.array(objective, dtype=float))
        self._highs.changeObjectiveSense(sense)
        self._highs.run()
        info = self._highs.getInfo()
        self.gap = max(0.0, float(info.mip_gap))
        return self._highs.getModelStatus() == self._good or info.primal_solution_status == 2

    def _pass(self) -> None:
        """Give HiGHS the variables and rows that it does not have."""
        variables, rows = self._passed
        count = len(self.costs) - variables
        if count:
            self._highs.addVars(count, np.array(self._lower[variables:]), np.array(self._upper[variables:]))
            indices = np.arange(variables, variables + count)
            kinds = np.full(count, int(self._integer), dtype=np.uint8)
            self._highs.changeColsIntegrality(count, indices, kinds)
        add_rows(self._highs, self.rows[rows:])
        self._passed = len(self.costs), len(self.rows)

    def cost_at_most(self, cost: float) -> None:
        self.at_most({index: value for index, value in enumerate(self.costs) if value}, cost)

    def score_at_least(self, score: float) -> None:
        terms = {index: value for index, value in enumerate(self.scores) if value}
        self.row(score, self.infinity, terms)

    def cost(self) -> float:
        return self._sum(self.costs)

    def score(self) -> float:
        return self._sum(self.scores)

    def _sum(self, weights: Sequence[float]) -> float:
        values = self.values()
        return math.fsum(weight * values[index] for index, weight in enumerate(weights) if weight)

    def values(self) -> Sequence[float]:
        return self._highs.getSolution().col_value


def add_rows(solver: Any, rows: Sequence[Row]) -> None:
    """Add rows to a HiGHS solver."""
    if not rows:
        return
    starts = np.cumsum([0, *(len(terms) for _, _, terms in rows)])
    solver.addRows(
        len(rows),
        np.array([low for low, _, _ in rows], dtype=float),
        np.array([high for _, high, _ in rows], dtype=float),
        int(starts[-1]),
        starts[:-1].astype(np.int32),
        np.array([index for _, _, terms in rows for index in terms], dtype=np.int32),
        np.array([value for _, _, terms in rows for value in terms.values()], dtype=float),
    )
