"""Prometheus metrics of a process: requests, tokens, GPU time and cost by team, workload and model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from edge.exchange import Exchange
    from edge.routing import Endpoint

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LABELS = ["class", "team", "workload", "model", "variant"]


class Metrics:
    """The Prometheus registry of the process. Labels contain names from the configuration only, never text of a
    caller.
    """

    def __init__(self, data_class: str) -> None:
        disable_created_metrics()
        self._class = data_class
        self._registry = CollectorRegistry()

        counter, gauge = self._counter, self._gauge
        self._requests = counter("requests", "Requests answered.", [*_LABELS, "status"])
        self._refusals = counter("refusals", "Errors answered, by code.", [*_LABELS, "code"])
        self._tokens = counter("tokens", "Tokens.", [*_LABELS, "kind"])
        self._gpu = counter(
            "gpu_seconds", "GPU time, divided among what ran at once.", [*_LABELS, "endpoint"]
        )
        self._cost = counter("cost_usd", "Cost of GPU time or of tokens.", [*_LABELS, "endpoint"])
        self._seconds = Histogram(
            "isthmus_request_duration_seconds",
            "From the first byte in to the last one out.",
            _LABELS,
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._in_flight = gauge("requests_in_flight", "Requests that run.", ["class"]).labels(data_class)
        self._refused_clients = counter("clients_refused", "Connections closed by name.", ["class"]).labels(
            data_class
        )
        self._unsent = counter("unsent", "Requests that an endpoint did not take.", ["class", "endpoint"])
        self._good = gauge("endpoint_good", "Whether an endpoint is asked first.", ["class", "endpoint"])
        self._running = gauge("endpoint_running", "Requests under way there.", ["class", "endpoint"])
        self._waiting = gauge("endpoint_waiting", "Requests that wait there.", ["class", "endpoint"])

    def entered(self) -> None:
        """Count a request that begins."""
        self._in_flight.inc()

    def refused_client(self) -> None:
        """Count a connection that was closed because of the name in its certificate."""
        self._refused_clients.inc()

    def unsent(self, endpoint: Endpoint) -> None:
        """Count a request that an endpoint did not accept."""
        self._unsent.labels(self._class, endpoint.name).inc()

    def add(self, exchange: Exchange, seconds: float) -> None:
        """Count a request that has ended."""
        self._in_flight.dec()
        labels = (self._class, exchange.team, exchange.workload, exchange.model, exchange.variant)
        self._requests.labels(*labels, str(exchange.status)).inc()
        self._seconds.labels(*labels).observe(seconds)
        if exchange.code != "ok":
            self._refusals.labels(*labels, exchange.code).inc()
        for kind, count in (("prompt", exchange.prompt_tokens), ("completion", exchange.completion_tokens)):
            if count is not None:
                self._tokens.labels(*labels, kind).inc(count)
        if exchange.gpu_seconds is not None:
            self._gpu.labels(*labels, exchange.endpoint).inc(exchange.gpu_seconds)
        if exchange.usd is not None:
            self._cost.labels(*labels, exchange.endpoint).inc(exchange.usd)

    def watch(self, endpoint: Endpoint) -> None:
        """Export an endpoint's state, which is read at each scrape."""
        labels = (self._class, endpoint.name)
        self._good.labels(*labels).set_function(lambda: endpoint.health.good)
        self._running.labels(*labels).set_function(lambda: endpoint.sharing.running)
        self._waiting.labels(*labels).set_function(lambda: endpoint.waiting)

    def watch_audit(self, unsealed_s: Callable[[], float]) -> tuple[Counter, Counter, Counter]:
        """The counters of audit records, of commits and of failures. Also exports the age of the oldest unsealed
        record.
        """
        self._gauge(
            "audit_unsealed_seconds", "Since when the oldest record waits for its seal.", []
        ).set_function(unsealed_s)
        return (
            self._counter("audit_records", "Audit records that are durable.", []),
            self._counter("audit_commits", "Writes that made them so.", []),
            self._counter("audit_failures", "Writes that failed, each the end of a chain.", []),
        )

    def _counter(self, name: str, description: str, labels: list[str]) -> Counter:
        return Counter(f"isthmus_{name}", description, labels, registry=self._registry)

    def _gauge(self, name: str, description: str, labels: list[str]) -> Gauge:
        return Gauge(f"isthmus_{name}", description, labels, registry=self._registry)

    def text(self) -> bytes:
        """The metrics in the Prometheus exposition format, version 0.0.4."""
        return generate_latest(self._registry)
