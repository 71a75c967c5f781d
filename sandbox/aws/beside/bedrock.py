"""Amazon Bedrock's inference profiles, of which moto has none.

The system-defined profiles of a region, with the regions that each may route to, are those of
`isthmus.contracts.reference.inference_profiles`, which carry their source and date. A profile that is missing there
does not exist here, as it may not be used by a plan either. Application profiles copy one of them, or one
model of the region, and bear the tags by which cost is told apart.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from isthmus.contracts.reference import inference_profiles
from sandbox.aws.beside import bedrock_models
from sandbox.aws.beside.bedrock_state import HELD, arn, new_id, not_found, page, tagged
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Asked, Operation, Refused

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_PATTERNS = {
    "inferenceProfileName": r"(?:[0-9a-zA-Z][ _-]?)+",
    "description": r"(?:[0-9a-zA-Z:.][ _-]?)+",
}
"""Those of botocore's model."""
_MISSING = "The provided inference profile does not exist."


def _profile(id: str, asked: Asked) -> dict[str, Any]:
    known = inference_profiles.find(id, asked.region)
    regions, model = known.destination_regions, inference_profiles.model_of(id)
    return {
        "inferenceProfileId": id,
        "inferenceProfileName": f"{id.split('.')[0].upper()} {model}",
        "inferenceProfileArn": arn(asked, "inference-profile", id),
        "description": f"Routes requests to {model} in {', '.join(regions)}.",
        "models": [{"modelArn": bedrock_models.model_arn(region, model)} for region in regions],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }


def _here(asked: Asked) -> list[str]:
    return [row.profile for row in inference_profiles.rows() if row.source_region == asked.region]


def _system(asked: Asked, identifier: str) -> dict[str, Any] | None:
    """The system-defined profile of an id or ARN."""
    id = identifier.rsplit("/", 1)[-1]
    fits = id in _here(asked) and identifier in (id, arn(asked, "inference-profile", id))
    return _profile(id, asked) if fits else None


def _application(asked: Asked, identifier: str) -> dict[str, Any] | None:
    found = HELD.of(asked).profiles.get(identifier.rsplit("/", 1)[-1])
    fits = found and identifier in (found["inferenceProfileId"], found["inferenceProfileArn"])
    return found if fits else None


def get_inference_profile(asked: Asked) -> dict[str, Any]:
    identifier = str(asked.params["inferenceProfileIdentifier"])
    found = _system(asked, identifier) or _application(asked, identifier)
    if found is None:
        raise not_found(_MISSING)
    return found


def list_inference_profiles(asked: Asked) -> dict[str, Any]:
    """Those of one type; without one, the system-defined (as of knowledge, not checked)."""
    if asked.params.get("typeEquals") == "APPLICATION":
        found = list(HELD.of(asked).profiles.values())
    else:
        found = [_profile(id, asked) for id in _here(asked)]
    return page(asked, "inferenceProfileSummaries", found)


def create_inference_profile(asked: Asked) -> dict[str, Any]:
    given, held = asked.params, HELD.of(asked)
    # botocore checks no patterns: what AWS would refuse must not pass here.
    for member, pattern in _PATTERNS.items():
        if member in given and not re.fullmatch(pattern, given[member]):
            raise Refused("ValidationException", 400, f"{member} must fit {pattern}.")
    if any(one["inferenceProfileName"] == given["inferenceProfileName"] for one in held.profiles.values()):
        raise Refused("ConflictException", 400, "An inference profile of this name exists already.")
    id = new_id()
    entry = {
        "inferenceProfileId": id,
        "inferenceProfileArn": arn(asked, "application-inference-profile", id),
        "inferenceProfileName": given["inferenceProfileName"],
        "models": _copied(asked, given["modelSource"].get("copyFrom", "")),
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": now(),
        "updatedAt": now(),
    }
    if "description" in given:
        entry["description"] = given["description"]
    held.profiles[id] = entry
    tagged(asked, entry["inferenceProfileArn"])
    return {"inferenceProfileArn": entry["inferenceProfileArn"], "status": "ACTIVE"}


def _copied(asked: Asked, source: str) -> list[dict[str, str]]:
    """The models of the profile or model whose ARN is `source`. Raises `Refused` for what is not there."""
    if ":foundation-model/" in source:
        return [
            {"modelArn": bedrock_models.model_arn(asked.region, bedrock_models.find_model(asked, source))}
        ]
    found = _system(asked, source) if source.startswith("arn:") else None
    if found is None:
        raise Refused("ValidationException", 400, "The provided model source is invalid.")
    return list(found["models"])


def delete_inference_profile(asked: Asked) -> dict[str, Any]:
    identifier = str(asked.params["inferenceProfileIdentifier"])
    found = _application(asked, identifier)
    if found is None and _system(asked, identifier):
        raise Refused("ValidationException", 400, "A system-defined inference profile cannot be deleted.")
    if found is None:
        raise not_found(_MISSING)
    held = HELD.of(asked)
    del held.profiles[found["inferenceProfileId"]]
    held.tags.pop(found["inferenceProfileArn"], None)
    return {}


OPERATIONS = (
    Operation("bedrock", "GetInferenceProfile", get_inference_profile),
    Operation("bedrock", "ListInferenceProfiles", list_inference_profiles),
    Operation("bedrock", "CreateInferenceProfile", create_inference_profile),
    Operation("bedrock", "DeleteInferenceProfile", delete_inference_profile),
)
