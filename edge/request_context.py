"""The context of one request: what the gateway's steps share, and the settlement at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span
from starlette.requests import Request

from edge.allowance import Reservation
from edge.allowance.estimate import TOKENS_A_SECOND, answers_with_text, count_answers, states_maximum
from edge.callers import Caller
from edge.deadlines import Deadline
from edge.exchange import Exchange
from edge.interfaces.writer import AnswerWriter, Head
from edge.openai_api import Refusal
from edge.routing import Unsent, Upstream, UpstreamCall
from edge.usage_accounts import AccountKey, Accounts, cost

if TYPE_CHECKING:
    from edge.admission import Slot
    from edge.answer_text import AnswerText
    from edge.confidence.answer_scoring import AnswerScorer
    from edge.routing import RoutedModel
    from edge.screening import Screen
    from edge.tasks import Task


PROVIDERS = {
    "onprem-vllm": "vllm",
    "eks-vllm": "vllm",
    "sagemaker": "aws.sagemaker",
    "bedrock": "aws.bedrock",
}
"""`gen_ai.provider.name` by the target of a place."""


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
    body: dict[str, Any]
    """The request as the caller wrote it, for the form of the answer."""
    payload: dict[str, Any]
    """The checked fields of the request in the form that is sent, with the model name that the caller used."""
    wants_usage: bool
    expected: tuple[int, int]
    """Estimated tokens of the prompt and the answer."""
    limited_answer: int | None = None
    """Maximum tokens of each answer that the gateway sets, if the request sets none and a limit applies."""
    screen: Screen | None = None
    """Screening of request and answer. None: no screening applies."""
    reservation: Reservation = field(default_factory=Reservation)
    slot: Slot | None = None
    """The right to have the request at its endpoint. None: the endpoint has no limit."""
    call: UpstreamCall | None = None
    scorer: AnswerScorer | None = None
    """Scorer of the answer, if the workload wants a score."""
    answer_text: AnswerText | None = None
    """Collects the answer's text for a judge. None: the answer is not judged."""
    created: int = field(default_factory=lambda: int(time.time()))
    """Time of the request, in seconds since 1970."""
    _sent_at: float = 0.0
    _has_begun: bool = False

    @property
    def is_for_own_model(self) -> bool:
        """Whether no other model may answer: a line of a batch waits for its own, and an evaluation asks one model."""
        return bool(self.exchange.batch) or self.caller.evaluates

    _settled: bool = False

    @property
    def called(self) -> str:
        """The model's name for callers."""
        return self.routed_model.route.called

    @cached_property
    def head(self) -> Head:
        """The gateway's own facts about the answer. The id contains the request's, so that log line and record can be
        found.
        """
        answer_id = self.task.id_prefix + self.exchange.request_id
        return Head(answer_id, self.created, self.called, self.exchange)

    def writer(self) -> AnswerWriter:
        """The writer of the answer in the caller's form."""
        return self.task.writer(self.body, self.head)

    async def offer(
        self, upstream: Upstream, body: bytes, headers: dict[str, str], *, fresh: bool
    ) -> UpstreamCall:
        """Send the request to an upstream and wait for the first bytes. Failures other than Unsent are accounted."""
        self.exchange.attempts = (self.exchange.attempts or 0) + 1
        self.exchange.endpoint, self.exchange.replica = upstream.endpoint.name, upstream.replica.address
        self.exchange.provider = PROVIDERS.get(upstream.place.target or "", "")
        if self.slot is not None:
            self.slot.move(upstream.endpoint)
        self.call = call = UpstreamCall(upstream, uses_gpu=self.task.is_charged)
        self._sent_at = time.monotonic()
        try:
            await call.send(self.task.sent_to, body, headers, fresh=fresh)
        except Unsent:
            self.call = None
            await call.close()
            raise
        return call

    def note_first_event(self) -> None:
        """Note that the first event of a stream arrived."""
        window = self.call.upstream.endpoint.window if self.call is not None else None
        if window is not None and not self._has_begun:
            window.first_token(time.monotonic() - self._sent_at)
        self._has_begun = True

    def note_answer(self) -> None:
        """Note that the model has generated something. A tokenizer's answer says nothing of the model."""
        if self.call is not None and self.task.is_charged:
            self.call.upstream.note_answer()

    async def leave_for_fallback(self, refusal: Refusal) -> None:
        """End the call of the model that refused. Another model may serve the request."""
        if self.slot is not None:
            self.slot.release(served=False)
            self.slot = None
        if self.call is not None:
            await self.call.close()
            self.call = None
        self.exchange.fallback = refusal.code

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
        if self.slot is not None:
            self.slot.release(served=self.call is not None and not self.call.declined)
        if self.call is None:  # no upstream accepted the request
            self.reservation.settle(0, 0.0)
            return
        exchange, upstream = self.exchange, self.call.upstream
        prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
        if self.call.declined:
            prompt = completion = 0
        cached = min(exchange.cached_tokens or 0, prompt or 0)
        prompt = self.expected[0] if prompt is None else prompt
        completion = self._unknown_completion() if completion is None else completion
        exchange.gpu_seconds, exchange.usd = _round_cost(
            cost(upstream.place, self.call.gpu_seconds(), prompt, completion, cached)
        )
        self.reservation.settle(prompt + completion, exchange.usd or 0.0)
        if accounts is not None and not self.caller.evaluates:
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
