"""What a Prometheus computes: recording rules, alerts, and the groups that it evaluates in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["page", "ticket", "heartbeat"]
"""`page`: somebody is woken. `ticket`: somebody looks in working hours. `heartbeat`: it must never stop."""

RUNBOOKS = "docs/runbooks.md"
"""The page with a section for each alert."""
GATEWAY_DOWN = "GatewayDown"
SERVICE_DOWN = "ServiceDown"
"""Alerts that CloudWatch has too, where no Prometheus scrapes: on Fargate."""
BAD_EVENTS = 10
"""Least number of bad events in the window of an alert that pages without failed probes. Fewer are too little to wake
somebody."""
FAILED_PROBES = 2
"""Failed probes in a row after which an alert pages. Gateways count those of models."""
PROBES = "2m"
"""How long a page about scrapes waits: two failed probes, one a minute. Prometheus' scrapes are the probes."""


@dataclass(frozen=True)
class Alert:
    """One alert. Its labels and texts contain names from the platform only."""

    name: str
    expression: str
    severity: Severity
    summary: str
    """What is wrong. May refer to labels of the expression: `{{ $labels.endpoint }}`."""
    impact: str
    """What people notice."""
    hold: str = "0m"
    """How long the expression must be true."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """A recording rule: the result of an expression under a name."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after another."""

    name: str
    rules: Sequence[Alert | Record]
    interval: str = ""
    """Time between two evaluations. Empty: Prometheus' own."""

    def rendered(self, labels: Mapping[str, str], owner: str, runbooks: str = RUNBOOKS) -> dict[str, Any]:
        """The group as Prometheus reads it.

        `labels`: of each rule, below its own. `owner`: of alerts. `runbooks`: the page that alerts refer to.
        """
        body: dict[str, Any] = {"name": self.name}
        if self.interval:
            body["interval"] = self.interval
        body["rules"] = [
            {"record": rule.name, "expr": rule.expression, "labels": {**labels, **rule.labels}}
            if isinstance(rule, Record)
            else _rendered(rule, {**labels, "owner": owner}, runbooks)
            for rule in self.rules
        ]
        return body


def _rendered(rule: Alert, labels: Mapping[str, str], runbooks: str) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": rule.hold,
        "labels": {**labels, **rule.labels, "severity": rule.severity},
        "annotations": {
            "summary": rule.summary,
            "impact": rule.impact,
            "runbook": f"{runbooks}#{rule.name.lower()}",
        },
    }


def job(namespace: str, name: str) -> str:
    """The selector of what the PodMonitor NAME of a namespace scrapes."""
    return f'job="{namespace}/{name}"'


def number_up(job_selector: str, port: str = "health") -> str:
    """How many pods of a job answered the last scrape of a port; 0 if there is none."""
    return f'(count(up{{{job_selector},endpoint="{port}"}} == 1) or vector(0))'


def of_namespace(metric: str, namespace: str, aggregate: str, matchers: str = "", window: str = "") -> str:
    """An aggregate over a metric with a label `namespace` that an exporter of the cluster has set.

    A scrape that does not honour the exporter's labels renames it to `exported_namespace`.
    """
    more = f",{matchers}" if matchers else ""

    def series(label: str) -> str:
        selected = f'{metric}{{{label}="{namespace}"{more}}}'
        return f"{aggregate}(increase({selected}[{window}]))" if window else f"{aggregate}({selected})"

    return f"({series('exported_namespace')} or {series('namespace')})"
