"""Orders a route's upstreams (on-prem before overflow, healthy before unhealthy, idle first) and tries them."""

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
"""Seconds before the second try at one place. The pause doubles for each further try."""


class RoutedModel:
    """One model of one workload, with its upstreams."""

    def __init__(self, route: Route, upstream: Callable[[Place], Upstream], attempts: int) -> None:
        self.route = route
        self._own = [upstream(place) for place in route.own]
        self._canary = upstream(route.canary) if route.canary else None
        self._overflow = upstream(route.overflow) if route.overflow else None
        self._split = Split(route.canary.percent) if route.canary else None
        self._attempts, self._turn = attempts, itertools.count()

    @property
    def upstreams(self) -> list[Upstream]:
        """All upstreams that a request can reach."""
        return [*self._own, *filter(None, (self._canary, self._overflow))]

    def salts(self, upstream: Upstream) -> bool:
        """Whether requests to the upstream carry a cache salt. The translator has no such field."""
        return self.route.cache_salt is not None and upstream is not self._overflow

    def next(self, path: str) -> tuple[list[Upstream], str]:
        """The upstreams to try for this request, in order, and the variant that metrics count it under."""
        if self._split is not None and self._canary is not None and self._split.next():
            return [self._canary], "canary"  # alone, so that its failures are visible
        return self._ordered(path), ""

    def _ordered(self, path: str) -> list[Upstream]:
        # Equal upstreams take turns.
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
        """The upstreams, repeated up to the number of attempts: several replicas may share one address."""
        return list(itertools.islice(itertools.cycle(upstreams), attempts))


async def send_to_first_available(
    upstreams: list[Upstream], send: Callable[[Upstream, bool], Awaitable[UpstreamCall]]
) -> UpstreamCall:
    """The call of the first upstream that accepts the request. Raises the last upstream's error.

    A second try at the same place uses a new connection, after a pause.
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
    """All models of a gateway by workload. Routes to the same address share one endpoint."""

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
        """Every endpoint that the gateway connects to."""
        return list(self._endpoints.values())

    def models_of(self, workload: str) -> dict[str, RoutedModel]:
        """The models of a workload by name."""
        return self._by_name.get(workload, {})

    def _endpoint(self, place: Place, tls: UpstreamTls, limits: Limits) -> Endpoint:
        key = (place.url, place.server_name)
        if key not in self._endpoints:
            self._endpoints[key] = Endpoint(*key, tls, limits)
        return self._endpoints[key]
