"""Divides the costs of a month among teams, to the cent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from isthmus.contracts.reports.reconciliation import Allocation, AllocationKey, Category, TeamCost
from isthmus.contracts.reports.usage import UsageDay
from isthmus.core.cents import divide, rounded_parts, to_cents
from isthmus.usage.bills.matching import EVALUATIONS, Cell, Matched
from isthmus.usage.bills.token_kinds import KINDS
from isthmus.usage.on_prem import PoolUse
from isthmus.usage.prices import Use

_SHARED: Category = "other resources of the stack"
_REST: tuple[Category, ...] = ("usage that the ledger lacks", "late lines", "not comparable")
"""Usage of the stack that no team can be found for."""
_ZERO = Decimal("0.00")


@dataclass(frozen=True)
class Costs:
    """The costs of a month. All in USD."""

    categories: Mapping[Category, Decimal]
    """Of the bill, to the cent."""
    matched: Matched
    pools: Sequence[PoolUse]
    fixed: Mapping[str, Decimal]
    """Fixed on-prem costs, to the cent."""


def allocate(costs: Costs, days: Sequence[UsageDay], key: AllocationKey) -> Allocation | None:
    """Divide the costs among teams. None: no team used anything.

    Tokens: the cost of each profile, day and kind is divided by the teams' tokens of that profile, day and kind. A
    discount or refund that names a profile follows its tokens. GPU-hours: by the teams' GPU-seconds in each pool.
    Shared cost: by `key`; without any of what the key counts, evenly. Evaluations (team `EVALUATIONS`) have tokens and
    GPU-hours, and no part of shared cost.
    """
    weights = team_weights((day for day in days if day.team != EVALUATIONS), key)
    if not weights:
        return None
    tokens, without_team = _tokens_by_team(costs.matched, days)
    pool_parts = _pools_by_team(costs.pools)
    shared = costs.categories.get(_SHARED, _ZERO) + _on_prem_total(costs) - sum(pool_parts.values(), _ZERO)
    parts = divide(shared, weights)
    teams = [
        TeamCost(
            team=team,
            tokens_usd=tokens.get(team, _ZERO),
            gpu_usd=pool_parts.get(team, _ZERO),
            shared_usd=parts[team],
            usd=tokens.get(team, _ZERO) + pool_parts.get(team, _ZERO) + parts[team],
        )
        for team in sorted(weights)
    ]
    bill, on_prem = sum(costs.categories.values(), _ZERO), _on_prem_total(costs)
    rest = sum((costs.categories.get(category, _ZERO) for category in _REST), _ZERO)
    rest += to_cents(without_team)
    evaluations = tokens.get(EVALUATIONS, _ZERO) + pool_parts.get(EVALUATIONS, _ZERO)
    allocated = sum((team.usd for team in teams), evaluations)
    return Allocation(
        key=key,
        shared_usd=shared,
        teams=teams,
        evaluations_usd=evaluations,
        not_allocated_usd=rest,
        account_usd=bill + on_prem - allocated - rest,
        usd=bill + on_prem,
    )


def team_weights(days: Iterable[UsageDay], key: AllocationKey) -> dict[str, Decimal]:
    """The weight of each team by a key. If nobody has any weight, all teams are equal."""
    weights: dict[str, Decimal] = {}
    for day in days:
        amount = {
            "tokens": Decimal(day.prompt_tokens + day.completion_tokens),
            "gpu-seconds": Decimal(str(day.gpu_seconds)),
            "evenly": Decimal(0),
        }[key]
        weights[day.team] = weights.get(day.team, Decimal(0)) + amount
    return weights if any(weights.values()) else dict.fromkeys(weights, Decimal(1))


def _tokens_by_team(matched: Matched, days: Iterable[UsageDay]) -> tuple[dict[str, Decimal], Decimal]:
    """The cost of tokens by team, with the reductions that name their profiles; and matched cost without a team."""
    shares: dict[Cell, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for day in days:
        amounts = (day.prompt_tokens - day.cached_tokens, day.cached_tokens, day.completion_tokens)
        for kind, tokens in zip(KINDS, amounts, strict=True):
            if tokens:
                shares[Cell(Use(day.endpoint or "", day.workload), day.day, kind)][day.team] += tokens
    exact: dict[str, Decimal] = defaultdict(Decimal)
    without_team = Decimal(0)
    matched_days = {(cell.use, cell.day) for cell in shares}
    by_use: dict[Use, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (cell, currency), cost in matched.costs.items():
        teams = shares.get(cell, {})
        total = sum(teams.values(), Decimal(0))
        if currency != "USD":
            continue
        if not total:
            without_team += cost if (cell.use, cell.day) in matched_days else 0
            continue
        for team, tokens in teams.items():
            exact[team] += cost * tokens / total
            by_use[cell.use][team] += cost * tokens / total
    for (use, currency), amount in matched.reductions.items():
        total = sum(by_use[use].values(), Decimal(0))
        if currency == "USD" and total:
            for team, cost in by_use[use].items():
                exact[team] += amount * cost / total
    return rounded_parts(exact), without_team


def _pools_by_team(pools: Iterable[PoolUse]) -> dict[str, Decimal]:
    teams: dict[str, Decimal] = defaultdict(Decimal)
    for pool in pools:
        used = to_cents(pool.used_usd)
        if used and pool.by_team:
            for team, amount in divide(used, pool.by_team).items():
                teams[team] += amount
    return dict(teams)


def _on_prem_total(costs: Costs) -> Decimal:
    pools = sum((to_cents(pool.cost.usd) + to_cents(pool.cost.spare_usd) for pool in costs.pools), Decimal(0))
    return pools + sum(costs.fixed.values(), Decimal(0))
