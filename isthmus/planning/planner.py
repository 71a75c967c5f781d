"""Builds the plan of `isthmus plan`: chooses a blueprint, solves it, and explains the result.

`make_plan` returns the whole document and reads or writes no file. `today` decides which exceptions are valid and
nothing else, so that plans stay reproducible. The age of prices is reported separately (`catalogues/price_age.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from isthmus import __version__
from isthmus.contracts.hardware.aws_instances import INSTANCES
from isthmus.contracts.plan import aws_machines
from isthmus.contracts.plan.document import (
    Alternative,
    CostItem,
    Placement,
    Plan,
    PlannedEndpoint,
    PlannedGateway,
)
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.vocabulary import SENSITIVITIES, VLLM_TARGETS
from isthmus.core.errors import InputError, Refused
from isthmus.planning.availability import goals, model, outcome
from isthmus.planning.availability.goals import Attempt
from isthmus.planning.availability.paths import PathFinder
from isthmus.planning.options import candidates, hardware
from isthmus.planning.options import gateway_sites as gateways
from isthmus.planning.options.option import BUILDS, Column, OnGpus, Option, Options, Rules
from isthmus.planning.output import batches, endpoints, fallbacks, quotas, reasons, score_warnings, stress
from isthmus.planning.output import cost_items as items
from isthmus.planning.output.commitment_warnings import commitment_warnings
from isthmus.planning.output.endpoints import SizedEndpoint
from isthmus.planning.solver import infeasibility, node_placement, watch
from isthmus.planning.solver import solution as solving
from isthmus.planning.solver.problem import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload


ENDED_EARLY = "the search was ended early, so a cheaper plan may exist. Fix: Plan again and let it end"
MATERIAL_COST_SHARE = 0.01
"""Part of the monthly cost from which the age of a listed price matters."""


@dataclass(frozen=True)
class BlueprintOffer:
    """The properties of a blueprint that decide whether it fits."""

    name: str
    classes: Sequence[str]
    gpus_from: int
    gpus_to: int | None
    builds: frozenset[str] = BUILDS
    """Targets, `mig`, `several-nodes`, `overflow`."""
    topology: str = "hybrid"
    """`aws`: everything runs in AWS, including the gateways."""


@dataclass(frozen=True)
class PlanningResult:
    """The plan, with notes that are not part of its file."""

    plan: Plan
    rejected: Mapping[str, Sequence[str]]
    """By workload: each rejected option with its reason."""
    notes: Sequence[str] = field(default=())
    judged: JudgedBlueprint | None = None
    """The chosen blueprint with all options and the solution, from which a feasible plan is explained."""
    requirements: Requirements | None = None
    """Those that were planned: `survive` of workloads may be raised. None for an infeasible plan."""


@dataclass(frozen=True)
class JudgedBlueprint:
    """A blueprint with its best plan, or the reasons against it."""

    offer: BlueprintOffer
    rules: Rules
    against: Sequence[str]
    options: Options | None = None
    """None if the blueprint does not support the classes of the requirements, so that no option was tried."""
    solution: Solution | None = None
    nodes: Mapping[Column, node_placement.PlacedReplicas] = field(default_factory=dict)
    costs: Sequence[CostItem] = ()

    @property
    def cost(self) -> float:
        return items.monthly_total(list(self.costs))


def make_plan(
    requirements: Requirements,
    offers: Sequence[BlueprintOffer],
    today: str,
    *,
    blueprint: str | None = None,
    before: Plan | None = None,
) -> PlanningResult:
    """Return the cheapest plan of the blueprints that fit, or an infeasible plan with conflicts and ways out.

    `before` is the existing plan: at equal cost, placements stay. Raises `InputError` for an unknown blueprint, model
    or price, and `Refused` if no blueprint fits.
    """
    _check_blueprint_name(blueprint, offers)

    def draft(changed: Requirements) -> _Draft | JudgedBlueprint:
        judged = list(_judge_blueprints(changed, offers, today, before))
        selected = _choose_blueprint(changed, judged, blueprint)
        return _draft(changed, selected, judged) if selected.solution is not None else selected

    first = draft(requirements)
    if isinstance(first, JudgedBlueprint):
        return _infeasible_plan(requirements, first)
    made, document = _meet_availability_goals(requirements, first, draft)
    capacities = batches.batch_capacities(made.requirements, made.endpoints, made.solution)
    warnings = [
        *made.document.warnings,
        *quotas.quota_warnings(document, made.requirements),
        *fallbacks.fallback_warnings(made.requirements, document.placements),
        *score_warnings.score_warnings(document, made.requirements, made.selected.offer.builds),
        *score_warnings.unofficial_score_warnings(document, made.requirements),
        *document.warnings,
        *outcome.impact_warnings(document, requirements),
        *commitment_warnings(document, requirements),
        *batches.batch_warnings(made.requirements, capacities),
        *([ENDED_EARLY] if watch.has_ended_early() else []),
    ]
    document = document.model_copy(update={"warnings": warnings})
    return PlanningResult(
        document,
        made.options.rejected,
        [
            *reasons.describe_cost_basis(made.requirements, made.options, made.solution),
            *batches.describe_batches(capacities),
        ],
        made.selected,
        made.requirements,
    )


@dataclass(frozen=True)
class _Draft:
    """A plan before its availabilities and the warnings that look at all of it."""

    requirements: Requirements
    """Those that were planned: `survive` of workloads may be raised."""
    selected: JudgedBlueprint
    solution: Solution
    options: Options
    endpoints: Sequence[SizedEndpoint]
    document: Plan


def _draft(
    requirements: Requirements, selected: JudgedBlueprint, judged: Sequence[JudgedBlueprint]
) -> _Draft:
    """Build the document of a solved blueprint."""
    solution, options = selected.solution, selected.options
    if solution is None or options is None:
        raise ValueError(f"blueprint {selected.offer.name} is not solved")
    sized_endpoints = endpoints.build_endpoints(requirements, options, solution, selected.nodes)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=selected.offer.name,
        feasible=True,
        endpoints=[sized.endpoint for sized in sized_endpoints],
        placements=[
            *_build_placements(requirements, options, solution, sized_endpoints),
            *fallbacks.build_fallbacks(requirements, options, sized_endpoints),
        ],
        gateways=_build_gateways(requirements, solution, selected.offer.builds),
        cost_items=list(selected.costs),
        monthly_cost_usd=selected.cost,
        stress=stress.run_stress_test(requirements, sized_endpoints, solution),
        alternatives=[
            Alternative(
                blueprint=judgement.offer.name,
                monthly_cost_usd=None if judgement.solution is None else judgement.cost,
                rejected_because=list(judgement.against) or [_why_not_chosen(judgement, selected)],
            )
            for judgement in judged
            if judgement is not selected
        ],
        warnings=_build_warnings(sized_endpoints, solution),
        prices_as_of=_oldest_price_date(selected.costs),
    )
    return _Draft(requirements, selected, solution, options, sized_endpoints, document)


def _meet_availability_goals(
    requirements: Requirements,
    first: _Draft,
    draft: Callable[[Requirements], _Draft | JudgedBlueprint],
) -> tuple[_Draft, Plan]:
    """Return the draft that reaches the goals of `slo.availability` as far as `survive` can, and its document.

    The document has the availabilities, and as warnings only those about them.
    """
    names = [workload.name for workload in requirements.workloads if workload.slo.availability is not None]

    def attempt(made: _Draft) -> Attempt[_Draft]:
        finder = PathFinder(
            made.requirements, made.document, made.endpoints, made.selected.nodes, made.selected.offer.builds
        )
        return Attempt(made, {name: finder.path(name) for name in names})

    def solve(levels: goals.Levels) -> Attempt[_Draft] | None:
        try:
            made = draft(goals.with_levels(requirements, levels))
        except Refused:
            return None  # no blueprint fits, or the requested one does not
        return attempt(made) if isinstance(made, _Draft) else None

    start = attempt(first)
    raised = goals.raise_survive(requirements, start, solve, large=first.solution.large)
    made = raised.attempt.made
    extra = made.selected.cost - first.selected.cost if raised.levels else None
    availability = outcome.build_availability(requirements, raised.attempt.paths, raised.levels, extra)
    document = made.document.model_copy(update={"availability": availability})
    without_raising = {name: model.availability(path) for name, path in start.paths.items()}
    warnings = outcome.goal_warnings(document, raised, without_raising)
    return made, document.model_copy(update={"warnings": warnings})


def _why_not_chosen(rejected: JudgedBlueprint, selected: JudgedBlueprint) -> str:
    """Return why a blueprint that fits was not chosen."""
    more = rejected.cost - selected.cost
    if more > 0:
        return f"its best plan costs {more:,.2f} USD a month more"
    if more < 0:
        return f"you requested {selected.offer.name}; the best plan of this one costs {-more:,.2f} USD a month less"
    return f"its best plan costs the same, but it builds more components than {selected.offer.name}"


def _check_blueprint_name(blueprint: str | None, offers: Sequence[BlueprintOffer]) -> None:
    names = [offer.name for offer in offers]
    if blueprint is not None and blueprint not in names:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(
            f"blueprint `{blueprint}` does not exist",
            where="--blueprint",
            fix=f"{did_you_mean(blueprint, names)} Choose one of: {', '.join(names) or 'none is installed'}".strip(),
        )


def _judge_blueprints(
    requirements: Requirements, offers: Sequence[BlueprintOffer], today: str, before: Plan | None
) -> Iterator[JudgedBlueprint]:
    """Yield each blueprint with its best plan, or with the reasons against it."""
    used = {workload.sensitivity for workload in requirements.workloads}
    best_by_key: dict[tuple[frozenset[str], int | None], JudgedBlueprint] = {}
    for offer in offers:
        rules = Rules(today, offer.builds)
        if missing := [
            sensitivity
            for sensitivity in SENSITIVITIES
            if sensitivity in used and sensitivity not in offer.classes
        ]:
            yield JudgedBlueprint(offer, rules, [f"it does not support {', '.join(missing)} workloads"])
            continue
        on_prem = [site.name for site in requirements.sites if isinstance(site, OnPremSite)]
        if offer.topology == "aws" and on_prem:
            yield JudgedBlueprint(
                offer, rules, [f"it supports AWS sites only, and {on_prem[0]} is an on-prem site"]
            )
            continue
        key = _usable_builds(requirements, offer.builds), offer.gpus_to
        has_plan = any(best.solution is not None for best in best_by_key.values())
        if key not in best_by_key and has_plan and watch.is_ending():
            yield JudgedBlueprint(offer, rules, ["the search was ended before it was compared"])
            continue
        if key not in best_by_key:
            known = _plan_of_larger_blueprint(key, best_by_key)
            best_by_key[key] = (
                _best_plan(requirements, offer, rules, before)
                if known is None
                else _for_smaller_blueprint(known, rules)
            )
        best = replace(best_by_key[key], offer=offer)
        gpus = 0 if best.solution is None else count_gpus_in_use(best.solution.replicas)
        if best.solution is not None and gpus < offer.gpus_from:
            needed = "1 is" if gpus == 1 else f"{gpus} are"
            too_few = f"it needs a plan of at least {offer.gpus_from} GPUs, and {needed} needed"
            best = replace(best, against=[too_few])
        yield best


def _plan_of_larger_blueprint(
    key: tuple[frozenset[str], int | None], known: Mapping[tuple[frozenset[str], int | None], JudgedBlueprint]
) -> JudgedBlueprint | None:
    """Return the plan of a blueprint that can build more, if it uses only what this one builds too.

    For large plans alone, because a search takes minutes. No plan of this blueprint is cheaper then.
    """
    builds, most_gpus = key
    for (more_builds, more_gpus), best in known.items():
        solution = best.solution
        if solution is None or not solution.large or not builds <= more_builds:
            continue
        # Gateways in clusters of AWS cost something even if no model server is there.
        if "eks-vllm" in more_builds - builds or not _builds_of(solution) <= builds:
            continue
        is_less_limited = more_gpus is None or (most_gpus is not None and more_gpus >= most_gpus)
        if is_less_limited and (most_gpus is None or count_gpus_in_use(solution.replicas) <= most_gpus):
            return best
    return None


def _builds_of(solution: Solution) -> set[str]:
    """Return what a blueprint must build for a solution."""
    builds: set[str] = set()
    for choice in solution.choices.values():
        builds |= {"overflow"} if choice.overflow is not None else set()
        for option, _, _ in choice.parts:
            builds |= _builds_of_option(option)
    return builds


def _builds_of_option(option: Option) -> set[str]:
    if not isinstance(option, OnGpus):
        return {"bedrock"}
    column = option.column
    further = {"mig": column.mig is not None, "several-nodes": column.nodes > 1}
    return {column.target, *(build for build, is_used in further.items() if is_used)}


def _for_smaller_blueprint(judged: JudgedBlueprint, rules: Rules) -> JudgedBlueprint:
    """Return the same plan under the rules of a blueprint that can build less, with its options alone."""
    options = judged.options
    if options is None:
        return replace(judged, rules=rules)
    by_workload = {
        name: [option for option in of_workload if _builds_of_option(option) <= rules.builds]
        for name, of_workload in options.by_workload.items()
    }
    return replace(judged, rules=rules, options=replace(options, rules=rules, by_workload=by_workload))


def _usable_builds(requirements: Requirements, builds: frozenset[str]) -> frozenset[str]:
    """Return the builds that can matter for these requirements. Blueprints with the same result share one plan."""
    pools = [pool for site in requirements.sites if isinstance(site, OnPremSite) for pool in site.pools]
    aws_sites = [site for site in requirements.sites if isinstance(site, AwsSite)]
    allowed = {name for site in aws_sites for name in site.allow}
    useful = {
        "overflow": any(workload.allow_overflow for workload in requirements.workloads),
        "mig": any(pool.mig == "allowed" for pool in pools),
        "several-nodes": any(pool.nodes > 1 for pool in pools),
        "onprem-vllm": bool(pools),
        "bedrock": "bedrock" in allowed,
        # A blueprint with clusters in AWS runs its gateways in them, even if no model server may run there.
        "eks-vllm": bool(aws_sites),
        "sagemaker": "sagemaker" in allowed,
    }
    return frozenset(build for build in builds if useful.get(build, True))


def _best_plan(
    requirements: Requirements, offer: BlueprintOffer, rules: Rules, before: Plan | None
) -> JudgedBlueprint:
    options = candidates.find_options(requirements, rules)
    solved = solving.solve_and_place(requirements, options, before, offer.gpus_to)
    if solved is None:
        unserved = [name for name, workload_options in options.by_workload.items() if not workload_options]
        reason = (
            f"it builds no target that can serve {', '.join(unserved)}"
            if unserved
            else f"its targets ({', '.join(sorted(offer.builds))}) cannot carry all workloads within the requirements"
        )
        if (
            not unserved
            and offer.gpus_to is not None
            and solving.solve_and_place(requirements, options, before)
        ):
            reason = f"it supports at most {offer.gpus_to} GPUs, and more are needed"
        return JudgedBlueprint(offer, rules, [reason], options)
    solution, nodes = solved
    costs = items.build_cost_items(requirements, solution.choices, solution.replicas, offer.builds)
    return JudgedBlueprint(offer, rules, [], options, solution, nodes, costs)


def count_gpus_in_use(replicas: Mapping[Column, int]) -> int:
    """Count the GPUs that replicas run on. A MIG GPU counts once; unused GPUs of an instance do not count."""
    onprem_gpus = sum(hardware.gpus_in_use(replicas).values())
    return onprem_gpus + sum(
        count * column.degree for column, count in replicas.items() if column.instance is not None
    )


def _choose_blueprint(
    requirements: Requirements, judged: Sequence[JudgedBlueprint], requested: str | None
) -> JudgedBlueprint:
    """Return the requested blueprint, else the cheapest that fits, else the one whose failure is explained.

    Raises `Refused` if the requested blueprint does not fit, or if none does.
    """
    # At equal cost, the blueprint with the fewest components wins.
    fitting = sorted(
        (judgement for judgement in judged if not judgement.against),
        key=lambda judgement: (judgement.cost, len(judgement.offer.builds)),
    )
    if requested is not None:
        requested_judgement = next(judgement for judgement in judged if judgement.offer.name == requested)
        if requested_judgement.against and (
            requested_judgement.options is None or requested_judgement.solution is not None
        ):
            raise Refused(
                f"blueprint {requested} does not fit: {'; '.join(requested_judgement.against)}",
                where="--blueprint",
                fix=f"Choose one that fits: {', '.join(judgement.offer.name for judgement in fitting) or 'none does'}",
            )
        return requested_judgement
    if fitting:
        return fitting[0]
    infeasible = [
        judgement for judgement in judged if judgement.options is not None and judgement.solution is None
    ]
    if not infeasible:
        reasons = "; ".join(f"{judgement.offer.name}: {', '.join(judgement.against)}" for judgement in judged)
        if not judged:
            raise Refused(
                "no blueprints are installed",
                fix="Run Isthmus from a checkout that has the folder blueprints/, or set ISTHMUS_BLUEPRINTS",
            )
        raise Refused(
            f"no blueprint fits: {reasons}",
            fix="Split the requirements into several stacks, or write a blueprint of your own",
        )
    # One whose plan a change of the requirements makes possible. Among those, the blueprint that can build the most
    # adds the fewest limits of its own to the explanation.
    mendable = [
        judgement for judgement in infeasible if infeasibility.can_be_mended(requirements, judgement.rules)
    ]
    return max(
        mendable or infeasible,
        key=lambda judgement: (len(judgement.rules.builds), judgement.offer.gpus_to is None),
    )


def _build_placements(
    requirements: Requirements, options: Options, solution: Solution, sized_endpoints: Sequence[SizedEndpoint]
) -> list[Placement]:
    placements: list[Placement] = []
    for workload in requirements.workloads:
        choice = solution.choices[workload.name]
        reason = reasons.explain_choice(requirements, options, workload, solution)
        primary = next(endpoint for endpoint in sized_endpoints if workload.name in endpoint.primary)
        share = round(1 - choice.share, 6)
        split = choice.overflow is not None
        placements.append(
            _build_placement(workload, primary, "primary", share, choice.part if split else None, reason)
        )
        if choice.overflow is not None:
            overflow_endpoint = next(
                endpoint for endpoint in sized_endpoints if workload.name in endpoint.overflow
            )
            reason = (
                f"Load above {choice.part:.0%} of the peak goes to the API, so no GPUs are reserved for it."
            )
            placements.append(
                _build_placement(
                    workload, overflow_endpoint, "overflow", round(1 - share, 6), 1 - choice.part, reason
                )
            )
    return placements


def _build_placement(
    workload: Workload,
    endpoint: SizedEndpoint,
    role: Literal["primary", "overflow"],
    share: float,
    peak_share: float | None,
    reason: str,
) -> Placement:
    return Placement(
        workload=workload.name,
        sensitivity=workload.sensitivity,
        endpoint=endpoint.endpoint.id,
        role=role,
        share=share,
        peak_share=peak_share,
        why=reason,
    )


def _build_gateways(
    requirements: Requirements, solution: Solution, builds: frozenset[str]
) -> list[PlannedGateway]:
    """Return a gateway for each class at every site with a model server of it, and at its home site for APIs."""
    planned = []
    for sensitivity in reversed(SENSITIVITIES):
        sites: list[str] = []
        for workload in requirements.workloads:
            if workload.sensitivity != sensitivity:
                continue
            option = solution.choices[workload.name].option
            has_model_server = isinstance(option, OnGpus) and option.column.target in VLLM_TARGETS
            gateway_site = option.site if has_model_server else gateways.home_site(requirements, sensitivity)
            if gateway_site is not None and gateway_site not in sites:
                # Callers of APIs use the first gateway of the class.
                sites = [*sites, gateway_site] if has_model_server else [gateway_site, *sites]
        for site in sites:
            in_cluster = gateways.has_cluster(requirements, site, builds)
            host = gateways.host_name(sensitivity, site, in_cluster=in_cluster)
            fields = {"class": sensitivity, "site": site, "host": host}
            planned.append(PlannedGateway.model_validate(fields))
    return planned


def _build_warnings(sized_endpoints: Sequence[SizedEndpoint], solution: Solution) -> list[str]:
    warnings = []
    for sized in sized_endpoints:
        predicted = sized.endpoint.predicted
        if predicted is not None and predicted.slo == "unverified":
            warnings.append(
                f"{sized.endpoint.id}: the latency of this API is not measured, so its goals are unverified. "
                "Fix: Measure it and add the figures to `sites[].latency`"
            )
        if sized.endpoint.evidence is not None and sized.endpoint.evidence.kind == "estimated":
            estimate = (
                f"no measurements exist for a pipeline over {sized.endpoint.nodes_per_replica} nodes, so its figures "
                "are estimates"
                if (sized.endpoint.nodes_per_replica or 1) > 1
                else "no measurements exist for this model and GPU, so it is sized from the GPU's data sheet"
            )
            warnings.append(f"{sized.endpoint.id}: {estimate}")
        warnings += profile_warnings(sized.endpoint)
    if solution.gap > 1e-6:
        warnings.append(
            f"a plan up to {solution.gap:.1%} cheaper may exist: the search stopped at its accepted gap"
        )
    return warnings


def profile_warnings(endpoint: PlannedEndpoint) -> list[str]:
    """Warn about a model server whose model has no profile, or whose AWS instance has too few CPUs."""
    warnings: list[str] = []
    if endpoint.target not in (*VLLM_TARGETS, "sagemaker"):
        return warnings
    if model_profiles.find_profile(endpoint.model) is None:
        warnings.append(model_profiles.unknown_family(endpoint.id, endpoint.model))
    instance, gpus = INSTANCES.get(endpoint.instance_type or ""), endpoint.tensor_parallel or 1
    if endpoint.target == "eks-vllm" and instance is not None:
        cpus, least = aws_machines.replica_share(instance, gpus)[0], model_profiles.min_cpus(gpus)
        if cpus < least:
            warnings.append(
                f"{endpoint.id}: a replica has {cpus} CPUs of {endpoint.instance_type}, and vLLM runs {least} "
                "processes. Fix: Use a larger instance type for lower latency"
            )
    return warnings


def _oldest_price_date(costs: Sequence[CostItem]) -> str | None:
    """Return the oldest date of a list price that is at least `MATERIAL_COST_SHARE` of the cost; None if none is."""
    least = MATERIAL_COST_SHARE * items.monthly_total(list(costs))
    days = [
        item.evidence.as_of
        for item in costs
        if item.evidence is not None and item.evidence.kind == "list-price" and item.monthly_usd >= least
    ]
    return min(days, default=None)


def _infeasible_plan(requirements: Requirements, judged: JudgedBlueprint) -> PlanningResult:
    """Return an infeasible plan: the demands in conflict, and changes that would help."""
    conflicts = infeasibility.find_conflicts(requirements, judged.rules)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=judged.offer.name,
        feasible=False,
        endpoints=[],
        placements=[],
        gateways=[],
        conflicts=[conflict.description for conflict in conflicts],
        ways_out=infeasibility.find_ways_out(requirements, conflicts, judged.rules),
    )
    return PlanningResult(document, judged.options.rejected if judged.options else {})
