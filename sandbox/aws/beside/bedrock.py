"""Amazon Bedrock's inference profiles, of which moto has none.

The system-defined profiles of a region, with the regions that each may route to: those of
`isthmus.contracts.inference_profiles`, which carry their source and date. A profile that is missing there
does not exist here, as it may not be used by a plan either.
"""

from __future__ import annotations

import datetime
from typing import Any

from isthmus.contracts import inference_profiles
from sandbox.aws.frame import Asked, Operation, Refused

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)


def _profile(id: str, asked: Asked) -> dict[str, Any]:
    known = inference_profiles.find(id, asked.region)
    regions, model = known.destination_regions, inference_profiles.model_of(id)
    return {
        "inferenceProfileId": id,
        "inferenceProfileName": f"{id.split('.')[0].upper()} {model}",
        "inferenceProfileArn": f"arn:aws:bedrock:{asked.region}:{asked.account}:inference-profile/{id}",
        "description": f"Routes requests to {model} in {', '.join(regions)}.",
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"} for region in regions],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }


def _here(asked: Asked) -> list[str]:
    return [row.profile for row in inference_profiles.rows() if row.source_region == asked.region]


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
