"""Requests that a gateway sends by itself, after it has answered a caller: few at once, with records, and no client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN
from starlette.requests import Request

from edge.allowance.estimate import estimate
from edge.audit.auditor import AuditedRequest, Auditor
from edge.deadlines import Deadline
from edge.exchange import Exchange
from edge.journal import write_line
from edge.openai_api import Refusal
from edge.request_context import RequestContext

if TYPE_CHECKING:
    from starlette.types import Message

    from edge.admission import Slot
    from edge.callers import Caller
    from edge.routing import RoutedModel, Upstream
    from edge.tasks import Task

CLOSE_S = 5.0
"""Seconds that running requests have when the process ends."""


class BackgroundRequests:
    """The background requests of one purpose at one copy of a gateway. Belongs to one event loop."""

    def __init__(self, auditor: Auditor | None, limit_s: float, at_once: int) -> None:
        """`limit_s`: for each request, in seconds."""
        self._auditor, self._limit_s, self._at_once = auditor, limit_s, at_once
        self._running: set[asyncio.Task[None]] = set()
        self._deadlines: set[Deadline] = set()
        self._is_closed = False

    @property
    def has_room(self) -> bool:
        """Whether one more may run now."""
        return not self._is_closed and len(self._running) < self._at_once

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start work in the background. Does not wait."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End the requests that run, with their records. None begins afterwards."""
        self._is_closed = True
        for deadline in list(self._deadlines):
            deadline.cut()
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_S)

    def context(
        self,
        exchange: Exchange,
        caller: Caller,
        task: Task,
        model: RoutedModel,
        payload: dict[str, Any],
        slot: Slot | None,
        expected: tuple[int, int] | None = None,
    ) -> RequestContext:
        """The context of a request. `expected`: estimated tokens; None: they are estimated here."""
        return RequestContext(
            request=Request({"type": "http", "method": exchange.method, "headers": []}, receive=_never),
            exchange=exchange,
            caller=caller,
            deadline=Deadline(self._limit_s, self._deadlines),
            span=INVALID_SPAN,
            task=task,
            routed_model=model,
            body=payload,
            payload=payload,
            wants_usage=False,
            expected=expected or estimate(payload),
            slot=slot,
        )

    async def send(
        self, context: RequestContext, upstream: Upstream, ask: Callable[[], Awaitable[None]]
    ) -> None:
        """Ask, with an intent before and an outcome after it. What fails is in the exchange's code."""
        exchange = context.exchange
        audited = AuditedRequest(self._auditor, exchange, keeps_content=False) if self._auditor else None
        try:
            if audited is not None:
                await audited.intent(context.payload, upstream.place, lambda: context.settle(None))
            await ask()
        except TimeoutError:
            refusal = context.deadline.refusal()
            exchange.code, exchange.status = refusal.code, refusal.status
        except Refusal as refusal:
            exchange.code, exchange.status = refusal.code, refusal.status
        finally:
            await context.end(None, lambda span, exchange: None)
            if audited is not None and audited.attempts:
                with contextlib.suppress(Refusal):
                    await audited.outcome(ended_well=exchange.code == "ok")


def write_request_line(event: str, exchange: Exchange, **more: str) -> None:
    """Write the line of a background request, at its end, to the journal."""
    write_line(
        event,
        request_id=exchange.request_id,
        **more,
        workload=exchange.workload,
        model=exchange.model,
        endpoint=exchange.endpoint,
        code=exchange.code,
        duration_ms=round((time.perf_counter() - exchange.started) * 1000, 1),
    )


async def _never() -> Message:
    """The next message of a client: there is none who could disconnect."""
    return await asyncio.get_running_loop().create_future()
