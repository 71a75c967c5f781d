"""Amazon Bedrock's guardrails and their versions, of which moto has none.

The working draft is `DRAFT`; a version is a picture of it that never changes, numbered from 1, and no number
comes twice. What is sent as `filtersConfig` is answered as `filters`, and so on, as AWS does. No prompt is
looked at: `ApplyGuardrail` is not served.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field

from sandbox.aws.beside import naming
from sandbox.aws.beside.bedrock_state import HELD, Entry, arn, new_id, not_found, page, tagged
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Asked, Operation, Refused

DRAFT = "DRAFT"
_POLICIES = (
    "topicPolicyConfig",
    "contentPolicyConfig",
    "wordPolicyConfig",
    "sensitiveInformationPolicyConfig",
    "contextualGroundingPolicyConfig",
)
_PLAIN = ("name", "description", "blockedInputMessaging", "blockedOutputsMessaging")
_UNSERVED = ("automatedReasoningPolicyConfig",)
_PROFILE = re.compile(
    r"(?:arn:[^:]+:bedrock:(?P<region>[a-z0-9-]+):[0-9]{12}:guardrail-profile/)?"
    r"(?P<id>(?P<of>[a-z-]+)\.guardrail\.v[0-9:]+)"
)


@dataclass
class Guardrail:
    """The draft and the versions, each as `GetGuardrail` answers it."""

    versions: dict[str, Entry] = field(default_factory=dict)
    last: int = 0


def _read_shape(policy: Entry) -> Entry:
    """`{"filtersConfig": […]}` as `{"filters": […]}`."""
    return {name.removesuffix("Config"): value for name, value in copy.deepcopy(policy).items()}


def _settings(asked: Asked) -> Entry:
    """What a request sets. Raises `Refused` for what AWS would not take and botocore lets pass."""
    given = asked.params
    for name in _UNSERVED:
        if name in given:
            raise Refused("ValidationException", 400, f"{name} is not served by the sandbox.")
    if not re.fullmatch(r"[0-9a-zA-Z_-]+", given["name"]):
        raise Refused("ValidationException", 400, "The name of the guardrail is not valid.")
    if not any(given.get(name) for name in _POLICIES):
        message = "At least one policy is needed to make a guardrail."
        raise Refused("ValidationException", 400, message)
    for one in (given.get("contextualGroundingPolicyConfig") or {}).get("filtersConfig", []):
        if not 0 <= one["threshold"] <= 0.99:
            raise Refused("ValidationException", 400, "The threshold must be from 0 to 0.99.")
    for one in (given.get("contentPolicyConfig") or {}).get("filtersConfig", []):
        if one["type"] == "PROMPT_ATTACK" and one["outputStrength"] != "NONE":
            message = "The output strength of a PROMPT_ATTACK filter must be NONE."
            raise Refused("ValidationException", 400, message)
    made = {name: given[name] for name in _PLAIN if name in given}
    made |= {name.removesuffix("Config"): _read_shape(given[name]) for name in _POLICIES if given.get(name)}
    across = _across(asked)
    tier = (given.get("contentPolicyConfig") or {}).get("tierConfig", {}).get("tierName", "CLASSIC")
    if tier == "STANDARD" and not across:
        message = "The standard tier needs a guardrail profile: set crossRegionConfig."
        raise Refused("ValidationException", 400, message)
    made |= across
    if "kmsKeyId" in given:
        made["kmsKeyArn"] = _key_arn(asked, given["kmsKeyId"])
    return made


def _across(asked: Asked) -> Entry:
    """The guardrail profile, which is of the region's own geography."""
    if "crossRegionConfig" not in asked.params:
        return {}
    named = asked.params["crossRegionConfig"]["guardrailProfileIdentifier"]
    found = _PROFILE.fullmatch(named)
    geography = "us-gov" if asked.region.startswith("us-gov-") else asked.region.partition("-")[0]
    if found is None or found["of"] != geography or found["region"] not in (None, asked.region):
        message = f"The guardrail profile {named} cannot be used in {asked.region}."
        raise Refused("ValidationException", 400, message)
    profile = arn(asked, "guardrail-profile", found["id"])
    return {"crossRegionDetails": {"guardrailProfileId": found["id"], "guardrailProfileArn": profile}}


def _key_arn(asked: Asked, key: str) -> str:
    if key.startswith("arn:"):
        return key
    return naming.arn(asked, "kms", f"key/{key}")


def _find(asked: Asked) -> tuple[str, Guardrail]:
    """By id or ARN."""
    identifier = asked.params["guardrailIdentifier"]
    id = identifier.rsplit("/", 1)[-1]
    found = HELD.of(asked).guardrails.get(id)
    if found is None or identifier not in (id, arn(asked, "guardrail", id)):
        raise not_found("The guardrail was not found.")
    return id, found


def _version(found: Guardrail, version: str) -> Entry:
    if version not in found.versions:
        raise not_found("The guardrail version was not found.")
    return found.versions[version]


def _check_name(asked: Asked, own: str = "") -> None:
    for id, one in HELD.of(asked).guardrails.items():
        if id != own and one.versions[DRAFT]["name"] == asked.params["name"]:
            raise Refused(
                "ConflictException", 400, "Another guardrail in your account already has this name."
            )


def create_guardrail(asked: Asked) -> Entry:
    settings = _settings(asked)
    _check_name(asked)
    id = new_id()
    entry = {
        "guardrailId": id,
        "guardrailArn": arn(asked, "guardrail", id),
        "version": DRAFT,
        "status": "READY",
        "createdAt": now(),
        "updatedAt": now(),
        **settings,
    }
    HELD.of(asked).guardrails[id] = Guardrail({DRAFT: entry})
    tagged(asked, entry["guardrailArn"])
    return {name: entry[name] for name in ("guardrailId", "guardrailArn", "version", "createdAt")}


def get_guardrail(asked: Asked) -> Entry:
    return _version(_find(asked)[1], asked.params.get("guardrailVersion") or DRAFT)


def update_guardrail(asked: Asked) -> Entry:
    """The whole draft anew: what the request does not name is gone."""
    id, found = _find(asked)
    settings = _settings(asked)
    _check_name(asked, id)
    kept = ("guardrailId", "guardrailArn", "version", "status", "createdAt")
    draft = {name: found.versions[DRAFT][name] for name in kept} | settings | {"updatedAt": now()}
    found.versions[DRAFT] = draft
    return {name: draft[name] for name in ("guardrailId", "guardrailArn", "version", "updatedAt")}


def create_guardrail_version(asked: Asked) -> Entry:
    id, found = _find(asked)
    found.last += 1
    made = found.versions[DRAFT] | {"version": str(found.last), "createdAt": now()}
    made.pop("description", None)
    if "description" in asked.params:
        made["description"] = asked.params["description"]
    found.versions[str(found.last)] = made
    return {"guardrailId": id, "version": str(found.last)}


def delete_guardrail(asked: Asked) -> Entry:
    """One version, or with none named the guardrail and all of them."""
    id, found = _find(asked)
    version = asked.params.get("guardrailVersion")
    if version:
        _version(found, version)
        del found.versions[version]
        return {}
    held = HELD.of(asked)
    held.tags.pop(found.versions[DRAFT]["guardrailArn"], None)
    del held.guardrails[id]
    return {}


def list_guardrails(asked: Asked) -> Entry:
    """The drafts; with a guardrail named, all of its versions."""
    if "guardrailIdentifier" in asked.params:
        entries = list(_find(asked)[1].versions.values())
    else:
        entries = [one.versions[DRAFT] for one in HELD.of(asked).guardrails.values()]
    names = ("status", "name", "description", "version", "createdAt", "updatedAt")
    found = [
        {
            "id": one["guardrailId"],
            "arn": one["guardrailArn"],
            **{key: one[key] for key in names if key in one},
        }
        for one in entries
    ]
    return page(asked, "guardrails", found)


OPERATIONS = (
    Operation("bedrock", "CreateGuardrail", create_guardrail),
    Operation("bedrock", "GetGuardrail", get_guardrail),
    Operation("bedrock", "UpdateGuardrail", update_guardrail),
    Operation("bedrock", "CreateGuardrailVersion", create_guardrail_version),
    Operation("bedrock", "DeleteGuardrail", delete_guardrail),
    Operation("bedrock", "ListGuardrails", list_guardrails),
)
