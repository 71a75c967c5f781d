"""Admission to the endpoints of a gateway. Endpoints without a planned `concurrency` admit everybody."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.admission.pool import Ask, Pool, Slot
from edge.config import GatewayConfig
from edge.openai_api import Refusal, dump
from edge.routing import Endpoint, RoutedModel, Router
from edge.routing.route import CANARY, FALLBACK

QUEUE_S = 10.0
"""Longest time in the queue for an interactive workload without a goal for its first token, in seconds."""
BATCH_QUEUE_S = 120.0
USED_PART = 0.9
"""Part of the goal that queue and model use together. The rest is for the network and for what else takes time."""
SHORTEST_PART = 0.1
"""Part of the goal that a request may wait in any case, also where the model alone takes longer than the goal."""


@dataclass
class Who:
    """Whose request it is, and whether it is batch work."""

    workload: str
    caller: str
    """The caller's identity, as in records."""
    batch: bool
    payload: dict[str, Any]
    """The request as it came. Its digest never leaves the process."""

    @functools.cached_property
    def _digest(self) -> bytes:
        return hashlib.blake2b(dump(self.payload), digest_size=16).digest()

    def digest(self) -> bytes:
        """A digest of the request, computed once."""
        return self._digest


class Admission:
    """Lets requests through to endpoints, or makes them wait, or refuses them. Belongs to one event loop."""

    def __init__(self, config: GatewayConfig, router: Router) -> None:
        self._period_s, self._timeout_s = config.limits.probe_s, config.limits.request_timeout_s
        self._goals_s = {
            workload.name: workload.slo.ttft_p95_ms / 1000
            for workload in config.workloads
            if workload.slo is not None and workload.slo.ttft_p95_ms is not None
        }
        self._batch = {workload.name for workload in config.workloads if workload.mode == "batch"}
        weights = {workload.name: workload.weight for workload in config.workloads}
        self._pools: dict[Endpoint, Pool] = {}
        variants = [
            (model, model.limited_of(variant))
            for model in router.models
            for variant in ("", CANARY, FALLBACK)
        ]
        for group in _groups([endpoints for _, endpoints in variants]):
            pool = Pool(group, weights)
            self._pools |= dict.fromkeys(group, pool)
        for model, endpoints in variants:
            for endpoint in endpoints:
                self._note_goal(endpoint, model.route.workload)

    @property
    def background(self) -> list[Pool]:
        """The pools, of which each adapts its limits in a loop."""
        return list(dict.fromkeys(self._pools.values()))

    def check(self, model: RoutedModel, path: str, who: Who) -> None:
        """Raise Refusal if the request would be refused now, before anything is done for it."""
        limited = model.limited_of("")
        if (
            limited
            and not model.has_fallback
            and not model.has_unlimited("")
            and not model.overflow_when_full(path)
        ):
            self._pools[limited[0]].check(self._ask(limited, who))

    async def enter(self, model: RoutedModel, path: str, variant: str, who: Who) -> tuple[Slot | None, bool]:
        """Wait for a slot at the endpoints of a variant. Returns it, and whether the overflow comes first instead.

        None: no limit applies. Raises Refusal 429 or 503.
        """
        limited = model.limited_of(variant)
        if not limited or (not variant and model.overflows_now(path)):
            return None, False
        if model.has_unlimited(variant) and not any(_has_room(place, batch=who.batch) for place in limited):
            return None, False
        try:
            return await self._pools[limited[0]].enter(self._ask(limited, who)), False
        except Refusal:
            if variant or not model.overflow_when_full(path):
                raise
            return None, True

    def enter_spare(self, model: RoutedModel, variant: str, who: Who) -> tuple[bool, Slot | None]:
        """Whether a variant has room that nobody waits for, and the slot. Without one no limit applies. `who` is batch
        work.
        """
        limited = model.limited_of(variant)
        if not limited:
            return True, None
        slot = self._pools[limited[0]].enter_spare(self._ask(limited, who))
        return slot is not None, slot

    async def adapting(self) -> None:
        """Adapt the limits in a loop."""
        while True:
            await asyncio.sleep(self._period_s)
            for pool in self.background:
                pool.adapt()

    def _ask(self, endpoints: Sequence[Endpoint], who: Who) -> Ask:
        places = tuple(dict.fromkeys(endpoints))
        if who.batch or who.workload in self._batch:
            wait_s = min(BATCH_QUEUE_S, self._timeout_s / 2)
            return Ask(who.workload, who.caller, places, wait_s, True, who.digest)
        wait_s, goal_s = min(QUEUE_S, self._timeout_s / 2), self._goals_s.get(who.workload)
        if goal_s is not None:
            first_token_s = min(
                window.first_token_s for place in places if (window := place.window) is not None
            )
            wait_s = max(goal_s * USED_PART - first_token_s, goal_s * SHORTEST_PART)
        return Ask(who.workload, who.caller, places, wait_s, False, who.digest)

    def _note_goal(self, endpoint: Endpoint, workload: str) -> None:
        goal_s, window = self._goals_s.get(workload), endpoint.window
        if goal_s is not None and window is not None:
            window.goal_s = goal_s if window.goal_s is None else min(goal_s, window.goal_s)


def _has_room(endpoint: Endpoint, *, batch: bool) -> bool:
    return endpoint.window is not None and endpoint.window.room(batch=batch)


def _groups(sets: Sequence[Sequence[Endpoint]]) -> list[list[Endpoint]]:
    """The endpoints in groups: endpoints of one set are in one group."""
    groups: list[list[Endpoint]] = []
    for endpoints in filter(None, sets):
        joined = [group for group in groups if any(endpoint in group for endpoint in endpoints)]
        merged = list(dict.fromkeys([*(endpoint for group in joined for endpoint in group), *endpoints]))
        groups = [group for group in groups if group not in joined]
        groups.append(merged)
    return groups
