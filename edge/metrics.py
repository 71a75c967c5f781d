"""Prometheus metrics of a process: requests, tokens, GPU time and cost by team, workload and model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from edge.config.gateway import Slo
    from edge.exchange import Exchange

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
FIRST_TOKEN_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
PER_TOKEN_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.5, 1)
QUEUE_BUCKETS_S = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
"""Upper boundaries of the histograms, in seconds. The workloads' goals are added, so that the share of requests within
a goal is read from a boundary and never interpolated."""
_LABELS = ["class", "team", "workload", "model", "variant"]


class WatchedEndpoint(Protocol):
    """What is exported of an endpoint. Its properties are read at each scrape."""

    name: str

    queued: int

    @property
    def limit(self) -> int | None: ...

    @property
    def good(self) -> bool: ...

    @property
    def running(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    @property
    def replica_states(self) -> dict[str, int] | None:
        """Replicas by state. None: its host name does not list them."""
        ...

    @property
    def is_resolved(self) -> bool: ...


class _Times:
    """The histograms of requests' times."""

    def __init__(self, registry: CollectorRegistry, goals: Sequence[Slo]) -> None:
        self._registry = registry
        first_token_goals = [goal.ttft_p95_ms for goal in goals]
        self._seconds = self._histogram(
            "request_duration",
            "From the first byte in to the last one out.",
            BUCKETS_S,
            [goal.answer_p95_ms for goal in goals],
        )
        self._first_token = self._histogram(
            "time_to_first_token",
            "From the first byte in to the first text out, of streams that are relayed as they are generated.",
            FIRST_TOKEN_BUCKETS_S,
            first_token_goals,
        )
        self._per_token = self._histogram(
            "time_per_output_token",
            "Mean time from one token to the next, of the same streams.",
            PER_TOKEN_BUCKETS_S,
            [goal.tpot_p95_ms for goal in goals],
        )
        self._queue = self._histogram(
            "queue", "Time in the gateway's own queue.", QUEUE_BUCKETS_S, first_token_goals
        )

    def add(self, labels: Sequence[str], exchange: Exchange, seconds: float) -> None:
        """Count the times of a request that has ended."""
        for histogram, value in (
            (self._seconds, seconds),
            (self._queue, exchange.queued_s),
            (self._first_token, exchange.first_token_s),
            (self._per_token, exchange.time_per_output_token_s),
        ):
            if value is not None:
                histogram.labels(*labels).observe(value)

    def _histogram(
        self, name: str, description: str, buckets_s: Sequence[float], goals_ms: Sequence[float | None]
    ) -> Histogram:
        goals_s = {goal / 1000 for goal in goals_ms if goal is not None}
        return Histogram(
            f"isthmus_{name}_seconds",
            description,
            _LABELS,
            buckets=sorted({*buckets_s, *goals_s}),
            registry=self._registry,
        )


class ModelProbeMetrics:
    """The metrics of probes that ask models. `served_model` is a model's name at its endpoint."""

    def __init__(self, data_class: str, registry: CollectorRegistry) -> None:
        self._class = data_class
        labels = ["class", "endpoint", "served_model"]
        self._failures = Gauge(
            "isthmus_model_probe_failures",
            "Probes in a row that no replica of the model answered. 0: it answers.",
            labels,
            registry=registry,
        )
        self._failed_replicas = Gauge(
            "isthmus_model_probe_failed_replicas",
            "Replicas of the model that did not answer the last probe.",
            labels,
            registry=registry,
        )
        self._probes = Counter(
            "isthmus_model_probes", "Probes of models, by outcome.", [*labels, "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "isthmus_model_probe_seconds",
            "From connecting to the answer, of probes that were answered.",
            labels,
            buckets=FIRST_TOKEN_BUCKETS_S,
            registry=registry,
        )

    def add(self, endpoint: str, model: str, outcome: str, seconds: float | None) -> None:
        """Count a probe. `seconds`: until the answer, if one came."""
        self._probes.labels(self._class, endpoint, model, outcome).inc()
        if seconds is not None:
            self._seconds.labels(self._class, endpoint, model).observe(seconds)

    def note(self, endpoint: str, model: str, *, failures: int, replicas: int) -> None:
        """Export how many probes of a model failed in a row, and how many of its replicas did not answer the last."""
        self._failures.labels(self._class, endpoint, model).set(failures)
        self._failed_replicas.labels(self._class, endpoint, model).set(replicas)

    def forget(self, endpoint: str, model: str) -> None:
        """Export nothing of a model that is not probed now."""
        for gauge in (self._failures, self._failed_replicas):
            with contextlib.suppress(KeyError):
                gauge.remove(self._class, endpoint, model)


class Metrics:
    """The Prometheus registry of the process. Labels contain names from the configuration only, never text of a
    caller.
    """

    def __init__(self, data_class: str, goals: Sequence[Slo] = ()) -> None:
        """`goals`: of the workloads, in milliseconds."""
        disable_created_metrics()
        self._class = data_class
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # its CPU time decides how many replicas a gateway needs

        counter, gauge = self._counter, self._gauge
        self._requests = counter("requests", "Requests answered.", [*_LABELS, "status"])
        self._refusals = counter("refusals", "Errors answered, by code.", [*_LABELS, "code"])
        self._tokens = counter("tokens", "Tokens.", [*_LABELS, "kind"])
        self._gpu = counter(
            "gpu_seconds", "GPU time, divided among what ran at once.", [*_LABELS, "endpoint"]
        )
        self._cost = counter("cost_usd", "Cost of GPU time or of tokens.", [*_LABELS, "endpoint"])
        self._times = _Times(self._registry, goals)
        self._in_flight = gauge("requests_in_flight", "Requests that run.", ["class"]).labels(data_class)
        self._refused_clients = counter("clients_refused", "Connections closed by name.", ["class"]).labels(
            data_class
        )
        self._refused_addresses = counter(
            "addresses_refused", "Connections closed by address at access.port.", ["class"]
        ).labels(data_class)
        self._batch_lines = counter("batch_lines", "Lines of batches, by result.", ["class", "result"])
        self._fallbacks = counter(
            "fallbacks", "Requests sent to another model, by the code of the refusal.", [*_LABELS, "code"]
        )
        self._create_endpoint_metrics()
        self._create_release_metrics()

    def _create_endpoint_metrics(self) -> None:
        counter, gauge = self._counter, self._gauge
        self._unsent = counter("unsent", "Requests that an endpoint did not take.", ["class", "endpoint"])
        self._cached = counter(
            "prompt_tokens_cached", "Prompt tokens that a prefix cache had.", ["class", "endpoint"]
        )
        self._cacheable = counter(
            "prompt_tokens_cacheable",
            "Prompt tokens of the answers that say how many were cached.",
            ["class", "endpoint"],
        )
        self._good = gauge("endpoint_good", "Whether an endpoint is asked first.", ["class", "endpoint"])
        self._running = gauge("endpoint_running", "Requests under way there.", ["class", "endpoint"])
        self._waiting = gauge("endpoint_waiting", "Requests that wait there.", ["class", "endpoint"])
        self._replicas = gauge(
            "endpoint_replicas",
            "Replicas that its host name lists, by state.",
            ["class", "endpoint", "state"],
        )
        self._unresolved = gauge(
            "endpoint_unresolved", "Whether its host name lists no replicas now.", ["class", "endpoint"]
        )
        self._certificates = gauge(
            "certificate_expires_seconds",
            "Until a certificate of this process expires.",
            ["class", "certificate"],
        )
        self._keys = gauge(
            "key_expires_seconds",
            "Until the first and the last key of a workload expire, as of the last minute.",
            ["class", "workload", "key"],
        )
        self._month = gauge(
            "month_used_ratio",
            "Share of a limit for this month that is used, as of the last minute.",
            ["class", "of", "limited", "unit"],
        )
        self._stopped = gauge(
            "workload_stopped", "Whether people have stopped a workload.", ["class", "workload"]
        )
        self._evaluations = counter(
            "evaluation_requests",
            "Requests of evaluations, which no other metric of requests has.",
            ["class", "workload", "model", "variant", "status"],
        )
        self._queued = gauge("endpoint_queued", "Requests that wait here for it.", ["class", "endpoint"])
        self._limit = gauge("endpoint_limit", "Most requests at once from here.", ["class", "endpoint"])

    def _create_release_metrics(self) -> None:
        counter, gauge = self._counter, self._gauge
        self._canary_stopped = gauge(
            "canary_stopped",
            "Whether a canary was stopped because it failed.",
            ["class", "workload", "model"],
        )
        self._dropped_outcomes = counter(
            "release_outcomes_dropped",
            "Requests that are missing in the outcomes of a release.",
            ["class", "workload", "model"],
        )
        self._canary_percent = gauge(
            "canary_percent",
            "Share of people and conversations that a canary gets from this copy, in percent.",
            ["class", "workload", "model"],
        )
        self._invalid_moves = gauge(
            "release_moves_invalid",
            "Moves of a canary's release that do not count: nobody who may signed them, or they are out of order.",
            ["class", "workload", "model"],
        )
        self._shadows = counter(
            "shadow_requests",
            "Copies of requests for a canary, by outcome, which no other metric of requests has.",
            ["class", "workload", "model", "outcome"],
        )
        self._judged_answers = counter(
            "judged_answers",
            "Answers of a release that were in the sample for its judge, by outcome.",
            ["class", "workload", "model", "outcome"],
        )

    def entered(self) -> None:
        """Count a request that begins."""
        self._in_flight.inc()

    def refused_client(self) -> None:
        """Count a connection that was closed because of the name in its certificate."""
        self._refused_clients.inc()

    def refused_address(self) -> None:
        """Count a connection that was closed because of the address that it came from."""
        self._refused_addresses.inc()

    def unsent(self, endpoint: WatchedEndpoint) -> None:
        """Count a request that an endpoint did not accept."""
        self._unsent.labels(self._class, endpoint.name).inc()

    def batch_line(self, result: str, count: int) -> None:
        """Count lines of batches: succeeded, failed or sent_again."""
        self._batch_lines.labels(self._class, result).inc(count)

    def fallback(self, exchange: Exchange) -> None:
        """Count a request that goes to another model."""
        self._fallbacks.labels(*self._labels(exchange), exchange.fallback).inc()

    def add(self, exchange: Exchange, seconds: float) -> None:
        """Count a request that has ended."""
        self._in_flight.dec()
        if exchange.evaluates:
            self._evaluations.labels(
                self._class, exchange.workload, exchange.model, exchange.variant, str(exchange.status)
            ).inc()
            return
        labels = self._labels(exchange)
        self._requests.labels(*labels, str(exchange.status)).inc()
        self._times.add(labels, exchange, seconds)
        if exchange.code != "ok":
            self._refusals.labels(*labels, exchange.code).inc()
        for kind, count in (("prompt", exchange.prompt_tokens), ("completion", exchange.completion_tokens)):
            if count is not None:
                self._tokens.labels(*labels, kind).inc(count)
        if exchange.cached_tokens is not None:
            self._cached.labels(self._class, exchange.endpoint).inc(exchange.cached_tokens)
            self._cacheable.labels(self._class, exchange.endpoint).inc(exchange.prompt_tokens or 0)
        if exchange.gpu_seconds is not None:
            self._gpu.labels(*labels, exchange.endpoint).inc(exchange.gpu_seconds)
        if exchange.usd is not None:
            self._cost.labels(*labels, exchange.endpoint).inc(exchange.usd)

    def watch(self, endpoint: WatchedEndpoint) -> None:
        """Export an endpoint's state, which is read at each scrape."""
        labels = (self._class, endpoint.name)
        self._good.labels(*labels).set_function(lambda: endpoint.good)
        self._running.labels(*labels).set_function(lambda: endpoint.running)
        self._waiting.labels(*labels).set_function(lambda: endpoint.waiting)
        for state in endpoint.replica_states or ():
            self._replicas.labels(*labels, state).set_function(
                lambda state=state: (endpoint.replica_states or {}).get(state, 0)
            )
        if endpoint.replica_states is not None:
            self._unresolved.labels(*labels).set_function(lambda: not endpoint.is_resolved)
        self._queued.labels(*labels).set_function(lambda: endpoint.queued)
        if endpoint.limit is not None:
            self._limit.labels(*labels).set_function(lambda: endpoint.limit or 0)

    def watch_models(self) -> ModelProbeMetrics:
        """The metrics of probes that ask models."""
        return ModelProbeMetrics(self._class, self._registry)

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

    def outbox_oldest(self) -> Callable[[float], None]:
        """Export the age of the oldest notification that waits. Returns what sets it, in seconds."""
        gauge = self._gauge(
            "outbox_oldest_seconds", "Age of the oldest notification that waits.", ["class"]
        ).labels(self._class)
        return gauge.set

    def held_ages(self) -> Callable[[Mapping[str, tuple[float, float]]], None]:
        """Export how long held answers wait. Returns what sets it: for each workload with such answers, the age of the
        oldest and how long the first deadline of one is past, in seconds. Workloads that it no longer names get 0.
        """
        labels = ["class", "workload"]
        oldest = self._gauge("held_oldest_seconds", "Age of the oldest held answer that waits.", labels)
        overdue = self._gauge(
            "held_overdue_seconds", "Since when the first deadline of a held answer is past.", labels
        )
        known: set[str] = set()

        def set_ages(ages: Mapping[str, tuple[float, float]]) -> None:
            known.update(ages)
            for workload in known:
                age, past = ages.get(workload, (0.0, 0.0))
                oldest.labels(self._class, workload).set(age)
                overdue.labels(self._class, workload).set(past)

        return set_ages

    def watch_certificate(self, name: str, left_s: Callable[[], float]) -> None:
        """Export the seconds until one of the process's certificates expires."""
        self._certificates.labels(self._class, name).set_function(left_s)

    def note_key_ends(self, workload: str, first: float | None, last: float) -> None:
        """Export the seconds until a workload's first and last key expire. `first` None: no key is valid."""
        for key, left_s in (("first", first), ("last", last)):
            if left_s is not None:
                self._keys.labels(self._class, workload, key).set(left_s)
            else:
                with contextlib.suppress(KeyError):
                    self._keys.remove(self._class, workload, key)

    def note_month_used(self, owner: str, unit: str, share: float) -> None:
        """Export the used share of a limit for a month. `owner`: `workload NAME` or `team NAME`."""
        of, _, name = owner.partition(" ")
        self._month.labels(self._class, of, name, unit).set(share)

    def note_stop(self, workload: str, *, is_stopped: bool) -> None:
        """Export whether a workload is stopped."""
        self._stopped.labels(self._class, workload).set(is_stopped)

    def note_canary(self, workload: str, model: str, *, is_stopped: bool) -> None:
        """Export whether the canary of a workload's model is stopped."""
        self._canary_stopped.labels(self._class, workload, model).set(is_stopped)

    def drop_outcome(self, workload: str, model: str) -> None:
        """Count a request that is missing in the outcomes of a release."""
        self._dropped_outcomes.labels(self._class, workload, model).inc()

    def note_canary_percent(self, workload: str, model: str, percent: float) -> None:
        """Export the share that a canary gets now."""
        self._canary_percent.labels(self._class, workload, model).set(percent)

    def note_invalid_moves(self, workload: str, model: str, count: int) -> None:
        """Export how many moves of a release do not count."""
        self._invalid_moves.labels(self._class, workload, model).set(count)

    def shadow(self, workload: str, model: str, outcome: str) -> None:
        """Count a request that was in the share for the shadow: answered, failed, refused or dropped."""
        self._shadows.labels(self._class, workload, model, outcome).inc()

    def judged_answer(self, workload: str, model: str, outcome: str) -> None:
        """Count an answer that was in the sample for a judge: judged, failed, ungraded, limited or dropped."""
        self._judged_answers.labels(self._class, workload, model, outcome).inc()

    def _labels(self, exchange: Exchange) -> tuple[str, str, str, str, str]:
        return self._class, exchange.team, exchange.workload, exchange.model, exchange.variant

    def _counter(self, name: str, description: str, labels: list[str]) -> Counter:
        return Counter(f"isthmus_{name}", description, labels, registry=self._registry)

    def _gauge(self, name: str, description: str, labels: list[str]) -> Gauge:
        return Gauge(f"isthmus_{name}", description, labels, registry=self._registry)

    def text(self) -> bytes:
        """The metrics in the Prometheus exposition format, version 0.0.4."""
        return generate_latest(self._registry)
