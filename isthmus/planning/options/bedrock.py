"""A workload on Amazon Bedrock: every way to call the model from each site, the cheapest that is left open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import AwsSite
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import bedrock
from isthmus.planning.options.option import OnApi
from isthmus.planning.sizing import demand

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.planning.catalogues.bedrock import Call
    from isthmus.planning.options.option import Case
    from isthmus.planning.sizing.demand import Demand


def find(case: Case) -> None:
    """The options of a candidate that has a score at an API."""
    model = bedrock.named(case.id)
    if model is None:
        case.reject(f"{case.id}: no API serves it")
        return
    if why := case.barred("bedrock"):
        case.reject(f"{case.id} on Bedrock: {why}")
        return
    for site in case.requirements.sites:
        if isinstance(site, AwsSite):
            _at(case, model, site)


def _at(case: Case, model: str, site: AwsSite) -> None:
    workload = case.workload
    if "bedrock" not in site.allow and case.rules.holds(site.name, "allow"):
        case.reject(f"{case.id} at {site.name}: the site does not allow bedrock")
        return
    wanted = demand.of(workload)
    link, moved = case.over_link(site)
    if link:
        case.reject(f"{case.id} at {site.name}: {link}")
        return
    ways = bedrock.calls(model, site.region, site.prices)
    if not ways:
        case.reject(f"{case.id} has no price in {site.region}, or cannot be called from there")
    best: OnApi | None = None
    for call in ways:
        label = f"{call.profile or case.id} from {site.region}"
        if why := case.outside([(region, jurisdictions.of_region(region)) for region in call.destinations]):
            case.reject(f"{label}: {why}")
            continue
        if call.context < workload.model.context_tokens and case.holds("context_tokens"):
            case.reject(f"{label} takes {call.context:,} tokens, fewer than are asked for")
            continue
        verified = _latency(site, call, wanted)
        if verified is False and case.holds("ttft_p95_ms"):
            case.reject(f"{label}: by the site's own figures it is slower than the goals")
            continue
        price = call.price
        monthly = (wanted.prompt_tokens * price.input + wanted.output_tokens * price.output) / 1e6
        monthly += wanted.requests * price.request + moved
        option = OnApi(workload.name, site.name, call, case.score, case.id, monthly, bool(verified))
        if best is None or option.monthly < best.monthly:
            best = option
    if best is not None:
        case.take(best)


def _latency(site: AwsSite, call: Call, wanted: Demand) -> bool | None:
    """Whether the site's own evidence keeps the goals; None where it states none (`sites[].latency`).

    Its shape: `{MODEL or PROFILE: {ttft_p95_ms, tpot_p95_ms, as_of, source?}}`. Raises `InputError` for another.
    """
    for name in (call.profile, call.model):
        row = site.latency.get(name) if name else None
        if row is None:
            continue
        told = []
        for key in ("ttft_p95_ms", "tpot_p95_ms"):
            value = row.get(key) if isinstance(row, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise InputError(
                    f"{key} is {value!r}, not a number above 0",
                    where=f"sites[{site.name}].latency.{name}",
                    fix="Say ttft_p95_ms and tpot_p95_ms as measured",
                )
            told.append(float(value))
        ttft, tpot = told
        return (wanted.ttft_ms is None or ttft <= wanted.ttft_ms) and (
            wanted.tpot_ms is None or tpot <= wanted.tpot_ms
        )
    return None


def of_call(
    requirements: Requirements, workload: Workload, call: Call, part: float
) -> Iterator[tuple[str, float]]:
    """Of tokens and of requests, what so much of the workload's peak takes a minute."""
    asked = bedrock_quotas.a_minute(workload, requirements.planning.headroom) * part
    yield "tokens", asked * bedrock_quotas.tokens_of(workload, call.model)
    yield "requests", asked
