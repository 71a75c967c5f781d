"""Why no plan is possible: demands that cannot hold together, and changes that would help, each tried.

The conflict is irreducible: without any one of its demands the rest holds, which was tried for each (a deletion filter;
HiGHS finds such sets for linear programs only). What a class's handling demands is never among them: that restricted
work stays on-prem is no wish to be relaxed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.plan import WayOut
from isthmus.contracts.plan_capacity import SURVIVES
from isthmus.contracts.requirements import AwsSite, OnPremSite
from isthmus.planning import options, program
from isthmus.planning.options import Dropped
from isthmus.planning.program import Problem
from isthmus.planning.promise import three

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements

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


def demands(requirements: Requirements) -> list[Demand]:
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
        if isinstance(site, AwsSite) and "bedrock" not in site.allow:
            found.append(Demand(site.name, "allow", f"{site.name}: no bedrock"))
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            whose = f"{site.name}/{pool.gpu}"
            count = pool.nodes * pool.gpus_per_node - pool.reserved_gpus
            found.append(Demand(whose, "gpus", f"{site.name}: {count} x {pool.gpu}"))
    return found


def feasible(requirements: Requirements, today: str, dropped: frozenset[Demand]) -> bool:
    """Whether there is a plan without those demands."""
    return _cost(requirements, today, dropped) is not None


def _cost(requirements: Requirements, today: str, dropped: frozenset[Demand] = frozenset()) -> float | None:
    pairs: Dropped = frozenset((each.whose, each.what) for each in dropped)
    surviving = _surviving(requirements, pairs)
    problem = Problem(
        surviving,
        options.find(surviving, today, pairs),
        budget=("platform", "budget") not in pairs,
        least_only=True,
        held=frozenset(whose for whose, what in pairs if what == "gpus"),
    )
    solution = program.solve(problem)
    return None if solution is None else solution.cost


def _surviving(requirements: Requirements, pairs: Dropped) -> Requirements:
    """The requirements with `survive` dropped where it is."""
    names = {whose for whose, what in pairs if what == "survive"}
    if not names:
        return requirements
    workloads = [
        each.model_copy(update={"survive": "none"}) if each.name in names else each
        for each in requirements.workloads
    ]
    return requirements.model_copy(update={"workloads": workloads})


def conflicts(requirements: Requirements, today: str) -> list[Demand]:
    """Demands of which dropping any one makes the rest feasible.

    Where nothing that can be dropped helps, what is left is said: a class that no place may serve.
    """
    every = demands(requirements)
    if not feasible(requirements, today, frozenset(every)):
        return [
            Demand(name, "handling", words)
            for name, words in _impossible(requirements, today, frozenset(every))
        ]
    kept, dropped = list(every), frozenset[Demand]()
    for each in every:
        # What is not needed for the conflict is dropped for good.
        if not feasible(requirements, today, dropped | {each}):
            dropped |= {each}
            kept.remove(each)
    return kept


def _impossible(
    requirements: Requirements, today: str, dropped: frozenset[Demand]
) -> Iterator[tuple[str, str]]:
    pairs: Dropped = frozenset((each.whose, each.what) for each in dropped)
    found = options.find(_surviving(requirements, pairs), today, pairs)
    for name, ways in found.by_workload.items():
        if not ways:
            last = found.rejected[name][-1] if found.rejected[name] else "it has no candidate"
            yield name, f"{name}: {last}"


def ways_out(requirements: Requirements, found: list[Demand], today: str) -> list[WayOut]:
    """Up to three changes that help, the cheapest first, each solved again and priced.

    Where a change helps but for the budget, the budget that it takes is part of it.
    """
    ways = []
    for each in found:
        for words, changed in _changes(requirements, each, today):
            cost = _cost(changed, today)
            if cost is None and changed.budget is not None:
                cost = _cost(changed.model_copy(update={"budget": None}), today)
                if cost is not None:
                    words += (
                        f", and budget {changed.budget.monthly_usd:,.0f} to {_raised(cost):,} USD a month"
                    )
            if cost is not None:
                ways.append(WayOut(what=words, monthly_cost_usd=round(cost, 2)))
                break
    return sorted(ways, key=lambda way: (way.monthly_cost_usd, way.what))[:MOST_WAYS]


def _raised(cost: float) -> int:
    """The next hundred above a cost, and a little: a budget that holds it."""
    return -(-int(cost * 1.02 + 1) // 100) * 100


def _changes(requirements: Requirements, demand: Demand, today: str) -> Iterator[tuple[str, Requirements]]:
    """Changes of one demand, the smallest first."""
    if demand.what == "budget" and requirements.budget is not None:
        cost = _cost(requirements.model_copy(update={"budget": None}), today)
        if cost is not None:
            raised = _raised(cost)
            yield (
                f"budget {requirements.budget.monthly_usd:,.0f} to {raised:,} USD a month",
                requirements.model_copy(
                    update={"budget": requirements.budget.model_copy(update={"monthly_usd": raised})}
                ),
            )
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
