"""Explains why no plan is possible: a minimal set of conflicting demands, and changes that would help.

The conflict is minimal: dropping any one of its demands makes the rest feasible. Each was tried (a deletion filter;
HiGHS finds such sets for linear programs only). Handling rules of a class are never relaxed: restricted work stays
on-prem.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import WayOut
from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.requirements.workloads import LATENCY_GOALS
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options import candidates
from isthmus.planning.options.option import Rules
from isthmus.planning.sizing.rounding import three_digits
from isthmus.planning.solver import solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

MAX_WAYS_OUT = 3
CONTEXTS = (131_072, 65_536, 40_960, 32_768, 16_384, 8_192)
"""Contexts that are tried where a workload's is too long: those of common models."""
NODE_INCREMENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Numbers of additional nodes of a pool that are tried."""
MAX_PAIRED = 3
"""Nodes of each pool that are tried where two pools grow together."""
MAX_PURCHASES = 2
"""Purchases that are offered, so that a softer goal has room beside them."""
_MISSING_FACTS = ("cannot be priced", "no price", "no known price", "`allow` of the site")
"""In reasons that somebody mends by stating a fact: a price, what a site allows."""
Purchase = dict[tuple[str, str], int]
"""Site and GPU of a pool → its additional nodes."""
_WORKLOAD_DEMANDS = (
    "residency",
    "min_score",
    "context_tokens",
    "licence",
    *LATENCY_GOALS,
    "survive",
)


@dataclass(frozen=True)
class Demand:
    """A demand of the requirements that could be relaxed."""

    owner: str
    """Name of a workload or a site, `SITE/GPU`, or `platform`."""
    name: str
    description: str


def list_demands(requirements: Requirements, rules: Rules) -> list[Demand]:
    """Return all demands that can be dropped. The budget comes first, because it hides other shortages."""
    all_demands = []
    if requirements.budget is not None:
        all_demands.append(
            Demand("platform", "budget", f"budget {requirements.budget.monthly_usd:,.0f} USD a month")
        )
    for workload in requirements.workloads:
        slo, name = workload.slo, workload.name
        descriptions = {
            "residency": f"residency {', '.join(workload.residency or [])}" if workload.residency else "",
            "min_score": f"min_score {workload.model.min_score:g}",
            "context_tokens": f"context_tokens {workload.model.context_tokens:,}",
            "licence": "the licences of its candidates",
            **{key: f"{key} {slo.latencies[key]:g}" if key in slo.latencies else "" for key in LATENCY_GOALS},
            "survive": f"survive {workload.survive}" if workload.survive != "none" else "",
        }
        all_demands += [
            Demand(name, key, f"{name}: {description}")
            for key in _WORKLOAD_DEMANDS
            if (description := descriptions[key])
        ]
    for site in requirements.sites:
        if isinstance(site, AwsSite):
            all_demands += _aws_demands(site, rules)
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            owner = f"{site.name}/{pool.gpu}"
            count = pool.nodes * pool.gpus_per_node - pool.reserved_gpus
            all_demands.append(Demand(owner, "gpus", f"{site.name}: {count} x {pool.gpu}"))
    return all_demands


def _aws_demands(site: AwsSite, rules: Rules) -> Iterator[Demand]:
    """Yield the targets that the site does not allow although the blueprint builds them, and its quotas."""
    services = {"bedrock": "bedrock", "eks": "eks-vllm", "sagemaker": "sagemaker"}
    disallowed = [
        name for name, target in services.items() if name not in site.allow and target in rules.builds
    ]
    if disallowed:
        yield Demand(site.name, "allow", f"{site.name}: no {' and no '.join(disallowed)}")
    if site.quotas:
        yield Demand(site.name, "quotas", f"{site.name}: the quotas of its account")


def is_feasible(requirements: Requirements, rules: Rules, dropped: frozenset[Demand]) -> bool:
    """Whether a plan exists without the dropped demands."""
    return _least_cost(requirements, rules, dropped) is not None


def _least_cost(
    requirements: Requirements, rules: Rules, dropped: frozenset[Demand] = frozenset()
) -> float | None:
    relaxed_rules = _rules_without(rules, dropped)
    relaxed = _requirements_without_survive(requirements, relaxed_rules)
    solved = solution.solve_and_place(
        relaxed, candidates.find_options(relaxed, relaxed_rules), least_only=True
    )
    return None if solved is None else solved[0].cost


def _rules_without(rules: Rules, dropped: frozenset[Demand]) -> Rules:
    return replace(rules, dropped=frozenset((demand.owner, demand.name) for demand in dropped))


def _requirements_without_survive(requirements: Requirements, rules: Rules) -> Requirements:
    """Return the requirements with `survive: none` for workloads whose `survive` is dropped."""
    names = {owner for owner, demand in rules.dropped if demand == "survive"}
    if not names:
        return requirements
    workloads = [
        workload.model_copy(update={"survive": "none"}) if workload.name in names else workload
        for workload in requirements.workloads
    ]
    return requirements.model_copy(update={"workloads": workloads})


def can_be_mended(requirements: Requirements, rules: Rules) -> bool:
    """Whether a plan exists once demands are dropped. If not, facts are missing, or handling forbids every place."""
    return is_feasible(requirements, rules, frozenset(list_demands(requirements, rules)))


def find_conflicts(requirements: Requirements, rules: Rules) -> list[Demand]:
    """Return a minimal set of demands in conflict: dropping any one makes the rest feasible.

    If dropping all demands does not help, return a reason for each workload that no place may serve.
    """
    all_demands = list_demands(requirements, rules)
    if not can_be_mended(requirements, rules):
        return [
            Demand(name, "handling", description)
            for name, description in _unservable_workloads(requirements, rules, frozenset(all_demands))
        ]
    needed, dropped = list(all_demands), frozenset[Demand]()
    for demand in all_demands:
        # Demands that are not needed for the conflict stay dropped.
        if not is_feasible(requirements, rules, dropped | {demand}):
            dropped |= {demand}
            needed.remove(demand)
    return needed


def _unservable_workloads(
    requirements: Requirements, rules: Rules, dropped: frozenset[Demand]
) -> Iterator[tuple[str, str]]:
    relaxed_rules = _rules_without(rules, dropped)
    options = candidates.find_options(
        _requirements_without_survive(requirements, relaxed_rules), relaxed_rules
    )
    for name, workload_options in options.by_workload.items():
        if not workload_options:
            reason = _first_to_act_on(options.rejected[name]) or "it has no candidate"
            yield name, f"{name}: {reason}"


def _first_to_act_on(reasons: Sequence[str]) -> str:
    """Of the reasons against a workload's places, one that a fact of the requirements mends; else the last one."""
    missing = (reason for word in _MISSING_FACTS for reason in reasons if word in reason)
    return next(missing, reasons[-1] if reasons else "")


def find_ways_out(requirements: Requirements, conflicting: list[Demand], rules: Rules) -> list[WayOut]:
    """Return up to three changes that make a plan possible, the cheapest first. Each is solved again and priced.

    Nodes are tried for every pool, not only for those in the conflict: another pool may carry the work at a lower cost.
    If a change exceeds the budget, the needed budget is part of it.
    """
    ways = [
        _way_out(_nodes_text(requirements, purchase), changed, cost)
        for purchase, changed, cost in _cheapest_purchases(requirements, conflicting, rules)
    ]
    for demand in conflicting:
        if demand.name == "gpus":
            continue  # one of the purchases
        for description, changed in _possible_changes(requirements, demand):
            cost = _least_cost(changed.model_copy(update={"budget": None}), rules)
            if cost is None:
                continue
            ways.append(_way_out(description, changed, cost))
            break
    return sorted(ways, key=lambda candidate: (candidate.monthly_cost_usd, candidate.what))[:MAX_WAYS_OUT]


def _way_out(description: str, changed: Requirements, cost: float) -> WayOut:
    budget = changed.budget
    if budget is not None and cost > budget.monthly_usd:
        description += ", and " if description else ""
        description += f"budget {budget.monthly_usd:,.0f} to {_rounded_budget(cost):,} USD a month"
    return WayOut(what=description, monthly_cost_usd=round(cost, 2))


def _cheapest_purchases(
    requirements: Requirements, conflicting: list[Demand], rules: Rules
) -> list[tuple[Purchase, Requirements, float]]:
    """Up to two purchases of nodes that make a plan possible, the cheapest first: of one pool, or of two together.

    None is looked for where the conflict is about something else than GPUs.
    """
    if not any(demand.name == "gpus" for demand in conflicting):
        return []
    pools = [
        (site.name, pool.gpu)
        for site in requirements.sites
        if isinstance(site, OnPremSite)
        for pool in site.pools
    ]
    without_budget = requirements.model_copy(update={"budget": None})

    def cost_with(purchase: Purchase) -> float | None:
        return _least_cost(_with_nodes(without_budget, purchase), rules)

    feasible: list[tuple[Purchase, float]] = []
    single: dict[tuple[str, str], int] = {}
    for pool in pools:
        for nodes in NODE_INCREMENTS:
            cost = cost_with({pool: nodes})
            if cost is not None:
                feasible.append(({pool: nodes}, cost))
                single[pool] = nodes
                break
    for first, second in itertools.combinations(pools, 2):
        # With more nodes of either, one pool alone is enough.
        most = [min(single.get(pool, MAX_PAIRED + 1) - 1, MAX_PAIRED) for pool in (first, second)]
        pairs = itertools.product(range(1, most[0] + 1), range(1, most[1] + 1))
        for pair in sorted(pairs, key=lambda nodes: (sum(nodes), nodes)):
            cost = cost_with(dict(zip((first, second), pair, strict=True)))
            if cost is not None:
                feasible.append((dict(zip((first, second), pair, strict=True)), cost))
                break
    cheapest = sorted(feasible, key=lambda entry: (entry[1], sum(entry[0].values()), str(entry[0])))
    return [
        (purchase, _with_nodes(requirements, purchase), cost) for purchase, cost in cheapest[:MAX_PURCHASES]
    ]


def _nodes_text(requirements: Requirements, purchase: Purchase) -> str:
    """`8 more h100-sxm-80gb at fra1 (1 node) and 4 more l40s-48gb at fra1 (1 node)`."""
    gpus_of_node = {
        (site.name, pool.gpu): pool.gpus_per_node
        for site in requirements.sites
        if isinstance(site, OnPremSite)
        for pool in site.pools
    }
    return " and ".join(
        f"{nodes * gpus_of_node[place]} more {place[1]} at {place[0]} ({nodes} node{'s' if nodes > 1 else ''})"
        for place, nodes in purchase.items()
    )


def _with_nodes(requirements: Requirements, purchase: Purchase) -> Requirements:
    sites = [
        site.model_copy(
            update={
                "pools": [
                    pool.model_copy(update={"nodes": pool.nodes + purchase.get((site.name, pool.gpu), 0)})
                    for pool in site.pools
                ]
            }
        )
        if isinstance(site, OnPremSite)
        else site
        for site in requirements.sites
    ]
    return requirements.model_copy(update={"sites": sites})


def _rounded_budget(cost: float) -> int:
    """Return a budget for a cost: 2 % more, rounded up to the next hundred USD."""
    return -(-int(cost * 1.02 + 1) // 100) * 100


def _possible_changes(requirements: Requirements, demand: Demand) -> Iterator[tuple[str, Requirements]]:
    """Yield changes of one demand, the smallest first. The text is empty if only the budget must rise."""
    if demand.name == "budget":
        yield "", requirements
        return
    index = next(
        (
            position
            for position, workload in enumerate(requirements.workloads)
            if workload.name == demand.owner
        ),
        None,
    )
    if index is None:
        return
    workload = requirements.workloads[index]

    def with_update(**fields: object) -> Requirements:
        workloads = list(requirements.workloads)
        workloads[index] = workload.model_copy(update=fields)
        return requirements.model_copy(update={"workloads": workloads})

    if demand.name == "residency":
        for area in jurisdictions.areas_around(workload.residency or []):
            yield (
                f"{workload.name}: residency {', '.join(workload.residency or [])} to {area}",
                with_update(residency=[area]),
            )
        yield (
            f"{workload.name}: residency {', '.join(workload.residency or [])} to any",
            with_update(residency=None),
        )
    elif demand.name == "min_score":
        scores = sorted(
            {score for candidate in workload.model.candidates for score in candidate.scores.values()},
            reverse=True,
        )
        for score in (score for score in scores if score < workload.model.min_score):
            description = f"{workload.name}: min_score {workload.model.min_score:g} to {score:g}"
            yield description, with_update(model=workload.model.model_copy(update={"min_score": score}))
    elif demand.name in LATENCY_GOALS:
        current = getattr(workload.slo, demand.name)
        for factor in (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0):
            relaxed = three_digits(current * factor)
            description = f"{workload.name}: {demand.name} {current:g} to {relaxed:g}"
            yield description, with_update(slo=workload.slo.model_copy(update={demand.name: relaxed}))
    elif demand.name == "context_tokens":
        longest = workload.traffic.prompt_tokens.p95 + workload.traffic.output_tokens.p95
        current = workload.model.context_tokens
        for context in (context for context in CONTEXTS if longest <= context < current):
            description = f"{workload.name}: context_tokens {current:,} to {context:,}"
            yield (
                description,
                with_update(model=workload.model.model_copy(update={"context_tokens": context})),
            )
    elif demand.name == "survive":
        for level in reversed(SURVIVES[: SURVIVES.index(workload.survive)]):
            yield f"{workload.name}: survive {workload.survive} to {level}", with_update(survive=level)
