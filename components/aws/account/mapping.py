"""Builds the arguments of the budgets in an AWS site's account from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.aws.account.budgets import BudgetsArgs
from components.base.platform_lookups import boundary_argument, calls_of, tags
from isthmus.contracts.platform.lookups.budgets import aws_budgets
from isthmus.contracts.platform.model.platform import Identity, Platform, Site


def budgets_args(platform: Platform, site: Site, roles: dict[str, Any]) -> BudgetsArgs | None:
    """Arguments of a site's budgets; None without budgets. `roles`: identity name → role name."""
    budgets = [budget for budget in aws_budgets(platform) if budget.site == site.name]
    first = next((site.name for site in platform.sites if site.kind == "aws"), None)
    anomalies = platform.anomalies
    is_enabled = anomalies.mode == "manage" or (
        anomalies.mode == "existing" and anomalies.monitor is not None
    )
    is_watched = is_enabled and (anomalies.site or first) == site.name
    if not budgets and not is_watched:
        return None
    settings: list[dict[str, Any]] = []
    for budget in budgets:
        entry: dict[str, Any] = {
            key: getattr(budget, key) for key in ("name", "scope", "of", "monthly_usd", "alert_pct", "action")
        }
        if budget.scope == "team":
            entry["workloads"] = list(budget.counted)
        if budget.notify:
            entry["notify"] = list(budget.notify)
        if budget.action == "deny":
            identities = _denied_identities(platform, budget.scope, budget.of, roles)
            entry["role_names"] = [roles[identity.name] for identity in identities]
            # Identities that do not call SageMaker need no denial for it.
            if any(calls_of(platform, identity, "sagemaker") for identity in identities):
                entry["hosted"] = True
        settings.append(entry)
    arguments: dict[str, Any] = {
        "name": site.name,
        "platform": platform.name,
        "budgets": settings,
        "notify": list(platform.contacts.cost)
        or sorted({mail for budget in budgets for mail in budget.notify}),
        "cost_tags": platform.cost_tags,
        "tags": tags(platform),
        **boundary_argument(site),
    }
    if is_watched:
        arguments["anomaly_usd"] = anomalies.threshold_usd
        if anomalies.mode == "existing":
            arguments["anomaly_monitor"] = anomalies.monitor
    return arguments  # type: ignore[return-value]


def _denied_identities(platform: Platform, scope: str, target: str, roles: dict[str, Any]) -> list[Identity]:
    """Each identity of the class at the site, or each that serves this workload alone."""
    identities: list[Identity] = []
    for identity in platform.identities:
        if identity.name not in roles:
            continue
        workloads = {workload for _, workload in calls_of(platform, identity)}
        if (scope == "class" and identity.class_ == target) or (
            scope == "workload" and workloads == {target}
        ):
            identities.append(identity)
    return identities
