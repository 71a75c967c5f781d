"""The dashboard of gateways and of what keeps them safe: detector, records, certificates, callers."""

from __future__ import annotations

from components.observability.dashboards.panels import CLASS, CLASSES, WINDOW, Dashboard, Panel, Query, rate
from components.observability.dashboards.platform_page import COPIES

_GATEWAY = 'job=~"isthmus-$class/.+-gateway"'
_SEALER = 'job=~"isthmus-$class-sealer/.+"'
_SAFETY = "content_blocked|may_not_leave|screening_unavailable"
_CALLERS = "invalid_api_key|expired_api_key|revoked_api_key|expired_token|revoked_certificate|wrong_class|wrong_client"


def _total(metric: str) -> str:
    return f"sum(rate({metric}{{{_GATEWAY}}}[{WINDOW}]))"


DASHBOARD = Dashboard(
    "gateway",
    "Gateway and safety",
    "Do the gateways work, and does what protects the classes work: detector, records, certificates, callers?",
    (CLASSES,),
    (
        Panel(
            "Do as many copies answer as the plan has?",
            "Look at the pods of the gateway. A copy that does not become ready says why in its log.",
            COPIES,
            alerts=("GatewayDown", "GatewayCopiesMissing"),
        ),
        Panel(
            "How many CPUs does each copy use?",
            "A copy uses one process: near 1 it is full. Plan more copies, or let them scale by load.",
            [
                Query(
                    f"sum by (namespace, pod) (rate(process_cpu_seconds_total{{{_GATEWAY}}}[{WINDOW}]))",
                    "{{pod}}",
                )
            ],
        ),
        Panel(
            "How many requests run now?",
            "A line that only rises means that models do not answer any more.",
            [Query(f"sum by (class) (isthmus_requests_in_flight{{{CLASS}}})", "{{class}}")],
            alerts=("RequestsQueue",),
        ),
        Panel(
            "Who was turned away at the door?",
            "Connections that were closed by name or address. Many: a wrong certificate, or somebody who tries.",
            [
                Query(rate("isthmus_clients_refused_total", CLASS, "class"), "{{class}} by name"),
                Query(rate("isthmus_addresses_refused_total", CLASS, "class"), "{{class}} by address"),
            ],
            "cps",
        ),
        Panel(
            "Which callers were not recognised?",
            "Keys and sign-ons that are invalid, expired or of another class. After a rotation: an old key is in use.",
            [
                Query(
                    rate("isthmus_refusals_total", f'{CLASS},code=~"{_CALLERS}"', "class, code"),
                    "{{class}} {{code}}",
                )
            ],
            "reqps",
            alerts=("CallersNotRecognised",),
        ),
        Panel(
            "What did screening refuse?",
            "Refused contents, and requests that could not be looked through. Reviewers see why, dashboards never do.",
            [
                Query(
                    rate("isthmus_refusals_total", f'{CLASS},code=~"{_SAFETY}"', "class, code"),
                    "{{class}} {{code}}",
                )
            ],
            "reqps",
            alerts=("DetectorDown",),
        ),
        Panel(
            "Does the detector keep up?",
            "Slow texts and lost processes should be 0. Each is a request that was refused.",
            [
                Query(_total("isthmus_detections_total"), "texts"),
                Query(_total("isthmus_detections_slow_total"), "given up as slow"),
                Query(_total("isthmus_detections_lost_total"), "processes lost"),
            ],
            "cps",
            alerts=("DetectorDown", "DetectionsSlow", "DetectionsLost"),
        ),
        Panel(
            "How old is the oldest record without a seal?",
            "At the dashed line of its class a gateway refuses all requests. Look at the sealer and its store.",
            [
                Query(f"max by (namespace) (isthmus_audit_unsealed_seconds{{{_GATEWAY}}})", "{{namespace}}"),
                Query(
                    f"max by (class) (isthmus:plan_unsealed_seconds{{{CLASS}}})",
                    "limit of {{class}}",
                    is_plan=True,
                ),
            ],
            "s",
            alerts=("RecordsNotSealed", "ServiceDown"),
        ),
        Panel(
            "Are records written and sealed?",
            "Both rates follow each other. Failures and alarms must be 0: records may be lost.",
            [
                Query(_total("isthmus_audit_records_total"), "written"),
                Query(f"sum(rate(isthmus_sealed_records_total{{{_SEALER}}}[{WINDOW}]))", "sealed"),
                Query(_total("isthmus_audit_failures_total"), "not written"),
                Query(f"sum(isthmus_audit_alarms{{{_SEALER}}})", "writers lost or broken"),
            ],
            alerts=("RecordsNotWritten", "RecordsLostOrBroken"),
        ),
        Panel(
            "Which workloads are stopped?",
            "1: people stopped it. docs/stop.md says who may let it run again.",
            [Query(f"max by (workload) (isthmus_workload_stopped{{{CLASS}}})", "{{workload}}")],
            alerts=("WorkloadStopped",),
            maximum=1,
        ),
        Panel(
            "When do certificates expire?",
            "cert-manager renews them in time. Below three days: renew by hand.",
            [
                Query(
                    f"min by (class, certificate) (isthmus_certificate_expires_seconds{{{CLASS}}})",
                    "expires in",
                )
            ],
            "s",
            "table",
            ("CertificateEndsSoon", "CertificateNotRenewed"),
            width=24,
        ),
    ),
)
