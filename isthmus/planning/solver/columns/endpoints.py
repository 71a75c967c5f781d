"""Possible endpoints of a large program, and patterns of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

TOLERANCE = 1e-9
"""Of loads and savings."""


@dataclass(frozen=True)
class Endpoint:
    """A possible endpoint: its variables in the program, and what its replicas carry."""

    replicas: int
    """Variable."""
    members: Sequence[int]
    """Variables, one for each choice that may use it."""
    loads: Sequence[float]
    """Replicas that each member needs, without headroom."""
    limits: Sequence[float]
    """Load that 1, 2, … replicas carry, with headroom and after the failure that they must survive. 0: not allowed."""
    group: Hashable = None
    """Endpoints of different groups have no workload in common: the class."""
    dedicated: Sequence[int] = ()
    """Variables of the hardware that serves this endpoint alone."""
    units: Sequence[Sequence[int]] = ()
    """Values of those variables with 1, 2, … replicas."""

    def load(self, members: Sequence[int]) -> float:
        """Replicas that members need, each alone."""
        return math.fsum(self._load_of[index] for index in members)

    @functools.cached_property
    def _load_of(self) -> dict[int, float]:
        return dict(zip(self.members, self.loads, strict=True))

    def replicas_for(self, load: float) -> int | None:
        """The fewest replicas for a load; None if no number carries it."""
        return next((count for count, limit in enumerate(self.limits, 1) if limit >= load - TOLERANCE), None)


@dataclass(frozen=True)
class Pattern:
    """An endpoint with its replicas and all of its workloads."""

    endpoint: int
    """Number of the endpoint."""
    count: int
    """Replicas."""
    members: tuple[int, ...]
    """Variables, sorted."""


Carried = Callable[[int, tuple[int, ...], float], bool]
"""Tells whether an endpoint carries members together, although they slow each other down: from the endpoint's number,
the members, and the load that its replicas carry."""
