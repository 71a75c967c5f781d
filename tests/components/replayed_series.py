"""Six hours of metrics of the bank's on-prem site, as Prometheus would have scraped them: the same every time.

The gateways' texts come from `edge.metrics` itself, so a renamed metric is missing here too. Those of other processes
and projects have the names of their sources (`metric_names`), with values from the same story: for the last hour one
of the two replicas of the confidential model is away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from edge.config.gateway import Slo
from edge.exchange import Exchange
from edge.metrics import Metrics
from isthmus.contracts.platform.lookups.usage import ledger_of
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Workload
from tests.components import dashboard_platform

START_S, STEP_S, MINUTES = 1_796_104_800, 120, 360
"""Tuesday 2026-12-01, 06:00 UTC, and a scrape every two minutes until 12:00."""
END_S = START_S + MINUTES * 60
FAULT = 300
"""Minute from which a replica of the confidential model is away."""
FAULTY = "confidential"
_PORT = 8443
_SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Sample = tuple[str, dict[str, str], float]


@dataclass
class WatchedEndpoint:
    """What the gateway exports of an endpoint, with the values of the current minute."""

    name: str
    limit: int | None
    queued: int = 0
    running: int = 0
    waiting: int = 0
    good: bool = True
    is_resolved: bool = True
    replica_states: dict[str, int] | None = field(default_factory=lambda: {"good": 2, "bad": 0})


def noise(*key: object) -> float:
    """A number from 0 to 1 that a key always has."""
    return crc32(repr(key).encode()) / 2**32


def load(minute: int) -> float:
    """How busy the site is, from 0.4 to 1: the morning's rise."""
    return 0.7 - 0.3 * math.cos(2 * math.pi * minute / 600)


class GatewayReplay:
    """One gateway's own metrics, driven by requests of the story."""

    def __init__(self, gateway: Gateway, endpoint: Endpoint) -> None:
        (self._workload,) = gateway.workloads
        self._class, self._endpoint = gateway.class_, endpoint
        service, port = endpoint.id if endpoint.pool else f"{self._class}-translator", _PORT
        self._watched = WatchedEndpoint(f"{service}.isthmus-{self._class}.svc:{port}", 64)
        slo = self._workload.slo
        assert slo is not None
        goals = Slo(**slo.model_dump(exclude={"availability"}))
        self._metrics = Metrics(self._class, [goals])
        self._metrics.watch(self._watched)
        self._unsealed, self._open, self._written = 5.0, 0, 0
        self._probes = self._metrics.watch_models() if endpoint.pool else None
        records = self._metrics.watch_audit(lambda: self._unsealed)
        self._records, _, _ = records
        for name, days in (("gateway", 61), ("models", 12)):
            self._metrics.watch_certificate(name, lambda days=days: days * 86400.0)
        self._metrics.note_key_ends(self._workload.name, 9 * 86400.0, 80 * 86400.0)
        self._metrics.note_stop(self._workload.name, is_stopped=False)

    def step(self, minute: int) -> Iterator[Sample]:
        """The samples at a minute, after the requests since the scrape before."""
        busy, is_faulty = load(minute), self._class == FAULTY and minute >= FAULT
        count = round((36 + 28 * noise(self._class)) * busy)
        opened = round(9 * busy + 3 * noise("open", self._class, minute))
        for _ in range(count + opened - self._open):
            self._metrics.entered()
        self._open = opened
        for number in range(count):
            self._request(minute, number, is_faulty)
        self._records.inc(count)
        self._written += count
        self._unsealed = 4 + 20 * noise(self._class, minute)
        self._watched.running = round(busy * 30)
        self._watched.queued = round(18 * noise("queued", minute)) if is_faulty else 0
        self._watched.replica_states = {"good": 1, "bad": 1} if is_faulty else {"good": 2, "bad": 0}
        self._probe(minute, is_faulty)
        spent = 0.71 + 0.02 * minute / MINUTES
        self._metrics.note_month_used("team onboarding", "usd", spent)
        self._metrics.note_month_used(f"workload {self._workload.name}", "tokens", spent - 0.2)
        if minute % 98 == 6:
            self._metrics.refused_client()
        if minute % 182 == 8:
            self._metrics.refused_address()
        if is_faulty and minute % 4:
            self._metrics.unsent(self._watched)
        yield from _scraped(self._metrics.text().decode(), self._class)
        sealer = {**_target(f"isthmus-{self._class}-sealer", f"{self._class}-sealer", "sealer")}
        yield "isthmus_sealed_records_total", {**sealer, "endpoint": "health"}, self._written - opened

    def _probe(self, minute: int, is_faulty: bool) -> None:
        """One probe at each scrape. The replica that is away is not healthy, so it is not asked."""
        if self._probes is None:
            return
        place = self._watched.name, self._endpoint.model
        seconds = (0.08 + 0.04 * load(minute)) * (2.4 if is_faulty else 1)
        self._probes.add(*place, "ok", seconds + 0.02 * noise("probe", self._class, minute))
        self._probes.note(*place, failures=0, replicas=0)

    def _request(self, minute: int, number: int, is_faulty: bool) -> None:
        workload: Workload = self._workload
        slo, chance = workload.slo, noise(self._class, minute, number)
        assert slo is not None
        assert slo.ttft_p95_ms is not None
        assert slo.tpot_p95_ms is not None
        exchange = Exchange("POST", workload=workload.name, team=workload.team or "")
        exchange.model, exchange.endpoint = self._endpoint.model, self._watched.name
        exchange.code, exchange.status = self._result(chance, is_faulty, minute, number)
        if exchange.code != "ok":
            self._metrics.add(exchange, 0.4)
            return
        if workload.canary is not None and noise("canary", minute, number) < 0.05:
            exchange.variant = "canary"
        slower = 2.6 if is_faulty else 0.7 + 0.5 * load(minute)
        exchange.prompt_tokens = 400 + round(1200 * noise("prompt", minute, number))
        exchange.completion_tokens = 60 + round(240 * noise("answer", minute, number))
        exchange.cached_tokens = round(exchange.prompt_tokens * 0.35)
        exchange.queued_s = 0.9 * chance if is_faulty else 0.002
        exchange.first_token_s = slo.ttft_p95_ms / 1000 * (0.25 + 0.4 * chance) * slower
        per_token_s = slo.tpot_p95_ms / 1000 * (0.45 + 0.3 * chance) * (slower if is_faulty else 1)
        exchange.last_token_s = exchange.first_token_s + per_token_s * exchange.completion_tokens
        price = self._endpoint.cost
        assert price is not None
        if price.usd_per_gpu_hour is not None:
            exchange.gpu_seconds = exchange.last_token_s * 0.4
            exchange.usd = exchange.gpu_seconds * price.usd_per_gpu_hour / 3600
        elif price.usd_per_million_tokens is not None:
            of_tokens = price.usd_per_million_tokens
            exchange.usd = exchange.prompt_tokens * of_tokens.prompt / 1e6
            exchange.usd += exchange.completion_tokens * of_tokens.completion / 1e6
        self._metrics.add(exchange, exchange.last_token_s)

    def _result(self, chance: float, is_faulty: bool, minute: int, number: int) -> tuple[str, int]:
        """Code and status of a request."""
        if is_faulty and chance > 0.92:
            return "model_busy", 429
        for code, status, of in (
            ("invalid_api_key", 401, 400),
            ("content_blocked", 400, 500),
            ("review_unproven", 503, 2000),
            ("rate_limited", 429, 700),
        ):
            if crc32(f"{self._class}/{minute}/{number}/{code}".encode()) % of == 0:
                return code, status
        return "ok", 200


def _scraped(text: str, sensitivity: str) -> Iterator[Sample]:
    """The samples of a gateway's text with the labels of a PodMonitor."""
    namespace, service = f"isthmus-{sensitivity}", f"{sensitivity}-gateway"
    target = {**_target(namespace, service, f"{service}-7d9c5-a"), "endpoint": "health"}
    for name, written, value in _SAMPLE.findall(text):
        if name.startswith("process_"):
            continue  # this process's own
        labels = dict(_LABEL.findall(written))
        if "endpoint" in labels:
            labels["exported_endpoint"] = labels.pop("endpoint")
        yield name, {**labels, **target}, float(value)


def _target(namespace: str, name: str, pod: str) -> dict[str, str]:
    return {"job": f"{namespace}/{name}", "namespace": namespace, "pod": pod}


def _of_pods(minute: int) -> Iterator[Sample]:
    """What Prometheus itself and other processes export about the pods of each class."""
    platform = dashboard_platform.platform()
    for gateway in platform.gateways:
        sensitivity = gateway.class_
        namespace, name = f"isthmus-{sensitivity}", f"{sensitivity}-gateway"
        for pod in "ab":
            target = _target(namespace, name, f"{name}-7d9c5-{pod}")
            yield "up", {**target, "endpoint": "health"}, 1
            # The integral of 0.2 + 0.3 * load.
            cpu = 60 * (0.41 * minute - 0.09 * 600 / (2 * math.pi) * math.sin(2 * math.pi * minute / 600))
            cpu *= 0.8 + 0.2 * noise(sensitivity, pod)
            yield "process_cpu_seconds_total", {**target, "endpoint": "health"}, cpu
        for service, port in (("translator", "health"), ("resolver", "metrics")):
            service = f"{sensitivity}-{service}"
            yield "up", {**_target(namespace, service, f"{service}-a"), "endpoint": port}, 1
        target = {**_target(f"{namespace}-sealer", f"{sensitivity}-sealer", "sealer"), "endpoint": "health"}
        yield from (
            ("up", target, 1),
            ("isthmus_sealer_up", target, 1),
            ("isthmus_audit_alarms", target, 0),
        )
        if gateway.screening is not None:
            target = {**_target(namespace, name, f"{name}-7d9c5-a"), "endpoint": "detector"}
            yield from (
                ("up", target, 1),
                ("isthmus_detections_total", target, minute * 40),
                ("isthmus_detections_slow_total", target, minute // 170),
                ("isthmus_detections_lost_total", target, minute // 250),
            )
        if ledger_of(gateway) is not None:
            yield from _of_loader(gateway, minute)
        if gateway.reviews is not None:
            yield from _of_reviews(gateway, minute)
    yield from _of_calibrations(minute)


def _of_loader(gateway: Gateway, minute: int) -> Iterator[Sample]:
    """What the loader of a class's usage ledger exports."""
    sensitivity = gateway.class_
    namespace, name = f"isthmus-{sensitivity}-loader", f"{sensitivity}-loader"
    target = {**_target(namespace, name, "loader"), "endpoint": "health"}
    yield "up", target, 1
    target = {**target, "class": sensitivity}
    yield from (
        ("isthmus_usage_lag_seconds", target, round(30 * noise("lag", sensitivity, minute))),
        ("isthmus_usage_seal_age_seconds", target, 20 + round(60 * noise("seal", sensitivity, minute))),
        ("isthmus_usage_failures_total", target, 0),
    )


def _of_reviews(gateway: Gateway, minute: int) -> Iterator[Sample]:
    """What the review service and the notifier of a class export."""
    sensitivity, (workload,) = gateway.class_, gateway.workloads
    namespace, name = f"isthmus-{sensitivity}-reviews", f"{sensitivity}-reviews"
    target = {**_target(namespace, name, "reviews"), "endpoint": "health", "class": sensitivity}
    waiting = round(6 * noise("outbox", sensitivity, minute // 10))
    yield "up", {key: value for key, value in target.items() if key != "class"}, 1
    yield "isthmus_outbox_oldest_seconds", target, 20 + 40 * waiting
    held = {**target, "workload": workload.name}
    cycle = 70 + round(60 * noise("held", sensitivity))
    yield "isthmus_held_oldest_seconds", held, 60 * (minute % cycle) + 90
    yield "isthmus_held_overdue_seconds", held, 0
    namespace, name = f"isthmus-{sensitivity}-notifier", f"{sensitivity}-notifier"
    target = {**_target(namespace, name, "notifier"), "endpoint": "health"}
    yield "up", target, 1
    target = {**target, "class": sensitivity}
    yield from (
        ("isthmus_outbox_waiting", target, waiting),
        ("isthmus_outbox_dead", target, 0),
        ("isthmus_notifications_sent_total", target, minute // 3),
        ("isthmus_notifications_failed_total", target, minute // 60),
    )


def _of_calibrations(minute: int) -> Iterator[Sample]:
    """As node exporter publishes the file of `isthmus calibrate`."""
    labels = {
        "workload": "kyc-extraction",
        "model": "llama-3-1-8b",
        "kind": "logprobs",
        "job": "node-exporter",
    }
    yield from (
        ("isthmus_calibration_drift", labels, 0),
        ("isthmus_calibration_judged", labels, 412),
        ("isthmus_calibration_acceptance_ratio", labels, 0.957),
        ("isthmus_calibration_passing_error_ratio", labels, 0.021),
        ("isthmus_calibration_checked_timestamp_seconds", labels, START_S - 3 * 86400),
    )


def _of_engines(minute: int) -> Iterator[Sample]:
    """vLLM's metrics of each replica, and DCGM's of its GPUs."""
    busy, machine = load(minute), 0
    for endpoint in dashboard_platform.platform().endpoints:
        if endpoint.pool is None:
            continue
        namespace, is_hit = f"isthmus-{endpoint.class_}", endpoint.class_ == FAULTY and minute >= FAULT
        for replica in range(endpoint.replicas):
            pod, machine = f"{endpoint.id}-5f6b8-{replica}", machine + 1
            target = {**_target(namespace, endpoint.id, pod), "endpoint": "health"}
            is_away = is_hit and replica == 0
            yield "up", target, 0 if is_away else 1
            if is_away:
                continue
            engine = {**target, "model_name": endpoint.model, "engine": "0"}
            cache = min(0.985, 0.35 + 0.4 * busy + (0.3 if is_hit else 0) + 0.03 * noise(pod, minute))
            yield from (
                ("vllm:kv_cache_usage_perc", engine, cache),
                ("vllm:num_requests_running", engine, round(14 * busy)),
                ("vllm:num_requests_waiting", engine, round(24 * noise(minute)) if is_hit else 0),
                ("vllm:num_preemptions_total", engine, max(0, minute - FAULT) * 2 if is_hit else 0),
                ("vllm:prompt_tokens_total", engine, minute * 60 * 900),
                ("vllm:generation_tokens_total", engine, minute * 60 * (180 + 60 * noise(pod))),
            )
            for gpu in range(endpoint.tensor_parallel):
                place = {"Hostname": f"gpu-{machine // 5 + 1}", "gpu": str((machine * 2 + gpu) % 8)}
                yield from _of_gpu(namespace, pod, place, busy, minute)
    yield "kueue_pending_workloads", _kueue("active"), 1 if minute >= FAULT else 0
    yield "kueue_pending_workloads", _kueue("inadmissible"), 0


def _kueue(status: str) -> dict[str, str]:
    return {"cluster_queue": "fra1-h100-sxm-80gb", "status": status, "job": "kueue"}


def _of_gpu(namespace: str, pod: str, place: dict[str, str], busy: float, minute: int) -> Iterator[Sample]:
    labels = {"exported_namespace": namespace, "exported_pod": pod, "job": "nvidia-dcgm-exporter", **place}
    wave = noise(pod, place["gpu"], minute // 5)
    yield from (
        ("DCGM_FI_DEV_GPU_UTIL", labels, round(100 * min(1, busy * (0.75 + 0.25 * wave)))),
        ("DCGM_FI_DEV_GPU_TEMP", labels, round(48 + 22 * busy + 6 * wave)),
        ("DCGM_FI_DEV_FB_USED", labels, 73_000),
        ("DCGM_FI_DEV_FB_FREE", labels, 8_000),
        ("DCGM_FI_DEV_POWER_USAGE", labels, round(180 + 380 * busy + 40 * wave)),
        ("DCGM_FI_DEV_XID_ERRORS", labels, 0),
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE", labels, 0),
    )


def samples() -> Iterator[tuple[int, Sample]]:
    """Every sample with its time in seconds, minute after minute."""
    platform = dashboard_platform.platform()
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    gateways = [
        GatewayReplay(gateway, endpoints[gateway.workloads[0].endpoint]) for gateway in platform.gateways
    ]
    for minute in range(0, MINUTES + 1, STEP_S // 60):
        at = START_S + minute * 60
        for gateway in gateways:
            yield from ((at, sample) for sample in gateway.step(minute))
        yield from ((at, sample) for sample in _of_pods(minute))
        yield from ((at, sample) for sample in _of_engines(minute))


def openmetrics(timed: Iterable[tuple[int, Sample]]) -> Iterator[str]:
    """Lines as promtool takes them."""
    for at, (name, labels, value) in timed:
        text = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels) if labels[key])
        yield f"{name}{{{text}}} {value:.10g} {at}\n"
    yield "# EOF\n"
