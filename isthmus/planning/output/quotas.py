"""What a workload on Bedrock takes of an account's quotas at its peak, and where AWS's defaults may be too small.

`isthmus.contracts.plan.bedrock_quotas` lists Bedrock's quotas by AWS's names. The solver keeps within the quotas that a
site states. Where a site states none, the plan warns if it needs more than AWS's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.requirements.document import AwsSite
from isthmus.planning.catalogues import tables

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements


def warnings(plan: Plan, requirements: Requirements) -> list[str]:
    """Where the plan needs more than AWS gives an account by default, and the site does not say what it has."""
    found = []
    for need in bedrock_quotas.needs(plan, requirements):
        site = requirements.site(need.site)
        stated = [bedrock_quotas.quota(name) for name in site.quotas] if isinstance(site, AwsSite) else []
        if any(of and of.holds_for(need.model, need.kind, crossing=need.crossing) for of in stated):
            continue
        row = _default(need.model, need.region, crossing=need.crossing)
        amount = None if row is None else row[f"{need.kind}_per_minute"]
        if row is None or amount is None or need.amount <= amount:
            continue
        found.append(
            f"{need.model} at {need.site} needs {need.amount:,} {need.kind} a minute at its peak, and AWS's "
            f"default there was {amount:,} ({row['evidence']['as_of']}); have it raised, and state `sites[].quotas`"
        )
    return found


def _default(model: str, region: str, *, crossing: bool) -> dict[str, Any] | None:
    """The row of the region, else that of all other regions."""
    kind = "cross-region" if crossing else "on-demand"
    rows = [
        each
        for each in tables.rows("bedrock_quotas")
        if (each["model"], each["profile_kind"]) == (model, kind)
    ]
    own = [each for each in rows if each["region"] and region in each["region"]]
    return next(iter(own or [each for each in rows if not each["region"]]), None)
