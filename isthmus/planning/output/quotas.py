"""Use of Bedrock quotas at the peak, and warnings where AWS's default quota is too small.

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


def quota_warnings(plan: Plan, requirements: Requirements) -> list[str]:
    """Warn where the plan needs more than AWS's default quota and the site does not state its quota."""
    sentences = []
    for need in bedrock_quotas.quota_needs(plan, requirements):
        site = requirements.site(need.site)
        stated_quotas = (
            [bedrock_quotas.parse_quota_name(name) for name in site.quotas]
            if isinstance(site, AwsSite)
            else []
        )
        if any(
            quota and quota.holds_for(need.model, need.kind, crossing=need.crossing)
            for quota in stated_quotas
        ):
            continue
        row = _default_quota(need.model, need.region, crossing=need.crossing)
        amount = None if row is None else row[f"{need.kind}_per_minute"]
        if row is None or amount is None or need.amount <= amount:
            continue
        sentences.append(
            f"{need.model} at {need.site} needs {need.amount:,} {need.kind} a minute at its peak with headroom, but "
            f"AWS's default quota there is {amount:,} ({row['evidence']['as_of']}). Fix: Request a higher quota from "
            "AWS and add it to `sites[].quotas`"
        )
    return sentences


def _default_quota(model: str, region: str, *, crossing: bool) -> dict[str, Any] | None:
    """Return the default quota of the region, else the one for all other regions."""
    kind = "cross-region" if crossing else "on-demand"
    rows = [
        row for row in tables.rows("bedrock_quotas") if (row["model"], row["profile_kind"]) == (model, kind)
    ]
    regional_rows = [row for row in rows if row["region"] and region in row["region"]]
    return next(iter(regional_rows or [row for row in rows if not row["region"]]), None)
