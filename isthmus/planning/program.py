"""The mixed-integer program: which option each workload takes, how many replicas of which endpoint, at the least cost.

Loads are in replicas: a workload's peak takes so many of a column's. With `n` replicas, `t` of which may be lost,

    (1 + headroom) load <= n        intact, with headroom
    load <= n - t                   after the loss that its workloads must survive

where `t` is 1 for a replica, and at least n / k for a node or a failure domain among k that replicas are spread over.
HiGHS solves it with one thread and a fixed seed, and stops on its gap, never on the clock: same input, same plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan_capacity import SURVIVES
from isthmus.contracts.requirements import OnPremSite
from isthmus.planning import costs, demand, silent
from isthmus.planning.options import Column, OnApi, OnGpus, Option, Options
from isthmus.planning.pools import gpu_price, pool_of, spread, usable

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements
    from isthmus.contracts.requirements_sites import Pool

PARTS = (0.75, 0.5, 0.25)
"""Parts of the peak that may stay on GPUs where the rest may overflow to an API."""
UNBOUND = 2000
"""Replicas of an endpoint where the GPUs are not held."""
GAP = 1e-7
MANY, LIKELY = 3000, 8
"""Ways of all workloads together above which only so many of each are weighed."""
SMALL = 400
"""Choices up to which the gap is closed wholly; above it a hundredth of the cost is left open."""


@dataclass(frozen=True)
class Choice:
    """What a workload takes: an option, and what of its load goes on to an API above a part of the peak."""

    option: Option
    overflow: OnApi | None = None
    part: float = 1.0
    """Part of the peak that the option carries."""
    share: float = 0.0
    """Part of the month's requests that overflow."""

    @property
    def monthly(self) -> float:
        """USD of tokens; GPUs are counted by replica."""
        if isinstance(self.option, OnApi):
            return self.option.monthly
        return self.overflow.monthly * self.share if self.overflow else 0.0


@dataclass(frozen=True)
class Solution:
    """The cheapest plan, or the best within the near tie."""

    choices: Mapping[str, Choice]
    replicas: Mapping[Column, int]
    cost: float
    """USD a month."""
    least: float
    """The cost of the cheapest plan."""
    gap: float
    pruned: bool = False
    """Only the likeliest ways of each workload were weighed: there were too many."""


@dataclass
class Problem:
    """What is solved; `cuts` are added where replicas do not pack."""

    requirements: Requirements
    options: Options
    stay: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By workload: the model and place of the plan that is there; at equal cost it stays."""
    cuts: list[dict[Column, int]] = field(default_factory=list)
    budget: bool = True
    least_only: bool = False
    """The least cost is enough, no near tie; a fiftieth of it is left open."""
    held: frozenset[str] = frozenset()
    """Pools whose number of GPUs is not held, by `SITE/GPU`: for what stands in the way."""


def solve(problem: Problem) -> Solution | None:
    """The least cost, then within the near tie the best score, then its least cost. None where nothing is feasible."""
    choices = {name: _choices(problem, name) for name in problem.options.by_workload}
    if not all(choices.values()):
        return None
    pruned = sum(len(each) for each in choices.values()) > MANY
    if pruned:
        choices = {name: _likely(problem, each) for name, each in choices.items()}
    first = _Model(problem, choices)
    if not first.minimise():
        return None
    least, gap = first.cost(), first.gap
    pct = problem.requirements.objective.near_tie_pct
    if pct > 0 and not problem.least_only:
        first.at_most(least * (1 + pct / 100) + 1e-6)
        first.maximise_score()
        best = first.score()
        first.at_least_score(best - 1e-7)
        first.minimise()
    return replace(first.solution(least, gap), pruned=pruned)


def _likely(problem: Problem, choices: Sequence[Choice]) -> list[Choice]:
    """The cheapest ways by their cost if GPUs came in parts, and the cheapest of those of the best score."""

    def in_parts(choice: Choice) -> float:
        if isinstance(choice.option, OnApi):
            return choice.monthly
        column = choice.option.column
        gpus = (
            choice.option.units * choice.part * (1 + problem.requirements.planning.headroom) * column.degree
        )
        return choice.monthly + gpus * gpu_price(problem.requirements, column)

    ordered = sorted(choices, key=in_parts)
    best = max(each.option.score for each in choices)
    first = next(each for each in ordered if each.option.score == best)
    return ordered[:LIKELY] if first in ordered[:LIKELY] else [*ordered[: LIKELY - 1], first]


def _choices(problem: Problem, name: str) -> list[Choice]:
    """Every way that a workload can go, those with overflow among them."""
    workload = problem.requirements.workload(name)
    found = [Choice(option) for option in problem.options.by_workload[name]]
    if workload is None or not workload.allow_overflow:
        return found
    apis = [option for option in problem.options.by_workload[name] if isinstance(option, OnApi)]
    for option in problem.options.by_workload[name]:
        if isinstance(option, OnGpus) and workload.mode == "interactive":
            for part in PARTS:
                share = demand.beyond(workload, part)
                found += [Choice(option, api, part, share) for api in apis if 0 < share < 1]
    return found


class _Model:
    """The program in HiGHS."""

    def __init__(self, problem: Problem, choices: Mapping[str, Sequence[Choice]]) -> None:
        highspy, solver = silent.solver()
        self.problem, self.choices = problem, choices
        self.requirements = problem.requirements
        self.gap = 0.0
        self._inf = highspy.kHighsInf
        self._min, self._max = highspy.ObjSense.kMinimize, highspy.ObjSense.kMaximize
        self._integer = highspy.HighsVarType.kInteger
        self._good = highspy.HighsModelStatus.kOptimal
        self._highs: Any = solver
        count = sum(len(each) for each in choices.values())
        settings: dict[str, float] = {"threads": 1, "random_seed": 0}
        settings["mip_rel_gap"] = 0.02 if problem.least_only else GAP if count <= SMALL else 0.01
        settings["mip_max_nodes"] = 100_000 if count <= SMALL else 2_000 if count <= 5 * SMALL else 100
        for key, value in settings.items():
            self._highs.setOptionValue(key, value)
        self._costs: list[float] = []
        self._scores: list[float] = []
        self._x: list[tuple[str, Choice, int]] = []
        self._n: dict[Column, int] = {}
        self._asked: dict[Column, set[int]] = {}
        for options in problem.options.by_workload.values():
            for each in options:
                if isinstance(each, OnGpus):
                    levels = self._asked.setdefault(replace(each.column, survive="none"), set())
                    levels.add(SURVIVES.index(each.column.survive))
        self._build()

    # -- variables and rows

    def _variable(self, low: float, high: float, cost: float, score: float = 0.0) -> int:
        """A whole number."""
        index = len(self._costs)
        self._highs.addVar(low, high)
        self._highs.changeColIntegrality(index, self._integer)
        self._costs.append(cost)
        self._scores.append(score)
        return index

    def _row(self, low: float, high: float, terms: Mapping[int, float]) -> int:
        index = self._highs.getNumRow()
        self._highs.addRow(low, high, len(terms), list(terms), list(terms.values()))
        return index

    def _build(self) -> None:
        total = sum(each.traffic.mean_rps for each in self.requirements.workloads)
        loads: dict[Column, dict[int, float]] = {}
        sites: dict[str, list[int]] = {}
        for name, choices in self.choices.items():
            workload = self.requirements.workload(name)
            mine: dict[int, float] = {}
            for choice in choices:
                weight = workload.traffic.mean_rps / total if workload else 0.0
                score = weight * (
                    choice.option.score * (1 - choice.share) + _score(choice.overflow) * choice.share
                )
                for column in self._columns(choice.option):
                    cost = choice.monthly + self._moving(name, choice.option)
                    taken = choice if column is None else replace(choice, option=_on(choice.option, column))
                    index = self._variable(0, 1, cost, score)
                    mine[index] = 1.0
                    self._x.append((name, taken, index))
                    if column is not None and isinstance(choice.option, OnGpus):
                        loads.setdefault(column, {})[index] = choice.option.units * choice.part
                        sites.setdefault(column.site, []).append(index)
            self._row(1, 1, mine)
        for column, terms in loads.items():
            self._replicas(column, terms)
        self._pools()
        self._fixed(sites)
        self._cut()
        budget = self.requirements.budget
        if budget is not None and self.problem.budget:
            self.at_most(budget.monthly_usd)

    def _columns(self, option: Option) -> list[Column | None]:
        """The columns that an option may use: its own, and those of others that ask to outlive more."""
        if isinstance(option, OnApi):
            return [None]
        own = SURVIVES.index(option.column.survive)
        asked = self._asked[replace(option.column, survive="none")]
        return [replace(option.column, survive=SURVIVES[level]) for level in sorted(asked) if level >= own]

    def _moving(self, name: str, option: Option) -> float:
        """What it costs to move a workload that runs elsewhere; where nothing is stated next to nothing: ties."""
        there = self.problem.stay.get(name)
        if there is None or there == place(option):
            return 0.0
        return max(self.requirements.planning.move_cost_usd, 1e-4)

    def _replicas(self, column: Column, terms: Mapping[int, float]) -> None:
        site, pool = pool_of(self.requirements, column)
        each = gpu_price(self.requirements, column)
        most = self._most(site, pool, column)
        n = self._n[column] = self._variable(0, most, each * column.degree)
        headroom = 1 + self.requirements.planning.headroom
        self._row(-self._inf, 0, {**{index: headroom * units for index, units in terms.items()}, n: -1.0})
        for index, units in terms.items():
            # Alone it already needs so many: the program is tighter for it.
            self._row(-self._inf, 0, {index: float(self._alone(column, site, pool, units)), n: -1.0})
        if column.survive == "none":
            return
        lost = self._variable(0, most, 0.0)
        self._row(-self._inf, 0, {**terms, n: -1.0, lost: 1.0})
        if column.survive == "replica":
            for index in terms:
                self._row(-self._inf, 0, {index: 1.0, lost: -1.0})
            return
        self._row(0, self._inf, {lost: float(spread(site, pool, column)), n: -1.0})

    def _alone(self, column: Column, site: OnPremSite, pool: Pool, units: float) -> int:
        """The least replicas for one load: intact with headroom, and after the loss."""
        count = max(1, math.ceil(units * (1 + self.requirements.planning.headroom) - 1e-9))
        while column.survive != "none":
            across = spread(site, pool, column)
            lost = 1 if column.survive == "replica" else math.ceil(count / across)
            if count - lost >= units - 1e-9 or count > 1000:
                break
            count += 1
        return count

    def _most(self, site: OnPremSite, pool: Pool, column: Column) -> int:
        if f"{site.name}/{pool.gpu}" in self.problem.held:
            return UNBOUND
        return sum(free // column.degree for free in usable(site, pool))

    def _pools(self) -> None:
        """The GPUs of each pool, and of its nodes for each size of replica."""
        by_pool: dict[tuple[str, str], list[Column]] = {}
        for column in self._n:
            by_pool.setdefault((column.site, column.gpu), []).append(column)
        for (site_name, gpu), columns in by_pool.items():
            if f"{site_name}/{gpu}" in self.problem.held:
                continue
            site, pool = pool_of(self.requirements, columns[0])
            free = usable(site, pool)
            self._row(-self._inf, sum(free), {self._n[each]: float(each.degree) for each in columns})
            for degree in sorted({each.degree for each in columns} - {1}):
                # Replicas of at least this size share nodes: each node holds so many of them.
                big = {
                    self._n[each]: float(each.degree // degree) for each in columns if each.degree >= degree
                }
                self._row(-self._inf, sum(gpus // degree for gpus in free), big)

    def _fixed(self, sites: Mapping[str, list[int]]) -> None:
        """What a site, and a link, cost once they are used at all."""
        basis = self.requirements.objective.cost_basis
        for site in self.requirements.sites:
            if isinstance(site, OnPremSite) and site.name in sites and (once := costs.of_site(site, basis)):
                used = self._variable(0, 1, once)
                for index in sites[site.name]:
                    self._row(-self._inf, 0, {index: 1.0, used: -1.0})
        for link in self.requirements.links:
            over = [
                index
                for name, choice, index in self._x
                if any(crosses(self.requirements, name, api.site, link) for api in apis_of(choice))
            ]
            if over and link.usd_per_month:
                used = self._variable(0, 1, link.usd_per_month)
                for index in over:
                    self._row(-self._inf, 0, {index: 1.0, used: -1.0})

    def _cut(self) -> None:
        """Numbers of replicas that do not pack, nor more of all of them: one of them must be smaller."""
        for counts in self.problem.cuts:
            fewer: dict[int, float] = {}
            for column, count in counts.items():
                if column not in self._n:
                    continue
                below = self._variable(0, 1, 0.0)
                most = float(self._highs.getLp().col_upper_[self._n[column]])
                self._row(-self._inf, most, {self._n[column]: 1.0, below: most - count + 1})
                fewer[below] = 1.0
            if fewer:
                self._row(1, self._inf, fewer)

    # -- objectives

    def minimise(self) -> bool:
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

    def at_most(self, cost: float) -> None:
        self._row(-self._inf, cost, {index: value for index, value in enumerate(self._costs) if value})

    def at_least_score(self, score: float) -> None:
        self._row(score, self._inf, {index: value for index, value in enumerate(self._scores) if value})

    def cost(self) -> float:
        return self._sum(self._costs)

    def score(self) -> float:
        return self._sum(self._scores)

    def _sum(self, weights: Sequence[float]) -> float:
        values = self._highs.getSolution().col_value
        return math.fsum(weight * values[index] for index, weight in enumerate(weights) if weight)

    def solution(self, least: float, gap: float) -> Solution:
        values = self._highs.getSolution().col_value
        chosen = {name: choice for name, choice, index in self._x if values[index] > 0.5}
        counts = {column: round(values[index]) for column, index in self._n.items() if values[index] > 0.5}
        return Solution(chosen, counts, self.cost(), least, gap)


def _on(option: Option, column: Column) -> Option:
    return replace(option, column=column) if isinstance(option, OnGpus) else option


def _score(option: OnApi | None) -> float:
    return option.score if option else 0.0


def apis_of(choice: Choice) -> list[OnApi]:
    return [each for each in (choice.option, choice.overflow) if isinstance(each, OnApi)]


def place(option: Option) -> tuple[str, str]:
    """The model and where it runs, as a plan that is there is compared."""
    if isinstance(option, OnGpus):
        return option.column.model, f"{option.column.site}/{option.column.gpu}"
    return option.model, option.site


def crosses(requirements: Requirements, workload: str, site: str, link: Any) -> bool:
    """Whether a workload's calls of an API at the site go over the link."""
    from isthmus.planning import gateways

    found = requirements.workload(workload)
    home = gateways.home(requirements, found.sensitivity) if found else None
    return home is not None and home != site and {home, site} == {link.from_, link.to}
