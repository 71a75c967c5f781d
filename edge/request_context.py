"""One request on its way: what each step of the gateway leaves for the next, and what must happen when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span
from starlette.requests import Request

from edge.allowance import Reservation
from edge.allowance.estimate import TOKENS_A_SECOND, answers_with_text, count_answers, states_maximum
from edge.callers import Caller
from edge.deadlines import Deadline
from edge.exchange import Exchange
from edge.routing import Unsent, Upstream, UpstreamCall
from edge.usage_accounts import AccountKey, Accounts, cost

if TYPE_CHECKING:
    from edge.confidence.answer_scoring import AnswerScorer
    from edge.routing import RoutedModel
    from edge.screening import Screen
    from edge.tasks import Task


@dataclass
class RequestContext:
    """Belongs to the one task that answers the request."""

    request: Request
    exchange: Exchange
    caller: Caller
    deadline: Deadline
    span: Span
    task: Task
    routed_model: RoutedModel
    payload: dict[str, Any]
    """The request's own fields, checked; the model by the caller's name."""
    wants_usage: bool
    expected: tuple[int, int]
    """Tokens of the prompt and the answer, as they were estimated."""
    limited_answer: int | None = None
    """Tokens to which the gateway limits each answer, since the request states no maximum and a limit applies."""
    screen: Screen | None = None
    """What it may carry out and bring back; None: nobody looks."""
    reservation: Reservation = field(default_factory=Reservation)
    call: UpstreamCall | None = None
    scorer: AnswerScorer | None = None
    """Who scores the answer, where the workload wants a score."""
    created: int = field(default_factory=lambda: int(time.time()))
    """When the answer was asked for, in seconds since 1970."""
    _sent_at: float = 0.0
    _settled: bool = False

    @property
    def called(self) -> str:
        """The model's name for the caller."""
        return self.routed_model.route.called

    @property
    def answer_id(self) -> str:
        """The answer's id for the caller. It holds the request's, so that its line and its record are found by it."""
        return self.task.id_prefix + self.exchange.request_id

    async def offer(
        self, upstream: Upstream, body: bytes, headers: dict[str, str], *, fresh: bool
    ) -> UpstreamCall:
        """Until the upstream's answer begins. However that fails, but for Unsent, the work there is accounted."""
        self.exchange.attempts = (self.exchange.attempts or 0) + 1
        self.exchange.endpoint = upstream.endpoint.name
        self.call = call = UpstreamCall(upstream)
        self._sent_at = time.monotonic()
        try:
            await call.send(self.task.path, body, headers, fresh=fresh)
        except Unsent:
            self.call = None
            await call.close()
            raise
        return call

    def score_with(self, scorer: AnswerScorer | None) -> None:
        """Have the answer scored. Until it has come to its end there is no score, and the record says so."""
        self.scorer = scorer
        if scorer is not None:
            self.exchange.confidence = scorer.outcome

    def settle(self, accounts: Accounts | None) -> None:
        """What it came to, once: before the last byte leaves, or when it ended without one."""
        if self._settled:
            return
        self._settled = True
        if self.call is None:  # nobody took it
            self.reservation.settle(0, 0.0)
            return
        exchange, upstream = self.exchange, self.call.upstream
        prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
        if self.call.declined:
            prompt = completion = 0
        prompt = self.expected[0] if prompt is None else prompt
        completion = self._unknown_completion() if completion is None else completion
        exchange.gpu_seconds, exchange.usd = _round_cost(
            cost(upstream.place, self.call.share_s(), prompt, completion)
        )
        self.reservation.settle(prompt + completion, exchange.usd or 0.0)
        if accounts is not None:
            whose = AccountKey(self.caller.team, self.caller.workload, self.called, exchange.endpoint)
            accounts.add(whose, prompt, completion, exchange.gpu_seconds or 0.0, exchange.usd or 0.0)

    def _unknown_completion(self) -> int:
        """Tokens of an answer that the model server did not count: what was seen of it, else the most it can be."""
        if self.exchange.stream or self.exchange.pieces:
            return self.exchange.pieces
        if not answers_with_text(self.payload):
            return 0
        if states_maximum(self.payload) or self.limited_answer is not None:
            return self.expected[1]
        seconds = time.monotonic() - self._sent_at
        return max(self.expected[1], int(seconds * TOKENS_A_SECOND) * count_answers(self.payload))

    async def end(self, accounts: Accounts | None, end_span: Callable[[Span, Exchange], None]) -> None:
        """It is over, however it ended."""
        self.settle(accounts)
        self.deadline.done()
        end_span(self.span, self.exchange)
        if self.call is not None:
            await self.call.close()


def price_of(upstream: Upstream, expected: tuple[int, int]) -> float:
    """USD that a request may cost, where that is known before: by the token."""
    price = upstream.place.usd_per_million_tokens
    return 0.0 if price is None else (expected[0] * price.prompt + expected[1] * price.completion) / 1e6


def _round_cost(values: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    gpu_seconds, usd = values
    return (
        None if gpu_seconds is None else round(gpu_seconds, 6),
        None if usd is None else round(usd, 9),
    )
