"""Sends a share of answered requests to the canary too, in the background, and drops its answers.

A copy of a request waits for nothing and delays nobody: it is sent after the version in use has answered, only while
the canary's endpoint has room. What came of it is an outcome of the release (`edge.canary.outcomes`), a pair of audit
records of purpose `shadow`, and a line of the journal.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.answers import relay_chunks, whole_answer
from edge.audit.auditor import Auditor
from edge.canary.background_requests import BackgroundRequests, write_request_line
from edge.canary.outcomes import Outcomes, outcome_of
from edge.canary.share import Share, unit_of
from edge.exchange import Exchange
from edge.metrics import Metrics
from edge.openai_api import Refusal
from edge.request_context import RequestContext
from edge.request_fields import vllm_fields
from edge.routing.route import CANARY

if TYPE_CHECKING:
    from edge.admission import Slot
    from edge.canary.answer_judge import AnswerJudge
    from edge.routing import RoutedModel, Upstream

SHADOW = "shadow"
AT_ONCE = 4
"""Copies of requests that one copy of the gateway sends at once, for all models together."""


@dataclass(frozen=True)
class OfGateway:
    """What the shadow needs of the gateway."""

    may_mirror: Callable[[RoutedModel], bool]
    """Whether the workload runs and the canary is not stopped, as far as is known for sure."""
    slot: Callable[[RequestContext], tuple[bool, Slot | None]]
    """Whether the canary's endpoint has room now, and the slot if it has a limit."""
    body: Callable[[RequestContext, Upstream, dict[str, Any]], bytes]
    """The body of a request for an upstream."""
    headers: Callable[[RequestContext], dict[str, str]]
    score: Callable[[RequestContext, Upstream], None]
    """Lets the answer be scored as any answer of the workload."""
    redacts: Callable[[Upstream], bool]
    """Whether requests are redacted before they go to the upstream, because it is off the site."""


class Shadow:
    """The copies of requests that one gateway sends. Belongs to one event loop."""

    def __init__(
        self,
        gateway: OfGateway,
        key: bytes,
        outcomes: Outcomes,
        metrics: Metrics,
        auditor: Auditor | None,
        limit_s: float,
        judge: AnswerJudge | None,
    ) -> None:
        """`key`: the same in every copy of the gateway. `limit_s`: for each copy of a request, in seconds."""
        self._gateway, self._outcomes, self._metrics, self._judge = gateway, outcomes, metrics, judge
        # Whoever is mirrored does not tell who is on the canary.
        self._key = hmac.digest(key, b"isthmus shadow 1", hashlib.sha256)
        self._shares: dict[int, Share] = {}
        """By model: who is mirrored."""
        self._requests = BackgroundRequests(auditor, limit_s, AT_ONCE)

    def watch(self, context: RequestContext) -> bool:
        """Mirror the request when the version in use has answered it. False: it is not in the share."""
        share = self._share_of(context.routed_model)
        if share is None or not context.task.is_charged:
            return False
        is_mirrored = share.has(unit_of(context.exchange.person, context.payload))
        if is_mirrored:
            context.exchange.end_notes.append(lambda: self._begin(context))
        return is_mirrored

    def _share_of(self, model: RoutedModel) -> Share | None:
        """Who of a model's people and conversations is mirrored. None: nobody."""
        canary = model.route.canary
        if canary is None or not canary.shadow_percent:
            return None
        if (share := self._shares.get(id(model))) is None:
            share = self._shares[id(model)] = Share(canary.shadow_percent, self._key, canary.release or "")
        return share

    async def close(self) -> None:
        """End the copies that run, with their records."""
        await self._requests.close()

    def _begin(self, answered: RequestContext) -> None:
        """Start a copy of a request that has ended. Does not wait."""
        exchange, model = answered.exchange, answered.routed_model
        if exchange.code != "ok" or exchange.fallback or not self._gateway.may_mirror(model):
            return
        upstream = model.spare_upstream(CANARY)
        if self._gateway.redacts(upstream):
            return
        if vllm_fields(answered.payload) and not upstream.place.takes_vllm_fields:
            return
        has_room, slot = self._gateway.slot(answered) if self._requests.has_room else (False, None)
        if not has_room:
            self._metrics.shadow(exchange.workload, exchange.model, "dropped")
            return
        self._requests.start(self._mirror(answered, upstream, slot))

    async def _mirror(self, answered: RequestContext, upstream: Upstream, slot: Slot | None) -> None:
        """Send the copy, read its answer, and note what came of it."""
        context = self._copy_of(answered, slot)
        if self._judge is not None:
            self._judge.watch(context, SHADOW)
        await self._requests.send(context, upstream, lambda: self._ask(context, upstream))
        self._note(context)

    async def _ask(self, context: RequestContext, upstream: Upstream) -> None:
        """Raises Refusal or TimeoutError if the canary does not answer."""
        body = self._gateway.body(context, upstream, context.payload)
        offered = context.offer(upstream, body, self._gateway.headers(context), fresh=False)
        call = await context.deadline.wait(offered)
        context.exchange.status = 200
        self._gateway.score(context, upstream)
        if not context.exchange.stream:
            await whole_answer(context, call.response)
            return
        if not call.response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Refusal(502, "bad_gateway", "The model server did not answer with a stream.")
        async for _ in relay_chunks(context, call.response, _nothing):
            pass

    def _copy_of(self, answered: RequestContext, slot: Slot | None) -> RequestContext:
        of = answered.exchange
        exchange = Exchange(
            of.method,
            path=of.path,
            workload=of.workload,
            team=of.team,
            identity=of.identity,
            person=of.person,
            model=of.model,
            variant=SHADOW,
            mirrors=of.request_id,
            stream=of.stream,
        )
        context = self._requests.context(
            exchange,
            answered.caller,
            answered.task,
            answered.routed_model,
            answered.payload,
            slot,
            answered.expected,
        )
        context.limited_answer = answered.limited_answer
        return context

    def _note(self, context: RequestContext) -> None:
        exchange = context.exchange
        seconds = time.perf_counter() - exchange.started
        write_request_line("shadow", exchange, mirrors=exchange.mirrors)
        sums = outcome_of(exchange, seconds)
        outcome = "refused" if sums is None else "failed" if sums.failed else "answered"
        self._metrics.shadow(exchange.workload, exchange.model, outcome)
        if sums is not None:
            model, person = context.routed_model, exchange.person
            self._outcomes.add(self._outcomes.counted(model, person, context.payload, SHADOW), sums)
        for note in exchange.end_notes:
            note()


async def _nothing() -> None:
    """What is done at the end of a stream that nobody gets."""
