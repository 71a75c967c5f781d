"""`isthmus plan`: from requirements to the plan, solved, placed on nodes, priced and explained.

`plan` gives the whole document; nothing is read or written here. `today` decides which exceptions still hold, and
nothing else: the age of prices is told beside the plan, never in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from isthmus.planning.options import candidates, hardware
from isthmus.planning.options import gateway_sites as gateways
from isthmus.planning.options.option import BUILDS, Column, OnGpus, Options, Rules
from isthmus.planning.output import cost_items as items
from isthmus.planning.output import endpoints, quotas, reasons, score_warnings, stress
from isthmus.planning.output.endpoints import Made
from isthmus.planning.solver import infeasibility, node_placement, program
from isthmus.planning.solver import solution as solving
from isthmus.planning.solver.program import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload


MATERIAL = 0.01
"""Part of the monthly cost from which the age of a listed price matters."""


@dataclass(frozen=True)
class Offer:
    """What of a blueprint decides whether it fits."""

    name: str
    classes: Sequence[str]
    gpus_from: int
    gpus_to: int | None
    builds: frozenset[str] = BUILDS
    """Targets, `mig`, `several-nodes`, `overflow`."""
    topology: str = "hybrid"
    """`aws`: nothing stands on-prem, gateways included."""


@dataclass(frozen=True)
class Planned:
    """The plan, and what is told beside it."""

    plan: Plan
    rejected: Mapping[str, Sequence[str]]
    """By workload: what was ruled out, and why."""
    told: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Judged:
    """A blueprint: its own best plan, or what rules it out."""

    offer: Offer
    rules: Rules
    against: Sequence[str]
    found: Options | None = None
    """None where it is not made for the classes: nothing was tried."""
    solution: Solution | None = None
    nodes: Mapping[Column, node_placement.Placed] = field(default_factory=dict)
    costs: Sequence[CostItem] = ()

    @property
    def cost(self) -> float:
        return items.total(list(self.costs))


def plan(
    requirements: Requirements,
    offers: Sequence[Offer],
    today: str,
    *,
    blueprint: str | None = None,
    before: Plan | None = None,
) -> Planned:
    """The cheapest plan of the blueprints that fit, or why there is none and what would make one.

    `before`: the plan that is there; at equal cost what runs stays. Raises `InputError` for what is not understood.
    """
    _known(blueprint, offers)
    judged = list(_judge(requirements, offers, today, before))
    chosen = _chosen(judged, blueprint)
    if chosen.solution is None or chosen.found is None:
        return _none(requirements, chosen)
    solution, found = chosen.solution, chosen.found
    made = endpoints.make(requirements, found, solution, chosen.nodes)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=chosen.offer.name,
        feasible=True,
        endpoints=[each.endpoint for each in made],
        placements=_placements(requirements, found, solution, made),
        gateways=_gateways(requirements, solution, chosen.offer.builds),
        cost_items=list(chosen.costs),
        monthly_cost_usd=chosen.cost,
        stress=stress.of(requirements, made, solution),
        alternatives=[
            Alternative(
                blueprint=each.offer.name,
                monthly_cost_usd=None if each.solution is None else each.cost,
                rejected_because=list(each.against) or [_dearer(each, chosen)],
            )
            for each in judged
            if each is not chosen
        ],
        warnings=_warnings(made, solution),
        prices_as_of=_oldest(chosen.costs),
    )
    told = [
        *document.warnings,
        *quotas.warnings(document, requirements),
        *score_warnings.warnings(document, requirements, chosen.offer.builds),
    ]
    document = document.model_copy(update={"warnings": told})
    return Planned(document, found.rejected, reasons.basis(requirements, found, solution))


def _dearer(other: Judged, chosen: Judged) -> str:
    """Why a blueprint that fits was not taken."""
    more = other.cost - chosen.cost
    if more > 0:
        return f"its best plan costs {more:,.2f} USD a month more"
    if more < 0:
        return f"{chosen.offer.name} was asked for: its own best plan costs {-more:,.2f} USD a month less"
    return f"its best plan costs the same, and {chosen.offer.name} builds no more than it needs"


def _known(blueprint: str | None, offers: Sequence[Offer]) -> None:
    names = [offer.name for offer in offers]
    if blueprint is not None and blueprint not in names:
        from isthmus.core.errors import InputError
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(
            f"there is no blueprint `{blueprint}`",
            where="--blueprint",
            fix=f"{did_you_mean(blueprint, names)} There are: {', '.join(names)}".strip(),
        )


def _judge(
    requirements: Requirements, offers: Sequence[Offer], today: str, before: Plan | None
) -> Iterator[Judged]:
    """Each blueprint's own best plan, and what speaks against it."""
    used = {workload.sensitivity for workload in requirements.workloads}
    tried: dict[tuple[frozenset[str], int | None], Judged] = {}
    for offer in offers:
        rules = Rules(today, offer.builds)
        if missing := [each for each in SENSITIVITIES if each in used and each not in offer.classes]:
            yield Judged(offer, rules, [f"it is not made for {', '.join(missing)} work"])
            continue
        on_prem = [site.name for site in requirements.sites if isinstance(site, OnPremSite)]
        if offer.topology == "aws" and on_prem:
            yield Judged(offer, rules, [f"it is made for AWS alone, and {on_prem[0]} is an on-prem site"])
            continue
        key = _of_use(requirements, offer.builds), offer.gpus_to
        if key not in tried:
            tried[key] = _best(requirements, offer, rules, before)
        best = replace(tried[key], offer=offer)
        gpus = 0 if best.solution is None else in_use(best.solution.replicas)
        if best.solution is not None and gpus < offer.gpus_from:
            few = f"it is made for {offer.gpus_from} GPUs or more, and {gpus} {'is' if gpus == 1 else 'are'} needed"
            best = replace(best, against=[few])
        yield best


def _of_use(requirements: Requirements, builds: frozenset[str]) -> frozenset[str]:
    """What of it the requirements can make use of: blueprints that differ in the rest only have one plan."""
    pools = [pool for site in requirements.sites if isinstance(site, OnPremSite) for pool in site.pools]
    aws_sites = [site for site in requirements.sites if isinstance(site, AwsSite)]
    allowed = {name for site in aws_sites for name in site.allow}
    useful = {
        "overflow": any(workload.allow_overflow for workload in requirements.workloads),
        "mig": any(pool.mig == "allowed" for pool in pools),
        "several-nodes": any(pool.nodes > 1 for pool in pools),
        "onprem-vllm": bool(pools),
        "bedrock": "bedrock" in allowed,
        # A blueprint with clusters in AWS runs its gateways there, even where no model server may.
        "eks-vllm": bool(aws_sites),
        "sagemaker": "sagemaker" in allowed,
    }
    return frozenset(each for each in builds if useful.get(each, True))


def _best(requirements: Requirements, offer: Offer, rules: Rules, before: Plan | None) -> Judged:
    found = candidates.find(requirements, rules)
    solved = solving.solve(requirements, found, before, offer.gpus_to)
    if solved is None:
        without = [name for name, options in found.by_workload.items() if not options]
        why = (
            f"nothing that it builds serves {', '.join(without)}"
            if without
            else f"what it builds ({', '.join(sorted(offer.builds))}) does not carry it all within the requirements"
        )
        if not without and offer.gpus_to is not None and solving.solve(requirements, found, before):
            why = f"it is made for {offer.gpus_to} GPUs at most, and more are needed"
        return Judged(offer, rules, [why], found)
    solution, nodes = solved
    costs = items.items(requirements, solution.choices, solution.replicas, offer.builds)
    return Judged(offer, rules, [], found, solution, nodes, costs)


def in_use(replicas: Mapping[Column, int]) -> int:
    """GPUs that replicas run on, cut ones counted once, those of instances that run nothing not at all."""
    ours = sum(hardware.taken(replicas).values())
    return ours + sum(count * each.degree for each, count in replicas.items() if each.instance is not None)


def _chosen(judged: Sequence[Judged], wanted: str | None) -> Judged:
    """The blueprint that was asked for, else the cheapest that fits, else the one whose failure is explained."""
    from isthmus.core.errors import Refused

    # At one cost the blueprint that builds the least: whoever does not overflow needs none that could.
    fitting = sorted(
        (each for each in judged if not each.against), key=lambda each: (each.cost, len(each.offer.builds))
    )
    if wanted is not None:
        mine = next(each for each in judged if each.offer.name == wanted)
        if mine.against and (mine.found is None or mine.solution is not None):
            raise Refused(
                f"blueprint {wanted} does not fit: {'; '.join(mine.against)}",
                where="--blueprint",
                fix=f"Those that do: {', '.join(each.offer.name for each in fitting) or 'none'}",
            )
        return mine
    if fitting:
        return fitting[0]
    tried = [each for each in judged if each.found is not None and each.solution is None]
    if not tried:
        told = "; ".join(f"{each.offer.name}: {', '.join(each.against)}" for each in judged)
        raise Refused(f"no blueprint fits: {told}", fix="Split the requirements, or write a blueprint")
    # The one that can build the most has the fewest reasons of its own.
    return max(tried, key=lambda each: (len(each.rules.builds), each.offer.gpus_to is None))


def _placements(
    requirements: Requirements, found: Options, solution: Solution, made: Sequence[Made]
) -> list[Placement]:
    placements = []
    for workload in requirements.workloads:
        choice = solution.choices[workload.name]
        why = reasons.why(requirements, found, workload, choice)
        primary = next(each for each in made if workload.name in each.primary)
        share = round(1 - choice.share, 6)
        split = choice.overflow is not None
        placements.append(
            _placement(workload, primary, "primary", share, choice.part if split else None, why)
        )
        if choice.overflow is not None:
            other = next(each for each in made if workload.name in each.overflow)
            why = (
                f"What comes above {choice.part:.0%} of the peak goes on to the API: no GPUs are kept for it."
            )
            placements.append(
                _placement(workload, other, "overflow", round(1 - share, 6), 1 - choice.part, why)
            )
    return placements


def _placement(
    workload: Workload,
    made: Made,
    role: Literal["primary", "overflow"],
    share: float,
    peak_share: float | None,
    why: str,
) -> Placement:
    return Placement(
        workload=workload.name,
        sensitivity=workload.sensitivity,
        endpoint=made.endpoint.id,
        role=role,
        share=share,
        peak_share=peak_share,
        why=why,
    )


def _gateways(requirements: Requirements, solution: Solution, builds: frozenset[str]) -> list[PlannedGateway]:
    """A gateway for each class at every site where it has a model server; at its home for what an API serves."""
    found = []
    for class_ in reversed(SENSITIVITIES):
        sites: list[str] = []
        for workload in requirements.workloads:
            if workload.sensitivity != class_:
                continue
            option = solution.choices[workload.name].option
            here = isinstance(option, OnGpus) and option.column.target in VLLM_TARGETS
            home = option.site if here else gateways.home(requirements, class_)
            if home is not None and home not in sites:
                # What runs in the cloud comes in by the first gateway of its class.
                sites = [*sites, home] if here else [home, *sites]
        for site in sites:
            in_cluster = gateways.has_cluster(requirements, site, builds)
            host = gateways.host(class_, site, in_cluster=in_cluster)
            document = {"class": class_, "site": site, "host": host}
            found.append(PlannedGateway.model_validate(document))
    return found


def _warnings(made: Sequence[Made], solution: Solution) -> list[str]:
    found = []
    for each in made:
        predicted = each.endpoint.predicted
        if predicted is not None and predicted.slo == "unverified":
            found.append(
                f"{each.endpoint.id}: nobody has measured this API's latency for you, so its goals are unverified; "
                "state `sites[].latency` once you have"
            )
        if each.endpoint.evidence is not None and each.endpoint.evidence.kind == "estimated":
            why = (
                f"nobody is known to have measured a pipeline over {each.endpoint.nodes_per_replica} nodes"
                if (each.endpoint.nodes_per_replica or 1) > 1
                else "no measurements of this case, sized from the card's data sheet"
            )
            found.append(f"{each.endpoint.id}: {why}")
        found += profile_warnings(each.endpoint)
    if solution.pruned:
        found.append(
            f"there are so many ways that only the {program.LIKELY} likeliest of each workload were weighed"
        )
    if solution.gap > 1e-6:
        found.append(
            f"the cheapest plan may be up to {solution.gap:.1%} cheaper: the search stopped at its gap"
        )
    return found


def profile_warnings(endpoint: PlannedEndpoint) -> list[str]:
    """An engine of ours whose model has no profile, or whose machine in AWS is short of CPUs for its processes."""
    warnings: list[str] = []
    if endpoint.target not in (*VLLM_TARGETS, "sagemaker"):
        return warnings
    if model_profiles.find_profile(endpoint.model) is None:
        warnings.append(model_profiles.unknown_family(endpoint.id, endpoint.model))
    instance, gpus = INSTANCES.get(endpoint.instance_type or ""), endpoint.tensor_parallel or 1
    if endpoint.target == "eks-vllm" and instance is not None:
        cpus, least = aws_machines.share(instance, gpus)[0], model_profiles.least_cpus(gpus)
        if cpus < least:
            warnings.append(
                f"{endpoint.id}: {endpoint.instance_type} leaves it {cpus} CPUs, and vLLM runs {least} processes; "
                "a larger type answers faster"
            )
    return warnings


def _oldest(costs: Sequence[CostItem]) -> str | None:
    """The oldest day of a listed price that makes up `MATERIAL` of the cost or more; null where none is used."""
    least = MATERIAL * items.total(list(costs))
    days = [
        item.evidence.as_of
        for item in costs
        if item.evidence is not None and item.evidence.kind == "list-price" and item.monthly_usd >= least
    ]
    return min(days, default=None)


def _none(requirements: Requirements, judged: Judged) -> Planned:
    """The answer no: what cannot hold together, and what would help."""
    conflicts = infeasibility.conflicts(requirements, judged.rules)
    document = Plan(
        version=__version__,
        requirements_sha256=requirements.digest,
        blueprint=judged.offer.name,
        feasible=False,
        endpoints=[],
        placements=[],
        gateways=[],
        conflicts=[each.words for each in conflicts],
        ways_out=infeasibility.ways_out(requirements, conflicts, judged.rules),
    )
    return Planned(document, judged.found.rejected if judged.found else {})
