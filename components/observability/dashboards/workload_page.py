"""The dashboard of workloads: whether each keeps its goals, and why not."""

from __future__ import annotations

from components.observability.dashboards.panels import (
    CLASS,
    CLASSES,
    WINDOW,
    WORKLOADS,
    Dashboard,
    Panel,
    Query,
    rate,
    share,
)
from components.observability.dashboards.platform_page import PAGES, burn_rate
from components.observability.gateway_alerts import NEARLY_USED
from components.observability.service_levels import FAILURES, PERCENTILE

_WORKLOAD = f'{CLASS},workload=~"$workload"'
_FAILED = rate("isthmus_refusals_total", f'{_WORKLOAD},code=~"{"|".join(FAILURES)}"', "workload")
_ALL = rate("isthmus_requests_total", _WORKLOAD, "workload")


def _goal(goal: str, name: str) -> Query:
    return Query(f'{name}{{{_WORKLOAD},goal="{goal}"}}', "goal of {{workload}}", is_plan=True)


def _time(title: str, description: str, metric: str, goal: str, alert: str) -> Panel:
    """A panel with the time that 95 % of requests keep."""
    buckets = f"sum by (le, workload) (rate(isthmus_{metric}_seconds_bucket{{{_WORKLOAD}}}[{WINDOW}]))"
    return Panel(
        title,
        description,
        [
            Query(f"histogram_quantile({PERCENTILE:g}, {buckets})", "{{workload}}"),
            _goal(goal, "isthmus:plan_goal_seconds"),
        ],
        "s",
        alerts=(alert,),
    )


DASHBOARD = Dashboard(
    "workload",
    "Workload",
    "Does a workload keep its goals? If not: is it errors, waiting, the model's speed, or a limit?",
    (CLASSES, WORKLOADS),
    (
        Panel(
            "Do requests succeed?",
            "Below the goal: the panel of refusals says why. Mistakes and limits of callers do not count.",
            [
                Query(f"1 - {share(_FAILED, _ALL)}", "{{workload}}"),
                _goal("availability", "isthmus:plan_goal"),
            ],
            "percentunit",
            alerts=("AvailabilityBudgetBurns",),
            minimum=0.95,
            maximum=1,
        ),
        Panel(
            "How fast is the error budget used up?",
            "1 uses the budget of 30 days in 30 days. Above the dashed line somebody is woken.",
            [Query(burn_rate(_WORKLOAD), "{{workload}} {{goal}}"), PAGES],
            alerts=("AvailabilityBudgetBurns", "AnswerTimeBudgetBurns"),
        ),
        _time(
            "How long do 95 % wait for the first token?",
            "Long prompts, a queue at the model, or a full KV cache: compare with the endpoint's queue.",
            "time_to_first_token",
            "first-token",
            "FirstTokenBudgetBurns",
        ),
        _time(
            "How long do 95 % wait for each further token?",
            "Too many requests at once at the model, or a GPU that slowed down: open its endpoint.",
            "time_per_output_token",
            "next-token",
            "NextTokenBudgetBurns",
        ),
        _time(
            "How long do 95 % wait for the whole answer?",
            "Rises with the number of tokens of an answer, too. A goal is drawn where the requirements state one.",
            "request_duration",
            "answer",
            "AnswerTimeBudgetBurns",
        ),
        Panel(
            "Why are requests refused?",
            "The code of each refusal. docs/edge.md says for each code whose mistake it is.",
            [Query(rate("isthmus_refusals_total", _WORKLOAD, "code"), "{{code}}")],
            "reqps",
            alerts=("CallersNotRecognised", "WorkloadStopped"),
        ),
        Panel(
            "Which model answers?",
            "Another model than planned means overflow, a fallback or a canary. Then look at the planned endpoint.",
            [Query(rate("isthmus_requests_total", _WORKLOAD, "model, variant"), "{{model}} {{variant}}")],
            "reqps",
            alerts=("CanaryFails", "EndpointNotGood"),
        ),
        Panel(
            "How many tokens go in and out?",
            "More tokens than the requirements state: measure with `isthmus plan --from-usage` and plan again.",
            [Query(rate("isthmus_tokens_total", _WORKLOAD, "workload, kind"), "{{workload}} {{kind}}")],
            "cps",
        ),
        Panel(
            "How much of the month's limit is used?",
            "At 100 % requests are refused with status 402 until the month ends. Raise the limit or send less.",
            [
                Query(
                    f'max by (limited, unit) (isthmus_month_used_ratio{{{CLASS},of="workload",limited=~"$workload"}})',
                    "{{limited}} {{unit}}",
                ),
                Query(f"vector({NEARLY_USED:g})", "its owner is told", is_plan=True),
            ],
            "percentunit",
            alerts=("MonthNearlyUsed", "MonthUsed"),
        ),
        Panel(
            "When do its keys expire?",
            "Give out a new key before the last one expires (docs/edge.md).",
            [Query(f"min by (workload, key) (isthmus_key_expires_seconds{{{_WORKLOAD}}})", "expires in")],
            "s",
            "table",
            ("NoValidKeySoon", "KeyEndsSoon"),
        ),
    ),
)
