"""Reads every second which workloads are stopped, refuses their requests, and ends those that run.

A request is accepted only if the stops were read in the last `FRESH_S`. So no copy of a gateway accepts a request later
than that after a stop, also if its reading fails for a while. What was stopped stays stopped until a reading says
otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from edge.audit.auditor import Auditor
from edge.audit.log import Unrecorded
from edge.journal import write_line
from edge.openai_api import Refusal
from edge.retried import Retried
from edge.service import State
from edge.stops.stop import Stop, StopSource, StopsUnreadable

LOOK_S = 1.0
"""Seconds between two readings."""
FRESH_S = 4.0
"""Age in seconds, of the last reading, at which a request waits for a new one. With the time of a reading it is less
than 5 s."""


@dataclass
class _Change:
    """A stop that began or ended here, and what has not been told of it yet."""

    stop: Stop
    begins: bool
    confirmed: bool = False


class StopWatch:
    """The stops of one gateway's workloads."""

    def __init__(
        self, source: StopSource | None, workloads: Collection[str], state: State, auditor: Auditor | None
    ) -> None:
        """`source` None: nobody can stop a workload here."""
        self.source, self._workloads, self._state, self._auditor = source, workloads, state, auditor
        self._stops: dict[str, Stop] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._changes = Retried(self._tell, StopsUnreadable, Unrecorded)
        self.telling = self._changes.working

    async def require_running(self, workload: str) -> None:
        """Raise Refusal 503 if the workload is stopped, or if nobody can tell."""
        if self.source is None:
            return
        if time.monotonic() - self._read_at > FRESH_S:
            try:
                await self._read()
            except StopsUnreadable:
                self.check(workload)
                raise Refusal(
                    503,
                    "stops_unreadable",
                    "The gateway cannot tell which workloads are stopped; ask its operators.",
                ) from None
        self.check(workload)

    def check(self, workload: str) -> None:
        """Raise Refusal 503 if the workload is stopped, as far as is known."""
        if (stop := self._stops.get(workload)) is not None:
            raise stop.refusal()

    def message_of(self, workload: str) -> str | None:
        """What people read who call a stopped workload, as far as is known. None: it is not stopped."""
        stop = self._stops.get(workload)
        return None if stop is None else stop.refusal().message

    def problem(self) -> str | None:
        """Why requests cannot be served, or None."""
        is_stale = time.monotonic() - self._read_at > FRESH_S
        return "stops unreadable" if self.source is not None and is_stale else None

    async def watching(self) -> None:
        """Read the stops, in a loop."""
        while True:
            with contextlib.suppress(StopsUnreadable):
                await self._read()
            await asyncio.sleep(LOOK_S)

    async def _read(self) -> None:
        """Read the stops. Who comes during a reading that began in time waits for it. Raises StopsUnreadable."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read_once())
            self._reading.add_done_callback(self._has_read)
        # Shielded, because other requests wait for the same reading when the first client leaves.
        await asyncio.shield(self._reading)

    def _has_read(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # whoever waited has it; nobody may have

    async def _read_once(self) -> None:
        assert self.source is not None, "whoever reads looked"
        began = time.monotonic()  # before the query, whose answer may take a while
        stops = {stop.workload: stop for stop in await self.source.read() if stop.workload in self._workloads}
        before, self._stops, self._read_at = self._stops, stops, began
        for stop in before.values():
            if stop.workload not in stops or stops[stop.workload].id != stop.id:
                self._note(_Change(stop, begins=False))
        for stop in stops.values():
            if stop.workload not in before or before[stop.workload].id != stop.id:
                self._note(_Change(stop, begins=True))
        for deadline in list(self._state.running):
            if deadline.workload in stops and not deadline.was_cut:
                deadline.cut(stops[deadline.workload].refusal())

    def _note(self, change: _Change) -> None:
        stop = change.stop
        event = "workload_stopped" if change.begins else "workload_restarted"
        write_line(event, workload=stop.workload, id=stop.id, by=stop.by, reason=stop.reason)
        self._state.metrics.note_stop(stop.workload, is_stopped=stop.workload in self._stops)
        self._changes.add(change)

    async def _tell(self, change: _Change) -> None:
        """Confirm and record a change. Raises StopsUnreadable or Unrecorded."""
        stop, source = change.stop, self.source
        assert source is not None, "there are changes"
        if change.begins and not change.confirmed:
            await source.confirm(stop)
            change.confirmed = True
        if self._auditor is None:
            return
        people = [stop.by] if change.begins else await source.restarted_by(stop)
        fields: dict[str, Any] = {
            "id": stop.id,
            "act": "begin" if change.begins else "end",
            "who": {"workload": stop.workload, "people": people, "way": stop.way},
            "reason": stop.reason,
        }
        await self._auditor.gateway_stop(fields)
