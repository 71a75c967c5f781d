"""The order in which waiting requests are sent: fair shares between workloads, then between a workload's callers.

Shares are shares of time at the endpoints (start-time fair queueing): the workload that used the least time for its
weight is next, and within it the caller that used the least. A running request counts as long as its workload's
requests usually take, from the moment it is sent. A caller's own requests keep their order.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Place = TypeVar("Place")
Entry = TypeVar("Entry")
_WEIGHT = 0.1
"""Weight of a new duration in the average of its workload."""


@dataclass
class Item(Generic[Entry, Place]):
    """A request that waits or runs."""

    entry: Entry
    workload: str
    caller: str
    places: Collection[Place]
    """Where it may be sent."""


@dataclass
class _Flow:
    """What a workload or a caller uses."""

    weight: float
    used_s: float
    """Seconds of requests that have ended, and of the head start that others had when it came."""
    running: int = 0
    starts: float = 0.0

    def used_for_weight(self, now: float, usual_s: float) -> float:
        """Used seconds for its weight. `usual_s`: how long its requests usually take."""
        return (self.used_s + max(self.running * usual_s, self.running * now - self.starts)) / self.weight

    def start(self, now: float) -> None:
        self.running, self.starts = self.running + 1, self.starts + now

    def end(self, started: float, now: float) -> None:
        self.running, self.starts = self.running - 1, self.starts - started
        self.used_s += now - started

    def forget(self, now: float, usual_s: float) -> None:
        self.used_s -= self.used_for_weight(now, usual_s) * self.weight


@dataclass
class _Caller(Generic[Entry, Place]):
    flow: _Flow
    waiting: OrderedDict[int, Item[Entry, Place]] = field(default_factory=OrderedDict)

    def first(self, free: Collection[Place]) -> tuple[int, Item[Entry, Place]] | None:
        return next(
            (
                (number, item)
                for number, item in self.waiting.items()
                if any(place in free for place in item.places)
            ),
            None,
        )

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.flow.running


@dataclass
class _Workload(Generic[Entry, Place]):
    flow: _Flow
    usual_s: float
    """How long its requests take on average."""
    floor: float = 0.0
    """What the caller that was served last had used: a caller that comes anew begins there."""
    callers: dict[str, _Caller[Entry, Place]] = field(default_factory=dict)
    waiting: int = 0

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.flow.running


class FairQueue(Generic[Entry, Place]):
    """Requests of one priority that wait for a place, and the shares of those that run."""

    def __init__(self, weights: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        """`weights` of workloads by name. A workload that is not there has the weight 1."""
        self._weights, self._clock = weights, clock
        self._workloads: dict[str, _Workload[Entry, Place]] = {}
        self._floor = 0.0
        self._usual_s = 1.0
        self._numbers = itertools.count()
        self._where: dict[int, tuple[_Workload[Entry, Place], _Caller[Entry, Place]]] = {}

    def __len__(self) -> int:
        return len(self._where)

    def add(self, item: Item[Entry, Place]) -> int:
        """Append a request to its caller's. Returns its number, for `remove`."""
        if not self._where:
            self._forget()
        workload, caller = self._flows(item)
        number = next(self._numbers)
        caller.waiting[number] = item
        workload.waiting += 1
        self._where[number] = workload, caller
        return number

    def remove(self, number: int) -> bool:
        """Remove a request that left. Returns whether it waited."""
        if (flows := self._where.pop(number, None)) is None:
            return False
        workload, caller = flows
        del caller.waiting[number]
        workload.waiting -= 1
        return True

    def take(self, free: Collection[Place]) -> Item[Entry, Place] | None:
        """The next request that may be sent to one of the free places. It waits no longer."""
        now = self._clock()
        by_use = sorted(
            (
                (workload.flow.used_for_weight(now, workload.usual_s), name)
                for name, workload in self._workloads.items()
                if workload.waiting
            ),
        )
        for used, name in by_use:
            workload = self._workloads[name]
            candidates = [
                (caller.flow.used_for_weight(now, workload.usual_s), *first)
                for caller in workload.callers.values()
                if caller.waiting and (first := caller.first(free)) is not None
            ]
            if candidates:
                used_by_caller, number, item = min(candidates, key=lambda candidate: candidate[:2])
                self._floor = max(self._floor, used)
                workload.floor = max(workload.floor, used_by_caller)
                self.remove(number)
                return item
        return None

    def start(self, item: Item[Entry, Place]) -> float:
        """Count a request of the workload and caller that is sent. Returns the time, for `end`."""
        now = self._clock()
        for part in self._flows(item):
            part.flow.start(now)
        return now

    def end(self, item: Item[Entry, Place], started: float) -> None:
        """Count a request that has ended."""
        now = self._clock()
        workload = self._workloads[item.workload]
        caller = workload.callers[item.caller]
        for part in (workload, caller):
            part.flow.end(started, now)
        workload.usual_s += _WEIGHT * (now - started - workload.usual_s)
        self._usual_s += _WEIGHT * (now - started - self._usual_s)
        # While others wait, it is remembered who used more than they did, so that coming anew is no advantage.
        if caller.idle and (not self._where or caller.flow.used_s <= workload.floor):
            del workload.callers[item.caller]

    def ahead(self, workload: str, caller: str) -> int:
        """Requests of this caller that wait."""
        state = self._workloads.get(workload)
        if state is None or caller not in state.callers:
            return 0
        return len(state.callers[caller].waiting)

    def callers(self, workload: str) -> Iterator[str]:
        """The callers of a workload with requests that wait or run."""
        if (state := self._workloads.get(workload)) is not None:
            yield from (name for name, caller in state.callers.items() if not caller.idle)

    def workloads(self) -> Iterator[str]:
        """The workloads with requests that wait or run."""
        yield from (name for name, workload in self._workloads.items() if not workload.idle)

    def weight(self, workload: str) -> int:
        """Share of a workload, compared with others."""
        return self._weights.get(workload, 1)

    def _forget(self) -> None:
        """Forget who used what. Use counts only while somebody waits, so that nobody pays for quiet hours."""
        now, self._floor = self._clock(), 0.0
        for workload in self._workloads.values():
            workload.callers = {key: caller for key, caller in workload.callers.items() if not caller.idle}
            workload.floor = 0.0
            for part in (workload, *workload.callers.values()):
                part.flow.forget(now, workload.usual_s)

    def _flows(self, item: Item[Entry, Place]) -> tuple[_Workload[Entry, Place], _Caller[Entry, Place]]:
        """The flows of a request. One that comes anew begins where the one that was served last stood."""
        workload = self._workloads.get(item.workload)
        if workload is None:
            flow = _Flow(self.weight(item.workload), 0.0)
            workload = self._workloads[item.workload] = _Workload(flow, self._usual_s)
        if workload.idle:
            workload.flow.used_s = max(workload.flow.used_s, self._floor * workload.flow.weight)
        caller = workload.callers.get(item.caller)
        if caller is None:
            caller = workload.callers[item.caller] = _Caller(_Flow(1, workload.floor))
        if caller.idle:
            caller.flow.used_s = max(caller.flow.used_s, workload.floor)
        return workload, caller
