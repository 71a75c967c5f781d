"""Alerts about a gateway and what it watches: endpoints, keys, certificates, records, limits, detectors, canaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from components.cluster.objects import reviews_namespace
from components.observability.rules import (
    BAD_EVENTS,
    FAILED_PROBES,
    GATEWAY_DOWN,
    PROBES,
    Alert,
    Group,
    job,
    number_up,
)
from components.observability.service_levels import FAILURES
from edge.classes import CLASS_DEMANDS
from isthmus.contracts.platform.lookups.budgets import team_limits
from isthmus.contracts.platform.model.callers import GatewayTeam
from isthmus.contracts.platform.model.platform import Gateway, Platform, Workload

NEARLY_USED = 0.8
"""Share of a limit for a month above which its owner is told."""
KEY_CODES = ("accounts_unavailable", "callers_unreadable", "issuer_unavailable", "keys_unreadable")
"""Codes of refusals before the gateway knows whose request it is."""
_DAY_S = 86400


def gateway_groups(platform: Platform, namespace: str, gateway: Gateway) -> Iterator[Group]:
    """The groups about a gateway in a cluster. `namespace`: of its class."""
    gateway_job = job(namespace, f"{gateway.class_}-gateway")
    yield Group(
        "gateway",
        [
            *_gateway_alerts(gateway_job, gateway),
            *_endpoint_alerts(gateway_job),
            *(_probe_alerts(gateway_job) if platform.monitoring.model_probes else ()),
            *_expiry_alerts(gateway_job),
            *_record_alerts(gateway_job, gateway),
            *_limit_alerts(gateway_job, gateway, team_limits(platform, gateway)),
            *(_detector_alerts(gateway_job) if gateway.screening is not None else ()),
        ],
    )
    for workload in gateway.workloads:
        alerts = [
            *_canary_alerts(gateway_job, workload),
            *_calibration_alerts(workload),
            *(_review_alerts(gateway, workload) if gateway.reviews is not None else ()),
        ]
        if alerts:
            yield Group(f"{workload.name}-answers", alerts)


def _gateway_alerts(gateway_job: str, gateway: Gateway) -> Iterator[Alert]:
    up = number_up(gateway_job)
    yield Alert(
        GATEWAY_DOWN,
        f"{up} == 0",
        "page",
        f"No copy of the gateway of class {gateway.class_} answers",
        "No application of the class gets an answer",
        PROBES,
    )
    yield Alert(
        "GatewayCopiesMissing",
        f"{up} < {gateway.replicas}",
        "ticket",
        f"The gateway of class {gateway.class_} has {{{{ $value }}}} of {gateway.replicas} copies",
        "Nothing yet; the next failure may stop the class",
        "15m",
    )
    refused = f'isthmus_refusals_total{{{gateway_job},workload="",code=~"{"|".join(KEY_CODES)}"}}'
    yield Alert(
        "CallersNotRecognised",
        f"sum(increase({refused}[5m])) >= {BAD_EVENTS}",
        "page",
        f"The gateway of class {gateway.class_} cannot look up keys or sign-ons",
        "Applications with valid keys get status 503",
    )
    yield Alert(
        "WorkloadStopped",
        f"max by (workload) (isthmus_workload_stopped{{{gateway_job}}}) == 1",
        "ticket",
        "Workload {{ $labels.workload }} is stopped",
        "Its users get status 503 until somebody lets it run again",
    )


def _endpoint_alerts(gateway_job: str) -> Iterator[Alert]:
    # Scrapes of a PodMonitor have a label `endpoint` of their own, and rename the metric's.
    by = "by (exported_endpoint)"
    yield Alert(
        "EndpointNotGood",
        f"max {by} (isthmus_endpoint_good{{{gateway_job}}}) == 0",
        "ticket",
        "No copy of the gateway finds {{ $labels.exported_endpoint }} good",
        "Requests go to other endpoints of the workload, or fail",
        "5m",
    )
    yield Alert(
        "EndpointNotResolved",
        f"max {by} (isthmus_endpoint_unresolved{{{gateway_job}}}) == 1",
        "ticket",
        "The name of {{ $labels.exported_endpoint }} lists no replicas",
        "The gateway keeps the replicas that it knew; new ones get no requests",
        "5m",
    )
    yield Alert(
        "ReplicaBad",
        f'max {by} (isthmus_endpoint_replicas{{{gateway_job},state="bad"}}) > 0',
        "ticket",
        "{{ $value }} replicas of {{ $labels.exported_endpoint }} do not answer the gateway",
        "The other replicas do the work, and are slower",
        "15m",
    )
    yield Alert(
        "RequestsQueue",
        f"sum {by} (isthmus_endpoint_queued{{{gateway_job}}})"
        f" > 0.5 * sum {by} (isthmus_endpoint_limit{{{gateway_job}}})",
        "ticket",
        "{{ $value }} requests wait for {{ $labels.exported_endpoint }}, half of what it serves at once",
        "Users wait longer; some requests are refused as busy",
        "15m",
    )


def _probe_alerts(gateway_job: str) -> Iterator[Alert]:
    by, model = (
        "by (exported_endpoint, served_model)",
        "{{ $labels.served_model }} at {{ $labels.exported_endpoint }}",
    )
    # The lowest count: a copy of the gateway that alone cannot reach the model pages nobody.
    fails = f"min {by} (isthmus_model_probe_failures{{{gateway_job}}}) >= {FAILED_PROBES}"
    yield Alert(
        "ModelNotAnswering",
        fails,
        "page",
        f"{model} answers no copy of the gateway",
        "Its workloads get errors or wait in vain, unless another endpoint takes over",
    )
    yield Alert(
        "ModelAnswersPartly",
        f"max {by} (isthmus_model_probe_failed_replicas{{{gateway_job}}}) > 0 unless {fails}",
        "ticket",
        f"{{{{ $value }}}} replicas of {model} do not answer a copy of the gateway",
        "Requests that go there fail or wait",
        "5m",
    )


def _expiry_alerts(gateway_job: str) -> Iterator[Alert]:
    keys, by_workload = "isthmus_key_expires_seconds", "min by (class, workload)"
    yield Alert(
        "NoValidKeySoon",
        f'{by_workload} ({keys}{{{gateway_job},key="last"}}) < 14 * {_DAY_S}',
        "ticket",
        "The last key of workload {{ $labels.workload }} expires in {{ $value | humanizeDuration }}",
        "After that nobody can call the workload with a key",
        "5m",
    )
    yield Alert(
        "KeyEndsSoon",
        f'{by_workload} ({keys}{{{gateway_job},key="first"}}) < 3 * {_DAY_S}',
        "ticket",
        "A key of workload {{ $labels.workload }} expires in {{ $value | humanizeDuration }}",
        "The application with this key gets status 401 from then on",
        "5m",
    )
    yield Alert(
        "CertificateEndsSoon",
        f"min by (class, certificate) (isthmus_certificate_expires_seconds{{{gateway_job}}}) < 3 * {_DAY_S}",
        "ticket",
        "The gateway's certificate {{ $labels.certificate }} expires in {{ $value | humanizeDuration }}",
        "After that callers or model servers refuse the connection",
        "5m",
    )


def _record_alerts(gateway_job: str, gateway: Gateway) -> Iterator[Alert]:
    if gateway.audit is None:
        return
    most = gateway.audit.max_unsealed_s or CLASS_DEMANDS[gateway.class_].unsealed_s_max
    yield Alert(
        "RecordsNotSealed",
        f"max(isthmus_audit_unsealed_seconds{{{gateway_job}}}) > {most // 2 if most else 3600}",
        "ticket",
        "The oldest audit record has waited {{ $value | humanizeDuration }} for its seal",
        f"The gateway refuses requests once it is {most} s"
        if most
        else "Records could be lost with the volume",
        "30s",
    )
    yield Alert(
        "RecordsNotWritten",
        f"sum(increase(isthmus_audit_failures_total{{{gateway_job}}}[15m])) > 0",
        "ticket",
        "A copy of the gateway could not write audit records",
        "Requests whose record cannot be written are refused",
    )


def _limit_alerts(gateway_job: str, gateway: Gateway, teams: Iterable[GatewayTeam]) -> Iterator[Alert]:
    """The alerts of each team and workload with a limit for a month: the team owns them."""
    limited = [("team", team.name, team.allowance) for team in teams]
    limited += [("workload", workload.name, workload.allowance) for workload in gateway.workloads]
    for of, name, allowance in limited:
        if not (allowance.tokens_per_month or allowance.usd_per_month):
            continue
        ratio = f'isthmus_month_used_ratio{{{gateway_job},of="{of}",limited="{name}"}}'
        used = f"max by (of, limited, unit) ({ratio})"
        part = "{{ $value | humanizePercentage }} of its {{ $labels.unit }}"
        yield Alert(
            "MonthNearlyUsed",
            f"{used} > {NEARLY_USED} < 1",
            "ticket",
            f"The {of} {name} has used {part} of this month",
            "At 100 % its requests are refused with status 402",
            "5m",
            {of: name},
        )
        yield Alert(
            "MonthUsed",
            f"{used} >= 1",
            "ticket",
            f"The {of} {name} has used all its {{{{ $labels.unit }}}} of this month",
            "Its requests are refused with status 402 until the month ends",
            "5m",
            {of: name},
        )


def _detector_alerts(gateway_job: str) -> Iterator[Alert]:
    yield Alert(
        "DetectorDown",
        f"{number_up(gateway_job, 'detector')} == 0",
        "page",
        "No detector beside the gateway answers",
        "Requests that must be looked through are refused with status 503",
        PROBES,
    )
    yield Alert(
        "DetectionsSlow",
        f"sum(increase(isthmus_detections_slow_total{{{gateway_job}}}[15m])) >= {BAD_EVENTS}",
        "ticket",
        "The detector gave up {{ $value }} texts in 15 minutes because they took too long",
        "These requests are refused with status 503",
    )
    yield Alert(
        "DetectionsLost",
        f"sum(increase(isthmus_detections_lost_total{{{gateway_job}}}[15m])) >= 3",
        "ticket",
        "The detector replaced {{ $value }} of its processes in 15 minutes",
        "The texts that they looked through are refused; others wait",
    )


def _canary_alerts(gateway_job: str, workload: Workload) -> Iterator[Alert]:
    if workload.canary is None:
        return
    codes = "|".join(FAILURES)

    def count(variant: str, metric: str, more: str = "") -> str:
        selector = f'{gateway_job},workload="{workload.name}",variant{variant}"canary"{more}'
        return f"(sum(increase({metric}{{{selector}}}[30m])) or vector(0))"

    def failed(variant: str) -> str:
        return count(variant, "isthmus_refusals_total", f',code=~"{codes}"')

    def ratio(variant: str) -> str:
        return f"({failed(variant)} / {count(variant, 'isthmus_requests_total')})"

    yield Alert(
        "CanaryFails",
        f"{failed('=')} >= {BAD_EVENTS} and {ratio('=')} > 0.01 + 2 * {ratio('!=')}",
        "ticket",
        f"The canary of workload {workload.name} fails more than twice as often as the version in use",
        f"{workload.canary.share[:1].upper()}{workload.canary.share[1:]} of the workload's people get its errors",
        labels={"workload": workload.name},
    )
    yield Alert(
        "CanaryStopped",
        f'max(isthmus_canary_stopped{{{gateway_job},workload="{workload.name}"}}) == 1',
        "ticket",
        f"Gateways stopped the canary of workload {workload.name}, because it failed too often",
        "Everybody gets the version in use; the release does not go on",
        labels={"workload": workload.name},
    )


def _calibration_alerts(workload: Workload) -> Iterator[Alert]:
    if not workload.calibrations:
        return
    selector, labels = f'workload="{workload.name}"', {"workload": workload.name}
    yield Alert(
        "CalibrationDrifted",
        f"max by (model) (isthmus_calibration_drift{{{selector}}}) == 1",
        "ticket",
        f"Scores of workload {workload.name} no longer say how often its answers are right",
        "Reviewers may see too few wrong answers",
        labels=labels,
    )
    yield Alert(
        "CalibrationNotChecked",
        f"time() - max(isthmus_calibration_checked_timestamp_seconds{{{selector}}}) > 14 * {_DAY_S}",
        "ticket",
        f"The calibration of workload {workload.name} was last checked {{{{ $value | humanizeDuration }}}} ago",
        "A drift would not be seen",
        labels=labels,
    )


def _review_alerts(gateway: Gateway, workload: Workload) -> Iterator[Alert]:
    reviews_job = job(reviews_namespace(gateway.class_), f"{gateway.class_}-reviews")
    overdue = f'max(isthmus_held_overdue_seconds{{{reviews_job},workload="{workload.name}"}})'
    yield Alert(
        "HeldAnswersOverdue",
        f"{overdue} > 0",
        "ticket",
        f"A held answer of workload {workload.name} is {{{{ $value | humanizeDuration }}}} past its first deadline",
        "Its caller waits. It expires at the last deadline and is never given out",
        "10m",
        {"workload": workload.name},
    )
