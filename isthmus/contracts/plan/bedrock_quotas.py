"""What a plan needs of an account's Bedrock quotas, and the names that AWS gives those quotas.

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
_TIMES_OUTPUT = {"anthropic.claude-haiku-4": 5, "anthropic.claude-sonnet-4": 5, "anthropic.claude-opus-4": 5}
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


def needs(plan: Plan, requirements: Requirements) -> list[Need]:
    """What each model needs in each region of a site, its workloads together, in the plan's order."""
    found: dict[tuple[str, str, bool], list[tuple[int, PlannedEndpoint]]] = {}
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.target == "bedrock":
            key = (endpoint.site, endpoint.model, endpoint.inference_profile is not None)
            found.setdefault(key, []).append((index, endpoint))
    made: list[Need] = []
    for (site, model, crossing), endpoints in found.items():
        place = requirements.site(site)
        if not isinstance(place, AwsSite):
            continue
        tokens = asked = 0.0
        for _, endpoint in endpoints:
            more_tokens, more = _of_endpoint(plan, requirements, endpoint)
            tokens, asked = tokens + more_tokens, asked + more
        region = endpoints[0][1].region or place.region
        for kind, amount in (("tokens", tokens), ("requests", asked)):
            names = quota_names(model, kind, crossing=crossing)
            amount = math.ceil(amount - 1e-6)
            made.append(Need(endpoints[0][0], site, region, crossing, kind, amount, model, names))
    return made


def _of_endpoint(plan: Plan, requirements: Requirements, endpoint: PlannedEndpoint) -> tuple[float, float]:
    """Tokens and requests a minute at the peak, with headroom."""
    tokens = asked = 0.0
    for placement in plan.placements:
        workload = requirements.workload(placement.workload)
        if placement.endpoint == endpoint.id and workload is not None:
            more = a_minute(workload, requirements.planning.headroom)
            more *= placement.share if placement.peak_share is None else placement.peak_share
            asked += more
            tokens += more * tokens_of(workload, endpoint.model)
    return tokens, asked


def a_minute(workload: Workload, headroom: float) -> float:
    """Requests a minute at the workload's peak, with headroom."""
    return workload.traffic.peak_rps * 60 * (1 + headroom)


def tokens_of(workload: Workload, model: str) -> float:
    """What a request counts against the model's quota of tokens."""
    traffic = workload.traffic
    return traffic.prompt_tokens.mean + times_output(model) * traffic.output_tokens.mean


def times_output(model: str) -> int:
    """How often a token of the model's answer counts against its quota."""
    return next((times for start, times in _TIMES_OUTPUT.items() if model.startswith(start)), 1)


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
        return (self.kind, self.crossing, self.label) == (kind, crossing, _letters(_bare(model)))


def quota(name: str) -> Quota | None:
    """A quota by its name; None for one of another service."""
    found = _NAME.fullmatch(name.strip().lower())
    if found is None:
        return None
    # `Claude 3.5 Sonnet V2` is another quota than `Claude 3.5 Sonnet`: both hold for either, which is the safe side.
    label = _letters(re.sub(r"\s+v\d+$", "", found["of"]))
    return Quota(found["kind"], found["way"] == "cross-region", label)


def _bare(model: str) -> str:
    """A model's id without date and version: AWS's names of quotas have the same letters."""
    return re.sub(r"(-20\d{6})?(-v?\d+)?:\d+$", "", model)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def stated_quotas_suffice(plan: Plan, requirements: Requirements) -> None:
    """No quota that a site states (`quotas`, by AWS's own name) is below what the plan needs of it."""
    for need in needs(plan, requirements):
        site = requirements.site(need.site)
        if not isinstance(site, AwsSite):
            continue
        for name, amount in site.quotas.items():
            of = quota(name)
            if of and of.holds_for(need.model, need.kind, crossing=need.crossing) and amount < need.amount:
                raise FieldError(
                    shortage(need, name, amount),
                    *("endpoints", need.endpoint),
                    fix="Have AWS raise it (Service Quotas), place the work elsewhere, or correct the site's quotas",
                    refused=True,
                )


def shortage(need: Need, name: str, amount: float) -> str:
    """The one sentence of a quota that is too small."""
    return (
        f"the plan needs {need.amount:,} {need.kind} a minute of {need.model} at {need.site} at its peak, and "
        f"the quota `{name}` is {amount:,.0f}"
    )
