"""The mixed-integer program: which option each workload takes, how many replicas of which endpoint, at the least cost.

Hardware is counted in `isthmus.planning.solver.capacity_rows`; here is what is chosen, and the order in which it is
solved: least cost, then within the near tie the best score, then again the least cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options import bedrock, gateway_sites, hardware, monthly_costs
from isthmus.planning.options.fixed_costs import FixedCosts, Placed
from isthmus.planning.options.option import Column, OnApi, OnGpus, Option
from isthmus.planning.sizing import demand
from isthmus.planning.solver import capacity_rows
from isthmus.planning.solver.milp import Rows
from isthmus.planning.solver.problem import Choice, Problem

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload
    from isthmus.contracts.requirements.sites import Link

PARTS = (0.75, 0.5, 0.25)
"""Parts of the peak that may stay on GPUs where the rest may overflow to an API."""
GAP = 1e-7
MANY, LIKELY = 3000, 8
"""Ways of all workloads together above which only so many of each are weighed."""
SMALL = 400
"""Choices up to which the gap is closed wholly; above it a hundredth of the cost is left open, a fiftieth of what was
pruned."""


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
    large: bool = False
    """A part of the cost was left open from the start."""


def solve(problem: Problem) -> Solution | None:
    """The least cost, then within the near tie the best score, then its least cost. None where nothing is feasible."""
    choices = {name: _choices(problem, name) for name in problem.options.by_workload}
    if not all(choices.values()):
        return None
    choices |= {name: _kept(choices[name], choice) for name, choice in problem.keep.items()}
    pruned = sum(len(each) for each in choices.values()) > MANY
    if pruned:
        choices = {name: _likely(problem, each) for name, each in choices.items()}
    made = _Program(problem, choices, pruned=pruned)
    rows = made.rows
    if not rows.minimise():
        return None
    least, gap = rows.cost(), rows.gap
    pct = problem.requirements.objective.near_tie_pct
    if pct > 0 and not problem.least_only:
        rows.cost_at_most(least * (1 + pct / 100) + 1e-6)
        rows.maximise_score()
        best = rows.score()
        rows.score_at_least(best - 1e-7)
        rows.minimise()
    large = sum(len(each) for each in choices.values()) > SMALL
    return replace(made.solution(least, gap), pruned=pruned, large=large)


def _likely(problem: Problem, choices: Sequence[Choice]) -> list[Choice]:
    """The cheapest ways by their cost if GPUs came in parts, and the cheapest of those of the best score."""

    def in_parts(choice: Choice) -> float:
        if isinstance(choice.option, OnApi):
            return choice.monthly
        replicas = choice.option.units * choice.part * (1 + problem.requirements.planning.headroom)
        return choice.monthly + replicas * hardware.replica_price(problem.requirements, choice.option.column)

    ordered = sorted(choices, key=in_parts)
    best = max(each.option.score for each in choices)
    first = next(each for each in ordered if each.option.score == best)
    return ordered[:LIKELY] if first in ordered[:LIKELY] else [*ordered[: LIKELY - 1], first]


def _kept(choices: Sequence[Choice], taken: Choice) -> list[Choice]:
    """The choice that was taken, whatever else it outlives for those who share its endpoint."""

    def place(choice: Choice) -> tuple[object, ...]:
        option = choice.option
        return (option.column.plain if isinstance(option, OnGpus) else option), choice.overflow, choice.part

    return [each for each in choices if place(each) == place(taken)]


def _choices(problem: Problem, name: str) -> list[Choice]:
    """Every way that a workload can go, those with overflow among them."""
    workload = problem.requirements.workload(name)
    found = [Choice(option) for option in problem.options.by_workload[name]]
    if workload is None or not workload.allow_overflow or "overflow" not in problem.options.rules.builds:
        return found
    apis = [option for option in problem.options.by_workload[name] if isinstance(option, OnApi)]
    # From any other site's gateway the way to AWS is not one that was looked at.
    home = gateway_sites.home(problem.requirements, workload.sensitivity)
    for option in problem.options.by_workload[name]:
        if isinstance(option, OnGpus) and option.site == home and workload.mode == "interactive":
            for part in PARTS:
                share = demand.beyond(workload, part)
                found += [Choice(option, api, part, share) for api in apis if 0 < share < 1]
    return found


class _Program:
    """The program's variables, and what they mean."""

    def __init__(
        self, problem: Problem, choices: Mapping[str, Sequence[Choice]], *, pruned: bool = False
    ) -> None:
        self.problem, self.choices = problem, choices
        self.requirements = problem.requirements
        count = sum(len(each) for each in choices.values())
        self.rows = Rows(
            gap=0.02 if problem.least_only or pruned else GAP if count <= SMALL else 0.01,
            nodes=100_000 if count <= SMALL else 2_000 if count <= 5 * SMALL else 100,
        )
        self._x: list[tuple[Workload, Choice, int]] = []
        self._asked: dict[Column, set[int]] = {}
        for options in problem.options.by_workload.values():
            for each in options:
                if isinstance(each, OnGpus):
                    levels = self._asked.setdefault(each.column.plain, set())
                    levels.add(SURVIVES.index(each.column.survive))
        self._counts = capacity_rows.build(self.rows, problem, self._loads())
        self._crowded()
        self._fixed()
        self._tokens()
        self._gpus()
        budget = self.requirements.budget
        if budget is not None and problem.options.rules.holds("platform", "budget"):
            self.rows.cost_at_most(budget.monthly_usd)

    def _loads(self) -> dict[Column, dict[int, float]]:
        """A variable for each choice of each workload, one of which it takes; the loads that they put on columns."""
        total = sum(each.traffic.mean_rps for each in self.requirements.workloads)
        loads: dict[Column, dict[int, float]] = {}
        for workload in self.requirements.workloads:
            mine: dict[int, float] = {}
            for choice in self.choices[workload.name]:
                weight = workload.traffic.mean_rps / total
                score = weight * sum(option.score * share for option, share, _ in choice.parts)
                cost = choice.monthly + self._moving(workload.name, choice.option)
                for column in self._columns(choice.option):
                    index = self.rows.variable(0, 1, cost, score)
                    mine[index] = 1.0
                    if column is None or isinstance(choice.option, OnApi):
                        self._x.append((workload, choice, index))
                        continue
                    taken = replace(choice, option=replace(choice.option, column=column))
                    self._x.append((workload, taken, index))
                    loads.setdefault(column, {})[index] = choice.option.units * choice.part
            self.rows.row(1, 1, mine)
        return loads

    def _columns(self, option: Option) -> list[Column | None]:
        """The columns that an option may use: its own, and those of others that ask to outlive more."""
        if isinstance(option, OnApi):
            return [None]
        own = SURVIVES.index(option.column.survive)
        asked = self._asked[option.column.plain]
        return [replace(option.column, survive=SURVIVES[level]) for level in sorted(asked) if level >= own]

    def _moving(self, name: str, option: Option) -> float:
        """What it costs to move a workload that runs elsewhere; where nothing is stated next to nothing: ties."""
        there = self.problem.stay.get(name)
        if there is None or there == place(option):
            return 0.0
        return max(self.requirements.planning.move_cost_usd, 1e-4)

    def _crowded(self) -> None:
        """Whoever shares an endpoint with all of those, or puts more of a peak there, needs as many replicas."""
        for crowd in self.problem.crowds:
            if crowd.column not in self._counts:
                continue
            mine = {
                index: float(crowd.need)
                for workload, choice, index in self._x
                if isinstance(choice.option, OnGpus)
                and choice.option.column == crowd.column
                and choice.part >= crowd.parts.get(workload.name, 2.0)
            }
            mine[self._counts[crowd.column]] = -1.0
            self.rows.at_most(mine, crowd.need * (len(crowd.parts) - 1))

    def _fixed(self) -> None:
        """What a site, a cluster and a link cost once they are used at all."""
        for site in self.requirements.sites:
            on_gpus = [
                (choice.option.column, index)
                for _, choice, index in self._x
                if isinstance(choice.option, OnGpus) and choice.option.site == site.name
            ]
            if isinstance(site, OnPremSite):
                once = monthly_costs.of_site(site, self.requirements.objective.cost_basis)
                self._once(once, [index for _, index in on_gpus])
        self._fixed_in_aws()
        homes = {
            each.sensitivity: gateway_sites.home(self.requirements, each.sensitivity)
            for each in self.requirements.workloads
        }
        for link in self.requirements.links:
            over = [
                index
                for workload, choice, index in self._x
                if any(
                    crosses(homes[workload.sensitivity], option.site, link) for option, _, _ in choice.parts
                )
            ]
            self._once(link.usd_per_month, over)

    def _fixed_in_aws(self) -> None:
        """Parts of AWS sites. Those with one condition are paid for together, as soon as one placement meets it."""
        fixed = FixedCosts(self.requirements, self.problem.options.rules.builds)
        users: dict[Placed, list[int]] = {}
        for workload, choice, index in self._x:
            for option, _, _ in choice.parts:
                users.setdefault(fixed.option_placed(workload.sensitivity, option), []).append(index)
        for scope, usd in fixed.monthly_usd_by_scope().items():
            indices = {
                index for place, mine in users.items() if fixed.applies(scope, place) for index in mine
            }
            self._once(usd, sorted(indices))

    def _once(self, cost: float, users: Sequence[int]) -> None:
        if cost and users:
            used = self.rows.variable(0, 1, cost)
            for index in users:
                self.rows.at_most({index: 1.0, used: -1.0})

    def _tokens(self) -> None:
        """What an account may ask of an API in a minute, where its site states it."""
        for site in self.requirements.sites:
            if not isinstance(site, AwsSite) or not self.problem.quotas(site.name):
                continue
            for name, amount in site.quotas.items():
                if of := bedrock_quotas.quota(name):
                    self.rows.at_most(self._asked_of(site.name, of), amount)

    def _asked_of(self, site: str, quota: bedrock_quotas.Quota) -> dict[int, float]:
        """By choice, what it takes of a quota."""
        terms: dict[int, float] = {}
        for workload, choice, index in self._x:
            for option, _, part in choice.parts:
                if not isinstance(option, OnApi) or option.site != site:
                    continue
                crossing = option.call.profile is not None
                for kind, amount in bedrock.of_call(self.requirements, workload, option.call, part):
                    if quota.holds_for(option.call.model, kind, crossing=crossing):
                        terms[index] = terms.get(index, 0.0) + amount
        return terms

    def _gpus(self) -> None:
        """No more GPUs than the blueprint is made for."""
        most = self.problem.most_gpus
        if most is not None and self._counts:
            gpus = {
                index: column.degree * column.nodes / (hardware.each_holds(column) if column.mig else 1)
                for column, index in self._counts.items()
            }
            self.rows.at_most(gpus, most)

    def solution(self, least: float, gap: float) -> Solution:
        values = self.rows.values()
        chosen = {workload.name: choice for workload, choice, index in self._x if values[index] > 0.5}
        counts = {
            column: round(values[index]) for column, index in self._counts.items() if values[index] > 0.5
        }
        return Solution(chosen, counts, self.rows.cost(), least, gap)


def place(option: Option) -> tuple[str, str]:
    """The model and where it runs, as a plan that is there is compared."""
    if isinstance(option, OnGpus):
        return option.column.model, f"{option.column.site}/{option.column.gpu}"
    return option.model, option.site


def crosses(home: str | None, site: str, link: Link) -> bool:
    """Whether what a class's gateway at `home` asks of the site goes over the link."""
    return home is not None and home != site and {home, site} == {link.from_, link.to}
