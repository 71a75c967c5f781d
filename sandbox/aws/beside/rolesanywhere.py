"""IAM Roles Anywhere's trust anchors and profiles, of which moto has none.

What a certificate gets from them is in `rolesanywhere_sessions`. A bundle must hold certificates of
authorities, as in AWS; certificate revocation lists, aliases and attribute mappings are not served.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn, now
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Operation, Refused

Entry = dict[str, Any]


@dataclass
class Held:
    """Of one account and region."""

    anchors: dict[str, Entry] = field(default_factory=dict)
    profiles: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


HELD = Memory(Held)

_DEFAULT_NOTICES = (
    {"event": "CA_CERTIFICATE_EXPIRY", "enabled": True, "threshold": 45, "channel": "ALL"},
    {"event": "END_ENTITY_CERTIFICATE_EXPIRY", "enabled": True, "threshold": 45, "channel": "ALL"},
)
"""What a trust anchor has when nobody set anything (API reference of NotificationSetting: 45 days)."""
_MOST_CERTIFICATES = 2
"""Of one trust anchor (quotas of IAM Roles Anywhere, as of knowledge, not checked)."""
_BY_DEFAULT = "rolesanywhere.amazonaws.com"
_MAPPINGS = (
    ("x509Issuer", ("*",)),
    ("x509SAN", ("DNS", "URI", "Name/*")),
    ("x509Subject", ("*",)),
)
"""The default rules by which certificates' fields become tags (user guide, certificate attribute mapping)."""


def _arn(asked: Asked, kind: str, id: str) -> str:
    return arn(asked, "rolesanywhere", f"{kind}/{id}")


def _find(entries: dict[str, Entry], id: str, kind: str) -> Entry:
    """By id or ARN."""
    entry = entries.get(id.rsplit("/", 1)[-1])
    if entry is None:
        raise Refused("ResourceNotFoundException", 404, f"{kind} {id} was not found.")
    return entry


def _tagged(asked: Asked, arn: str) -> None:
    HELD.of(asked).tags[arn] = {tag["key"]: tag["value"] for tag in asked.params.get("tags") or []}


# -- trust anchors


def certificates(source: Entry) -> list[Any]:
    """The authorities' certificates of a bundle. Raises `Refused` where it holds something else."""
    from cryptography import x509

    text = source.get("sourceData", {}).get("x509CertificateData", "")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Refused("ValidationException", 400, "The certificate bundle is not valid.") from None
    if len(found) > _MOST_CERTIFICATES:
        message = f"A certificate bundle holds at most {_MOST_CERTIFICATES} certificates."
        raise Refused("ValidationException", 400, message)
    for certificate in found:
        try:
            basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            basic = None
        if basic is None or not basic.ca:
            raise Refused("ValidationException", 400, "Incorrect basic constraints for CA certificate.")
    return list(found)


def _checked_source(source: Entry) -> Entry:
    data = source.get("sourceData") or {}
    wanted = {"CERTIFICATE_BUNDLE": "x509CertificateData", "AWS_ACM_PCA": "acmPcaArn"}
    member = wanted.get(source.get("sourceType", ""))
    if member is None or set(data) != {member}:
        raise Refused("ValidationException", 400, "The source data does not fit the source type.")
    if member == "x509CertificateData":
        certificates(source)
    elif ":acm-pca:" not in data[member]:
        raise Refused("ValidationException", 400, "The ARN of the private CA is not valid.")
    return source


def _notices(given: list[Entry], before: list[Entry]) -> list[Entry]:
    """Settings by event and channel: those given, then those from before whose place none of them takes."""
    earlier = {(one["event"], one["channel"]): one for one in before}
    made: dict[tuple[str, str], Entry] = {}
    for one in given:
        key = (one["event"], one.get("channel", "ALL"))
        threshold = one.get("threshold", earlier.get(key, {}).get("threshold", 45))
        made[key] = {"event": key[0], "channel": key[1], "enabled": one["enabled"], "threshold": threshold}
    return list((made | {key: one for key, one in earlier.items() if key not in made}).values())


def _by(asked: Asked, notices: list[Entry]) -> list[Entry]:
    return [{**one, "configuredBy": one.get("configuredBy") or asked.account} for one in notices]


def _defaults() -> list[Entry]:
    return [{**one, "configuredBy": _BY_DEFAULT} for one in _DEFAULT_NOTICES]


def create_trust_anchor(asked: Asked) -> Entry:
    given, id = asked.params, str(uuid.uuid4())
    entry = {
        "trustAnchorId": id,
        "trustAnchorArn": _arn(asked, "trust-anchor", id),
        "name": given["name"],
        "source": _checked_source(given["source"]),
        "enabled": given.get("enabled", False),
        "notificationSettings": _by(asked, _notices(given.get("notificationSettings") or [], _defaults())),
        "createdAt": now(),
        "updatedAt": now(),
    }
    HELD.of(asked).anchors[id] = entry
    _tagged(asked, entry["trustAnchorArn"])
    return {"trustAnchor": entry}


def anchor(asked: Asked, id: str) -> Entry:
    """Raises `Refused` for one that is not there."""
    return _find(HELD.of(asked).anchors, id, "Trust anchor")


def _anchor_answer(change: Callable[[Asked, Entry], Any]) -> Callable[[Asked], Entry]:
    def answer(asked: Asked) -> Entry:
        entry = anchor(asked, asked.params["trustAnchorId"])
        change(asked, entry)
        return {"trustAnchor": entry}

    return answer


def _update_anchor(asked: Asked, entry: Entry) -> None:
    if "source" in asked.params:
        entry["source"] = _checked_source(asked.params["source"])
    entry.update(name=asked.params.get("name", entry["name"]), updatedAt=now())


def _put_notices(asked: Asked, entry: Entry) -> None:
    given = asked.params["notificationSettings"]
    entry["notificationSettings"] = _by(asked, _notices(given, entry["notificationSettings"]))
    entry["updatedAt"] = now()


def _reset_notices(asked: Asked, entry: Entry) -> None:
    events = {one["event"] for one in asked.params["notificationSettingKeys"]}
    kept = [one for one in entry["notificationSettings"] if one["event"] not in events]
    entry["notificationSettings"] = kept + [one for one in _defaults() if one["event"] in events]
    entry["updatedAt"] = now()


def _switch(on: bool) -> Callable[[Asked, Entry], None]:
    return lambda asked, entry: entry.update(enabled=on, updatedAt=now())


def _forget(kind: str, id: str, arn: str) -> Callable[[Asked, Entry], None]:
    def forget(asked: Asked, entry: Entry) -> None:
        held = HELD.of(asked)
        del getattr(held, kind)[entry[id]]
        held.tags.pop(entry[arn], None)

    return forget


def _nothing(asked: Asked, entry: Entry) -> None:
    """The entry as it is."""


# -- profiles


def create_profile(asked: Asked) -> Entry:
    given, id = asked.params, str(uuid.uuid4())
    entry = {
        "profileId": id,
        "profileArn": _arn(asked, "profile", id),
        "name": given["name"],
        "roleArns": given["roleArns"],
        "enabled": given.get("enabled", False),
        "requireInstanceProperties": given.get("requireInstanceProperties", False),
        "acceptRoleSessionName": given.get("acceptRoleSessionName", False),
        "durationSeconds": given.get("durationSeconds", 3600),
        "managedPolicyArns": given.get("managedPolicyArns", []),
        "attributeMappings": [
            {"certificateField": name, "mappingRules": [{"specifier": rule} for rule in rules]}
            for name, rules in _MAPPINGS
        ],
        "createdBy": f"arn:{partition(asked.region)[0]}:iam::{asked.account}:root",
        "createdAt": now(),
        "updatedAt": now(),
    }
    if given.get("sessionPolicy"):
        entry["sessionPolicy"] = given["sessionPolicy"]
    HELD.of(asked).profiles[id] = entry
    _tagged(asked, entry["profileArn"])
    return {"profile": entry}


def profile(asked: Asked, id: str) -> Entry:
    """Raises `Refused` for one that is not there."""
    return _find(HELD.of(asked).profiles, id, "Profile")


def _profile_answer(change: Callable[[Asked, Entry], Any]) -> Callable[[Asked], Entry]:
    def answer(asked: Asked) -> Entry:
        entry = profile(asked, asked.params["profileId"])
        change(asked, entry)
        return {"profile": entry}

    return answer


def _update_profile(asked: Asked, entry: Entry) -> None:
    for name in (
        "name",
        "sessionPolicy",
        "roleArns",
        "managedPolicyArns",
        "durationSeconds",
        "acceptRoleSessionName",
    ):
        if name in asked.params:
            entry[name] = asked.params[name]
    entry["updatedAt"] = now()


# -- lists and tags


def _listed(kind: str, member: str) -> Callable[[Asked], Entry]:
    def answer(asked: Asked) -> Entry:
        """In pages of `pageSize` (all by default); the token of the next page is where it starts."""
        entries = list(getattr(HELD.of(asked), kind).values())
        start = asked.params.get("nextToken") or "0"
        if not start.isdigit():
            raise Refused("ValidationException", 400, "The pagination token is not one of ours.")
        end = int(start) + int(asked.params.get("pageSize") or len(entries) or 1)
        return {member: entries[int(start) : end], **({"nextToken": str(end)} if end < len(entries) else {})}

    return answer


def _tags(asked: Asked) -> dict[str, str]:
    arn, tags = asked.params["resourceArn"], HELD.of(asked).tags
    if arn not in tags:
        raise Refused("ResourceNotFoundException", 404, f"Resource {arn} was not found.")
    return tags[arn]


def tag_resource(asked: Asked) -> Entry:
    _tags(asked).update({tag["key"]: tag["value"] for tag in asked.params["tags"]})
    return {}


def untag_resource(asked: Asked) -> Entry:
    tags = _tags(asked)
    for key in asked.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(asked: Asked) -> Entry:
    return {"tags": [{"key": key, "value": value} for key, value in sorted(_tags(asked).items())]}


_ANSWERS: dict[str, Callable[[Asked], Entry]] = {
    "CreateTrustAnchor": create_trust_anchor,
    "GetTrustAnchor": _anchor_answer(_nothing),
    "UpdateTrustAnchor": _anchor_answer(_update_anchor),
    "EnableTrustAnchor": _anchor_answer(_switch(True)),
    "DisableTrustAnchor": _anchor_answer(_switch(False)),
    "DeleteTrustAnchor": _anchor_answer(_forget("anchors", "trustAnchorId", "trustAnchorArn")),
    "ListTrustAnchors": _listed("anchors", "trustAnchors"),
    "PutNotificationSettings": _anchor_answer(_put_notices),
    "ResetNotificationSettings": _anchor_answer(_reset_notices),
    "CreateProfile": create_profile,
    "GetProfile": _profile_answer(_nothing),
    "UpdateProfile": _profile_answer(_update_profile),
    "EnableProfile": _profile_answer(_switch(True)),
    "DisableProfile": _profile_answer(_switch(False)),
    "DeleteProfile": _profile_answer(_forget("profiles", "profileId", "profileArn")),
    "ListProfiles": _listed("profiles", "profiles"),
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}

OPERATIONS = tuple(Operation("rolesanywhere", name, answer) for name, answer in _ANSWERS.items())
