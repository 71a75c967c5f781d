"""Alerts about the services beside a gateway: translator, resolver, sealer, loader, review service and notifier."""

from __future__ import annotations

from collections.abc import Iterator

from components.cluster.objects import (
    loader_namespace,
    notifier_namespace,
    reviews_namespace,
    sealer_namespace,
)
from components.observability.rules import PROBES, SERVICE_DOWN, Alert, Group, Severity, job, number_up
from edge.classes import CLASS_DEMANDS
from isthmus.contracts.platform.lookups.records import audit_store_of
from isthmus.contracts.platform.lookups.usage import ledger_of
from isthmus.contracts.platform.model.platform import Gateway, Platform

_OUTBOX_S = 900
USAGE_LAG_S = 900
"""From this age on it matters that the usage ledger lacks records. A loader looks for new ones each 30 s."""


def service_group(platform: Platform, namespace: str, gateway: Gateway, *, has_resolver: bool) -> Group:
    """The alerts about the services of a gateway in a cluster. `namespace`: of its class."""
    return Group("services", list(_alerts(platform, namespace, gateway, has_resolver=has_resolver)))


def _alerts(platform: Platform, namespace: str, gateway: Gateway, *, has_resolver: bool) -> Iterator[Alert]:
    name = gateway.class_
    if gateway.identity is not None:
        yield _down("translator", job(namespace, f"{name}-translator"), "Models in AWS do not answer")
    if has_resolver:
        resolver_job = job(namespace, f"{name}-resolver")
        yield _down("resolver", resolver_job, "New connections to models fail", port="metrics")
    if gateway.audit is not None and audit_store_of(platform, gateway) is not None:
        yield from _sealer_alerts(gateway)
    if ledger_of(gateway) is not None:
        yield from _loader_alerts(gateway)
    if gateway.reviews is None:
        return
    reviews_job = job(reviews_namespace(name), f"{name}-reviews")
    yield _down("reviews", reviews_job, "Nobody can decide on held answers; callers wait for them")
    if gateway.reviews.domains:
        yield Alert(
            "OutboxStalls",
            f"max(isthmus_outbox_oldest_seconds{{{reviews_job}}}) > {_OUTBOX_S}",
            "ticket",
            "A notification has waited {{ $value | humanizeDuration }}",
            "Reviewers are not told about answers that wait for them",
            "5m",
        )
    if gateway.notifier is not None:
        notifier_job = job(notifier_namespace(name), f"{name}-notifier")
        yield _down("notifier", notifier_job, "Nobody is told about answers that wait; the pages show them")
        yield Alert(
            "NotificationsDead",
            f"max(isthmus_outbox_dead{{{notifier_job}}}) > 0",
            "ticket",
            "{{ $value }} notifications could not be delivered and were given up",
            "Their recipients do not know about answers that wait for them",
        )


def _sealer_alerts(gateway: Gateway) -> Iterator[Alert]:
    sealer_job = job(sealer_namespace(gateway.class_), f"{gateway.class_}-sealer")
    most = CLASS_DEMANDS[gateway.class_].unsealed_s_max
    # The process answers scrapes while it cannot seal, and reports 0 then.
    yield _down(
        "sealer",
        sealer_job,
        "The gateway soon refuses all requests" if most else "Records could be lost with the volume",
        severity="page" if most else "ticket",
        condition=f"(sum(isthmus_sealer_up{{{sealer_job}}}) or vector(0)) == 0",
    )
    yield Alert(
        "RecordsLostOrBroken",
        f"max(isthmus_audit_alarms{{{sealer_job}}}) > 0",
        "ticket",
        "Records of {{ $value }} writers disappeared, or contradict what was sealed",
        "The audit record of these writers has a gap or was changed",
    )


def _loader_alerts(gateway: Gateway) -> Iterator[Alert]:
    loader_job = job(loader_namespace(gateway.class_), f"{gateway.class_}-loader")
    yield _down("loader", loader_job, "Figures of usage and cost are out of date; no record is lost")
    yield Alert(
        "UsageNotLoaded",
        f"max(isthmus_usage_lag_seconds{{{loader_job}}}) > {USAGE_LAG_S}",
        "ticket",
        "The usage ledger has lacked records for {{ $value | humanizeDuration }}",
        "Figures of usage and cost are out of date; no record is lost",
        "5m",
    )


def _down(
    service: str,
    job_selector: str,
    impact: str,
    *,
    port: str = "health",
    severity: Severity = "ticket",
    condition: str = "",
) -> Alert:
    return Alert(
        SERVICE_DOWN,
        condition or f"{number_up(job_selector, port)} == 0",
        severity,
        f"The {service} does not work",
        impact,
        PROBES,
        {"service": service},
    )
