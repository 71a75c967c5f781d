"""Computes the Bedrock quotas that a plan needs, and knows AWS's names of these quotas.

Bedrock counts tokens a minute, input and output together, for each model and region; calls through a
cross-region inference profile have a quota of their own (user guide, "Quotas for the bedrock-runtime
endpoint", read 2026-11-25). Some models' output counts more than once ("How tokens are counted", same
date: 5 for Claude 4 models). Needs are at peak with the planning's headroom: what is stated, no forecast.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.requirements.document import AwsSite, Requirements, Workload
from isthmus.core.errors import FieldError

LABELS = {
    "amazon.nova-micro-v1:0": "Amazon Nova Micro",
    "amazon.nova-lite-v1:0": "Amazon Nova Lite",
    "amazon.nova-pro-v1:0": "Amazon Nova Pro",
    "anthropic.claude-haiku-4-5-20251001-v1:0": "Anthropic Claude Haiku 4.5",
    "anthropic.claude-sonnet-4-5-20250929-v1:0": "Anthropic Claude Sonnet 4.5",
}
"""Model id to the model's name in quotas: those of the known inference profiles; as of knowledge, not checked."""
_OUTPUT_FACTORS = {
    "anthropic.claude-haiku-4": 5,
    "anthropic.claude-sonnet-4": 5,
    "anthropic.claude-opus-4": 5,
}
"""Beginning of a model id to how often each token of an answer counts."""


@dataclass(frozen=True)
class Need:
    """What the plan needs of one quota."""

    endpoint: int
    """Index of the endpoint in the plan, the first that shares the quota."""
    site: str
    region: str
    crossing: bool
    """Called through a cross-region inference profile."""
    kind: str
    """`tokens` or `requests`, a minute."""
    amount: int
    model: str
    names: tuple[str, ...]
    """By which AWS may call it, today's wording first; empty where the model's name is not known."""


def quota_needs(plan: Plan, requirements: Requirements) -> list[Need]:
    """What each model needs in each region of a site, its workloads together, in the plan's order."""
    endpoints_by_quota: dict[tuple[str, str, bool], list[tuple[int, PlannedEndpoint]]] = {}
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.target == "bedrock":
            key = (endpoint.site, endpoint.model, endpoint.inference_profile is not None)
            endpoints_by_quota.setdefault(key, []).append((index, endpoint))
    result: list[Need] = []
    for (site, model, crossing), endpoints in endpoints_by_quota.items():
        site_settings = requirements.site(site)
        if not isinstance(site_settings, AwsSite):
            continue
        tokens = requests = 0.0
        for _, endpoint in endpoints:
            endpoint_tokens, endpoint_requests = _endpoint_use(plan, requirements, endpoint)
            tokens, requests = tokens + endpoint_tokens, requests + endpoint_requests
        region = endpoints[0][1].region or site_settings.region
        for kind, amount in (("tokens", tokens), ("requests", requests)):
            names = quota_names(model, kind, crossing=crossing)
            amount = math.ceil(amount - 1e-6)
            result.append(Need(endpoints[0][0], site, region, crossing, kind, amount, model, names))
    return result


def _endpoint_use(plan: Plan, requirements: Requirements, endpoint: PlannedEndpoint) -> tuple[float, float]:
    """Tokens and requests a minute at the peak, with headroom."""
    tokens = requests = 0.0
    for placement in plan.placements:
        workload = requirements.workload(placement.workload)
        if placement.endpoint == endpoint.id and workload is not None:
            workload_requests = requests_per_minute(workload, requirements.planning.headroom)
            workload_requests *= placement.share if placement.peak_share is None else placement.peak_share
            requests += workload_requests
            tokens += workload_requests * tokens_per_request(workload, endpoint.model)
    return tokens, requests


def requests_per_minute(workload: Workload, headroom: float) -> float:
    """Requests a minute at the workload's peak, with headroom."""
    return workload.traffic.peak_rps * 60 * (1 + headroom)


def tokens_per_request(workload: Workload, model: str) -> float:
    """What a request counts against the model's quota of tokens."""
    traffic = workload.traffic
    return traffic.prompt_tokens.mean + output_factor(model) * traffic.output_tokens.mean


def output_factor(model: str) -> int:
    """How often a token of the model's answer counts against its quota."""
    return next((factor for prefix, factor in _OUTPUT_FACTORS.items() if model.startswith(prefix)), 1)


def quota_names(model: str, kind: str, *, crossing: bool) -> tuple[str, ...]:
    """AWS's names of a model's quota, today's wording first, then that of before (as of knowledge)."""
    label = LABELS.get(model)
    if label is None:
        return ()
    new = "Cross-Region InvokeModel" if crossing else "On-demand InvokeModel"
    old = "Cross-region model inference" if crossing else "On-demand model inference"
    return (f"{new} {kind} per minute for {label}", f"{old} {kind} per minute for {label}")


_NAME = re.compile(
    r"(?P<way>on-demand|cross-region) (invokemodel|model inference) (?P<kind>tokens|requests) per minute for (?P<of>.+)"
)


@dataclass(frozen=True)
class Quota:
    """What a quota of AWS's own name is of."""

    kind: str
    crossing: bool
    label: str
    """The model's name, its letters and digits only."""

    def holds_for(self, model: str, kind: str, *, crossing: bool) -> bool:
        return (self.kind, self.crossing, self.label) == (kind, crossing, _letters(_without_version(model)))


def parse_quota_name(name: str) -> Quota | None:
    """A quota by its name; None for one of another service."""
    match = _NAME.fullmatch(name.strip().lower())
    if match is None:
        return None
    # `Claude 3.5 Sonnet V2` is another quota than `Claude 3.5 Sonnet`: both hold for either, which is the safe side.
    label = _letters(re.sub(r"\s+v\d+$", "", match["of"]))
    return Quota(match["kind"], match["way"] == "cross-region", label)


def _without_version(model: str) -> str:
    """A model's id without date and version: AWS's names of quotas have the same letters."""
    return re.sub(r"(-20\d{6})?(-v?\d+)?:\d+$", "", model)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def stated_quotas_suffice(plan: Plan, requirements: Requirements) -> None:
    """No quota that a site states (`quotas`, by AWS's own name) is below what the plan needs of it."""
    for need in quota_needs(plan, requirements):
        site = requirements.site(need.site)
        if not isinstance(site, AwsSite):
            continue
        for name, amount in site.quotas.items():
            quota_of_name = parse_quota_name(name)
            if (
                quota_of_name
                and quota_of_name.holds_for(need.model, need.kind, crossing=need.crossing)
                and amount < need.amount
            ):
                raise FieldError(
                    shortage(need, name, amount),
                    *("endpoints", need.endpoint),
                    fix=(
                        "Ask AWS to raise it (Service Quotas), place the workload elsewhere, or correct `quotas` "
                        "of the site"
                    ),
                    refused=True,
                )


def shortage(need: Need, name: str, amount: float) -> str:
    """The one sentence of a quota that is too small."""
    return (
        f"the plan needs {need.amount:,} {need.kind} a minute of {need.model} at {need.site} at its peak with "
        f"headroom, but the quota `{name}` is {amount:,.0f}"
    )
