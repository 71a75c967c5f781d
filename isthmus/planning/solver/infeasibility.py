"""Why no plan is possible: demands that cannot hold together, and changes that would help, each tried.

The conflict is irreducible: without any one of its demands the rest holds, which was tried for each (a deletion filter;
HiGHS finds such sets for linear programs only). What a class's handling demands is never among them: that restricted
work stays on-prem is no wish to be relaxed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import WayOut
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options import candidates
from isthmus.planning.options.option import Rules
from isthmus.planning.sizing.rounding import three
from isthmus.planning.solver import solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

MOST_WAYS = 3
NODES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""More nodes of a pool, as they are tried."""
_OF_WORKLOAD = (
    "residency",
    "min_score",
    "context_tokens",
    "licence",
    "ttft_p95_ms",
    "tpot_p95_ms",
    "survive",
)


@dataclass(frozen=True)
class Demand:
    """Something that somebody asked for and could ask less of."""

    whose: str
    """A workload, a site, `SITE/GPU` or the platform."""
    what: str
    words: str


def demands(requirements: Requirements, rules: Rules) -> list[Demand]:
    """Everything that can be dropped. What comes first is dropped first where it does not matter: the budget, since it
    hides what else is short.
    """
    found = []
    if requirements.budget is not None:
        found.append(
            Demand("platform", "budget", f"budget {requirements.budget.monthly_usd:,.0f} USD a month")
        )
    for workload in requirements.workloads:
        slo, name = workload.slo, workload.name
        stated = {
            "residency": f"residency {', '.join(workload.residency or [])}" if workload.residency else "",
            "min_score": f"min_score {workload.model.min_score:g}",
            "context_tokens": f"context_tokens {workload.model.context_tokens:,}",
            "licence": "the licences of its candidates",
            "ttft_p95_ms": f"ttft_p95_ms {slo.ttft_p95_ms:g}" if slo.ttft_p95_ms else "",
            "tpot_p95_ms": f"tpot_p95_ms {slo.tpot_p95_ms:g}" if slo.tpot_p95_ms else "",
            "survive": f"survive {workload.survive}" if workload.survive != "none" else "",
        }
        found += [Demand(name, key, f"{name}: {words}") for key in _OF_WORKLOAD if (words := stated[key])]
    for site in requirements.sites:
        if isinstance(site, AwsSite):
            found += _of_aws(site, rules)
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            whose = f"{site.name}/{pool.gpu}"
            count = pool.nodes * pool.gpus_per_node - pool.reserved_gpus
            found.append(Demand(whose, "gpus", f"{site.name}: {count} x {pool.gpu}"))
    return found


def _of_aws(site: AwsSite, rules: Rules) -> Iterator[Demand]:
    """What its owner does not allow of what the blueprint could build there, and what its account may use."""
    services = {"bedrock": "bedrock", "eks": "eks-vllm", "sagemaker": "sagemaker"}
    closed = [name for name, target in services.items() if name not in site.allow and target in rules.builds]
    if closed:
        yield Demand(site.name, "allow", f"{site.name}: no {' and no '.join(closed)}")
    if site.quotas:
        yield Demand(site.name, "quotas", f"{site.name}: the quotas of its account")


def feasible(requirements: Requirements, rules: Rules, dropped: frozenset[Demand]) -> bool:
    """Whether there is a plan without those demands."""
    return _cost(requirements, rules, dropped) is not None


def _cost(requirements: Requirements, rules: Rules, dropped: frozenset[Demand] = frozenset()) -> float | None:
    without = _without(rules, dropped)
    surviving = _surviving(requirements, without)
    solved = solution.solve(surviving, candidates.find(surviving, without), least_only=True)
    return None if solved is None else solved[0].cost


def _without(rules: Rules, dropped: frozenset[Demand]) -> Rules:
    return replace(rules, dropped=frozenset((each.whose, each.what) for each in dropped))


def _surviving(requirements: Requirements, rules: Rules) -> Requirements:
    """The requirements with `survive` dropped where it is."""
    names = {whose for whose, what in rules.dropped if what == "survive"}
    if not names:
        return requirements
    workloads = [
        each.model_copy(update={"survive": "none"}) if each.name in names else each
        for each in requirements.workloads
    ]
    return requirements.model_copy(update={"workloads": workloads})


def conflicts(requirements: Requirements, rules: Rules) -> list[Demand]:
    """Demands of which dropping any one makes the rest feasible.

    Where nothing that can be dropped helps, what is left is said: a class that no place may serve.
    """
    every = demands(requirements, rules)
    if not feasible(requirements, rules, frozenset(every)):
        return [
            Demand(name, "handling", words)
            for name, words in _impossible(requirements, rules, frozenset(every))
        ]
    kept, dropped = list(every), frozenset[Demand]()
    for each in every:
        # What is not needed for the conflict is dropped for good.
        if not feasible(requirements, rules, dropped | {each}):
            dropped |= {each}
            kept.remove(each)
    return kept


def _impossible(
    requirements: Requirements, rules: Rules, dropped: frozenset[Demand]
) -> Iterator[tuple[str, str]]:
    without = _without(rules, dropped)
    found = candidates.find(_surviving(requirements, without), without)
    for name, options in found.by_workload.items():
        if not options:
            last = found.rejected[name][-1] if found.rejected[name] else "it has no candidate"
            yield name, f"{name}: {last}"


def ways_out(requirements: Requirements, found: list[Demand], rules: Rules) -> list[WayOut]:
    """Up to three changes that help, the cheapest first, each solved again and priced.

    Where a change helps but for the budget, the budget that it takes is part of it.
    """
    told = []
    for each in found:
        for words, changed in _changes(requirements, each):
            cost = _cost(changed.model_copy(update={"budget": None}), rules)
            if cost is None:
                continue
            budget = changed.budget
            if budget is not None and cost > budget.monthly_usd:
                words += f"{', and ' if words else ''}budget {budget.monthly_usd:,.0f} to {_raised(cost):,} USD a month"
            told.append(WayOut(what=words, monthly_cost_usd=round(cost, 2)))
            break
    return sorted(told, key=lambda way: (way.monthly_cost_usd, way.what))[:MOST_WAYS]


def _raised(cost: float) -> int:
    """The next hundred above a cost, and a little: a budget that holds it."""
    return -(-int(cost * 1.02 + 1) // 100) * 100


def _changes(requirements: Requirements, demand: Demand) -> Iterator[tuple[str, Requirements]]:
    """Changes of one demand, the smallest first; the words are empty where only the budget is to be raised."""
    if demand.what == "budget":
        yield "", requirements
        return
    if demand.what == "gpus":
        yield from _more_nodes(requirements, demand)
        return
    index = next((at for at, each in enumerate(requirements.workloads) if each.name == demand.whose), None)
    if index is None:
        return
    workload = requirements.workloads[index]

    def with_it(**update: object) -> Requirements:
        workloads = list(requirements.workloads)
        workloads[index] = workload.model_copy(update=update)
        return requirements.model_copy(update={"workloads": workloads})

    if demand.what == "residency":
        yield (
            f"{workload.name}: residency {', '.join(workload.residency or [])} to any",
            with_it(residency=None),
        )
    elif demand.what == "min_score":
        scores = sorted(
            {score for each in workload.model.candidates for score in each.scores.values()}, reverse=True
        )
        for score in (each for each in scores if each < workload.model.min_score):
            words = f"{workload.name}: min_score {workload.model.min_score:g} to {score:g}"
            yield words, with_it(model=workload.model.model_copy(update={"min_score": score}))
    elif demand.what in ("ttft_p95_ms", "tpot_p95_ms"):
        now = getattr(workload.slo, demand.what)
        for times in (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0):
            then = three(now * times)
            words = f"{workload.name}: {demand.what} {now:g} to {then:g}"
            yield words, with_it(slo=workload.slo.model_copy(update={demand.what: then}))
    elif demand.what == "survive":
        for level in reversed(SURVIVES[: SURVIVES.index(workload.survive)]):
            yield f"{workload.name}: survive {workload.survive} to {level}", with_it(survive=level)


def _more_nodes(requirements: Requirements, demand: Demand) -> Iterator[tuple[str, Requirements]]:
    name, _, gpu = demand.whose.partition("/")
    for at, site in enumerate(requirements.sites):
        if not isinstance(site, OnPremSite) or site.name != name:
            continue
        for number, pool in enumerate(site.pools):
            if pool.gpu != gpu:
                continue
            for more in NODES:
                pools, sites = list(site.pools), list(requirements.sites)
                pools[number] = pool.model_copy(update={"nodes": pool.nodes + more})
                sites[at] = site.model_copy(update={"pools": pools})
                gpus = more * pool.gpus_per_node
                yield (
                    f"{gpus} more {gpu} at {name} ({more} node{'s' if more > 1 else ''})",
                    requirements.model_copy(update={"sites": sites}),
                )
