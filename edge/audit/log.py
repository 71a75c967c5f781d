"""The audit log of this process. Concurrent records share one commit, and a failed writer is replaced.

`append` returns when the record is durable. It raises if the volume is full or fails, or if the chain has not been
sealed for too long. The caller then refuses its request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from edge.audit import chain_files
from edge.audit.commit_thread import Committer
from edge.audit.folders import require_writable
from edge.audit.seal_format import read_pem
from edge.audit.seal_status import SealWatch, delete_sealed_files
from edge.config import AuditSettings, ConfigError, DataClass
from edge.journal import write_line
from edge.metrics import Metrics

RETRY_S, LOOK_S, CLEAR_S = 1.0, 0.25, 600.0
MAX_BATCH = 1000
"""Records in one commit at most."""


class Unrecorded(Exception):
    """The record cannot be written, or its chain is not sealed. `code` and `message` give the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class _Waiting:
    kind: str
    time: str
    fields: dict[str, Any]
    content: bytes
    done: asyncio.Future[None]


class AuditLog:
    """Writes one chain after another, each with its own writer. Belongs to the event loop that creates it."""

    def __init__(self, settings: AuditSettings, data_class: DataClass, site: str, metrics: Metrics) -> None:
        try:
            keys = read_pem(settings.seal_key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"audit.seal_key: {settings.seal_key} cannot be used: {error}.") from None
        require_writable(settings.records, "audit.records")
        self._settings, self._limit_s = settings, settings.limit_s(data_class)
        self._name = settings.name or socket.gethostname().lower()
        self._opening = {"class": data_class, "site": site, "gateway": self._name, "policy": settings.policy}
        self._watch = SealWatch(settings.seals, keys)
        self._writer: chain_files.Writer | None = None
        self._failed_at, self._failure = -RETRY_S, "not written yet"
        self._unsealed: deque[tuple[int, float]] = deque()
        """Commits that are not known to be sealed: number of the last record, and time."""
        self._queue: deque[_Waiting] = deque()
        self._committer = Committer()
        self._lost = asyncio.Event()
        """Set while there is no writer."""
        self._lost.set()
        self._records, self._commits, self._failures = metrics.watch_audit(self.unsealed_s)
        self._tasks = [asyncio.ensure_future(self._begin_anew()), asyncio.ensure_future(self._look())]

    @property
    def name(self) -> str:
        """The gateway's name in its records."""
        return self._name

    def require_sealed(self) -> None:
        """Raise Unrecorded if records cannot be written, or wait longer for a seal than the class allows."""
        if self._writer is None and self._failure:
            raise Unrecorded("audit_unwritable", "The gateway cannot write its audit record.")
        if self._limit_s is None or self._writer is None:
            return
        if self._watch.sealed(self._writer.chain.writer) < 0:
            raise Unrecorded("audit_unregistered", "The gateway's audit record is not sealed yet.")
        if self.unsealed_s() > self._limit_s:
            raise Unrecorded("audit_unsealed", "The gateway's audit records are not being sealed.")

    def unsealed_s(self) -> float:
        """Seconds for which the oldest record has waited for its seal."""
        return time.monotonic() - self._unsealed[0][1] if self._unsealed else 0.0

    def problem(self) -> str | None:
        """Why this replica cannot serve while another might, or None.

        A missing sealer is no such reason: it affects every replica, and callers must get the error that names it.
        """
        try:
            self.require_sealed()
        except Unrecorded as error:
            return error.code.replace("_", " ") if error.code != "audit_unsealed" else None
        return None

    async def append(self, kind: str, fields: dict[str, Any], content: bytes = b"") -> None:
        """Write a record and wait until it is durable. Raises Unrecorded."""
        if self._writer is None and time.monotonic() < self._failed_at + RETRY_S:
            raise Unrecorded("audit_unwritable", "The gateway cannot write its audit record.")
        done = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(kind, chain_files.now(), fields, content, done))
        self._go_on()
        await done

    async def close(self) -> None:
        """Write the record `close` and end the chain."""
        if self._writer is not None:
            # If it cannot be written, the chain ends like that of a crashed process.
            with contextlib.suppress(Unrecorded):
                await self.append("close", {})
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.close()
        if self._writer is not None:
            self._writer.give_up()

    async def _begin_anew(self) -> None:
        """Start a chain whenever there is none. The first starts at once, so that it is sealed before requests come."""
        while True:
            await self._lost.wait()
            if not await self._begin():
                await self._refuse_until_retry()

    async def _begin(self) -> bool:
        name = chain_files.new_name(self._name)
        rotate = self._settings.rotate_mib * 1024 * 1024
        try:
            writer = await asyncio.to_thread(
                chain_files.Writer, self._settings.records, name, self._opening, rotate
            )
        except OSError as error:
            self._fail(error)
            return False
        self._writer, self._failure = writer, ""
        self._lost.clear()
        self._unsealed.clear()
        self._unsealed.append((0, time.monotonic()))
        self._records.inc()
        write_line("audit_writer", writer=name)
        self._go_on()
        return True

    async def _refuse_until_retry(self) -> None:
        end = time.monotonic() + RETRY_S
        while time.monotonic() < end:
            self._refuse_all(list(self._queue))
            self._queue.clear()
            await asyncio.sleep(0.05)

    def _go_on(self) -> None:
        """Commit the waiting records, unless there is no chain or a commit is running."""
        if self._writer is None or self._committer.busy or not self._queue:
            return
        writer = self._writer
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
        try:
            lines = [writer.chain.write(waiting.kind, waiting.time, waiting.fields) for waiting in batch]
        except ValueError as error:
            self._committed(writer, batch, error)
            return
        content = b"".join(waiting.content for waiting in batch)
        self._committer.commit(
            lambda: writer.commit(lines, content), lambda error: self._committed(writer, batch, error)
        )

    def _committed(self, writer: chain_files.Writer, batch: list[_Waiting], error: Exception | None) -> None:
        if error is not None:
            # It is unknown how much reached the disk, so this chain ends before it.
            writer.give_up()
            self._writer = None
            self._fail(error)
            self._refuse_all(batch)
            self._lost.set()
            return
        self._records.inc(len(batch))
        self._commits.inc()
        self._unsealed.append((writer.chain.seq, time.monotonic()))
        for waiting in batch:
            if not waiting.done.done():  # its caller may be gone
                waiting.done.set_result(None)
        self._go_on()

    def _fail(self, error: Exception) -> None:
        self._failures.inc()
        self._failed_at = time.monotonic()
        self._failure = getattr(error, "strerror", None) or str(error)
        write_line("audit_failed", error=type(error).__name__, reason=self._failure)

    def _refuse_all(self, batch: list[_Waiting]) -> None:
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(
                    Unrecorded("audit_unwritable", "The gateway cannot write its audit record.")
                )

    async def _look(self) -> None:
        cleared = time.monotonic()
        while True:
            self._watch.look()
            if self._writer is not None:
                sealed = self._watch.sealed(self._writer.chain.writer)
                while self._unsealed and self._unsealed[0][0] <= sealed:
                    self._unsealed.popleft()
                if time.monotonic() > cleared + CLEAR_S:
                    cleared = time.monotonic()
                    await self._clear(self._writer.chain.writer)
            await asyncio.sleep(LOOK_S)

    async def _clear(self, writer_name: str) -> None:
        keep_s = self._settings.keep_sealed_h * 3600
        try:
            deleted = await asyncio.to_thread(
                delete_sealed_files, self._settings.records, writer_name, self._watch, keep_s
            )
        except OSError as error:
            write_line("audit_not_cleared", reason=error.strerror)
        else:
            if deleted:
                write_line("audit_cleared", what=deleted)
