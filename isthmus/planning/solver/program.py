"""The mixed-integer program: chooses an option for each workload and the replicas of each endpoint at least cost.

`isthmus.planning.solver.capacity_rows` counts the hardware. The program is solved for least cost, then for the best
score within the near tie, then for least cost again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options import bedrock, gateway_sites, hardware, monthly_costs
from isthmus.planning.options.fixed_costs import FixedCosts, Placed
from isthmus.planning.options.option import Column, OnApi, OnGpus, Option
from isthmus.planning.sizing import demand
from isthmus.planning.solver import capacity_rows, shared_load, watch
from isthmus.planning.solver.columns import generation
from isthmus.planning.solver.columns.endpoints import Endpoint
from isthmus.planning.solver.columns.generation import Relaxation
from isthmus.planning.solver.milp import Rows
from isthmus.planning.solver.problem import Choice, LikelyChoices, Problem, Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Workload
    from isthmus.contracts.requirements.sites import Link
    from isthmus.planning.sizing.fit import Fit

PEAK_PARTS = (0.75, 0.5, 0.25)
"""Parts of the peak that GPUs carry if the rest may overflow to an API."""
GAP = 1e-7
SMALL_PROGRAM, LARGE_PROGRAM = 400, 2000
"""Up to the first number of choices the gap is closed completely. Above the second one, choices are compared by shadow
prices first (`columns`)."""
LARGE_GAP = 0.01
"""Above `SMALL_PROGRAM` the search ends at this gap, or after a number of nodes."""
MOST_TOGETHER = 2.0
"""Endpoints are considered up to this multiple of what the loads of all of their workloads add up to."""
CHOICES_PER_WORKLOAD = 8
"""In a large program: the most promising choices, which are compared exactly."""


def solve(problem: Problem) -> Solution | None:
    """Solve for least cost, then best score within the near tie, then least cost. None if nothing is feasible."""
    choices = {name: _workload_choices(problem, name) for name in problem.options.by_workload}
    if not all(choices.values()):
        return None
    count = sum(map(len, choices.values()))
    is_large = count > LARGE_PROGRAM
    if is_large:
        likely = _likely_choices(problem, choices)
        if likely is None:
            return None
        if likely.plan is not None and not (problem.keep or problem.cuts or problem.crowds):
            return likely.plan
    every_choice, choices = choices, choices if problem.likely is None else dict(problem.likely.choices)
    choices |= {name: _matching_choices(choices[name], choice) for name, choice in problem.keep.items()}
    milp = _Program(problem, choices)
    if not (is_solved := milp.rows.minimise()) and is_large and not problem.keep:
        # Cuts can exclude the likely choices of a workload.
        milp = _Program(problem, every_choice)
        is_solved = milp.rows.minimise()
    if not is_solved:
        return None
    rows = milp.rows
    least, gap = rows.cost(), rows.gap
    if problem.likely is not None and least > 0:
        # The bound of this program holds for the compared choices only, that of the relaxed one for all.
        gap = max(0.0, 1 - problem.likely.bound / least)
    near_tie_pct = problem.requirements.objective.near_tie_pct
    if near_tie_pct > 0 and not problem.least_only and not watch.is_ending():
        rows.cost_at_most(least * (1 + near_tie_pct / 100) + 1e-6)
        rows.maximise_score()
        best = rows.score()
        rows.score_at_least(best - 1e-7)
        rows.minimise()
    return replace(milp.solution(rows.values(), least, gap), large=count > SMALL_PROGRAM)


def _likely_choices(problem: Problem, choices: Mapping[str, Sequence[Choice]]) -> LikelyChoices | None:
    """Return the most promising choices of a large problem by shadow prices, and its plan; None if it has no plan.

    They are found once for a problem: cuts and crowded endpoints found later make plans dearer only.
    """
    if problem.likely is None:
        milp = _Program(replace(problem, cuts=[], crowds=[]), choices)
        watch.say(f"compares {sum(map(len, choices.values())):,} options of {len(choices)} workloads")
        near_tie_pct = 0.0 if problem.least_only else problem.requirements.objective.near_tie_pct
        relaxation = generation.relax(
            milp.rows, milp.endpoints(), milp.carried_together, near_tie_pct, milp.counted
        )
        if relaxation is None:
            return None
        problem.likely = milp.likely(relaxation)
    return problem.likely


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

    def __init__(self, problem: Problem, choices: Mapping[str, Sequence[Choice]]) -> None:
        self.problem, self.choices = problem, choices
        self.requirements = problem.requirements
        count = sum(map(len, choices.values()))
        self._is_large = count > LARGE_PROGRAM
        self.rows = Rows(
            gap=0.02 if problem.least_only else GAP if count <= SMALL_PROGRAM else LARGE_GAP,
            nodes=100_000 if count <= SMALL_PROGRAM else 100 if self._is_large else 2_000,
        )
        self._x: list[tuple[Workload, Choice, int]] = []
        self._by_index: dict[int, tuple[Workload, Choice]] = {}
        self._original: dict[int, Choice] = {}
        """By variable, the choice whatever stricter `survive` it is put on."""
        self._carried: dict[tuple[Fit, tuple[tuple[str, float], ...], float], bool] = {}
        """What was computed of `carried_together`: fit, workloads with their part, and limit."""
        self._asked: dict[Column, set[int]] = {}
        for options in problem.options.by_workload.values():
            for option in options:
                if isinstance(option, OnGpus):
                    levels = self._asked.setdefault(option.column.plain, set())
                    levels.add(SURVIVES.index(option.column.survive))
        self._loads_by_column = self._loads()
        self._endpoint_columns = list(self._loads_by_column)
        self._endpoint_fits = [problem.options.fit(column) for column in self._endpoint_columns]
        self._used_sites = self._site_variables() if self._is_large else {}
        self._counts, self._dedicated = capacity_rows.add_capacity_rows(
            self.rows, problem, self._loads_by_column, self._used_sites
        )
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
                    index = self.rows.variable(0, 1, cost, score, block=column)
                    self._original[index] = choice
                    indices[index] = 1.0
                    if column is None or isinstance(choice.option, OnApi):
                        self._add_choice(workload, choice, index)
                        continue
                    column_choice = replace(choice, option=replace(choice.option, column=column))
                    self._add_choice(workload, column_choice, index)
                    loads.setdefault(column, {})[index] = choice.option.units * choice.part
            self.rows.row(1, 1, indices)
        return loads

    def _add_choice(self, workload: Workload, choice: Choice, index: int) -> None:
        self._x.append((workload, choice, index))
        self._by_index[index] = workload, choice

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
            if isinstance(site, OnPremSite):
                users = [
                    index
                    for _, choice, index in self._x
                    if isinstance(choice.option, OnGpus) and choice.option.site == site.name
                ]
                self._once(self._site_cost(site), users, self._used_sites.get(site.name))
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

    @property
    def counted(self) -> list[int]:
        """Whether each site is used: variables that the relaxed program often splits."""
        return [*self._used_sites.values()]

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

    def _site_cost(self, site: OnPremSite) -> float:
        return monthly_costs.site_cost(site, self.requirements.objective.cost_basis)

    def _site_variables(self) -> dict[str, int]:
        """Add a variable for each on-prem site with costs of its own: whether it is used at all."""
        return {
            site.name: self.rows.variable(0, 1, cost)
            for site in self.requirements.sites
            if isinstance(site, OnPremSite) and (cost := self._site_cost(site))
        }

    def _once(self, cost: float, users: Sequence[int], used: int | None = None) -> None:
        """Add a cost that is paid once if one of the variables is used. `used`: the variable that says so."""
        if not cost or not users:
            return
        if used is None:
            used = self.rows.variable(0, 1, cost)
        if not self._is_large:
            for index in users:
                self.rows.at_most({index: 1.0, used: -1.0})
            return
        # Fewer rows, which bound as tightly.
        by_workload: dict[str, dict[int, float]] = {}
        for index in users:
            by_workload.setdefault(self._by_index[index][0].name, {})[index] = 1.0
        for terms in by_workload.values():
            self.rows.at_most({**terms, used: -1.0})

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

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints, with what their replicas carry."""
        return [self._endpoint(column, loads) for column, loads in self._loads_by_column.items()]

    def _endpoint(self, column: Column, loads: Mapping[int, float]) -> Endpoint:
        replicas = self._counts[column]
        # Workloads that share an endpoint can need more than the sum of their loads.
        load = MOST_TOGETHER * math.fsum(loads.values())
        limits = capacity_rows.carried_loads(self.requirements, column, load, int(self.rows.upper(replicas)))
        dedicated = self._dedicated.get(column, [])
        counts = range(1, len(limits) + 1) if dedicated else ()
        return Endpoint(
            replicas=replicas,
            members=list(loads),
            loads=list(loads.values()),
            limits=limits,
            group=column.sensitivity,
            dedicated=dedicated,
            units=[hardware.dedicated_units(column, count) for count in counts],
        )

    def carried_together(self, number: int, members: tuple[int, ...], limit: float) -> bool:
        """Whether replicas of an endpoint that carry `limit` times the load of one carry workloads that share them."""
        column = self._endpoint_columns[number]
        chosen = [self._by_index[index] for index in members]
        # The same model on the same hardware elsewhere carries as much.
        shares = tuple((workload.name, choice.part) for workload, choice in chosen)
        key = self._endpoint_fits[number], shares, limit
        if key not in self._carried:
            sharers = shared_load.Sharers(
                column, [workload.name for workload, _ in chosen], [choice for _, choice in chosen]
            )
            self._carried[key] = shared_load.carried_by(
                self.requirements, self.problem.options, sharers, limit
            )
        return self._carried[key]

    def likely(self, relaxation: Relaxation) -> LikelyChoices:
        """Return the choices with the lowest penalties, those of the relaxation's plan, and one with the best score."""
        values = relaxation.values or {}
        penalties: dict[str, dict[Choice, float]] = {}
        for workload, _, index in self._x:
            choice = self._original[index]
            of_workload = penalties.setdefault(workload.name, {})
            is_chosen = values.get(index, 0.0) > 0.5
            penalty = -math.inf if is_chosen else relaxation.penalties.get(index, 0.0)
            of_workload[choice] = min(of_workload.get(choice, math.inf), penalty)
        choices = {}
        for name, of_workload in penalties.items():
            ordered = sorted(of_workload, key=of_workload.__getitem__)
            best = max(choice.option.score for choice in ordered)
            first = next(choice for choice in ordered if choice.option.score == best)
            choices[name] = list(dict.fromkeys([*ordered[: CHOICES_PER_WORKLOAD - 1], first]))
        plan = None
        if relaxation.values is not None:
            gap = max(0.0, 1 - relaxation.bound / relaxation.least) if relaxation.least > 0 else 0.0
            known = [values.get(index, 0.0) for index in range(len(self.rows.costs))]
            plan = replace(self.solution(known, relaxation.least, gap), large=True)
        return LikelyChoices(relaxation.bound, choices, plan)

    def solution(self, values: Sequence[float], least: float, gap: float) -> Solution:
        """Return the solution of the variables' values."""
        choices = {workload.name: choice for workload, choice, index in self._x if values[index] > 0.5}
        counts = {
            column: round(values[index]) for column, index in self._counts.items() if values[index] > 0.5
        }
        cost = math.fsum(usd * values[index] for index, usd in enumerate(self.rows.costs) if usd)
        return Solution(choices, counts, cost, least, gap)


def describe_place(option: Option) -> tuple[str, str]:
    """Return the model and its place, for comparison with the existing plan."""
    if isinstance(option, OnGpus):
        return option.column.model, f"{option.column.site}/{option.column.gpu}"
    return option.model, option.site


def crosses_link(home: str | None, site: str, link: Link) -> bool:
    """Whether requests from the class's gateway at `home` to the site use the link."""
    return home is not None and home != site and {home, site} == {link.from_, link.to}
