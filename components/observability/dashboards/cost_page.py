"""The dashboard of cost: what is spent, on what, and how far that is from the plan, the limits and the budgets."""

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
from components.observability.gateway_alerts import NEARLY_USED
from components.observability.service_alerts import USAGE_LAG_S

_WORKLOAD = f'{CLASS},workload=~"$workload"'
_HOURS_A_MONTH = 730
_GPU_PRICE = f"sum(isthmus:plan_endpoint_usd_per_hour{{{CLASS}}})"


def _spent(matchers: str, by: str) -> str:
    return f"sort_desc(sum by ({by}) (increase(isthmus_cost_usd_total{{{matchers}}}[$__range])))"


def _monthly(by: str) -> str:
    """The spend of the last day, as if a month were like it."""
    return f"sum by ({by}) (rate(isthmus_cost_usd_total{{{_WORKLOAD}}}[1d])) * 3600 * {_HOURS_A_MONTH}"


DASHBOARD = Dashboard(
    "cost",
    "Cost",
    "What do requests cost, and how far is that from the plan, limits and budgets? By the prices that the platform"
    " states; bills are compared by `isthmus usage reconcile`.",
    (CLASSES, WORKLOADS),
    (
        Panel(
            "What did requests cost in the time shown?",
            "GPU time or tokens at the stated prices. Idle GPUs are not in it: see the next panel.",
            [Query(f"sum(increase(isthmus_cost_usd_total{{{_WORKLOAD}}}[$__range]))", "requests")],
            "currencyUSD",
            "number",
            width=8,
        ),
        Panel(
            "What did the planned GPUs cost in the time shown?",
            "Busy or idle, at the stated prices, if nothing changed. Absent where endpoints state no price of GPUs.",
            [Query(f"{_GPU_PRICE} * $__range_s / 3600", "GPUs")],
            "currencyUSD",
            "number",
            width=8,
        ),
        Panel(
            "What did 1,000 requests cost?",
            "Rises with longer prompts and answers, and with another model. Compare workloads in the table.",
            [
                Query(
                    f"1000 * sum(increase(isthmus_cost_usd_total{{{_WORKLOAD}}}[$__range]))"
                    f" / sum(increase(isthmus_requests_total{{{_WORKLOAD}}}[$__range]))",
                    "1,000 requests",
                )
            ],
            "currencyUSD",
            "number",
            width=8,
        ),
        Panel(
            "Which workloads cost most?",
            "Open a workload to see which of its figures changed.",
            [Query(_spent(_WORKLOAD, "team, workload"), "cost (USD)")],
            kind="table",
        ),
        Panel(
            "Which models and endpoints cost most?",
            "A canary, a fallback or overflow to AWS shows up here.",
            [Query(_spent(_WORKLOAD, "model, exported_endpoint"), "cost (USD)")],
            kind="table",
        ),
        Panel(
            "What would a month like the last day cost, and what is planned?",
            "Requests at their prices beside all planned GPUs. The distance of GPU work from the plan is idle time.",
            [
                Query(_monthly("class"), "{{class}} requests"),
                Query(f"{_GPU_PRICE} * {_HOURS_A_MONTH}", "planned GPUs", is_plan=True),
            ],
            "currencyUSD",
        ),
        Panel(
            "Will limits and budgets last?",
            "A month like the last day beside limits in USD and AWS's budgets. Above a line: raise it or send less.",
            [
                Query(_monthly("workload"), "{{workload}}"),
                Query(
                    f'isthmus:plan_month_limit{{{CLASS},unit="usd"}}',
                    "limit of {{of}} {{limited}}",
                    is_plan=True,
                ),
                Query(f"isthmus:plan_aws_budget_usd{{{CLASS}}}", "AWS budget of {{of}}", is_plan=True),
            ],
            "currencyUSD",
            alerts=("MonthNearlyUsed", "MonthUsed"),
        ),
        Panel(
            "How much of the month's limits is used?",
            "At 100 % requests are refused with status 402 until the month ends.",
            [
                Query(
                    f"max by (of, limited, unit) (isthmus_month_used_ratio{{{CLASS}}})",
                    "{{of}} {{limited}} {{unit}}",
                ),
                Query(f"vector({NEARLY_USED:g})", "its owner is told", is_plan=True),
            ],
            "percentunit",
            alerts=("MonthNearlyUsed", "MonthUsed"),
        ),
        Panel(
            "Is the usage ledger up to date?",
            "Seconds since it had all sealed records. Above the line `isthmus usage` lacks the newest requests.",
            [
                Query(f"max by (class) (isthmus_usage_lag_seconds{{{CLASS}}})", "{{class}}"),
                Query(f"vector({USAGE_LAG_S})", "its owner is told", is_plan=True),
            ],
            "s",
            alerts=("UsageNotLoaded",),
        ),
        Panel(
            "How many tokens does each workload use?",
            "Tokens drive the cost of models in AWS, and GPU time on your own machines.",
            [Query(rate("isthmus_tokens_total", _WORKLOAD, "workload", window="1h"), "{{workload}}")],
            "cps",
        ),
    ),
    "now-7d",
)
