"""A mixed-integer program in HiGHS: variables, rows and objectives, independent of what they mean.

It uses one thread, a fixed seed, and ends at a gap or a number of nodes, never by time. The same input gives the same
answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.planning.solver import silent


class Rows:
    """A program whose variables are whole numbers, each with a cost and a score."""

    def __init__(self, *, gap: float, nodes: int) -> None:
        highspy, solver = silent.silent_solver()
        self.infinity: float = highspy.kHighsInf
        self.gap = 0.0
        """Gap left open by the last run, as a share of the objective."""
        self._highs: Any = solver
        self._min, self._max = highspy.ObjSense.kMinimize, highspy.ObjSense.kMaximize
        self._integer = highspy.HighsVarType.kInteger
        self._good = highspy.HighsModelStatus.kOptimal
        settings: dict[str, float] = {"threads": 1, "random_seed": 0, "mip_rel_gap": gap}
        settings["mip_max_nodes"] = nodes
        for key, value in settings.items():
            self._highs.setOptionValue(key, value)
        self._costs: list[float] = []
        self._scores: list[float] = []
        self._upper: list[float] = []

    def variable(self, low: float, high: float, cost: float = 0.0, score: float = 0.0) -> int:
        """Add a whole-number variable and return its index."""
        index = len(self._costs)
        self._highs.addVar(low, high)
        self._highs.changeColIntegrality(index, self._integer)
        self._costs.append(cost)
        self._scores.append(score)
        self._upper.append(high)
        return index

    def row(self, low: float, high: float, terms: Mapping[int, float]) -> None:
        self._highs.addRow(low, high, len(terms), list(terms), list(terms.values()))

    def at_most(self, terms: Mapping[int, float], high: float = 0.0) -> None:
        self.row(-self.infinity, high, terms)

    def upper(self, index: int) -> float:
        return self._upper[index]

    def minimise(self) -> bool:
        """Minimise the cost, and return whether a solution exists."""
        return self._run(self._costs, self._min)

    def maximise_score(self) -> bool:
        return self._run(self._scores, self._max)

    def _run(self, objective: Sequence[float], sense: Any) -> bool:
        for index, value in enumerate(objective):
            self._highs.changeColCost(index, value)
        self._highs.changeObjectiveSense(sense)
        self._highs.run()
        info = self._highs.getInfo()
        self.gap = max(0.0, float(info.mip_gap))
        return self._highs.getModelStatus() == self._good or info.primal_solution_status == 2

    def cost_at_most(self, cost: float) -> None:
        self.at_most({index: value for index, value in enumerate(self._costs) if value}, cost)

    def score_at_least(self, score: float) -> None:
        terms = {index: value for index, value in enumerate(self._scores) if value}
        self.row(score, self.infinity, terms)

    def cost(self) -> float:
        return self._sum(self._costs)

    def score(self) -> float:
        return self._sum(self._scores)

    def _sum(self, weights: Sequence[float]) -> float:
        values = self.values()
        return math.fsum(weight * values[index] for index, weight in enumerate(weights) if weight)

    def values(self) -> Sequence[float]:
        return self._highs.getSolution().col_value
