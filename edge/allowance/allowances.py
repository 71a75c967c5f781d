"""A caller's limits, its own and its team's: reserved before a request is sent, settled when it is over."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge.allowance.ledger import Exhausted, Ledger, Limit, Period, Taken
from edge.callers import Caller
from edge.config.gateway import Allowance, GatewayConfig
from edge.database import DatabaseDown
from edge.openai_api import Refusal

MICRO = 1_000_000
"""USD are counted in millionths: whole numbers add up exactly."""
_UNITS: dict[str, tuple[str, Period]] = {
    "requests_per_minute": ("requests/minute", "minute"),
    "tokens_per_minute": ("tokens/minute", "minute"),
    "tokens_per_month": ("tokens/month", "month"),
    "usd_per_month": ("micro-usd/month", "month"),
}


class Reservation:
    """What one request holds of its limits."""

    def __init__(self, ledger: Ledger | None = None, taken: list[Taken] | None = None) -> None:
        self._ledger, self._taken = ledger, taken or []

    def settle(self, tokens: int | None, usd: float) -> None:
        """Once; `tokens` None: they are not known, and what was reserved stands for them."""
        taken, self._taken = self._taken, []
        if self._ledger is None or not taken:
            return
        came_to = {"micro-usd/month": math.ceil(usd * MICRO)}
        if tokens is not None:
            came_to |= {"tokens/minute": tokens, "tokens/month": tokens}
        self._ledger.settle(taken, came_to)


class Allowances:
    """Of one gateway."""

    def __init__(self, config: GatewayConfig, ledger: Ledger | None) -> None:
        self._ledger = ledger
        stated = f"{config.data_class}/{config.site}"
        teams = {
            team.name: dict(_limits(f"{stated}/team/{team.name}", team.allowance)) for team in config.teams
        }
        self._limits = {
            workload.name: {
                **dict(_limits(f"{stated}/workload/{workload.name}", workload.allowance)),
                **teams.get(workload.team or "", {}),
            }
            for workload in config.workloads
        }

    def answer_tokens(self, caller: Caller, prompt: int, answers: int, most: int) -> int | None:
        """Tokens to which each answer of a request without a maximum is limited; None: no limit counts its tokens.

        What is reserved is then the most that the request can take, so that requests in parallel pass no limit.
        """
        limits = self._limits.get(caller.workload, {})
        counted = [limit for limit in limits if limit.unit.startswith("tokens/")]
        if not counted and not any(limit.unit.startswith("micro-usd/") for limit in limits):
            return None
        room = min([(limit.most - prompt) // max(answers, 1) for limit in counted], default=most)
        return max(1, min(most, room))

    async def reserve(self, caller: Caller, tokens: int, usd: float) -> Reservation:
        """Room for a request that may take so much; raises Refusal 400, 402, 429 or 503."""
        limits = self._limits.get(caller.workload)
        if not limits or self._ledger is None:
            return Reservation()
        amounts = {
            "requests_per_minute": 1,
            "tokens_per_minute": tokens,
            "tokens_per_month": tokens,
            "usd_per_month": max(1, math.ceil(usd * MICRO)),
        }
        wanted = {limit: amounts[key] for limit, key in limits.items()}
        for limit, amount in wanted.items():
            if amount > limit.most:
                raise Refusal(
                    400,
                    "request_over_limit",
                    f"This request may take {_said(limit, amount)}, and the {_whose(limit)} may take"
                    f" {_said(limit, limit.most)} {_each(limit)}: shorten it, or set a lower max_tokens.",
                )
        try:
            return Reservation(self._ledger, await self._ledger.take(wanted))
        except Exhausted as error:
            raise _refusal(error) from None
        except DatabaseDown:
            raise Refusal(
                503, "accounts_unavailable", "The gateway cannot count this request now; ask its operators."
            ) from None


def _limits(scope: str, allowance: Allowance) -> Iterator[tuple[Limit, str]]:
    for key, (unit, period) in _UNITS.items():
        most = getattr(allowance, key)
        if most is not None:
            whole = int(most * MICRO) if key == "usd_per_month" else most
            yield Limit(scope, unit, period, whole), key


def _refusal(error: Exhausted) -> Refusal:
    limit = error.limit
    after = {"retry-after": str(max(1, math.ceil(error.left_s)))}
    text = f"The {_whose(limit)} may take {_said(limit, limit.most)} {_each(limit)}, and has"
    if limit.period == "minute":
        return Refusal(429, "rate_limited", f"{text}; try again in {after['retry-after']} s.", after)
    # Not 429: clients try that again by themselves, and a budget does not come back while they wait.
    return Refusal(
        402, "budget_exhausted", f"{text}; it begins anew next month, or ask its owner for more.", after
    )


def _whose(limit: Limit) -> str:
    _, _, kind, name = limit.scope.split("/", 3)
    return f"{kind} {name}"


def _said(limit: Limit, amount: int) -> str:
    if limit.unit.startswith("micro-usd"):
        return f"{amount / MICRO:.2f} USD"
    return f"{amount} {limit.unit.partition('/')[0]}"


def _each(limit: Limit) -> str:
    return f"a {limit.period}"
