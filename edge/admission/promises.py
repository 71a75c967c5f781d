"""Promises to refused requests: who comes back after `Retry-After` is admitted before others.

Without them the header would be a guess: new requests would take the places of those that wait as they were asked to.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

Caller = TypeVar("Caller", bound=Hashable)
EARLY_S = 0.25
"""Seconds that a request may come early, because clocks and networks differ."""
LATE_S = 5.0
"""Seconds for which a promise holds."""
UNCLAIMED_S = 1.0
"""Seconds after which another request of the same caller may use a promise that was not claimed."""
FARTHEST_S = 600
"""Longest time for which a promise is made."""


class Pace(NamedTuple):
    """When a request may come back, and how many may."""

    wait_s: float
    """Earliest time, in seconds from now."""
    of_all: float
    """Requests a second of all callers together."""
    of_caller: float
    """Requests a second of the caller."""


class _Calendar:
    """How many requests may come back in each second."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def has_room(self, due: float, per_second: float) -> bool:
        """Whether one more request may come back then, at this rate."""
        seconds = max(1, math.ceil(1 / max(per_second, 1 / 60)))
        within = range(int(due) - seconds + 1, int(due) + seconds)
        return sum(self._counts.get(second, 0) for second in within) < max(1.0, per_second * seconds)

    def count(self, begin: float, end: float) -> int:
        """How many may come back between two times."""
        return sum(self._counts.get(second, 0) for second in range(int(begin), int(end) + 1))

    def add(self, now: float, due: float) -> None:
        """Count a request that comes back then."""
        if int(due) not in self._counts:
            for second in [second for second in self._counts if second < now]:
                del self._counts[second]
        self._counts[int(due)] = self._counts.get(int(due), 0) + 1


@dataclass
class _Open:
    """The open promises to one caller."""

    by_time: list[tuple[float, int]] = field(default_factory=list)  # a heap; may name promises that are gone
    requests: dict[int, bytes] = field(default_factory=dict)
    calendar: _Calendar = field(default_factory=_Calendar)
    by_request: dict[bytes, deque[tuple[float, int]]] = field(default_factory=dict)

    def earliest(self) -> tuple[float, int]:
        while self.by_time[0][1] not in self.requests:
            heapq.heappop(self.by_time)
        return self.by_time[0]

    def remove(self, number: int) -> None:
        request = self.requests.pop(number)
        same = [entry for entry in self.by_request[request] if entry[1] != number]
        if same:
            self.by_request[request] = deque(same)
        else:
            del self.by_request[request]


class Promises(Generic[Caller]):
    """When refused requests may come back. Times are of one monotonic clock, in seconds.

    A request that comes back is known by the digest of its body. So a caller's new requests do not use up what was
    promised to its earlier ones. A caller that sends another body instead uses its only promise, or an unclaimed one.
    """

    def __init__(self) -> None:
        self._open: dict[Caller, _Open] = {}
        self._numbers = itertools.count()
        self._calendar = _Calendar()

    def make(self, caller: Caller, request: bytes, now: float, pace: Pace) -> int:
        """Promise admission to a request that is refused now.

        Returns the whole seconds to wait. Beyond `FARTHEST_S` they are an estimate, and nothing is promised.
        """
        seconds, number = max(1, math.ceil(pace.wait_s)), next(self._numbers)
        promises = self._open.get(caller) or _Open()
        while seconds <= FARTHEST_S and not (
            promises.calendar.has_room(now + seconds, pace.of_caller)
            and self._calendar.has_room(now + seconds, pace.of_all)
        ):
            seconds += 1
        if seconds <= FARTHEST_S:
            self._open[caller] = promises
            self._calendar.add(now, now + seconds)
            promises.calendar.add(now, now + seconds)
            heapq.heappush(promises.by_time, (now + seconds, number))
            promises.requests[number] = request
            promises.by_request.setdefault(request, deque()).append((now + seconds, number))
        return seconds

    def is_due(self, caller: Caller, request: bytes, now: float) -> bool:
        """Whether a promise to this request, or one that it may use, is due."""
        return self._due(caller, request, now) is not None

    def keep(self, caller: Caller, request: bytes, now: float) -> bool:
        """Use up a promise that is due. Returns whether there was one."""
        number = self._due(caller, request, now)
        if number is not None:
            self._remove(caller, number)
        return number is not None

    def count(self, caller: Caller, now: float) -> int:
        """Promises to the caller that are not used yet."""
        promises = self._of(caller, now)
        return len(promises.requests) if promises is not None else 0

    def due_within(self, now: float, seconds: float) -> int:
        """Requests of all callers that may come back in this time."""
        return self._calendar.count(now + EARLY_S, now + seconds)

    def callers(self, now: float) -> Iterator[Caller]:
        """The callers with open promises."""
        yield from [caller for caller in list(self._open) if self._of(caller, now) is not None]

    def _due(self, caller: Caller, request: bytes, now: float) -> int | None:
        if (promises := self._of(caller, now)) is None:
            return None
        if request in promises.by_request:
            due, number = promises.by_request[request][0]
            if due <= now + EARLY_S:
                return number
        due, number = promises.earliest()
        patience_s = UNCLAIMED_S if len(promises.requests) > 1 else -EARLY_S
        return number if due + patience_s <= now else None

    def _of(self, caller: Caller, now: float) -> _Open | None:
        """The open promises to a caller, without those that are over. None: there are none."""
        while (promises := self._open.get(caller)) is not None:
            due, number = promises.earliest()
            if due + LATE_S >= now:
                return promises
            self._remove(caller, number)
        return None

    def _remove(self, caller: Caller, number: int) -> None:
        promises = self._open[caller]
        promises.remove(number)
        if not promises.requests:
            del self._open[caller]
