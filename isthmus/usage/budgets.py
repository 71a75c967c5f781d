"""Compares what teams spent in a month with their budgets, and forecasts the month's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from isthmus.contracts.reports.usage import UsageBudget, UsageDay
from isthmus.usage.forecast import forecast


def team_budgets(
    stack: str, budgets: Mapping[str, float], days: Sequence[UsageDay], end: date, today: date
) -> list[UsageBudget]:
    """The budget of each team in the month of a day.

    Args:
        stack: name of the stack.
        budgets: USD a month, by team.
        days: sums of the ledger, earlier months too: the forecast learns from them.
        end: the last day that counts.
        today: it is not over, so the forecast does not learn from it.
    """
    month = end.replace(day=1)
    through = min(end, today - timedelta(days=1))
    rows = {row.name: row for row in forecast(stack, days, month, through, by="team").rows[1:]}
    usage_of_budgets = []
    for team, usd in sorted(budgets.items()):
        spent = [day for day in days if day.team == team and month <= day.day <= end]
        row = rows.get(team)
        usage_of_budgets.append(
            UsageBudget(
                team=team,
                month=f"{month:%Y-%m}",
                usd_per_month=Decimal(str(usd)),
                spent_usd=sum((day.cost_usd for day in spent), Decimal(0)),
                unpriced=sum(day.unpriced for day in spent),
                expected_usd=row.expected if row else None,
                low_usd=row.low if row else None,
                high_usd=row.high if row else None,
                method=row.method if row else "not known: the team has no complete day of usage",
            )
        )
    return usage_of_budgets
