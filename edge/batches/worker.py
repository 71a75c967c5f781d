"""Works batches: checks their lines, sends them while nobody waits, and writes the result files.

A line may be sent more than once: a killed copy leaves lines that another copy takes up after the lease. Its result is
stored exactly once, after its usage is in the accounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

from edge.batches.calling import Answer, send_line
from edge.batches.files import BatchFiles
from edge.batches.lines import answered, not_answered
from edge.batches.store import Batch, BatchStore, LeasedLine, LeaseLost, Outcomes
from edge.database import DatabaseDown
from edge.files import Unreadable
from edge.journal import write_line

POLL_S = 1.0
"""Seconds between two looks for work."""
SWEEP_S = 60.0
MOST_ATTEMPTS = 3
"""Times that a line is sent whose model server fails on it."""
MOST_LEASES = 10
"""Leases of a line, counting those of copies that were killed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""Pause of a model after an answer that says so, if it does not say how long."""
_ENDING = {401, 402, 403}
"""Answers that say that the caller gets no more answers now."""
_LATER = {429, 503}
"""Answers that say that the line can be sent later."""
_FAULTS = {499, 500, 502, 504}


@dataclass
class _Pause:
    until: float = 0.0
    seconds: float = 0.0


@dataclass
class Work:
    """What the worker needs of the gateway."""

    app: Callable[[], ASGIApp | None]
    """The gateway's application with its journal, once it serves."""
    idle_replicas: Callable[[str], int]
    """Replicas of a model (workload and name) at which no request waits, so that lines may be sent there."""
    account: Callable[[], Awaitable[None]]
    """Writes usage to the accounts. Raises DatabaseDown."""
    draining: Callable[[], bool]
    count: Callable[[str, int], None]
    """Counts lines by what became of them."""
    sweep: Callable[[], Awaitable[None]]
    """Deletes what has had its time. Raises DatabaseDown."""


@dataclass
class BatchWorker:
    """The worker of one copy of the gateway."""

    store: BatchStore
    batch_files: BatchFiles
    work: Work
    lines_at_once: int
    lease_s: float
    _lines: dict[tuple[str, int], LeasedLine] = field(default_factory=dict)
    """Lines that run, or whose outcome is not stored yet."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _done: asyncio.Queue[tuple[LeasedLine, Any]] = field(default_factory=asyncio.Queue)
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _preparing: asyncio.Task[None] | None = None
    _turn: int = 0
    _swept: float = float("-inf")

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def working(self) -> None:
        """Take batches and lines, in a loop."""
        while True:
            try:
                if not self.work.draining():
                    await self._round()
            except DatabaseDown as error:
                write_line("batches_failed", error=str(error))
                await asyncio.sleep(POLL_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()

    async def storing(self) -> None:
        """Store what became of lines, in a loop."""
        while True:
            await self._store([await self._done.get()])

    async def renewing(self) -> None:
        """Renew the leases of what runs, in a loop."""
        while True:
            await asyncio.sleep(self.lease_s / 3)
            with contextlib.suppress(DatabaseDown):
                await self.store.renew(list(self._lines.values()))

    async def close(self) -> None:
        """Store what is done, and leave the rest to other copies."""
        running = [*self._tasks, *([self._preparing] if self._preparing else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with contextlib.suppress(DatabaseDown):
            if not self._done.empty():
                await self._try_to_store([self._done.get_nowait() for _ in range(self._done.qsize())])
            await self.store.give_back()

    async def _round(self) -> None:
        if time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            await self.work.sweep()
        if self._preparing is None and (batch := await self.store.take()) is not None:
            self._preparing = asyncio.create_task(self._prepare(batch))
        app = self.work.app()
        if app is not None:
            await self._send_lines(app)

    async def _prepare(self, batch: Batch) -> None:
        """Validate a batch or write its results."""
        try:
            await self.batch_files.advance(batch)
        except Exception as error:  # noqa: BLE001 (a fault with one batch must not stop the others)
            known = isinstance(error, (DatabaseDown, LeaseLost))
            write_line("batches_failed", id=batch.id, error=(known and str(error)) or type(error).__name__)
            await asyncio.sleep(POLL_S)
        finally:
            self._preparing = None
            self.wake()
            with contextlib.suppress(DatabaseDown):
                await self.store.give_back_batch(batch.id)

    async def _send_lines(self, app: ASGIApp) -> None:
        """Fill each model's share, batch by batch in turn."""
        batches = await self.store.running()
        self._turn += 1
        in_turn = (
            batches[self._turn % len(batches) :] + batches[: self._turn % len(batches)] if batches else []
        )
        by_model: dict[str, list[Batch]] = {}
        for batch in in_turn:
            for model in batch.row["models"]:
                by_model.setdefault(model, []).append(batch)
        for model, waiting in by_model.items():
            room = self._room(model)
            for left, batch in zip(range(len(waiting), 0, -1), waiting, strict=True):
                if room <= 0:
                    break
                lines = await self._lease(batch, model, -(-room // left))
                room -= len(lines)
                for line in lines:
                    self._start(app, line)

    def _room(self, model: str) -> int:
        """How many more lines of a model may be sent now."""
        if time.monotonic() < self._pauses.get(model, _Pause()).until:
            return 0
        running = sum(line.model == model for line in self._lines.values())
        return self.lines_at_once * self.work.idle_replicas(model) - running

    async def _lease(self, batch: Batch, model: str, most: int) -> list[LeasedLine]:
        try:
            return await self.store.lease(batch, model, most)
        except Unreadable:
            await self.store.end(
                batch, "failed", "file_unreadable", "The gateway cannot read the batch any more."
            )
            return []

    def _start(self, app: ASGIApp, line: LeasedLine) -> None:
        self._lines[line.batch.id, line.number] = line
        task = asyncio.create_task(self._run(app, line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, app: ASGIApp, line: LeasedLine) -> None:
        answer: Answer | None = None
        if line.attempts <= MOST_LEASES:
            answer = await send_line(app, line.batch.endpoint, line.body, line.identity, line.batch.id)
        self._done.put_nowait((line, answer))

    async def _store(self, outcomes: list[tuple[LeasedLine, Answer | None]]) -> None:
        """Store outcomes, with all that came meanwhile. While the database is down they wait."""
        while True:
            outcomes += [self._done.get_nowait() for _ in range(self._done.qsize())]
            try:
                await self._try_to_store(outcomes)
                break
            except DatabaseDown as error:
                write_line("batches_failed", error=str(error))
                await asyncio.sleep(POLL_S)
        for line, _ in outcomes:
            self._lines.pop((line.batch.id, line.number), None)
        self.wake()

    async def _try_to_store(self, outcomes: list[tuple[LeasedLine, Answer | None]]) -> None:
        await self.work.account()  # first: no result is there whose usage is not
        decided = Outcomes()
        ends: dict[str, tuple[Batch, str, str]] = {}
        for line, answer in outcomes:
            self._decide(line, answer, decided, ends)
        await self.store.store(decided)
        self.work.count("sent_again", len(decided.releases))
        good = sum(succeeded for *_, succeeded in decided.results)
        self.work.count("succeeded", good)
        self.work.count("failed", len(decided.results) - good)
        for batch, code, message in ends.values():
            await self.store.end(batch, "failed", code, message)

    def _decide(
        self,
        line: LeasedLine,
        answer: Answer | None,
        decided: Outcomes,
        ends: dict[str, tuple[Batch, str, str]],
    ) -> None:
        """Sort an outcome: a result, a line to send again, or the end of the batch."""

        def send_again(pause_s: float, *, counts: bool) -> None:
            decided.releases.append((line.batch, line.number, pause_s, counts))

        def keep(text: bytes, *, succeeded: bool) -> None:
            decided.results.append((line.batch, line.number, text, succeeded))

        if answer is None:
            message = "Copies of the gateway were lost while they sent this line."
            keep(not_answered(line.custom_id, "line_lost", message, line.number), succeeded=False)
            return
        if answer.code == "expired_token":
            send_again(FIRST_PAUSE_S, counts=False)  # until the person comes with a new one
        elif answer.status in _ENDING or answer.code == "model_not_found":
            ends[line.batch.id] = line.batch, answer.code, _message(answer)
            send_again(0, counts=False)
        elif answer.status in _LATER:
            send_again(self._pause(line.model, answer.retry_after_s), counts=False)
        elif answer.status in _FAULTS and line.attempts < MOST_ATTEMPTS:
            send_again(FIRST_PAUSE_S * 2**line.attempts, counts=True)
        else:
            self._pauses.pop(line.model, None)
            body = bytes(answer.body)
            text = answered(line.custom_id, answer.status, answer.request_id, body)
            keep(text, succeeded=answer.status < 300)

    def _pause(self, model: str, retry_after_s: float | None) -> float:
        """Pause a model. Returns the seconds."""
        pause = self._pauses.setdefault(model, _Pause())
        now = time.monotonic()
        if now >= pause.until:  # not for each of the lines that ran at once
            longer = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * pause.seconds))
            pause.seconds = min(LONGEST_PAUSE_S, retry_after_s) if retry_after_s is not None else longer
            pause.until = now + pause.seconds
        return pause.seconds


def _message(answer: Answer) -> str:
    """The message of a refusal of the gateway's own, in the form of any interface."""
    try:
        return str(json.loads(bytes(answer.body))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "The gateway refused this line."
