"""For each alert: series that fire it, and series for which it stays silent.

Values are written as promtool reads them: `0+10x60` is 0, 10, 20 … in 61 steps of a minute. Class `confidential`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMESPACE = "isthmus-confidential"
GATEWAY = f'job="{NAMESPACE}/confidential-gateway"'
MODEL = f'job="{NAMESPACE}/confidential-llama-3-1-8b"'
SEALER = f'job="{NAMESPACE}-sealer/confidential-sealer"'
LOADER = f'job="{NAMESPACE}-loader/confidential-loader"'
REVIEWS = f'job="{NAMESPACE}-reviews/confidential-reviews"'
NOTIFIER = f'job="{NAMESPACE}-notifier/confidential-notifier"'
WORKLOAD = f'{GATEWAY},workload="kyc-extraction"'
HOST = 'exported_endpoint="confidential-llama-3-1-8b:8443"'
GOOD = f'isthmus_endpoint_good{{{{{GATEWAY},{HOST},pod="{{pod}}"}}}}'
MONTH = f'isthmus_month_used_ratio{{{GATEWAY},of="team",limited="onboarding",unit="usd"}}'
TEAM_OWNS = 'owner="onboarding",team="onboarding"'
GPU = 'Hostname="gpu-1",gpu="3"'
WAITS = "kube_pod_container_status_waiting_reason"
DAY_S = 86400

Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """An alert, and series of both kinds."""

    alert: str
    severity: str
    fires: Series
    silent: Series
    at: str = "20m"
    """When both are looked at."""
    step: str = "1m"
    which: str = ""
    """Further labels of the alert, where several have its name."""
    why: str = ""
    """Why the second kind is no reason to alert."""

    @property
    def id(self) -> str:
        return " ".join(part for part in (self.alert, self.severity, self.which, self.why) if part)


def _up(job: str, *values: str, port: str = "health") -> Series:
    return {
        f'up{{{job},endpoint="{port}",pod="{pod}"}}': value
        for pod, value in zip("abcd", values, strict=False)
    }


UP, DOWN = "1+0x60", "1 1 1 1 1 1 1 1 1 1 0+0x50"
"""Answers every scrape; answers none from the tenth minute on."""


def _service(name: str, job: str, port: str = "health") -> Case:
    return Case(
        "ServiceDown", "ticket", _up(job, DOWN, port=port), _up(job, UP, port=port), which=f'service="{name}"'
    )


def _failures(*values: str) -> Series:
    """Failed probes in a row of one model, by copy of the gateway."""
    return {
        f'isthmus_model_probe_failures{{{GATEWAY},{HOST},served_model="llama",pod="{pod}"}}': value
        for pod, value in zip("ab", values, strict=False)
    }


def _failed_replicas(*numbers: int) -> Series:
    """Replicas of one model that did not answer, by copy of the gateway."""
    return {
        f'isthmus_model_probe_failed_replicas{{{GATEWAY},{HOST},served_model="llama",pod="{pod}"}}': f"{number}+0x60"
        for pod, number in zip("ab", numbers, strict=False)
    }


def _counter(series: str, per_minute: float, steps: int = 400) -> Series:
    return {series: f"0+{per_minute}x{steps}"}


def _requests(
    per_minute: float, failing: float, steps: int = 400, *, code: str = "model_unavailable"
) -> Series:
    return {
        **_counter(f'isthmus_requests_total{{{WORKLOAD},variant=""}}', per_minute, steps),
        **_counter(f'isthmus_refusals_total{{{WORKLOAD},variant="",code="{code}"}}', failing, steps),
    }


def _times(metric: str, goal_s: str, per_minute: float, late: float, steps: int = 400) -> Series:
    histogram = f"isthmus_{metric}_seconds"
    return {
        **_counter(f"{histogram}_count{{{WORKLOAD}}}", per_minute, steps),
        **_counter(f'{histogram}_bucket{{{WORKLOAD},le="{goal_s}"}}', per_minute - late, steps),
        **_counter(f'{histogram}_bucket{{{WORKLOAD},le="+Inf"}}', per_minute, steps),
    }


def _goal(alert: str, metric: str, goal_s: str) -> list[Case]:
    """Of a goal that 95 % of requests keep: 72 % late is 14.4 times the budget, 15 % late is 3 times."""
    days = {"at": "26h", "step": "5m"}
    return [
        Case(alert, "page", _times(metric, goal_s, 1, 0.8), _times(metric, goal_s, 1, 0.2), at="1h"),
        Case(
            alert,
            "page",
            _times(metric, goal_s, 1, 0.8),
            _times(metric, goal_s, 0.15, 0.14),
            at="1h",
            why="quiet",
        ),
        Case(
            alert,
            "page",
            _times(metric, goal_s, 1, 0.4),
            _times(metric, goal_s, 1, 0.2),
            at="6h30m",
            why="6h",
        ),
        Case(alert, "ticket", _times(metric, goal_s, 1, 0.2), _times(metric, goal_s, 1, 0.02), **days),
    ]


BURNS = [
    Case("AvailabilityBudgetBurns", "page", _requests(10, 1), _requests(10, 0.05), at="1h"),
    Case("AvailabilityBudgetBurns", "page", _requests(10, 1), _requests(1, 0.15), at="1h", why="quiet night"),
    Case("AvailabilityBudgetBurns", "page", _requests(10, 0.08), _requests(10, 0.04), at="6h30m", why="6h"),
    Case(
        "AvailabilityBudgetBurns",
        "page",
        _requests(10, 1, code="model_busy"),
        _requests(10, 1, code="workload_stopped"),
        at="1h",
        why="stopped",
    ),
    Case(
        "AvailabilityBudgetBurns",
        "page",
        _requests(10, 1, code="stream_cut"),
        _requests(10, 1, code="rate_limited"),
        at="1h",
        why="limits of the caller",
    ),
    Case("AvailabilityBudgetBurns", "ticket", _requests(50, 0.2), _requests(50, 0.02), at="26h", step="5m"),
    *_goal("FirstTokenBudgetBurns", "time_to_first_token", "1.5"),
    *_goal("NextTokenBudgetBurns", "time_per_output_token", "0.04"),
    *_goal("AnswerTimeBudgetBurns", "request_duration", "20.0"),
]


def _gauge(alert: str, series: str, bad: float, good: float, *, at: str = "20m", which: str = "") -> Case:
    return Case(alert, "ticket", {series: f"{bad}+0x60"}, {series: f"{good}+0x60"}, at=at, which=which)


GATEWAYS = [
    Case("GatewayDown", "page", _up(GATEWAY, DOWN, DOWN), _up(GATEWAY, UP, DOWN)),
    Case("GatewayDown", "page", {}, _up(GATEWAY, "1+0x15 0 1+0x40"), why="one failed scrape"),
    Case("GatewayCopiesMissing", "ticket", _up(GATEWAY, UP, DOWN), _up(GATEWAY, UP, UP), at="30m"),
    Case(
        "CallersNotRecognised",
        "page",
        _counter(f'isthmus_refusals_total{{{GATEWAY},workload="",code="accounts_unavailable"}}', 5),
        _counter(f'isthmus_refusals_total{{{GATEWAY},workload="",code="invalid_api_key"}}', 5),
    ),
    Case(
        "CallersNotRecognised",
        "page",
        _counter(f'isthmus_refusals_total{{{GATEWAY},workload="",code="keys_unreadable"}}', 5),
        _counter(f'isthmus_refusals_total{{{GATEWAY},workload="",code="keys_unreadable"}}', 1),
        why="quiet night",
    ),
    _gauge("WorkloadStopped", f"isthmus_workload_stopped{{{WORKLOAD}}}", 1, 0),
    Case(
        "EndpointNotGood",
        "ticket",
        {f'isthmus_endpoint_good{{{GATEWAY},{HOST},pod="{pod}"}}': "0+0x60" for pod in "ab"},
        {
            f'isthmus_endpoint_good{{{GATEWAY},{HOST},pod="{pod}"}}': f"{good}+0x60"
            for pod, good in (("a", 0), ("b", 1))
        },
    ),
    Case("ModelNotAnswering", "page", _failures("0 0 1 2", "0 1 2 3"), _failures("0+0x9", "0+0x9"), at="3m"),
    Case(
        "ModelNotAnswering",
        "page",
        _failures("0 0 1 2", "0 1 2 3"),
        _failures("0 0 0 1", "0 0 0 1"),
        at="3m",
        why="one failed probe",
    ),
    Case(
        "ModelNotAnswering",
        "page",
        _failures("0+1x9"),
        _failures("0+1x9", "0+0x9"),
        at="8m",
        why="one copy cannot reach it",
    ),
    Case("ModelNotAnswering", "page", _failures("0+1x9"), {}, at="8m", why="not probed"),
    Case(
        "ModelAnswersPartly",
        "ticket",
        {**_failures("0+0x60", "0+0x60"), **_failed_replicas(1, 0)},
        {**_failures("2+1x60", "2+1x60"), **_failed_replicas(2, 2)},
        why="it answers nobody",
    ),
    Case(
        "ModelAnswersPartly",
        "ticket",
        {**_failures("0+1x60", "0+0x60"), **_failed_replicas(2, 0)},
        {**_failures("0+0x60", "0+0x60"), **_failed_replicas(0, 0)},
    ),
    _gauge("EndpointNotResolved", f"isthmus_endpoint_unresolved{{{GATEWAY},{HOST}}}", 1, 0),
    _gauge("ReplicaBad", f'isthmus_endpoint_replicas{{{GATEWAY},{HOST},state="bad"}}', 1, 0),
    Case(
        "RequestsQueue",
        "ticket",
        {
            f"isthmus_endpoint_queued{{{GATEWAY},{HOST}}}": "40+0x60",
            f"isthmus_endpoint_limit{{{GATEWAY},{HOST}}}": "60+0x60",
        },
        {
            f"isthmus_endpoint_queued{{{GATEWAY},{HOST}}}": "20+0x60",
            f"isthmus_endpoint_limit{{{GATEWAY},{HOST}}}": "60+0x60",
        },
    ),
    _gauge("NoValidKeySoon", f'isthmus_key_expires_seconds{{{WORKLOAD},key="last"}}', 13 * DAY_S, 15 * DAY_S),
    _gauge("KeyEndsSoon", f'isthmus_key_expires_seconds{{{WORKLOAD},key="first"}}', 2 * DAY_S, 4 * DAY_S),
    _gauge(
        "CertificateEndsSoon",
        f'isthmus_certificate_expires_seconds{{{GATEWAY},certificate="listen"}}',
        2 * DAY_S,
        10 * DAY_S,
    ),
    _gauge("RecordsNotSealed", f"isthmus_audit_unsealed_seconds{{{GATEWAY}}}", 100, 60),
    Case(
        "RecordsNotWritten",
        "ticket",
        {f"isthmus_audit_failures_total{{{GATEWAY}}}": "0+0x10 1+0x50"},
        {f"isthmus_audit_failures_total{{{GATEWAY}}}": "1+0x60"},
    ),
    _gauge(
        "MonthNearlyUsed",
        f'isthmus_month_used_ratio{{{GATEWAY},of="team",limited="onboarding",unit="usd"}}',
        0.9,
        0.7,
        which=TEAM_OWNS,
    ),
    _gauge("MonthUsed", MONTH, 1, 0.99, which=TEAM_OWNS),
    Case(
        "DetectorDown",
        "page",
        {**_up(GATEWAY, UP), **_up(GATEWAY, DOWN, port="detector")},
        {**_up(GATEWAY, DOWN), **_up(GATEWAY, UP, port="detector")},
    ),
    Case(
        "DetectionsSlow",
        "ticket",
        _counter(f"isthmus_detections_slow_total{{{GATEWAY}}}", 1),
        _counter(f"isthmus_detections_slow_total{{{GATEWAY}}}", 0.5),
    ),
    Case(
        "DetectionsLost",
        "ticket",
        _counter(f"isthmus_detections_lost_total{{{GATEWAY}}}", 0.3),
        _counter(f"isthmus_detections_lost_total{{{GATEWAY}}}", 0.1),
    ),
    Case(
        "CanaryFails",
        "ticket",
        {
            **_requests(100, 1),
            **_counter(f'isthmus_requests_total{{{WORKLOAD},variant="canary"}}', 5),
            **_counter(f'isthmus_refusals_total{{{WORKLOAD},variant="canary",code="bad_gateway"}}', 1),
        },
        {
            **_requests(100, 20),
            **_counter(f'isthmus_requests_total{{{WORKLOAD},variant="canary"}}', 5),
            **_counter(f'isthmus_refusals_total{{{WORKLOAD},variant="canary",code="bad_gateway"}}', 1),
        },
        at="1h",
        why="both fail",
    ),
    _gauge("CanaryStopped", f"isthmus_canary_stopped{{{WORKLOAD}}}", 1, 0),
    _gauge("CalibrationDrifted", 'isthmus_calibration_drift{workload="kyc-extraction",model="llama"}', 1, 0),
    Case(
        "CalibrationNotChecked",
        "ticket",
        {'isthmus_calibration_checked_timestamp_seconds{workload="kyc-extraction"}': f"{-15 * DAY_S}+0x60"},
        {'isthmus_calibration_checked_timestamp_seconds{workload="kyc-extraction"}': "0+0x60"},
    ),
]

SERVICES = [
    _service("translator", f'job="{NAMESPACE}/confidential-translator"'),
    _service("resolver", f'job="{NAMESPACE}/confidential-resolver"', "metrics"),
    _service("loader", LOADER),
    _gauge("UsageNotLoaded", f"isthmus_usage_lag_seconds{{{LOADER}}}", 901, 899),
    _service("reviews", REVIEWS),
    _service("notifier", NOTIFIER),
    Case(
        "ServiceDown",
        "page",
        {f"isthmus_sealer_up{{{SEALER}}}": DOWN},
        {f"isthmus_sealer_up{{{SEALER}}}": UP},
        which='service="sealer"',
    ),
    _gauge("RecordsLostOrBroken", f"isthmus_audit_alarms{{{SEALER}}}", 1, 0),
    _gauge("OutboxStalls", f"isthmus_outbox_oldest_seconds{{{REVIEWS}}}", 1000, 800),
    _gauge(
        "HeldAnswersOverdue", f'isthmus_held_overdue_seconds{{{REVIEWS},workload="kyc-extraction"}}', 60, 0
    ),
    _gauge("NotificationsDead", f"isthmus_outbox_dead{{{NOTIFIER}}}", 1, 0),
]


def _exported(metric: str, labels: str, *, honoured: bool = False) -> str:
    """A series of an exporter of the cluster, about a pod of the class."""
    return f'{metric}{{{"namespace" if honoured else "exported_namespace"}="{NAMESPACE}",{labels}}}'


CAPACITY = [
    Case("ModelDown", "page", _up(MODEL, DOWN, DOWN), _up(MODEL, DOWN, UP)),
    Case("ModelReplicasMissing", "ticket", _up(MODEL, DOWN, UP), _up(MODEL, UP, UP), at="50m"),
    Case(
        "ModelReplicasMissing",
        "ticket",
        _up(MODEL, DOWN, UP),
        _up(MODEL, f"1+0x4 {DOWN}", UP),
        at="42m",
        why="it may load for 30 minutes",
    ),
    _gauge("KvCacheFull", f'vllm:kv_cache_usage_perc{{{MODEL},pod="a"}}', 0.97, 0.9, at="30m"),
    _gauge("ModelQueueLong", f'vllm:num_requests_waiting{{{MODEL},pod="a"}}', 21, 20, at="30m"),
    Case(
        "ModelPutsRequestsBack",
        "ticket",
        _counter(f"vllm:num_preemptions_total{{{MODEL}}}", 1),
        _counter(f"vllm:num_preemptions_total{{{MODEL}}}", 0.5),
    ),
    Case(
        "ScalingFails",
        "ticket",
        _counter(_exported("keda_scaled_object_errors_total", 'scaledObject="confidential-llama-3-1-8b"'), 1),
        _counter(_exported("keda_scaled_object_errors_total", 'scaledObject="another"'), 1),
    ),
    Case(
        "PodCrashes",
        "ticket",
        {
            _exported(
                "kube_pod_container_status_waiting_reason", 'pod="a",reason="CrashLoopBackOff"', honoured=True
            ): UP
        },
        {
            _exported(
                "kube_pod_container_status_waiting_reason",
                'pod="a",reason="ContainerCreating"',
                honoured=True,
            ): UP
        },
    ),
    Case(
        "PodWaits",
        "ticket",
        {_exported("kube_pod_status_phase", 'pod="a",phase="Pending"', honoured=True): UP},
        {_exported("kube_pod_status_phase", 'pod="a",phase="Running"', honoured=True): UP},
        at="45m",
    ),
    Case(
        "CertificateNotRenewed",
        "ticket",
        {
            _exported(
                "certmanager_certificate_expiration_timestamp_seconds", 'name="gateway"'
            ): f"{2 * DAY_S}+0x90"
        },
        {
            _exported(
                "certmanager_certificate_expiration_timestamp_seconds", 'name="gateway"'
            ): f"{9 * DAY_S}+0x90"
        },
        at="80m",
    ),
    Case(
        "CertificateNotRenewed",
        "ticket",
        {_exported("certmanager_certificate_ready_status", 'name="gateway",condition="False"'): "1+0x90"},
        {_exported("certmanager_certificate_ready_status", 'name="gateway",condition="False"'): "0+0x90"},
        at="80m",
        why="ready",
    ),
    Case(
        "GpusAwaited",
        "ticket",
        {
            'kueue_pending_workloads{cluster_queue="fra1-h100-sxm-80gb-confidential",status="active"}': "1+0x60"
        },
        {'kueue_pending_workloads{cluster_queue="fra1-h100-sxm-80gb-restricted",status="active"}': "1+0x60"},
        at="45m",
    ),
    _gauge("GpuFault", _exported("DCGM_FI_DEV_XID_ERRORS", GPU), 79, 13),
    _gauge("GpuMemoryFault", _exported("DCGM_FI_DEV_ROW_REMAP_FAILURE", GPU), 1, 0),
    Case(
        "GpuMemoryFault",
        "ticket",
        {_exported("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", GPU): "2+0x10 3+0x50"},
        {_exported("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", GPU): "3+0x60"},
        why="an old error",
    ),
    Case(
        "GpuMemoryFault",
        "ticket",
        {_exported("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", GPU): "0+0x10 1+0x50"},
        {_exported("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", GPU): "0+0x60"},
        why="no error",
    ),
    _gauge("GpuHot", _exported("DCGM_FI_DEV_GPU_TEMP", GPU), 90, 80),
    Case(
        "GpuSlowedDown",
        "ticket",
        _counter(_exported("DCGM_FI_DEV_THERMAL_VIOLATION", GPU, honoured=True), 10e9),
        _counter(_exported("DCGM_FI_DEV_THERMAL_VIOLATION", GPU, honoured=True), 1e9),
    ),
]

CASES = [*BURNS, *GATEWAYS, *SERVICES, *CAPACITY]
