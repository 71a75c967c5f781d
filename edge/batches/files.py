"""The files of a batch: its input becomes lines, and the results of its lines become two files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge.batches.lines import BadLine, Line, LineCheck, not_answered, split_lines
from edge.batches.store import PAGE, Batch, BatchStore, LeaseLost
from edge.callers import Caller, StoredIdentity
from edge.config.file_store import Batches
from edge.files import FileStore, StoredFile, Unreadable
from edge.files.api import RESULT
from edge.openai_api import Refusal

Identified = Callable[[StoredIdentity], Any]
YIELD_AFTER = 20
"""Lines that are checked before other work gets its turn."""


class _Refused(Exception):
    """The whole input is refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reason = f"{code} {message}"


class BatchFiles:
    """Validates batches and writes their results."""

    def __init__(
        self,
        batches: BatchStore,
        files: FileStore,
        settings: Batches,
        max_line_bytes: int,
        identified: Identified,
        model_of: Callable[[Caller, str, dict[str, Any]], str],
    ) -> None:
        """`identified`: awaits the caller of a stored identity. `model_of`: workload and model of a body that a caller
        sends to a path, with a space between them. Both raise Refusal.
        """
        self._batches, self._files, self._settings = batches, files, settings
        self._max_line_bytes, self._identified, self._model_of = max_line_bytes, identified, model_of

    async def advance(self, batch: Batch) -> None:
        """Do what a leased batch needs next. Raises DatabaseDown or LeaseLost."""
        if batch.status == "validating":
            await self._validate(batch)
            return
        try:
            await self._finish(batch)
        except Unreadable:
            await self._batches.ended(batch, None, None)

    async def _validate(self, batch: Batch) -> None:
        """Check the lines of the input and store them, then delete the input."""
        await self._batches.begin_lines(batch)
        total, failed, models, reason = 0, 0, set[str](), None
        try:
            caller = await self._identified(self._batches.identity(batch))
            file = await self._files.get(batch.input_file, batch.owner)
            if file is None:
                raise _Refused("file_not_found", "The input file was deleted.")
            total, failed = await self._store_lines(batch, caller, file, models)
        except Refusal as refusal:
            if refusal.status >= 500:
                raise LeaseLost from None  # who the caller is, cannot be told now
            reason = f"{refusal.code} {refusal.message}"
        except _Refused as refused:
            reason = refused.reason
            await self._batches.begin_lines(batch)
        except Unreadable:
            reason = "file_unreadable The gateway cannot read the batch any more."
            await self._batches.begin_lines(batch)
        if reason is None and total == failed:
            reason = "no_valid_line No line of the input can be sent. The error file says why."
        await self._batches.validated(batch, total, failed, sorted(models), reason)
        await self._files.delete(batch.input_file, batch.owner)

    async def _store_lines(
        self, batch: Batch, caller: Caller, file: StoredFile, models: set[str]
    ) -> tuple[int, int]:
        """Numbers of all lines and of bad ones."""
        check = LineCheck(
            batch.endpoint, self._max_line_bytes, lambda body: self._model_of(caller, batch.endpoint, body)
        )
        page: list[tuple[int, str, bytes | None, bytes | None]] = []
        total = failed = 0
        async for number, text in split_lines(self._files.pieces(file), self._max_line_bytes):
            total += 1
            if total > self._settings.max_lines:
                most = self._settings.max_lines
                raise _Refused("too_many_lines", f"A batch has at most {most} lines. Split the file.")
            try:
                line: Line = check.line(text)
                models.add(line.model)
                page.append((number, line.model, line.dump(), None))
            except BadLine as bad:
                failed += 1
                page.append((number, "", None, not_answered(bad.custom_id, bad.code, bad.message, number)))
            if total % YIELD_AFTER == 0:
                await asyncio.sleep(0)
            if len(page) >= PAGE:
                await self._batches.add_lines(batch, page)
                page = []
        if page:
            await self._batches.add_lines(batch, page)
        return total, failed

    async def _finish(self, batch: Batch) -> None:
        """Give every line a result, and write the result files."""
        code, message = _unsent(batch)
        while rows := await self._batches.unanswered(batch):
            closed: list[tuple[int, bytes]] = []
            for row in rows:
                custom_id, _ = self._batches.request(batch, row)
                closed.append((row["number"], not_answered(custom_id, code, message, row["number"])))
            await self._batches.close_lines(batch, closed)
        writers: dict[bool, Any] = {}
        after = 0
        while results := await self._batches.results(batch, after):
            for number, text, succeeded in results:
                if succeeded not in writers:
                    name = f"{batch.id}_{'output' if succeeded else 'error'}.jsonl"
                    writers[succeeded] = await self._files.writer(batch.owner, RESULT, name, 0, counted=False)
                await writers[succeeded].write(text)
                after = number
        await self._batches.ended(batch, writers.get(True), writers.get(False))


def _unsent(batch: Batch) -> tuple[str, str]:
    """Code and message of the lines that are not sent any more."""
    if batch.ending == "cancelled":
        return "batch_cancelled", "The batch was cancelled before this line was sent."
    code, _, message = (batch.reason or "batch_failed The batch ended before this line was sent.").partition(
        " "
    )
    return code, message
