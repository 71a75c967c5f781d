"""Limits the requests of one copy of the gateway at an endpoint: as planned, and to fewer while it is slow."""

from __future__ import annotations

import time
from collections.abc import Callable

DECREASE = 0.8
"""Factor of the limit after a period in which the endpoint was too slow."""
INCREASE = 0.05
"""Part of the planned limit that comes back after a period without such a sign. At least one request."""
LOWEST = 0.125
"""Lowest part of the planned limit. Below it, slowness has another cause than the number of requests."""
LATE_SHARE = 0.05
"""Part of the first tokens that may be later than the goal, because goals are for 95 % of the requests."""
FEWEST_SAMPLES = 10
ABOVE = 0.1
"""Part of the limit that promised requests may add to it. Plans leave as much room in a model server's batch."""
BATCH_RESERVE = 0.125
"""Part of the limit that batch requests leave free, so that an interactive request need not wait for one to end."""
_WEIGHT = 0.1
"""Weight of a new first token in its averages."""
_FORGOTTEN = 0.02
"""Part of earlier durations that each new one replaces. They differ much, and promises rest on their average."""


class Window:
    """The requests of this copy at one endpoint, and how long they take. Belongs to one event loop."""

    def __init__(self, planned: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`planned`: most requests at once, within which the endpoint keeps its goals."""
        self._planned, self._clock = planned, clock
        self._limit = float(planned)
        self.running = 0
        self._starts = 0.0
        self._held_s = self._ended = 0.0
        self._first_s: float | None = None
        self._first_deviation_s = 0.0
        self.goal_s: float | None = None
        """Shortest goal for the time to the first token among the workloads that use the endpoint, in seconds."""
        self._samples = self._late = 0
        self._was_full = False

    @property
    def limit(self) -> int:
        """Most requests at once for now."""
        return max(1, int(self._limit))

    def room(self, *, batch: bool) -> bool:
        """Whether one more request may be sent."""
        reserve = max(1, int(self.limit * BATCH_RESERVE)) if batch and self.limit > 1 else 0
        return self.running < self.limit - reserve

    @property
    def room_above(self) -> bool:
        """Whether a request that was promised a place may be sent above the limit."""
        return self.running < self.limit + max(1, int(self.limit * ABOVE))

    def start(self) -> float:
        """Count a request that is sent. Returns the time, for `end`."""
        now = self._clock()
        self.running, self._starts = self.running + 1, self._starts + now
        self._was_full = self._was_full or self.running >= self.limit
        return now

    def end(self, started: float, *, counted: bool = True) -> None:
        """Count a request that has ended. `counted` false: it was not served, so its time says nothing."""
        self.running, self._starts = self.running - 1, self._starts - started
        if counted:
            self._held_s += self._clock() - started - _FORGOTTEN * self._held_s
            self._ended += 1 - _FORGOTTEN * self._ended

    def first_token(self, seconds: float) -> None:
        """Note the time from sending a request to its first token."""
        self._samples += 1
        self._late += self.goal_s is not None and seconds > self.goal_s
        if self._first_s is None:
            self._first_s, self._first_deviation_s = seconds, seconds / 2
            return
        error = seconds - self._first_s
        self._first_s += _WEIGHT * error
        self._first_deviation_s += _WEIGHT * (abs(error) - self._first_deviation_s)

    @property
    def first_token_s(self) -> float:
        """Time to the first token that most requests keep: the average and two deviations. 0 if unknown."""
        return 0.0 if self._first_s is None else self._first_s + 2 * self._first_deviation_s

    def rate(self, unknown_s: float) -> float:
        """Requests a second that end while the window is full. `unknown_s`: how long a request is expected to take
        before any has ended. One that runs longer already is expected to end now.
        """
        # Those that run count too. The first ones that end are short: long ones still run.
        age_s = self._clock() - self._starts / self.running if self.running else 0.0
        held_s = self._held_s / self._ended if self._ended else unknown_s
        return self.limit / max(held_s, age_s, 0.001)

    def plan(self, at_once: int) -> None:
        """Change the planned limit, because the number of replicas changed. What was adapted is kept in proportion."""
        if at_once != self._planned:
            self._limit *= at_once / self._planned
            self._planned = at_once

    def adapt(self, waiting: int) -> None:
        """Adapt the limit at the end of a period. `waiting`: requests that the model server has in its own queue.

        A queue there means that it takes more requests than it can run. Requests that wait there are neither fair
        nor bounded in time.
        """
        too_late = self._samples >= FEWEST_SAMPLES and self._late > LATE_SHARE * self._samples
        if waiting > 0 or too_late:
            lowest = max(1.0, self._planned * LOWEST)
            self._limit = max(lowest, min(self._limit, max(self.running, lowest)) * DECREASE)
        elif self._was_full:
            self._limit = min(float(self._planned), self._limit + max(1.0, self._planned * INCREASE))
        if self._samples >= FEWEST_SAMPLES:
            self._samples = self._late = 0
        self._was_full = self.running >= self.limit
