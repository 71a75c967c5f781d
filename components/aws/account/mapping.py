"""From the platform's contract to the arguments of the budgets in an AWS site's account."""

from __future__ import annotations

from typing import Any

from components.aws.account.budgets import BudgetsArgs
from components.aws.identity.mapping import bounded, served_by, tags
from isthmus.contracts.platform.model.platform import Identity, Platform, Site


def budgets_args(platform: Platform, site: Site, roles: dict[str, Any]) -> BudgetsArgs | None:
    """The budgets in the account of a site; `roles`: an identity's name to its role's. None: there are none."""
    mine = [budget for budget in platform.budgets if budget.site == site.name]
    first = next((each.name for each in platform.sites if each.kind == "aws"), None)
    anomalies = platform.anomalies
    heard = anomalies.mode == "manage" or (anomalies.mode == "existing" and anomalies.monitor is not None)
    watched = heard and (anomalies.site or first) == site.name
    if not mine and not watched:
        return None
    settings: list[dict[str, Any]] = []
    for budget in mine:
        entry: dict[str, Any] = budget.model_dump(exclude={"site"})
        if budget.action == "deny":
            denied = _denied(platform, budget.scope, budget.of, roles)
            entry["role_names"] = [roles[one.name] for one in denied]
            # Who calls no endpoint of SageMaker need not be denied it.
            if any(served_by(platform, one, "sagemaker") for one in denied):
                entry["hosted"] = True
        settings.append(entry)
    made: dict[str, Any] = {
        "name": site.name,
        "platform": platform.name,
        "budgets": settings,
        "notify": list(platform.contacts.cost),
        "cost_tags": platform.cost_tags,
        "tags": tags(platform),
        **bounded(site),
    }
    if watched:
        made["anomaly_usd"] = anomalies.threshold_usd
        if anomalies.mode == "existing":
            made["anomaly_monitor"] = anomalies.monitor
    return made  # type: ignore[return-value]


def _denied(platform: Platform, scope: str, of: str, roles: dict[str, Any]) -> list[Identity]:
    """Each identity of the class at the site, or each that serves this workload alone."""
    found: list[Identity] = []
    for identity in platform.identities:
        if identity.name not in roles:
            continue
        served = {workload for _, workload in served_by(platform, identity)}
        if (scope == "class" and identity.class_ == of) or (scope == "workload" and served == {of}):
            found.append(identity)
    return found
