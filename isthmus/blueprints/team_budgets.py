"""Leaves out budgets of workloads without an amount where the budget of the workload's team counts them."""

from __future__ import annotations

from typing import Any


def drop_covered(merged: dict[str, Any]) -> dict[str, Any]:
    """The merged platform without budgets of scope `workload` that have no amount, if a team's budget covers them.

    A blueprint has a budget for each workload in AWS. A team's amount is stated once, for all of its workloads.
    """
    teams = {team.get("name") for team in merged.get("teams") or [] if isinstance(team, dict)}
    covered = {
        workload.get("name")
        for gateway in merged.get("gateways") or []
        for workload in gateway.get("workloads") or []
        if workload.get("team") in teams
    }
    budgets = [
        budget
        for budget in merged.get("budgets") or []
        if budget.get("monthly_usd") is not None
        or budget.get("scope") != "workload"
        or budget.get("of") not in covered
    ]
    return {**merged, "budgets": budgets} if teams else merged
