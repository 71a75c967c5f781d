"""Amazon Bedrock's guardrails and their versions, which moto lacks.

The working draft is `DRAFT`. A version is a copy of it that never changes. Versions are numbered from 1, and numbers
are not reused. As in AWS, `filtersConfig` in a request is `filters` in an answer, and so on. Prompts are not checked:
`ApplyGuardrail` is not supported.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field

from sandbox.aws.beside import naming
from sandbox.aws.beside.bedrock_state import STATE, Entry, arn, new_id, not_found, paginate, start_tags
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

DRAFT = "DRAFT"
_POLICIES = (
    "topicPolicyConfig",
    "contentPolicyConfig",
    "wordPolicyConfig",
    "sensitiveInformationPolicyConfig",
    "contextualGroundingPolicyConfig",
)
_TEXT_FIELDS = ("name", "description", "blockedInputMessaging", "blockedOutputsMessaging")
_UNSUPPORTED = ("automatedReasoningPolicyConfig",)
_PROFILE = re.compile(
    r"(?:arn:[^:]+:bedrock:(?P<region>[a-z0-9-]+):[0-9]{12}:guardrail-profile/)?"
    r"(?P<id>(?P<of>[a-z-]+)\.guardrail\.v[0-9:]+)"
)


@dataclass
class Guardrail:
    """The draft and the versions, in the form of `GetGuardrail`'s answer."""

    versions: dict[str, Entry] = field(default_factory=dict)
    last: int = 0


def _read_shape(policy: Entry) -> Entry:
    """Return `{"filtersConfig": […]}` as `{"filters": […]}`."""
    return {name.removesuffix("Config"): value for name, value in copy.deepcopy(policy).items()}


def _read_settings(request: ServiceRequest) -> Entry:
    """Return the settings of a request. Raises `Refused` for values that AWS refuses and botocore accepts."""
    params = request.params
    for name in _UNSUPPORTED:
        if name in params:
            raise Refused("ValidationException", 400, f"{name} is not served by the sandbox.")
    if not re.fullmatch(r"[0-9a-zA-Z_-]+", params["name"]):
        raise Refused("ValidationException", 400, "The name of the guardrail is not valid.")
    if not any(params.get(name) for name in _POLICIES):
        message = "At least one policy is needed to make a guardrail."
        raise Refused("ValidationException", 400, message)
    for filter_entry in (params.get("contextualGroundingPolicyConfig") or {}).get("filtersConfig", []):
        if not 0 <= filter_entry["threshold"] <= 0.99:
            raise Refused("ValidationException", 400, "The threshold must be from 0 to 0.99.")
    for filter_entry in (params.get("contentPolicyConfig") or {}).get("filtersConfig", []):
        if filter_entry["type"] == "PROMPT_ATTACK" and filter_entry["outputStrength"] != "NONE":
            message = "The output strength of a PROMPT_ATTACK filter must be NONE."
            raise Refused("ValidationException", 400, message)
    settings = {name: params[name] for name in _TEXT_FIELDS if name in params}
    settings |= {
        name.removesuffix("Config"): _read_shape(params[name]) for name in _POLICIES if params.get(name)
    }
    cross_region = _cross_region_details(request)
    tier = (params.get("contentPolicyConfig") or {}).get("tierConfig", {}).get("tierName", "CLASSIC")
    if tier == "STANDARD" and not cross_region:
        message = "The standard tier needs a guardrail profile: set crossRegionConfig."
        raise Refused("ValidationException", 400, message)
    settings |= cross_region
    if "kmsKeyId" in params:
        settings["kmsKeyArn"] = _key_arn(request, params["kmsKeyId"])
    return settings


def _cross_region_details(request: ServiceRequest) -> Entry:
    """Return the guardrail profile. Raises `Refused` unless it is of the region's geography."""
    if "crossRegionConfig" not in request.params:
        return {}
    profile_id = request.params["crossRegionConfig"]["guardrailProfileIdentifier"]
    match = _PROFILE.fullmatch(profile_id)
    geography = "us-gov" if request.region.startswith("us-gov-") else request.region.partition("-")[0]
    if match is None or match["of"] != geography or match["region"] not in (None, request.region):
        message = f"The guardrail profile {profile_id} cannot be used in {request.region}."
        raise Refused("ValidationException", 400, message)
    profile = arn(request, "guardrail-profile", match["id"])
    return {"crossRegionDetails": {"guardrailProfileId": match["id"], "guardrailProfileArn": profile}}


def _key_arn(request: ServiceRequest, key: str) -> str:
    if key.startswith("arn:"):
        return key
    return naming.arn(request, "kms", f"key/{key}")


def _find(request: ServiceRequest) -> tuple[str, Guardrail]:
    """Return id and guardrail for an id or ARN. Raises `Refused` if it does not exist."""
    identifier = request.params["guardrailIdentifier"]
    id = identifier.rsplit("/", 1)[-1]
    guardrail = STATE.of(request).guardrails.get(id)
    if guardrail is None or identifier not in (id, arn(request, "guardrail", id)):
        raise not_found("The guardrail was not found.")
    return id, guardrail


def _find_version(guardrail: Guardrail, version: str) -> Entry:
    if version not in guardrail.versions:
        raise not_found("The guardrail version was not found.")
    return guardrail.versions[version]


def _check_name(request: ServiceRequest, own_id: str = "") -> None:
    for id, guardrail in STATE.of(request).guardrails.items():
        if id != own_id and guardrail.versions[DRAFT]["name"] == request.params["name"]:
            raise Refused(
                "ConflictException", 400, "Another guardrail in your account already has this name."
            )


def create_guardrail(request: ServiceRequest) -> Entry:
    settings = _read_settings(request)
    _check_name(request)
    id = new_id()
    entry = {
        "guardrailId": id,
        "guardrailArn": arn(request, "guardrail", id),
        "version": DRAFT,
        "status": "READY",
        "createdAt": now(),
        "updatedAt": now(),
        **settings,
    }
    STATE.of(request).guardrails[id] = Guardrail({DRAFT: entry})
    start_tags(request, entry["guardrailArn"])
    return {name: entry[name] for name in ("guardrailId", "guardrailArn", "version", "createdAt")}


def get_guardrail(request: ServiceRequest) -> Entry:
    return _find_version(_find(request)[1], request.params.get("guardrailVersion") or DRAFT)


def update_guardrail(request: ServiceRequest) -> Entry:
    """Replace the whole draft. Settings that the request omits are removed."""
    id, guardrail = _find(request)
    settings = _read_settings(request)
    _check_name(request, id)
    kept_fields = ("guardrailId", "guardrailArn", "version", "status", "createdAt")
    draft = {name: guardrail.versions[DRAFT][name] for name in kept_fields} | settings | {"updatedAt": now()}
    guardrail.versions[DRAFT] = draft
    return {name: draft[name] for name in ("guardrailId", "guardrailArn", "version", "updatedAt")}


def create_guardrail_version(request: ServiceRequest) -> Entry:
    id, guardrail = _find(request)
    guardrail.last += 1
    new_version = guardrail.versions[DRAFT] | {"version": str(guardrail.last), "createdAt": now()}
    new_version.pop("description", None)
    if "description" in request.params:
        new_version["description"] = request.params["description"]
    guardrail.versions[str(guardrail.last)] = new_version
    return {"guardrailId": id, "version": str(guardrail.last)}


def delete_guardrail(request: ServiceRequest) -> Entry:
    """Delete one version, or without one the guardrail with all versions."""
    id, guardrail = _find(request)
    version = request.params.get("guardrailVersion")
    if version:
        _find_version(guardrail, version)
        del guardrail.versions[version]
        return {}
    state = STATE.of(request)
    state.tags.pop(guardrail.versions[DRAFT]["guardrailArn"], None)
    del state.guardrails[id]
    return {}


def list_guardrails(request: ServiceRequest) -> Entry:
    """List the drafts, or all versions of one guardrail."""
    if "guardrailIdentifier" in request.params:
        entries = list(_find(request)[1].versions.values())
    else:
        entries = [guardrail.versions[DRAFT] for guardrail in STATE.of(request).guardrails.values()]
    names = ("status", "name", "description", "version", "createdAt", "updatedAt")
    summaries = [
        {
            "id": version["guardrailId"],
            "arn": version["guardrailArn"],
            **{key: version[key] for key in names if key in version},
        }
        for version in entries
    ]
    return paginate(request, "guardrails", summaries)


OPERATIONS = (
    Operation("bedrock", "CreateGuardrail", create_guardrail),
    Operation("bedrock", "GetGuardrail", get_guardrail),
    Operation("bedrock", "UpdateGuardrail", update_guardrail),
    Operation("bedrock", "CreateGuardrailVersion", create_guardrail_version),
    Operation("bedrock", "DeleteGuardrail", delete_guardrail),
    Operation("bedrock", "ListGuardrails", list_guardrails),
)
