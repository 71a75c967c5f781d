"""The order in which a route's places are asked: on-prem before overflow, the well before the ill, the idle first."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

from edge.canary_split import Split
from edge.config import GatewayConfig, Limits, Place, Route, UpstreamTls
from edge.openai_api import COMPLETIONS_PATH
from edge.routing.endpoint import Broken, Endpoint, Unsent, Upstream, UpstreamCall

AGAIN_S = 0.1
"""Before a place is asked a second time; twice as long before the third."""


class RoutedModel:
    """One model of one workload."""

    def __init__(self, route: Route, upstream: Callable[[Place], Upstream], attempts: int) -> None:
        self.route = route
        self._own = [upstream(place) for place in route.own]
        self._canary = upstream(route.canary) if route.canary else None
        self._overflow = upstream(route.overflow) if route.overflow else None
        self._split = Split(route.canary.percent) if route.canary else None
        self._attempts, self._turn = attempts, itertools.count()

    @property
    def upstreams(self) -> list[Upstream]:
        """All that a request can reach."""
        return [*self._own, *filter(None, (self._canary, self._overflow))]

    def salts(self, upstream: Upstream) -> bool:
        """Whether a cache there is kept apart by a salt: the translator knows no such field."""
        return self.route.cache_salt is not None and upstream is not self._overflow

    def next(self, path: str) -> tuple[list[Upstream], str]:
        """Who is asked for this request, one after the other; and the name by which it is counted apart."""
        if self._split is not None and self._canary is not None and self._split.next():
            return [self._canary], "canary"  # alone: its failures are to be seen
        return self._ordered(path), ""

    def _ordered(self, path: str) -> list[Upstream]:
        # The first of those that are alike changes from request to request.
        turn = next(self._turn) % len(self._own)
        rotated = [*self._own[turn:], *self._own[:turn]]
        by_preference = sorted(
            rotated, key=lambda upstream: (not upstream.endpoint.health.good, upstream.endpoint.load)
        )
        if self._overflow is None or path == COMPLETIONS_PATH:
            return self._again(by_preference, self._attempts)
        full = self.route.overflow.when_waiting if self.route.overflow else None
        available = [
            upstream
            for upstream in by_preference
            if upstream.endpoint.health.good and (full is None or upstream.endpoint.waiting < full)
        ]
        if available or not self._overflow.endpoint.health.good:
            return [*self._again(by_preference, max(1, self._attempts - 1)), self._overflow]
        return [self._overflow, *by_preference][: self._attempts]

    def _again(self, upstreams: list[Upstream], attempts: int) -> list[Upstream]:
        """Each place, and then the same ones again: behind one address there may be several replicas."""
        return list(itertools.islice(itertools.cycle(upstreams), attempts))


async def send_to_first_available(
    upstreams: list[Upstream], send: Callable[[Upstream, bool], Awaitable[UpstreamCall]]
) -> UpstreamCall:
    """The answer of the first that takes the request; raises what the last one said.

    A place that is asked again is asked over a new connection, and after a pause.
    """
    tried: list[Upstream] = []
    broken = 0
    for number, upstream in enumerate(upstreams, 1):
        tries_before = tried.count(upstream)
        if tries_before:
            await asyncio.sleep(AGAIN_S * 2 ** (tries_before - 1) * random.uniform(0.5, 1))  # noqa: S311 (no secret)
        tried.append(upstream)
        try:
            return await send(upstream, tries_before > 0)
        except Unsent as error:
            broken += isinstance(error, Broken)
            if number == len(upstreams) or broken > 1:
                raise
    raise AssertionError("a way has at least one place")


class Router:
    """All ways of a gateway, and each endpoint once, however many lead there."""

    def __init__(self, config: GatewayConfig) -> None:
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._by_name: dict[str, dict[str, RoutedModel]] = {}
        for route in config.routes:
            model_name = route.called

            def build_upstream(place: Place, model_name: str = model_name) -> Upstream:
                return Upstream(place, self._endpoint(place, config.upstream_tls, config.limits), model_name)

            routed_model = RoutedModel(route, build_upstream, config.limits.attempts)
            self._by_name.setdefault(route.workload, {})[model_name] = routed_model

    @property
    def endpoints(self) -> list[Endpoint]:
        """Every address that the gateway speaks to."""
        return list(self._endpoints.values())

    def models_of(self, workload: str) -> dict[str, RoutedModel]:
        """A workload's, by the name of the model."""
        return self._by_name.get(workload, {})

    def _endpoint(self, place: Place, tls: UpstreamTls, limits: Limits) -> Endpoint:
        key = (place.url, place.server_name)
        if key not in self._endpoints:
            self._endpoints[key] = Endpoint(*key, tls, limits)
        return self._endpoints[key]
