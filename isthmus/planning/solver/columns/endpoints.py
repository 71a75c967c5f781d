"""Possible endpoints of a large program, and patterns of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass


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

    def replicas_for(self, load: float) -> int | None:
        """The fewest replicas for a load; None if no number carries it."""
        return next((count for count, limit in enumerate(self.limits, 1) if limit >= load - 1e-9), None)


@dataclass(frozen=True)
class Pattern:
    """An endpoint with its replicas and all of its workloads."""

    endpoint: int
    """Number of the endpoint."""
    count: int
    """Replicas."""
    members: tuple[int, ...]
    """Variables, sorted."""


Needed = Callable[[int, tuple[int, ...], int, float], int]
"""Gives the replicas that members of an endpoint need together, as they slow each other down: from the endpoint's
number, the members, the replicas that their loads add up to, and the load that so many carry."""
