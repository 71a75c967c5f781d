"""The mixed-integer program: chooses an option for each workload and the replicas of each endpoint at least cost.

`isthmus.planning.solver.capacity_rows` counts the hardware. The program is solved for least cost, then for the best
score within the near tie, then for least cost again.
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

PEAK_PARTS = (0.75, 0.5, 0.25)
"""Parts of the peak that GPUs carry if the rest may overflow to an API."""
GAP = 1e-7
MAX_CHOICES, CHOICES_PER_WORKLOAD = 3000, 8
"""With more than `MAX_CHOICES` choices in all, only `CHOICES_PER_WORKLOAD` of each workload are compared."""
SMALL_PROGRAM = 400
"""Up to this number of choices the gap is closed completely. Above it, 1 % of the cost stays open; 2 % if choices were
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
    """Only the most promising choices of each workload were compared."""
    large: bool = False
    """The program has more than `SMALL_PROGRAM` choices, so a gap was accepted from the start."""


def solve(problem: Problem) -> Solution | None:
    """Solve for least cost, then best score within the near tie, then least cost. None if nothing is feasible."""
    choices = {name: _workload_choices(problem, name) for name in problem.options.by_workload}
    if not all(choices.values()):
        return None
    choices |= {name: _matching_choices(choices[name], choice) for name, choice in problem.keep.items()}
    pruned = sum(len(workload_choices) for workload_choices in choices.values()) > MAX_CHOICES
    if pruned:
        choices = {
            name: _likely_choices(problem, workload_choices) for name, workload_choices in choices.items()
        }
    milp = _Program(problem, choices, pruned=pruned)
    rows = milp.rows
    if not rows.minimise():
        return None
    least, gap = rows.cost(), rows.gap
    near_tie_pct = problem.requirements.objective.near_tie_pct
    if near_tie_pct > 0 and not problem.least_only:
        rows.cost_at_most(least * (1 + near_tie_pct / 100) + 1e-6)
        rows.maximise_score()
        best = rows.score()
        rows.score_at_least(best - 1e-7)
        rows.minimise()
    large = sum(len(workload_choices) for workload_choices in choices.values()) > SMALL_PROGRAM
    return replace(milp.solution(least, gap), pruned=pruned, large=large)


def _likely_choices(problem: Problem, choices: Sequence[Choice]) -> list[Choice]:
    """Return the cheapest choices, as if GPUs came in fractions, and always the cheapest one with the best score."""

    def fractional_cost(choice: Choice) -> float:
        if isinstance(choice.option, OnApi):
            return choice.monthly
        replicas = choice.option.units * choice.part * (1 + problem.requirements.planning.headroom)
        return choice.monthly + replicas * hardware.monthly_replica_price(
            problem.requirements, choice.option.column
        )

    ordered = sorted(choices, key=fractional_cost)
    best = max(choice.option.score for choice in choices)
    first = next(choice for choice in ordered if choice.option.score == best)
    return (
        ordered[:CHOICES_PER_WORKLOAD]
        if first in ordered[:CHOICES_PER_WORKLOAD]
        else [*ordered[: CHOICES_PER_WORKLOAD - 1], first]
    )


def _matching_choices(choices: Sequence[Choice], kept_choice: Choice) -> list[Choice]:
    """Return the variants of the kept choice, whatever `survive` its sharers need."""

    def signature(choice: Choice) -> tuple[object, ...]:
        option = choice.option
        return (option.column.plain if isinstance(option, OnGpus) else option), choice.overflow, choice.part

    return [choice for choice in choices if signature(choice) == signature(kept_choice)]


def _workload_choices(problem: Problem, name: str) -> list[Choice]:
    """Return all choices of a workload, with and without overflow."""
    workload = problem.requirements.workload(name)
    choices = [Choice(option) for option in problem.options.by_workload[name]]
    if workload is None or not workload.allow_overflow or "overflow" not in problem.options.rules.builds:
        return choices
    apis = [option for option in problem.options.by_workload[name] if isinstance(option, OnApi)]
    # The path from any other site's gateway to AWS was not checked.
    home = gateway_sites.home_site(problem.requirements, workload.sensitivity)
    for option in problem.options.by_workload[name]:
        if isinstance(option, OnGpus) and option.site == home and workload.mode == "interactive":
            for peak_part in PEAK_PARTS:
                share = demand.overflow_share(workload, peak_part)
                choices += [Choice(option, api, peak_part, share) for api in apis if 0 < share < 1]
    return choices


class _Program:
    """Variables and rows of the program, and their meaning."""

    def __init__(
        self, problem: Problem, choices: Mapping[str, Sequence[Choice]], *, pruned: bool = False
    ) -> None:
        self.problem, self.choices = problem, choices
        self.requirements = problem.requirements
        count = sum(len(workload_choices) for workload_choices in choices.values())
        self.rows = Rows(
            gap=0.02 if problem.least_only or pruned else GAP if count <= SMALL_PROGRAM else 0.01,
            nodes=100_000 if count <= SMALL_PROGRAM else 2_000 if count <= 5 * SMALL_PROGRAM else 100,
        )
        self._x: list[tuple[Workload, Choice, int]] = []
        self._asked: dict[Column, set[int]] = {}
        for options in problem.options.by_workload.values():
            for option in options:
                if isinstance(option, OnGpus):
                    levels = self._asked.setdefault(option.column.plain, set())
                    levels.add(SURVIVES.index(option.column.survive))
        self._counts = capacity_rows.add_capacity_rows(self.rows, problem, self._loads())
        self._crowded()
        self._fixed()
        self._tokens()
        self._gpus()
        budget = self.requirements.budget
        if budget is not None and problem.options.rules.holds("platform", "budget"):
            self.rows.cost_at_most(budget.monthly_usd)

    def _loads(self) -> dict[Column, dict[int, float]]:
        """Add a variable for each choice, exactly one of which a workload takes, and return the loads on columns."""
        total = sum(workload.traffic.mean_rps for workload in self.requirements.workloads)
        loads: dict[Column, dict[int, float]] = {}
        for workload in self.requirements.workloads:
            indices: dict[int, float] = {}
            for choice in self.choices[workload.name]:
                weight = workload.traffic.mean_rps / total
                score = weight * sum(option.score * share for option, share, _ in choice.parts)
                cost = choice.monthly + self._moving(workload.name, choice.option)
                for column in self._columns(choice.option):
                    index = self.rows.variable(0, 1, cost, score)
                    indices[index] = 1.0
                    if column is None or isinstance(choice.option, OnApi):
                        self._x.append((workload, choice, index))
                        continue
                    column_choice = replace(choice, option=replace(choice.option, column=column))
                    self._x.append((workload, column_choice, index))
                    loads.setdefault(column, {})[index] = choice.option.units * choice.part
            self.rows.row(1, 1, indices)
        return loads

    def _columns(self, option: Option) -> list[Column | None]:
        """Return the columns that an option may use: its own, and those with a stricter `survive`."""
        if isinstance(option, OnApi):
            return [None]
        own_level = SURVIVES.index(option.column.survive)
        levels = self._asked[option.column.plain]
        return [
            replace(option.column, survive=SURVIVES[level]) for level in sorted(levels) if level >= own_level
        ]

    def _moving(self, name: str, option: Option) -> float:
        """Return the cost of moving a workload that runs elsewhere. Without a stated cost, a tiny one decides ties."""
        current_place = self.problem.stay.get(name)
        if current_place is None or current_place == describe_place(option):
            return 0.0
        return max(self.requirements.planning.move_cost_usd, 1e-4)

    def _crowded(self) -> None:
        """Require the replicas of a crowded endpoint if all of its workloads, or larger parts of them, share it."""
        for crowd in self.problem.crowds:
            if crowd.column not in self._counts:
                continue
            terms = {
                index: float(crowd.need)
                for workload, choice, index in self._x
                if isinstance(choice.option, OnGpus)
                and choice.option.column == crowd.column
                and choice.part >= crowd.parts.get(workload.name, 2.0)
            }
            terms[self._counts[crowd.column]] = -1.0
            self.rows.at_most(terms, crowd.need * (len(crowd.parts) - 1))

    def _fixed(self) -> None:
        """Add the costs of sites and links, which are paid once if they are used at all."""
        for site in self.requirements.sites:
            on_gpus = [
                (choice.option.column, index)
                for _, choice, index in self._x
                if isinstance(choice.option, OnGpus) and choice.option.site == site.name
            ]
            if isinstance(site, OnPremSite):
                monthly_usd = monthly_costs.site_cost(site, self.requirements.objective.cost_basis)
                self._once(monthly_usd, [index for _, index in on_gpus])
        self._fixed_in_aws()
        homes = {
            workload.sensitivity: gateway_sites.home_site(self.requirements, workload.sensitivity)
            for workload in self.requirements.workloads
        }
        for link in self.requirements.links:
            users = [
                index
                for workload, choice, index in self._x
                if any(
                    crosses_link(homes[workload.sensitivity], option.site, link)
                    for option, _, _ in choice.parts
                )
            ]
            self._once(link.usd_per_month, users)

    def _fixed_in_aws(self) -> None:
        """Add the fixed parts of AWS sites. Parts with the same condition are paid once if any placement meets it."""
        fixed = FixedCosts(self.requirements, self.problem.options.rules.builds)
        users: dict[Placed, list[int]] = {}
        for workload, choice, index in self._x:
            for option, _, _ in choice.parts:
                users.setdefault(fixed.option_placed(workload.sensitivity, option), []).append(index)
        for scope, usd in fixed.monthly_usd_by_scope().items():
            indices = {
                index
                for place, user_indices in users.items()
                if fixed.applies(scope, place)
                for index in user_indices
            }
            self._once(usd, sorted(indices))

    def _once(self, cost: float, users: Sequence[int]) -> None:
        if cost and users:
            used = self.rows.variable(0, 1, cost)
            for index in users:
                self.rows.at_most({index: 1.0, used: -1.0})

    def _tokens(self) -> None:
        """Limit tokens and requests a minute by the quotas that a site states."""
        for site in self.requirements.sites:
            if not isinstance(site, AwsSite) or not self.problem.quotas(site.name):
                continue
            for name, amount in site.quotas.items():
                if quota := bedrock_quotas.parse_quota_name(name):
                    self.rows.at_most(self._asked_of(site.name, quota), amount)

    def _asked_of(self, site: str, quota: bedrock_quotas.Quota) -> dict[int, float]:
        """Return, by variable, how much of a quota each choice needs."""
        terms: dict[int, float] = {}
        for workload, choice, index in self._x:
            for option, _, peak_part in choice.parts:
                if not isinstance(option, OnApi) or option.site != site:
                    continue
                crossing = option.call.profile is not None
                for kind, amount in bedrock.call_needs(self.requirements, workload, option.call, peak_part):
                    if quota.holds_for(option.call.model, kind, crossing=crossing):
                        terms[index] = terms.get(index, 0.0) + amount
        return terms

    def _gpus(self) -> None:
        """Limit the GPUs to the most that the blueprint supports."""
        max_gpus = self.problem.most_gpus
        if max_gpus is not None and self._counts:
            gpus = {
                index: column.degree
                * column.nodes
                / (hardware.replicas_per_unit(column) if column.mig else 1)
                for column, index in self._counts.items()
            }
            self.rows.at_most(gpus, max_gpus)

    def solution(self, least: float, gap: float) -> Solution:
        values = self.rows.values()
        choices = {workload.name: choice for workload, choice, index in self._x if values[index] > 0.5}
        counts = {
            column: round(values[index]) for column, index in self._counts.items() if values[index] > 0.5
        }
        return Solution(choices, counts, self.rows.cost(), least, gap)


def describe_place(option: Option) -> tuple[str, str]:
    """Return the model and its place, for comparison with the existing plan."""
    if isinstance(option, OnGpus):
        return option.column.model, f"{option.column.site}/{option.column.gpu}"
    return option.model, option.site


def crosses_link(home: str | None, site: str, link: Link) -> bool:
    """Whether requests from the class's gateway at `home` to the site use the link."""
    return home is not None and home != site and {home, site} == {link.from_, link.to}
