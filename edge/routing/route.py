"""Orders a route's upstreams (on-prem before overflow, healthy before unhealthy, idle first) and tries them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge.config import GatewayConfig, Limits, Place, Route, UpstreamTls
from edge.openai_api import CHAT_PATH, Refusal
from edge.routing.endpoint import Broken, Endpoint, Unsent, Upstream, UpstreamCall
from edge.routing.prefixes import Prompt, ReplicaChooser, prompt_text
from edge.routing.replica import Replica
from edge.routing.window import Window

NO_PAYLOAD: Mapping[str, Any] = {}
CANARY, FALLBACK = "canary", "fallback"
"""Variants of a route beside its own model. Metrics count a fallback's requests as the own model's."""
FALLBACK_CODES = frozenset(("model_unavailable", "model_busy", "bad_gateway", "context_length_exceeded"))
"""Codes of refusals after which another model may serve a request: 503, 429, 5xx, and a prompt that is too long."""
FALLBACK_REPLICAS = 2
"""Replicas of a fallback that are tried."""
AGAIN_S = 0.1
"""Seconds before the second try at one place. The pause doubles for each further try."""


class RoutedModel:
    """One model of one workload, with its upstreams."""

    def __init__(self, route: Route, upstream: Callable[[Place], Upstream], attempts: int) -> None:
        self.route = route
        self._own = [upstream(place) for place in route.own]
        self._canary = upstream(route.canary) if route.canary else None
        self._overflow = upstream(route.overflow) if route.overflow else None
        self._fallback = [upstream(place) for place in route.fallback]
        self._attempts, self._turn = attempts, itertools.count()
        self._chooser, self._spare_turn = ReplicaChooser(), itertools.count()

    @property
    def upstreams(self) -> list[Upstream]:
        """All upstreams that a request can reach."""
        return [*self._own, *filter(None, (self._canary, self._overflow)), *self._fallback]

    @property
    def idle_replicas(self) -> int:
        """Number of healthy replicas of the class's own places at which, and before which, no request waits."""
        free = [upstream.endpoint for upstream in self._own if not upstream.endpoint.queued]
        replicas = [replica for endpoint in free for replica in endpoint.replicas]
        return sum(replica.health.good and not replica.waiting for replica in replicas)

    def limited_of(self, variant: str) -> list[Endpoint]:
        """The endpoints of a variant among which a request waits for the first that has room."""
        return list(dict.fromkeys(up.endpoint for up in self._of(variant) if up.endpoint.window is not None))

    def has_unlimited(self, variant: str) -> bool:
        """Whether one of the variant's endpoints takes every request at once."""
        return variant != CANARY and any(up.endpoint.window is None for up in self._of(variant))

    def may_fall_back(self, refusal: Refusal, variant: str) -> bool:
        """Whether another model of the route may serve a request after this refusal of a variant.

        A canary has no fallback, so that its failures are visible. There is none after a broken connection, because the
        request may have ended the model server, and none after a time limit, because no time is left.
        """
        codes = FALLBACK_CODES if self._fallback and not variant else ()
        return refusal.code in codes and not isinstance(refusal, Broken)

    @property
    def has_fallback(self) -> bool:
        """Whether other models may serve its requests."""
        return bool(self._fallback)

    def _of(self, variant: str) -> list[Upstream]:
        if variant == FALLBACK:
            return self._fallback
        return [self._canary] if variant and self._canary is not None else self._own

    def overflow_when_full(self, path: str) -> bool:
        """Whether a request that would wait too long goes to the overflow, which is healthy."""
        rule = self.route.overflow
        return rule is not None and rule.when_waiting is not None and self._may_overflow(path)

    def overflows_now(self, path: str) -> bool:
        """Whether the overflow comes first: no own replica is healthy and below `when_waiting`."""
        full = self.route.overflow.when_waiting if self.route.overflow else None
        return self._may_overflow(path) and not any(
            replica.health.good and (full is None or replica.waiting + upstream.endpoint.queued < full)
            for upstream in self._own
            for replica in upstream.endpoint.replicas
        )

    def _may_overflow(self, path: str) -> bool:
        return self._overflow is not None and path == CHAT_PATH and self._overflow.endpoint.good

    def without_overflow(self, upstreams: list[Upstream]) -> list[Upstream]:
        """The upstreams that lines of batches may use: they wait for their own. Raises Refusal 503 if there is none."""
        overflow = self._overflow
        own = [up for up in upstreams if overflow is None or up.endpoint is not overflow.endpoint]
        if not own:
            raise Refusal(503, "model_unavailable", "No place of the class's own is free for batches now.")
        return own

    def salts(self, upstream: Upstream) -> bool:
        """Whether requests to the upstream carry a cache salt. The translator has no such field."""
        overflow = self._overflow
        return self.route.cache_salt is not None and (
            overflow is None or upstream.endpoint is not overflow.endpoint
        )

    def order(
        self,
        path: str,
        variant: str,
        first: Endpoint | None = None,
        *,
        payload: Mapping[str, Any] = NO_PAYLOAD,
        overflow: bool = False,
    ) -> list[Upstream]:
        """The upstreams to try for a request, in order.

        `first`: the endpoint that has room for it. `payload`: the request's fields, whose text decides between the
        replicas of an endpoint. `overflow`: whether the overflow comes first in any case.
        """
        turn = next(self._turn)
        if variant == FALLBACK:
            models = sorted(self._fallback, key=lambda upstream: upstream.endpoint is not first)
            return [
                upstream
                for model in models
                for upstream in self._prefer_cached(self._by_preference([model], turn), path, payload)[
                    :FALLBACK_REPLICAS
                ]
            ]
        if variant and self._canary is not None:
            # Alone, so that its failures are visible. Of its replicas, one.
            return self._prefer_cached(self._by_preference([self._canary], turn), path, payload)[:1]
        by_preference = self._by_preference(self._own, turn)
        if first is not None:
            by_preference.sort(key=lambda upstream: upstream.endpoint is not first)
        by_preference = self._prefer_cached(by_preference, path, payload, first)
        if self._overflow is None or path != CHAT_PATH:
            return self._again(by_preference, self._attempts)
        at_overflow = self._by_preference([self._overflow], turn)[0]
        if overflow or (first is None and self.overflows_now(path)):
            return [at_overflow, *by_preference][: self._attempts]
        return [*self._again(by_preference, max(1, self._attempts - 1)), at_overflow]

    def spare_upstream(self, variant: str) -> Upstream:
        """A variant's replica for a request of the gateway itself, without taking a turn of callers' requests."""
        return self._by_preference(self._of(variant), next(self._spare_turn))[0]

    def _by_preference(self, upstreams: list[Upstream], turn: int) -> list[Upstream]:
        """The upstreams at each of their replicas: healthy before unhealthy, idle first. Equal ones take turns."""
        at_replicas = [at_replica for upstream in upstreams for at_replica in upstream.at_each_replica()]
        ranks = {id(upstream): _rank(upstream) for upstream in at_replicas}
        ranked = sorted(at_replicas, key=lambda upstream: ranks[id(upstream)])
        equal = sum(rank == ranks[id(ranked[0])] for rank in ranks.values())
        first = turn % equal
        return [*ranked[first:equal], *ranked[:first], *ranked[equal:]]

    def _prefer_cached(
        self, upstreams: list[Upstream], path: str, payload: Mapping[str, Any], first: Endpoint | None = None
    ) -> list[Upstream]:
        """The upstreams, with the healthy replica first that has most of the request's beginning in its cache.

        `first`: the endpoint whose replica must come first. Nothing changes unless replicas have addresses.
        """
        choice = [
            upstream.replica
            for upstream in upstreams
            if upstream.replica.health.good and first in (None, upstream.endpoint)
        ]
        if len(choice) < 2 or not all(replica.address for replica in choice):
            return upstreams
        prompt = Prompt(f"{path} {upstreams[0].place.model} {self.route.cache_salt}", prompt_text(payload))
        for upstream in upstreams:
            upstream.prefix = prompt.chunks
        chosen = self._chooser.choose(prompt, choice)
        return sorted(upstreams, key=lambda upstream: chosen is not None and upstream.replica is not chosen)

    def _again(self, upstreams: list[Upstream], attempts: int) -> list[Upstream]:
        """The upstreams, repeated up to the number of attempts: several replicas may share one address."""
        return list(itertools.islice(itertools.cycle(upstreams), attempts))


def _rank(upstream: Upstream) -> tuple[bool, int, int]:
    """Rank of an upstream at a replica. The lower one is preferred."""
    return (not upstream.replica.health.good, *upstream.replica.load)


async def send_to_first_available(
    upstreams: list[Upstream], send: Callable[[Upstream, bool], Awaitable[UpstreamCall]]
) -> UpstreamCall:
    """The call of the first upstream that accepts the request. Raises the last upstream's error.

    A second try at the same replica uses a new connection, after a pause.
    """
    tried: list[Replica] = []
    broken = 0
    for number, upstream in enumerate(upstreams, 1):
        tries_before = tried.count(upstream.replica)
        if tries_before:
            await asyncio.sleep(AGAIN_S * 2 ** (tries_before - 1) * random.uniform(0.5, 1))  # noqa: S311 (no secret)
        tried.append(upstream.replica)
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
        self._endpoints: dict[tuple[str, str, bool], Endpoint] = {}
        self._by_name: dict[str, dict[str, RoutedModel]] = {}
        for route in config.routes:
            model_name = route.called

            def build_upstream(place: Place, model_name: str = model_name) -> Upstream:
                endpoint = self._endpoint(place, config.upstream_tls, config.limits)
                if place.concurrency is not None and endpoint.window is None:
                    endpoint.window = Window(place.concurrency)
                    endpoint.concurrency_of_replica = (
                        place.concurrency / place.replicas if place.replicas else 0.0
                    )
                return Upstream(place, endpoint, model_name)

            routed_model = RoutedModel(route, build_upstream, config.limits.attempts)
            self._by_name.setdefault(route.workload, {})[model_name] = routed_model

    @property
    def endpoints(self) -> list[Endpoint]:
        """Every endpoint that the gateway connects to."""
        return list(self._endpoints.values())

    @property
    def models(self) -> list[RoutedModel]:
        """Every model of every workload."""
        return [model for by_name in self._by_name.values() for model in by_name.values()]

    def models_of(self, workload: str) -> dict[str, RoutedModel]:
        """The models of a workload by name."""
        return self._by_name.get(workload, {})

    def _endpoint(self, place: Place, tls: UpstreamTls, limits: Limits) -> Endpoint:
        key = (place.url, place.server_name, place.by_replica)
        if key not in self._endpoints:
            self._endpoints[key] = Endpoint(
                place.url, place.server_name, tls, limits, by_replica=place.by_replica
            )
        return self._endpoints[key]
