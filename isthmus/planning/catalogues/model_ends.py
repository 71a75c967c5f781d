"""Names the models of a plan that Amazon ends. The days left are not stored: a plan stays reproducible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.planning.catalogues import bedrock
from isthmus.planning.catalogues.price_age import parse_day

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan

SOON_DAYS = 183
"""Days before its end from which a model is a warning: an evaluation and a release take months in a bank."""
_DAYS_A_MONTH = 30.44


def describe_ends(plan: Plan, today: str) -> list[tuple[str, bool]]:
    """A sentence for each model of Amazon Bedrock that ends, soonest first, and whether it is a warning."""
    workloads: dict[str, set[str]] = {}
    models = {endpoint.id: endpoint.model for endpoint in plan.endpoints if endpoint.target == "bedrock"}
    for placement in plan.placements:
        if placement.endpoint in models:
            workloads.setdefault(models[placement.endpoint], set()).add(placement.workload)
    found = [
        (ending, model, sorted(users))
        for model, users in workloads.items()
        if (name := bedrock.bedrock_id(model)) and (ending := bedrock.ending(name))
    ]
    return [
        _describe(ending, model, users, today)
        for ending, model, users in sorted(found, key=lambda entry: (entry[0].on, entry[1]))
    ]


def _describe(ending: bedrock.Ending, model: str, workloads: list[str], today: str) -> tuple[str, bool]:
    days = (parse_day(ending.on) - parse_day(today)).days
    of = f"{model} (of {', '.join(workloads)})"
    if ending.is_final:
        when = f"Amazon ends it on {ending.on}" if days > 0 else f"Amazon ended it on {ending.on}"
    else:
        when = f"Amazon may end it from {ending.on} on"
    left = f", {days / _DAYS_A_MONTH:.0f} months left" if days >= _DAYS_A_MONTH else ""
    if days > SOON_DAYS:
        return f"{of}: {when}{left} ({ending.by})", False
    fix = "Look at its lifecycle in the Bedrock console, and evaluate another model (`isthmus models`)"
    return f"{of}: {when}{left} ({ending.by}). Fix: {fix}", True
