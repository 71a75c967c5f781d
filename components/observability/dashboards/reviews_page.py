"""The dashboard of reviews: how long answers wait, whether reviewers are told, and whether scores still hold."""

from __future__ import annotations

from components.observability.dashboards.panels import (
    CLASS,
    CLASSES,
    WORKLOADS,
    Dashboard,
    Panel,
    Query,
    rate,
)

_WORKLOAD = 'workload=~"$workload"'
_JOB = 'job=~"isthmus-$class-reviews/.+"'
_CODES = "reviews_unavailable|review_unproven|review_unreadable|review_erased"

DASHBOARD = Dashboard(
    "reviews",
    "Reviews",
    "Do held answers wait too long, are reviewers told, and do scores still say how often answers are right?",
    (CLASSES, WORKLOADS),
    (
        Panel(
            "How long has the oldest held answer waited for a person?",
            "Its caller waits too. Longer than usual: too few reviewers, or too much is held (docs/reviews.md).",
            [
                Query(
                    f"max by (workload) (isthmus_held_oldest_seconds{{{CLASS},{_WORKLOAD}}})",
                    "{{workload}}",
                )
            ],
            "s",
            alerts=("HeldAnswersOverdue",),
        ),
        Panel(
            "How long is an answer past its first deadline?",
            "Above 0: the seniors must decide. At the last deadline the answer expires and is never given out.",
            [
                Query(
                    f"max by (workload) (isthmus_held_overdue_seconds{{{CLASS},{_WORKLOAD}}})",
                    "{{workload}}",
                )
            ],
            "s",
            alerts=("HeldAnswersOverdue",),
        ),
        Panel(
            "Does the review service answer?",
            "0: nobody can decide on held answers, and callers wait for them.",
            [Query(f'sum by (job) (up{{{_JOB},endpoint="health"}})', "{{job}}")],
            alerts=("ServiceDown",),
        ),
        Panel(
            "How long has the oldest notification waited?",
            "Minutes are normal; an hour means that reviewers do not know of answers that wait for them.",
            [Query(f"max by (class) (isthmus_outbox_oldest_seconds{{{CLASS}}})", "{{class}}")],
            "s",
            alerts=("OutboxStalls",),
        ),
        Panel(
            "Are notifications delivered?",
            "Given up means that the address is wrong, or the target refused for hours.",
            [
                Query(rate("isthmus_notifications_sent_total", CLASS, "class"), "{{class}} sent"),
                Query(rate("isthmus_notifications_failed_total", CLASS, "class"), "{{class}} failed"),
            ],
            "cps",
            alerts=("NotificationsDead",),
        ),
        Panel(
            "How many notifications wait, and how many were given up?",
            "Correct the target in the platform. The pages of the review desk show the answers in the meantime.",
            [
                Query(f"max by (class) (isthmus_outbox_waiting{{{CLASS}}})", "{{class}} wait"),
                Query(f"max by (class) (isthmus_outbox_dead{{{CLASS}}})", "{{class}} given up"),
            ],
            alerts=("NotificationsDead", "OutboxStalls"),
        ),
        Panel(
            "Do reviews themselves fail?",
            "Requests that were refused because an answer could not be held or fetched.",
            [
                Query(
                    rate("isthmus_refusals_total", f'{CLASS},code=~"{_CODES}"', "class, code"),
                    "{{class}} {{code}}",
                )
            ],
            "reqps",
            alerts=("AvailabilityBudgetBurns",),
        ),
        Panel(
            "How many answers are right?",
            "From the random sample only. Passing answers that are wrong reach users without a person's look.",
            [
                Query(
                    f"max by (workload) (isthmus_calibration_acceptance_ratio{{{_WORKLOAD}}})",
                    "{{workload}} right",
                ),
                Query(
                    f"max by (workload) (isthmus_calibration_passing_error_ratio{{{_WORKLOAD}}})",
                    "{{workload}} wrong, but passes",
                ),
            ],
            "percentunit",
            alerts=("CalibrationDrifted",),
            maximum=1,
        ),
        Panel(
            "Do scores still hold, and on how many answers does that rest?",
            "Drift 1: fit the calibration again (docs/confidence.md). Fewer than 100 judged answers say little.",
            [
                Query(f"max by (workload) (isthmus_calibration_drift{{{_WORKLOAD}}})", "drift"),
                Query(f"sum by (workload) (isthmus_calibration_judged{{{_WORKLOAD}}})", "judged answers"),
            ],
            kind="table",
            alerts=("CalibrationDrifted",),
        ),
        Panel(
            "When was each calibration checked?",
            "More than 14 days ago: run `isthmus calibrate --reviewed` and let node exporter publish its metrics.",
            [
                Query(
                    "time() - max by (workload)"
                    f" (isthmus_calibration_checked_timestamp_seconds{{{_WORKLOAD}}})",
                    "checked before",
                )
            ],
            "s",
            "table",
            ("CalibrationNotChecked",),
        ),
    ),
    "now-7d",
)
