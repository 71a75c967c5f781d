"""Amazon Bedrock's inference profiles, which moto lacks.

The system-defined profiles of a region, with their destination regions, come from
`isthmus.contracts.reference.inference_profiles`, which has their source and date. A profile that is missing there
does not exist here, since a plan cannot use it either. Application profiles copy a system-defined profile or a model
of the region, and have tags for cost allocation.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from isthmus.contracts.reference import inference_profiles
from sandbox.aws.beside import bedrock_models
from sandbox.aws.beside.bedrock_state import STATE, arn, new_id, not_found, paginate, start_tags
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_SINCE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_PATTERNS = {
    "inferenceProfileName": r"(?:[0-9a-zA-Z][ _-]?)+",
    "description": r"(?:[0-9a-zA-Z:.][ _-]?)+",
}
"""Patterns of botocore's model, which botocore does not check."""
_MISSING = "The provided inference profile does not exist."


def _describe_profile(id: str, request: ServiceRequest) -> dict[str, Any]:
    profile = inference_profiles.find(id, request.region)
    regions, model = profile.destination_regions, inference_profiles.model_of(id)
    return {
        "inferenceProfileId": id,
        "inferenceProfileName": f"{id.split('.')[0].upper()} {model}",
        "inferenceProfileArn": arn(request, "inference-profile", id),
        "description": f"Routes requests to {model} in {', '.join(regions)}.",
        "models": [{"modelArn": bedrock_models.model_arn(region, model)} for region in regions],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }


def _regional_profiles(request: ServiceRequest) -> list[str]:
    return [row.profile for row in inference_profiles.rows() if row.source_region == request.region]


def _find_system_profile(request: ServiceRequest, identifier: str) -> dict[str, Any] | None:
    """Return the system-defined profile with this id or ARN, or None."""
    id = identifier.rsplit("/", 1)[-1]
    is_match = id in _regional_profiles(request) and identifier in (id, arn(request, "inference-profile", id))
    return _describe_profile(id, request) if is_match else None


def _find_application_profile(request: ServiceRequest, identifier: str) -> dict[str, Any] | None:
    profile = STATE.of(request).profiles.get(identifier.rsplit("/", 1)[-1])
    is_match = profile and identifier in (profile["inferenceProfileId"], profile["inferenceProfileArn"])
    return profile if is_match else None


def get_inference_profile(request: ServiceRequest) -> dict[str, Any]:
    identifier = str(request.params["inferenceProfileIdentifier"])
    profile = _find_system_profile(request, identifier) or _find_application_profile(request, identifier)
    if profile is None:
        raise not_found(_MISSING)
    return profile


def list_inference_profiles(request: ServiceRequest) -> dict[str, Any]:
    """List the profiles of one type, by default the system-defined ones (AWS's default is not verified)."""
    if request.params.get("typeEquals") == "APPLICATION":
        profiles = list(STATE.of(request).profiles.values())
    else:
        profiles = [_describe_profile(id, request) for id in _regional_profiles(request)]
    return paginate(request, "inferenceProfileSummaries", profiles)


def create_inference_profile(request: ServiceRequest) -> dict[str, Any]:
    params, state = request.params, STATE.of(request)
    # botocore checks no patterns, but AWS does.
    for member, pattern in _PATTERNS.items():
        if member in params and not re.fullmatch(pattern, params[member]):
            raise Refused("ValidationException", 400, f"{member} must fit {pattern}.")
    if any(
        profile["inferenceProfileName"] == params["inferenceProfileName"]
        for profile in state.profiles.values()
    ):
        raise Refused("ConflictException", 400, "An inference profile of this name exists already.")
    id = new_id()
    entry = {
        "inferenceProfileId": id,
        "inferenceProfileArn": arn(request, "application-inference-profile", id),
        "inferenceProfileName": params["inferenceProfileName"],
        "models": _copy_models(request, params["modelSource"].get("copyFrom", "")),
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": now(),
        "updatedAt": now(),
    }
    if "description" in params:
        entry["description"] = params["description"]
    state.profiles[id] = entry
    start_tags(request, entry["inferenceProfileArn"])
    return {"inferenceProfileArn": entry["inferenceProfileArn"], "status": "ACTIVE"}


def _copy_models(request: ServiceRequest, source: str) -> list[dict[str, str]]:
    """Return the models of the profile or model with the ARN `source`. Raises `Refused` if it does not exist."""
    if ":foundation-model/" in source:
        return [
            {"modelArn": bedrock_models.model_arn(request.region, bedrock_models.find_model(request, source))}
        ]
    profile = _find_system_profile(request, source) if source.startswith("arn:") else None
    if profile is None:
        raise Refused("ValidationException", 400, "The provided model source is invalid.")
    return list(profile["models"])


def delete_inference_profile(request: ServiceRequest) -> dict[str, Any]:
    identifier = str(request.params["inferenceProfileIdentifier"])
    profile = _find_application_profile(request, identifier)
    if profile is None and _find_system_profile(request, identifier):
        raise Refused("ValidationException", 400, "A system-defined inference profile cannot be deleted.")
    if profile is None:
        raise not_found(_MISSING)
    state = STATE.of(request)
    del state.profiles[profile["inferenceProfileId"]]
    state.tags.pop(profile["inferenceProfileArn"], None)
    return {}


OPERATIONS = (
    Operation("bedrock", "GetInferenceProfile", get_inference_profile),
    Operation("bedrock", "ListInferenceProfiles", list_inference_profiles),
    Operation("bedrock", "CreateInferenceProfile", create_inference_profile),
    Operation("bedrock", "DeleteInferenceProfile", delete_inference_profile),
)
