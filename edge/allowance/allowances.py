"""Reserves a request's tokens and cost in the limits of its workload and team, and settles them afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge.allowance.ledger import Exhausted, Ledger, Limit, Period, Withdrawal
from edge.callers import Caller
from edge.config.gateway import Allowance, GatewayConfig
from edge.database import DatabaseDown
from edge.openai_api import Refusal

MICRO = 1_000_000
"""USD are counted in millionths, because integers add up exactly."""
_UNITS: dict[str, tuple[str, Period]] = {
    "requests_per_minute": ("requests/minute", "minute"),
    "tokens_per_minute": ("tokens/minute", "minute"),
    "tokens_per_month": ("tokens/month", "month"),
    "usd_per_month": ("micro-usd/month", "month"),
}


class Reservation:
    """The amounts that one request has reserved."""

    def __init__(self, ledger: Ledger | None = None, withdrawals: list[Withdrawal] | None = None) -> None:
        self._ledger, self._taken = ledger, withdrawals or []

    def settle(self, tokens: int | None, usd: float) -> None:
        """Replace the reserved by the actual amounts, once. `tokens` None: unknown, so the reserved amount counts."""
        withdrawals, self._taken = self._taken, []
        if self._ledger is None or not withdrawals:
            return
        actual_by_unit = {"micro-usd/month": math.ceil(usd * MICRO)}
        if tokens is not None:
            actual_by_unit |= {"tokens/minute": tokens, "tokens/month": tokens}
        self._ledger.settle(withdrawals, actual_by_unit)


class Allowances:
    """The limits of a gateway's workloads and teams."""

    def __init__(self, config: GatewayConfig, ledger: Ledger | None) -> None:
        self._ledger = ledger
        scope = f"{config.data_class}/{config.site}"
        teams = {
            team.name: dict(_limits(f"{scope}/team/{team.name}", team.allowance)) for team in config.teams
        }
        self._limits = {
            workload.name: {
                **dict(_limits(f"{scope}/workload/{workload.name}", workload.allowance)),
                **teams.get(workload.team or "", {}),
            }
            for workload in config.workloads
        }

    def answer_tokens(self, caller: Caller, prompt: int, answers: int, max_tokens: int) -> int | None:
        """Maximum tokens of each answer for a request that sets none. None: no limit counts its tokens.

        The reservation is then the most that the request can use, so that parallel requests cannot exceed a limit.
        """
        limits = self._limits.get(caller.workload, {})
        token_limits = [limit for limit in limits if limit.unit.startswith("tokens/")]
        if not token_limits and not any(limit.unit.startswith("micro-usd/") for limit in limits):
            return None
        room = min([(limit.most - prompt) // max(answers, 1) for limit in token_limits], default=max_tokens)
        return max(1, min(max_tokens, room))

    async def reserve(self, caller: Caller, tokens: int, usd: float) -> Reservation:
        """Reserve the amounts for a request. Raises Refusal 400, 402, 429 or 503."""
        limits = self._limits.get(caller.workload)
        if not limits or self._ledger is None:
            return Reservation()
        amount_by_key = {
            "requests_per_minute": 1,
            "tokens_per_minute": tokens,
            "tokens_per_month": tokens,
            "usd_per_month": max(1, math.ceil(usd * MICRO)),
        }
        amount_by_limit = {limit: amount_by_key[key] for limit, key in limits.items()}
        for limit, amount in amount_by_limit.items():
            if amount > limit.most:
                raise Refusal(
                    400,
                    "request_over_limit",
                    f"This request may take {_format_amount(limit, amount)}, and the {_format_owner(limit)} may"
                    f" take {_format_amount(limit, limit.most)} {_format_period(limit)}: shorten it, or set a lower"
                    " max_tokens.",
                )
        try:
            return Reservation(self._ledger, await self._ledger.take(amount_by_limit))
        except Exhausted as error:
            raise _refusal(error) from None
        except DatabaseDown:
            raise Refusal(
                503, "accounts_unavailable", "The gateway cannot count this request now; ask its operators."
            ) from None


def _limits(scope: str, allowance: Allowance) -> Iterator[tuple[Limit, str]]:
    for key, (unit, period) in _UNITS.items():
        maximum = getattr(allowance, key)
        if maximum is not None:
            amount = int(maximum * MICRO) if key == "usd_per_month" else maximum
            yield Limit(scope, unit, period, amount), key


def _refusal(error: Exhausted) -> Refusal:
    limit = error.limit
    headers = {"retry-after": str(max(1, math.ceil(error.left_s)))}
    text = f"The {_format_owner(limit)} may take {_format_amount(limit, limit.most)} {_format_period(limit)}, and has"
    if limit.period == "minute":
        return Refusal(429, "rate_limited", f"{text}; try again in {headers['retry-after']} s.", headers)
    # Not 429: clients retry a 429 automatically, but a budget does not return while they wait.
    return Refusal(
        402, "budget_exhausted", f"{text}; it begins anew next month, or ask its owner for more.", headers
    )


def _format_owner(limit: Limit) -> str:
    _, _, kind, name = limit.scope.split("/", 3)
    return f"{kind} {name}"


def _format_amount(limit: Limit, amount: int) -> str:
    if limit.unit.startswith("micro-usd"):
        return f"{amount / MICRO:.2f} USD"
    return f"{amount} {limit.unit.partition('/')[0]}"


def _format_period(limit: Limit) -> str:
    return f"a {limit.period}"
