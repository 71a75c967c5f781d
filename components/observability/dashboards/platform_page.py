"""The dashboard of a site as a whole: whether it serves, what is missing, which alerts fire."""

from __future__ import annotations

from components.observability.dashboards.panels import CLASS, CLASSES, Dashboard, Panel, Query, rate
from components.observability.gateway_alerts import NEARLY_USED
from components.observability.service_levels import BURN_RATES, FAILURES, MISSES, REQUESTS

_AVAILABILITY = f'{CLASS},goal="availability"'
_ALERTS = f'ALERTS{{alertstate="firing",alertname!="Heartbeat",{CLASS}}}'


def burn_rate(matchers: str, window: str = "1h") -> str:
    """How fast workloads use up their error budgets: 1 uses the budget of 30 days in 30 days."""
    ratio = f"{MISSES}{window}{{{matchers}}} / {REQUESTS}{window}{{{matchers}}}"
    return f"{ratio} / (1 - isthmus:plan_goal{{{matchers}}})"


PAGES = Query(f"vector({BURN_RATES[0].factor:g})", "somebody is woken", is_plan=True)
"""The burn rate of the fastest alert."""
COPIES = (
    Query(f"sum by (class) (isthmus:gateway_copies{{{CLASS}}})", "{{class}} answer"),
    Query(f"sum by (class) (isthmus:plan_gateway_copies{{{CLASS}}})", "{{class}} planned", is_plan=True),
)
"""Copies of each class's gateway beside those of the plan."""

DASHBOARD = Dashboard(
    "platform",
    "Platform",
    "Does the platform serve its workloads, and what is missing? Start here; then open a workload or an endpoint.",
    (CLASSES,),
    (
        Panel(
            "How many requests succeeded in the last hour?",
            "Requests that fail through the platform's fault lower it. Below the goal: open the dashboard of the"
            " workload that misses it. It shows workloads with a goal for availability only.",
            [
                Query(
                    f"1 - sum({MISSES}1h{{{_AVAILABILITY}}}) / sum({REQUESTS}1h{{{_AVAILABILITY}}})",
                    "succeeded",
                )
            ],
            "percentunit",
            "number",
            ("AvailabilityBudgetBurns",),
            6,
        ),
        Panel(
            "How many alerts fire?",
            "The table below names them and their owners. The heartbeat is not counted.",
            [Query(f"count({_ALERTS}) or vector(0)", "alerts")],
            kind="number",
            width=6,
        ),
        Panel(
            "How much of the month's tightest limit is used?",
            f"From {NEARLY_USED * 100:g} % on its owner is told; at 100 % its requests are refused. The cost dashboard"
            " names it.",
            [Query(f"max(isthmus_month_used_ratio{{{CLASS}}})", "used")],
            "percentunit",
            "number",
            ("MonthNearlyUsed", "MonthUsed"),
            6,
        ),
        Panel(
            "How old is the oldest record without a seal?",
            "Records wait for the sealer. Above the limit of its class a gateway refuses all requests.",
            [Query('max(isthmus_audit_unsealed_seconds{job=~"isthmus-$class/.+-gateway"})', "oldest record")],
            "s",
            "number",
            ("RecordsNotSealed",),
            6,
        ),
        Panel(
            "Which alerts fire, and who acts?",
            "Each has a section in the runbooks: what it means, what people notice, what to do.",
            [
                Query(
                    f"sum by (alertname, severity, owner, class, workload, endpoint, service) ({_ALERTS})",
                    "alerts",
                )
            ],
            kind="table",
            width=24,
        ),
        Panel(
            "How many requests are served, and how many fail through the platform's fault?",
            "A sudden end of requests without failures is often a cause before the gateway: the network, DNS or the"
            " application.",
            [
                Query(rate("isthmus_requests_total", CLASS, "class"), "{{class}} served"),
                Query(
                    rate("isthmus_refusals_total", f'{CLASS},code=~"{"|".join(FAILURES)}"', "class"),
                    "{{class}} failed",
                ),
            ],
            "reqps",
            alerts=("GatewayDown", "AvailabilityBudgetBurns"),
        ),
        Panel(
            "How fast do workloads use up their error budgets?",
            "1 uses the budget of 30 days in 30 days. Look at the workload of the highest line.",
            [
                Query(burn_rate(CLASS), "{{workload}} {{goal}}"),
                Query("vector(1)", "whole budget in 30 days", is_plan=True),
                PAGES,
            ],
            alerts=("AvailabilityBudgetBurns", "FirstTokenBudgetBurns", "NextTokenBudgetBurns"),
        ),
        Panel(
            "Has each gateway the copies that the plan has?",
            "With fewer copies the next failure may stop the class. With none, no application gets an answer.",
            COPIES,
            alerts=("GatewayDown", "GatewayCopiesMissing"),
        ),
        Panel(
            "Has each model the replicas that the plan has?",
            "Open the endpoint whose replicas are missing. A replica that is replaced loads its weights for minutes.",
            [
                Query(f"sum by (endpoint) (isthmus:plan_endpoint_replicas{{{CLASS}}})", "planned"),
                Query(f"sum by (endpoint) (isthmus:endpoint_replicas{{{CLASS}}})", "answer"),
            ],
            kind="table",
            alerts=("ModelDown", "ModelReplicasMissing"),
        ),
    ),
)
