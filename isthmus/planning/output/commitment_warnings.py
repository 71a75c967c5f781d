"""Warns if the requirements allow a term for instances, but state no price for one, so that nothing is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.requirements.document import AwsSite

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements


def commitment_warnings(plan: Plan, requirements: Requirements) -> list[str]:
    """A sentence for each instance type that the plan rents on demand although a term is allowed."""
    months = requirements.commitments.max_term_months
    if not months:
        return []
    sentences: list[str] = []
    for endpoint in plan.endpoints:
        site = requirements.site(endpoint.site)
        if (
            not isinstance(site, AwsSite)
            or endpoint.instance_type is None
            or endpoint.purchase != "on-demand"
        ):
            continue
        kind = endpoint.instance_type
        if any(name.startswith(f"{kind}/reserved-") for name in site.prices):
            continue  # a term was compared, and is dearer
        sentence = (
            f"{kind} at {endpoint.site} is planned on demand, although max_term_months is {months}: no price for a "
            f"term is stated. Fix: Add yours as `prices` of the site, e.g. `{kind}/reserved-12: {{usd_per_hour: …, "
            "as_of: …}`"
        )
        if sentence not in sentences:
            sentences.append(sentence)
    return sentences
