"""Reserves a request's tokens and cost in the limits of its team, workload, key or person, and settles them later."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from edge.allowance.ledger import Exhausted, Ledger, Limit, Period, Withdrawal
from edge.allowance.parallel import Parallel, TooMany, whole_seconds
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

    def __init__(self, give_back: Callable[[], None] = lambda: None) -> None:
        """`give_back`: returns what is taken only while the request runs."""
        self._ledger: Ledger | None = None
        self._taken: list[Withdrawal] = []
        self._give_back = give_back

    def add(self, ledger: Ledger, withdrawals: list[Withdrawal]) -> None:
        """Add what was taken of a ledger."""
        self._ledger, self._taken = ledger, withdrawals

    def settle(self, tokens: int | None, usd: float) -> None:
        """Replace the reserved by the actual amounts, once. `tokens` None: unknown, so the reserved amount counts."""
        withdrawals, self._taken = self._taken, []
        give_back, self._give_back = self._give_back, lambda: None
        give_back()
        if self._ledger is None or not withdrawals:
            return
        actual_by_unit = {"micro-usd/month": math.ceil(usd * MICRO)}
        if tokens is not None:
            actual_by_unit |= {"tokens/minute": tokens, "tokens/month": tokens}
        self._ledger.settle(withdrawals, actual_by_unit)


@dataclass(frozen=True)
class _Scope:
    """Whose limits they are, and what they are."""

    name: str
    allowance: Allowance

    @functools.cached_property
    def limits(self) -> dict[Limit, str]:
        """The counted limits, and their keys in the configuration."""
        return dict(_limits(self.name, self.allowance))


@dataclass(frozen=True)
class MonthlyUse:
    """What a workload or its team has used of a limit in this calendar month (UTC)."""

    of: str
    """`workload NAME` or `team NAME`."""
    unit: str
    """`tokens` or `usd`."""
    used: float
    limit: float


class Allowances:
    """The limits of a gateway's teams, workloads, keys and people."""

    def __init__(self, config: GatewayConfig, ledger: Ledger | None, parallel: Parallel) -> None:
        self._ledger, self._parallel = ledger, parallel
        self._prefix = f"{config.data_class}/{config.site}"
        teams = {
            team.name: _Scope(f"{self._prefix}/team/{team.name}", team.allowance) for team in config.teams
        }
        self._scopes = {
            workload.name: [
                _Scope(f"{self._prefix}/workload/{workload.name}", workload.allowance),
                *([teams[workload.team]] if workload.team in teams else []),
            ]
            for workload in config.workloads
        }

    def answer_tokens(self, caller: Caller, prompt: int, answers: int, max_tokens: int) -> int | None:
        """Maximum tokens of each answer for a request that sets none. None: no limit counts its tokens.

        The reservation is then the most that the request can use, so that parallel requests cannot exceed a limit.
        """
        limits = self._limits(caller)
        token_limits = [limit for limit in limits if limit.unit.startswith("tokens/")]
        if not token_limits and not any(limit.unit.startswith("micro-usd/") for limit in limits):
            return None
        room = min([(limit.most - prompt) // max(answers, 1) for limit in token_limits], default=max_tokens)
        return max(1, min(max_tokens, room))

    def has_usd_limit(self, caller: Caller) -> bool:
        """Whether a limit in USD applies to the key or person alone. Those of workloads are checked at the start."""
        return caller.allowance is not None and caller.allowance.usd_per_month is not None

    async def reserve(self, caller: Caller, tokens: int, usd: float) -> Reservation:
        """Reserve the amounts for a request. Raises Refusal 400, 402, 429 or 503."""
        scopes = self._scopes_of(caller)
        most_at_once = {
            scope.name: most for scope in scopes if (most := scope.allowance.parallel_requests) is not None
        }
        amount_by_limit = self._amounts(caller, tokens, usd)
        if not most_at_once and (not amount_by_limit or self._ledger is None):
            return Reservation()
        reservation = Reservation()
        try:
            if most_at_once:
                reservation = Reservation(give_back=await self._parallel.take(most_at_once))
            if amount_by_limit and self._ledger is not None:
                reservation.add(self._ledger, await self._ledger.take(amount_by_limit))
        except BaseException as error:
            reservation.settle(0, 0.0)
            if isinstance(error, (DatabaseDown, Exhausted, TooMany)):
                raise _refusal(error) from None
            raise
        return reservation

    async def this_month(self, workloads: Iterable[str]) -> dict[str, list[MonthlyUse]]:
        """What each workload and its team have used of their limits for a month. Raises DatabaseDown."""
        limits = {
            workload: [
                limit
                for scope in self._scopes.get(workload, [])
                for limit in scope.limits
                if limit.period == "month"
            ]
            for workload in workloads
        }
        distinct = list(dict.fromkeys(limit for own in limits.values() for limit in own))
        used = await self._ledger.used(distinct) if self._ledger is not None and distinct else {}
        return {
            workload: [_monthly_use(limit, used[limit]) for limit in own if limit in used]
            for workload, own in limits.items()
        }

    def rate_headers(self, caller: Caller) -> list[tuple[bytes, bytes]]:
        """OpenAI's `x-ratelimit-*` headers: of the limits for a minute, the one with the least left."""
        headers: list[tuple[bytes, bytes]] = []
        for name in ("requests", "tokens"):
            states = [
                (*state, limit.most)
                for limit in self._limits(caller)
                if limit.unit == f"{name}/minute"
                and self._ledger is not None
                and (state := self._ledger.remaining(limit)) is not None
            ]
            if states:
                remaining, left_s, most = min(states)
                for kind, value in (
                    ("limit", str(most)),
                    ("remaining", str(remaining)),
                    ("reset", f"{math.ceil(left_s)}s"),
                ):
                    headers.append((f"x-ratelimit-{kind}-{name}".encode(), value.encode()))
        return headers

    def _scopes_of(self, caller: Caller) -> list[_Scope]:
        """The workload's limits, the team's, and those of the key or person. An evaluation has its key's only."""
        scopes = [] if caller.evaluates else self._scopes.get(caller.workload, [])
        if caller.allowance is None:
            return scopes
        return [*scopes, _Scope(f"{self._prefix}/{caller.counted_as}", caller.allowance)]

    def _limits(self, caller: Caller) -> dict[Limit, str]:
        return {limit: key for scope in self._scopes_of(caller) for limit, key in scope.limits.items()}

    def _amounts(self, caller: Caller, tokens: int, usd: float) -> dict[Limit, int]:
        """What a request takes of each limit. Raises Refusal 400 if it is more than there ever is."""
        amount_by_key = {
            "requests_per_minute": 1,
            "tokens_per_minute": tokens,
            "tokens_per_month": tokens,
            "usd_per_month": max(1, math.ceil(usd * MICRO)),
        }
        # A request to a tokenizer takes no tokens, so it asks no lease of them.
        amount_by_limit = {
            limit: amount for limit, key in self._limits(caller).items() if (amount := amount_by_key[key])
        }
        for limit, amount in amount_by_limit.items():
            if amount > limit.most:
                raise Refusal(
                    400,
                    "request_over_limit",
                    f"This request may take {_format_amount(limit, amount)}, and the {_format_owner(limit.scope)} may"
                    f" take {_format_amount(limit, limit.most)} {_format_period(limit)}: shorten it, or set a lower"
                    " max_tokens.",
                )
        return amount_by_limit


def _monthly_use(limit: Limit, used: int) -> MonthlyUse:
    unit, of_one = ("usd", MICRO) if limit.unit.startswith("micro-usd") else ("tokens", 1)
    return MonthlyUse(_format_owner(limit.scope), unit, used / of_one, limit.most / of_one)


def _limits(scope: str, allowance: Allowance) -> Iterator[tuple[Limit, str]]:
    for key, (unit, period) in _UNITS.items():
        maximum = getattr(allowance, key)
        if maximum is not None:
            amount = int(maximum * MICRO) if key == "usd_per_month" else maximum
            yield Limit(scope, unit, period, amount), key


def _refusal(error: DatabaseDown | Exhausted | TooMany) -> Refusal:
    """What the caller gets for an error of a reservation."""
    if isinstance(error, DatabaseDown):
        return Refusal(
            503, "accounts_unavailable", "The gateway cannot count this request now; ask its operators."
        )
    if isinstance(error, TooMany):
        seconds = whole_seconds(error.wait_s)
        return Refusal(
            429,
            "too_many_parallel_requests",
            f"The {_format_owner(error.scope)} may have {error.most} requests at once, and has; try again in"
            f" {seconds} s.",
            {"retry-after": seconds},
        )
    limit, headers = error.limit, {"retry-after": whole_seconds(error.left_s)}
    amount = f"{_format_amount(limit, limit.most)} {_format_period(limit)}"
    text = f"The {_format_owner(limit.scope)} may take {amount}, and has"
    if limit.period == "minute":
        return Refusal(429, "rate_limited", f"{text}; try again in {headers['retry-after']} s.", headers)
    # Not 429: clients retry a 429 automatically, but a budget does not return while they wait.
    return Refusal(
        402, "budget_exhausted", f"{text}; it begins anew next month, or ask its owner for more.", headers
    )


def _format_owner(scope: str) -> str:
    _, _, kind, name = scope.split("/", 3)
    return "person who asks" if kind == "person" else f"{kind} {name}"


def _format_amount(limit: Limit, amount: int) -> str:
    if limit.unit.startswith("micro-usd"):
        return f"{amount / MICRO:.2f} USD"
    return f"{amount} {limit.unit.partition('/')[0]}"


def _format_period(limit: Limit) -> str:
    return f"a {limit.period}"
