"""Amazon Bedrock's inference profiles, of which moto has none.

The system-defined profiles of a region, with the regions that each may route to: what a program needs
to know before it lets a workload use one.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sandbox.aws.frame import Asked, Operation, Refused

_EU = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
_EU_OLDER = ("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3")
_US = ("us-east-1", "us-east-2", "us-west-2")

PROFILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "eu.anthropic.claude-haiku-4-5-20251001-v1:0": ("EU Anthropic Claude Haiku 4.5", _EU),
    "eu.anthropic.claude-sonnet-4-5-20250929-v1:0": ("EU Anthropic Claude Sonnet 4.5", _EU),
    "eu.amazon.nova-micro-v1:0": ("EU Nova Micro", _EU_OLDER),
    "eu.amazon.nova-lite-v1:0": ("EU Nova Lite", _EU_OLDER),
    "eu.amazon.nova-pro-v1:0": ("EU Nova Pro", _EU_OLDER),
    "us.anthropic.claude-haiku-4-5-20251001-v1:0": ("US Anthropic Claude Haiku 4.5", _US),
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": ("US Anthropic Claude Sonnet 4.5", _US),
    "us.amazon.nova-lite-v1:0": ("US Nova Lite", _US),
    "us.amazon.nova-pro-v1:0": ("US Nova Pro", _US),
}
"""Profile id: its name and its destination regions, which are its source regions too.

After AWS's list "Supported Regions and models for inference profiles", from memory of 2025: a stand-in
to develop against, never evidence of where data goes.
"""

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)


def _profile(id: str, asked: Asked) -> dict[str, Any]:
    name, regions = PROFILES[id]
    model = id.split(".", 1)[1]
    return {
        "inferenceProfileId": id,
        "inferenceProfileName": name,
        "inferenceProfileArn": f"arn:aws:bedrock:{asked.region}:{asked.account}:inference-profile/{id}",
        "description": f"Routes requests to {model} in {', '.join(regions)}.",
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"} for region in regions],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }


def _here(asked: Asked) -> list[str]:
    return [id for id, (_, regions) in PROFILES.items() if asked.region in regions]


def get_inference_profile(asked: Asked) -> dict[str, Any]:
    id = str(asked.params["inferenceProfileIdentifier"]).rsplit("/", 1)[-1]
    if id not in _here(asked):
        raise Refused("ResourceNotFoundException", 404, "The provided inference profile does not exist.")
    return _profile(id, asked)


def list_inference_profiles(asked: Asked) -> dict[str, Any]:
    """In pages of `maxResults` (all by default); the token of the next page is where it starts."""
    if asked.params.get("typeEquals") == "APPLICATION":
        return {"inferenceProfileSummaries": []}
    ids = _here(asked)
    start = asked.params.get("nextToken") or "0"
    if not start.isdigit():
        raise Refused("ValidationException", 400, "The pagination token is not one of ours.")
    end = int(start) + int(asked.params.get("maxResults") or 1000)
    answer: dict[str, Any] = {
        "inferenceProfileSummaries": [_profile(id, asked) for id in ids[int(start) : end]]
    }
    if end < len(ids):
        answer["nextToken"] = str(end)
    return answer


OPERATIONS = (
    Operation("bedrock", "GetInferenceProfile", get_inference_profile),
    Operation("bedrock", "ListInferenceProfiles", list_inference_profiles),
)
