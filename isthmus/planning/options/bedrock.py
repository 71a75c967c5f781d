"""Finds the options of a workload on Amazon Bedrock: the cheapest permitted way to call the model from each site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import AwsSite
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import bedrock
from isthmus.planning.options import guardrails
from isthmus.planning.options.option import OnApi
from isthmus.planning.sizing import demand

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.planning.catalogues.bedrock import Call
    from isthmus.planning.options.option import Case
    from isthmus.planning.sizing.rounding import Goals


def add_bedrock_options(case: Case) -> None:
    """Add the options of a candidate that has a score at an API, or the reasons why there are none."""
    model = bedrock.bedrock_id(case.id)
    if model is None:
        case.reject(f"{case.id}: Bedrock does not serve this model")
        return
    if (ending := bedrock.ending(model)) is not None and ending.is_over:
        case.reject(f"{case.id} on Bedrock: Amazon ended this model on {ending.on} ({ending.by})")
        return
    if why := case.barred("bedrock"):
        case.reject(f"{case.id} on Bedrock: {why}")
        return
    for site in case.requirements.sites:
        if isinstance(site, AwsSite):
            _find_at_site(case, model, site)


def _find_at_site(case: Case, model: str, site: AwsSite) -> None:
    workload = case.workload
    if "bedrock" not in site.allow and case.rules.holds(site.name, "allow"):
        case.reject(f"{case.id} at {site.name}: `allow` of the site does not list bedrock")
        return
    workload_demand = demand.of_workload(workload)
    refusal, transfer_usd = case.over_link(site)
    if refusal:
        case.reject(f"{case.id} at {site.name}: {refusal}")
        return
    guardrail_usd = sum(cost.monthly_usd for cost in guardrails.filter_costs(workload, site))
    calls = bedrock.calls(model, site.region, site.prices)
    if not calls:
        case.reject(f"{case.id} has no known price in {site.region}, or cannot be called from there")
    best: OnApi | None = None
    for call in calls:
        label = f"{call.profile or case.id} from {site.region}"
        if why := case.outside(
            [(region, jurisdictions.region_jurisdiction(region)) for region in call.destinations]
        ):
            case.reject(f"{label}: {why}")
            continue
        if call.context < workload.model.context_tokens and case.holds("context_tokens"):
            case.reject(f"{label} has a context of {call.context:,} tokens, fewer than the workload needs")
            continue
        meets_goals = _meets_goals(site, call, case.goals(workload_demand))
        if meets_goals is False:
            case.reject(f"{label}: the latency that the site states misses the goals")
            continue
        price = call.price
        monthly = (
            workload_demand.prompt_tokens * price.input + workload_demand.output_tokens * price.output
        ) / 1e6
        monthly += workload_demand.requests * price.request + transfer_usd + guardrail_usd
        monthly *= 1 + workload_demand.batch_share
        option = OnApi(workload.name, site.name, call, case.score, case.id, monthly, bool(meets_goals))
        if best is None or option.monthly < best.monthly:
            best = option
    if best is not None:
        case.take(best)


def _meets_goals(site: AwsSite, call: Call, goals: Goals) -> bool | None:
    """Whether the latency that the site states meets the goals; None if it states none (`sites[].latency`)."""
    name = next((name for name in (call.profile, call.model) if name and site.latency.get(name)), None)
    if name is None:
        return None
    return goals.keep(*stated_latency(site, name))


def stated_latency(site: AwsSite, name: str) -> tuple[float, float]:
    """Milliseconds to the first and to each further token that a site states for a model or profile.

    Its shape: `{MODEL or PROFILE: {ttft_p95_ms, tpot_p95_ms, as_of, source?}}`. Raises `InputError` for any other.
    """
    row = site.latency[name]
    latencies: list[float] = []
    for key in ("ttft_p95_ms", "tpot_p95_ms"):
        value = row.get(key) if isinstance(row, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise InputError(
                f"{key} is {value!r}, not a number above 0",
                where=f"sites[{site.name}].latency.{name}",
                fix="Set ttft_p95_ms and tpot_p95_ms to the measured milliseconds",
            )
        latencies.append(float(value))
    return latencies[0], latencies[1]


def call_needs(
    requirements: Requirements, workload: Workload, call: Call, peak_share: float
) -> Iterator[tuple[str, float]]:
    """Yield the tokens and the requests a minute that `peak_share` of the workload's peak needs."""
    requests_per_minute = (
        bedrock_quotas.requests_per_minute(workload, requirements.planning.headroom) * peak_share
    )
    yield "tokens", requests_per_minute * bedrock_quotas.tokens_per_request(workload, call.model)
    yield "requests", requests_per_minute
