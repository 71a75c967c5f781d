"""The context of one request: what the gateway's steps share, and the settlement at its end."""

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
    """The context of one request. Belongs to the task that answers it."""

    request: Request
    exchange: Exchange
    caller: Caller
    deadline: Deadline
    span: Span
    task: Task
    routed_model: RoutedModel
    payload: dict[str, Any]
    """The checked fields of the request, with the model name that the caller used."""
    wants_usage: bool
    expected: tuple[int, int]
    """Estimated tokens of the prompt and the answer."""
    limited_answer: int | None = None
    """Maximum tokens of each answer that the gateway sets, if the request sets none and a limit applies."""
    screen: Screen | None = None
    """Screening of request and answer. None: no screening applies."""
    reservation: Reservation = field(default_factory=Reservation)
    call: UpstreamCall | None = None
    scorer: AnswerScorer | None = None
    """Scorer of the answer, if the workload wants a score."""
    created: int = field(default_factory=lambda: int(time.time()))
    """Time of the request, in seconds since 1970."""
    _sent_at: float = 0.0
    _settled: bool = False

    @property
    def called(self) -> str:
        """The model's name for callers."""
        return self.routed_model.route.called

    @property
    def answer_id(self) -> str:
        """The answer's id for the caller. It contains the request's id, so that log line and record can be found."""
        return self.task.id_prefix + self.exchange.request_id

    async def offer(
        self, upstream: Upstream, body: bytes, headers: dict[str, str], *, fresh: bool
    ) -> UpstreamCall:
        """Send the request to an upstream and wait for the first bytes. Failures other than Unsent are accounted."""
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
        """Set the scorer. Until the answer ends, the record states that it has no score."""
        self.scorer = scorer
        if scorer is not None:
            self.exchange.confidence = scorer.outcome

    def settle(self, accounts: Accounts | None) -> None:
        """Account tokens and cost once: before the last byte leaves, or at the end."""
        if self._settled:
            return
        self._settled = True
        if self.call is None:  # no upstream accepted the request
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
        """Tokens of an answer that the model server did not count: the seen tokens, or the maximum."""
        if self.exchange.stream or self.exchange.pieces:
            return self.exchange.pieces
        if not answers_with_text(self.payload):
            return 0
        if states_maximum(self.payload) or self.limited_answer is not None:
            return self.expected[1]
        seconds = time.monotonic() - self._sent_at
        return max(self.expected[1], int(seconds * TOKENS_A_SECOND) * count_answers(self.payload))

    async def end(self, accounts: Accounts | None, end_span: Callable[[Span, Exchange], None]) -> None:
        """End the request, however it ended."""
        self.settle(accounts)
        self.deadline.done()
        end_span(self.span, self.exchange)
        if self.call is not None:
            await self.call.close()


def price_of(upstream: Upstream, expected: tuple[int, int]) -> float:
    """Maximum cost of a request in USD, at an upstream with a price per token. 0 for other upstreams."""
    price = upstream.place.usd_per_million_tokens
    return 0.0 if price is None else (expected[0] * price.prompt + expected[1] * price.completion) / 1e6


def _round_cost(values: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    gpu_seconds, usd = values
    return (
        None if gpu_seconds is None else round(gpu_seconds, 6),
        None if usd is None else round(usd, 9),
    )
