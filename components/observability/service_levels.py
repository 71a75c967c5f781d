"""Recording rules and alerts of workloads' goals: how fast a workload uses up its error budget.

Several windows and burn rates, as in Google's SRE workbook, chapter 5, "Alerting on SLOs" (6: Multiwindow,
Multi-Burn-Rate Alerts). A burn rate of 1 uses the budget of 30 days in 30 days. The short window of a pair ends an
alert soon after the cause has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.observability.rules import BAD_EVENTS, Alert, Group, Record, Severity
from isthmus.contracts.platform.model.platform import Workload

REQUESTS, MISSES = "isthmus:goal_requests:increase", "isthmus:goal_misses:increase"
"""Requests that a goal counts, and those that miss it, in a window: the window ends the name."""
SHORT_WINDOWS, LONG_WINDOWS = ("5m", "30m", "1h", "2h", "6h"), ("1d", "3d")
LONG_INTERVAL = "5m"
"""Evaluation interval of the long windows, which read much."""
PERCENTILE = 0.95
"""Share of requests that the goals of times are about."""
HIGHEST_SHARE = 0.9
"""Share of misses above which each pair fires, so that goals with a large budget can page too."""

FAILURES = (
    *("accounts_unavailable", "audit_unregistered", "audit_unsealed", "audit_unwritable", "aws_refused"),
    *(
        "bad_gateway",
        "budget_unpriced",
        "callers_unreadable",
        "feedback_unavailable",
        "file_store_unavailable",
    ),
    *("file_unreadable", "idempotency_unavailable", "internal_error", "issuer_unavailable"),
    *("keys_unreadable", "model_busy", "model_unavailable", "no_aws_identity", "review_unproven"),
    *("review_unreadable", "reviews_unavailable", "screening_unavailable", "shutting_down", "starting"),
    *("stops_unavailable", "stops_unreadable", "stream_cut", "stream_failed", "timeout"),
)
"""Codes of refusals that are the platform's fault. A limit of the caller and a workload that people stopped are not."""
NOT_FAILURES = ("broken", "too_slow", "workload_stopped")
"""Codes with a status of 500 or more that do not count: two are the detector's own, one is people's decision."""


@dataclass(frozen=True)
class Goal:
    """One goal of a workload, and what counts."""

    key: str
    """Its value in the label `goal`."""
    alert: str
    words: str
    """The goal in a sentence that ends a summary."""
    share: float
    """Share of good requests."""
    requests: str
    """PromQL of the counter's increase, with `WINDOW` in it."""
    misses: str


@dataclass(frozen=True)
class BurnRate:
    """A pair of windows, and the burn rate at which it fires."""

    severity: Severity
    factor: float
    long: str
    short: str


BURN_RATES = (
    BurnRate("page", 14.4, "1h", "5m"),
    BurnRate("page", 6, "6h", "30m"),
    BurnRate("ticket", 3, "1d", "2h"),
    BurnRate("ticket", 1, "3d", "6h"),
)


def goal_groups(gateway_job: str, workload: Workload) -> Iterator[Group]:
    """The groups of a workload that states goals. `gateway_job`: the selector of its gateway."""
    goals = list(_goals(gateway_job, workload))
    if not goals:
        return
    for name, windows, severity, interval in (
        ("goals", SHORT_WINDOWS, "page", ""),
        ("goals-of-days", LONG_WINDOWS, "ticket", LONG_INTERVAL),
    ):
        records = [
            record for goal in goals for window in windows for record in _records(workload.name, goal, window)
        ]
        alerts = [_alert(workload, goal, severity) for goal in goals]  # type: ignore[arg-type]
        yield Group(f"{workload.name}-{name}", [*records, *alerts], interval)


def _goals(gateway_job: str, workload: Workload) -> Iterator[Goal]:
    slo = workload.slo
    if slo is None:
        return
    selector = f'{gateway_job},workload="{workload.name}"'
    if slo.availability is not None:
        codes = "|".join(FAILURES)
        yield Goal(
            "availability",
            "AvailabilityBudgetBurns",
            f"{slo.availability * 100:g} % of requests succeed",
            slo.availability,
            _increase(f"isthmus_requests_total{{{selector}}}"),
            _increase(f'isthmus_refusals_total{{{selector},code=~"{codes}"}}'),
        )
    for key, alert, metric, milliseconds, words in (
        ("first-token", "FirstTokenBudgetBurns", "time_to_first_token", slo.ttft_p95_ms, "the first token"),
        (
            "next-token",
            "NextTokenBudgetBurns",
            "time_per_output_token",
            slo.tpot_p95_ms,
            "each further token",
        ),
        ("answer", "AnswerTimeBudgetBurns", "request_duration", slo.answer_p95_ms, "the whole answer"),
    ):
        if milliseconds is None:
            continue
        histogram = f"isthmus_{metric}_seconds"
        count = _increase(f"{histogram}_count{{{selector}}}")
        # The goal is a boundary of the histogram, and its label is written as Python writes the number.
        within = _increase(f'{histogram}_bucket{{{selector},le="{milliseconds / 1000!r}"}}')
        yield Goal(
            key,
            alert,
            f"95 % of requests have {words} within {milliseconds:g} ms",
            PERCENTILE,
            count,
            f"({count} - {within})",
        )


def _increase(series: str) -> str:
    """Increase of a counter over all replicas; 0 before the first event."""
    return f"(sum(increase({series}[WINDOW])) or vector(0))"


def _records(workload: str, goal: Goal, window: str) -> Sequence[Record]:
    labels = {"workload": workload, "goal": goal.key}
    return [
        Record(f"{name}{window}", expression.replace("WINDOW", window), labels)
        for name, expression in ((REQUESTS, goal.requests), (MISSES, goal.misses))
    ]


def _alert(workload: Workload, goal: Goal, severity: Severity) -> Alert:
    series = f'{{workload="{workload.name}",goal="{goal.key}"}}'
    pairs = [_pair(series, goal.share, rate, BAD_EVENTS) for rate in BURN_RATES if rate.severity == severity]
    speed = "fast" if severity == "page" else "slowly, day after day,"
    return Alert(
        goal.alert,
        " or ".join(pairs),
        severity,
        f"Workload {workload.name} misses its goal {speed} (goal: {goal.words})",
        "Its users get errors or slow answers" if goal.key == "availability" else "Its users wait longer",
        labels={"workload": workload.name, "goal": goal.key},
    )


def _pair(series: str, share: float, rate: BurnRate, events: int) -> str:
    most = min(rate.factor * (1 - share), HIGHEST_SHARE)
    ratios = [
        f"{MISSES}{window}{series} / {REQUESTS}{window}{series} > {most:.6g}"
        for window in (rate.long, rate.short)
    ]
    return f"({' and '.join(ratios)} and {MISSES}{rate.long}{series} >= {events})"
