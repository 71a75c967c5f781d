"""IAM Roles Anywhere's trust anchors and profiles, which moto lacks.

`rolesanywhere_sessions` creates sessions from them. As in AWS, a bundle must contain CA certificates. Not supported:
certificate revocation lists, aliases, attribute mappings.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn, now
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Entry = dict[str, Any]


@dataclass
class State:
    """The resources of one account and region."""

    anchors: dict[str, Entry] = field(default_factory=dict)
    profiles: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""


STATE = Memory(State)

_DEFAULT_NOTICES = (
    {"event": "CA_CERTIFICATE_EXPIRY", "enabled": True, "threshold": 45, "channel": "ALL"},
    {"event": "END_ENTITY_CERTIFICATE_EXPIRY", "enabled": True, "threshold": 45, "channel": "ALL"},
)
"""The default notification settings of a trust anchor (API reference of NotificationSetting: 45 days)."""
_MAX_CERTIFICATES = 2
"""Maximum for one trust anchor (quotas of IAM Roles Anywhere, not verified)."""
_BY_DEFAULT = "rolesanywhere.amazonaws.com"
_ATTRIBUTE_MAPPINGS = (
    ("x509Issuer", ("*",)),
    ("x509SAN", ("DNS", "URI", "Name/*")),
    ("x509Subject", ("*",)),
)
"""The default mapping of certificate fields to session tags (user guide, certificate attribute mapping)."""


def _arn(request: ServiceRequest, kind: str, id: str) -> str:
    return arn(request, "rolesanywhere", f"{kind}/{id}")


def _find(entries: dict[str, Entry], id: str, kind: str) -> Entry:
    """Return the entry with this id or ARN. Raises `Refused` if it does not exist."""
    entry = entries.get(id.rsplit("/", 1)[-1])
    if entry is None:
        raise Refused("ResourceNotFoundException", 404, f"{kind} {id} was not found.")
    return entry


def _start_tags(request: ServiceRequest, arn: str) -> None:
    STATE.of(request).tags[arn] = {tag["key"]: tag["value"] for tag in request.params.get("tags") or []}


# -- trust anchors


def certificates(source: Entry) -> list[Any]:
    """Return the CA certificates of a bundle. Raises `Refused` if it contains anything else."""
    from cryptography import x509

    text = source.get("sourceData", {}).get("x509CertificateData", "")
    try:
        authorities = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Refused("ValidationException", 400, "The certificate bundle is not valid.") from None
    if len(authorities) > _MAX_CERTIFICATES:
        message = f"A certificate bundle holds at most {_MAX_CERTIFICATES} certificates."
        raise Refused("ValidationException", 400, message)
    for certificate in authorities:
        try:
            basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            basic = None
        if basic is None or not basic.ca:
            raise Refused("ValidationException", 400, "Incorrect basic constraints for CA certificate.")
    return list(authorities)


def _check_source(source: Entry) -> Entry:
    data = source.get("sourceData") or {}
    member_by_type = {"CERTIFICATE_BUNDLE": "x509CertificateData", "AWS_ACM_PCA": "acmPcaArn"}
    member = member_by_type.get(source.get("sourceType", ""))
    if member is None or set(data) != {member}:
        raise Refused("ValidationException", 400, "The source data does not fit the source type.")
    if member == "x509CertificateData":
        certificates(source)
    elif ":acm-pca:" not in data[member]:
        raise Refused("ValidationException", 400, "The ARN of the private CA is not valid.")
    return source


def _merge_notices(new: list[Entry], before: list[Entry]) -> list[Entry]:
    """Return the new settings, and the old ones that they do not replace. Event and channel identify a setting."""
    earlier = {(notice["event"], notice["channel"]): notice for notice in before}
    merged: dict[tuple[str, str], Entry] = {}
    for notice in new:
        key = (notice["event"], notice.get("channel", "ALL"))
        threshold = notice.get("threshold", earlier.get(key, {}).get("threshold", 45))
        merged[key] = {
            "event": key[0],
            "channel": key[1],
            "enabled": notice["enabled"],
            "threshold": threshold,
        }
    return list((merged | {key: notice for key, notice in earlier.items() if key not in merged}).values())


def _with_author(request: ServiceRequest, notices: list[Entry]) -> list[Entry]:
    return [{**notice, "configuredBy": notice.get("configuredBy") or request.account} for notice in notices]


def _default_notices() -> list[Entry]:
    return [{**notice, "configuredBy": _BY_DEFAULT} for notice in _DEFAULT_NOTICES]


def create_trust_anchor(request: ServiceRequest) -> Entry:
    params, id = request.params, str(uuid.uuid4())
    entry = {
        "trustAnchorId": id,
        "trustAnchorArn": _arn(request, "trust-anchor", id),
        "name": params["name"],
        "source": _check_source(params["source"]),
        "enabled": params.get("enabled", False),
        "notificationSettings": _with_author(
            request, _merge_notices(params.get("notificationSettings") or [], _default_notices())
        ),
        "createdAt": now(),
        "updatedAt": now(),
    }
    STATE.of(request).anchors[id] = entry
    _start_tags(request, entry["trustAnchorArn"])
    return {"trustAnchor": entry}


def find_anchor(request: ServiceRequest, id: str) -> Entry:
    """Raises `Refused` for one that is not there."""
    return _find(STATE.of(request).anchors, id, "Trust anchor")


def _anchor_operation(change: Callable[[ServiceRequest, Entry], Any]) -> Callable[[ServiceRequest], Entry]:
    def answer(request: ServiceRequest) -> Entry:
        entry = find_anchor(request, request.params["trustAnchorId"])
        change(request, entry)
        return {"trustAnchor": entry}

    return answer


def _update_anchor(request: ServiceRequest, entry: Entry) -> None:
    if "source" in request.params:
        entry["source"] = _check_source(request.params["source"])
    entry.update(name=request.params.get("name", entry["name"]), updatedAt=now())


def _put_notices(request: ServiceRequest, entry: Entry) -> None:
    new = request.params["notificationSettings"]
    entry["notificationSettings"] = _with_author(request, _merge_notices(new, entry["notificationSettings"]))
    entry["updatedAt"] = now()


def _reset_notices(request: ServiceRequest, entry: Entry) -> None:
    events = {notice_key["event"] for notice_key in request.params["notificationSettingKeys"]}
    unchanged = [notice for notice in entry["notificationSettings"] if notice["event"] not in events]
    entry["notificationSettings"] = unchanged + [
        notice for notice in _default_notices() if notice["event"] in events
    ]
    entry["updatedAt"] = now()


def _set_enabled(on: bool) -> Callable[[ServiceRequest, Entry], None]:
    return lambda request, entry: entry.update(enabled=on, updatedAt=now())


def _delete_entry(kind: str, id: str, arn: str) -> Callable[[ServiceRequest, Entry], None]:
    def forget(request: ServiceRequest, entry: Entry) -> None:
        state = STATE.of(request)
        del getattr(state, kind)[entry[id]]
        state.tags.pop(entry[arn], None)

    return forget


def _no_change(request: ServiceRequest, entry: Entry) -> None:
    """Leave the entry as it is."""


# -- profiles


def create_profile(request: ServiceRequest) -> Entry:
    params, id = request.params, str(uuid.uuid4())
    entry = {
        "profileId": id,
        "profileArn": _arn(request, "profile", id),
        "name": params["name"],
        "roleArns": params["roleArns"],
        "enabled": params.get("enabled", False),
        "requireInstanceProperties": params.get("requireInstanceProperties", False),
        "acceptRoleSessionName": params.get("acceptRoleSessionName", False),
        "durationSeconds": params.get("durationSeconds", 3600),
        "managedPolicyArns": params.get("managedPolicyArns", []),
        "attributeMappings": [
            {"certificateField": name, "mappingRules": [{"specifier": rule} for rule in rules]}
            for name, rules in _ATTRIBUTE_MAPPINGS
        ],
        "createdBy": f"arn:{partition(request.region)[0]}:iam::{request.account}:root",
        "createdAt": now(),
        "updatedAt": now(),
    }
    if params.get("sessionPolicy"):
        entry["sessionPolicy"] = params["sessionPolicy"]
    STATE.of(request).profiles[id] = entry
    _start_tags(request, entry["profileArn"])
    return {"profile": entry}


def find_profile(request: ServiceRequest, id: str) -> Entry:
    """Raises `Refused` for one that is not there."""
    return _find(STATE.of(request).profiles, id, "Profile")


def _profile_operation(change: Callable[[ServiceRequest, Entry], Any]) -> Callable[[ServiceRequest], Entry]:
    def answer(request: ServiceRequest) -> Entry:
        entry = find_profile(request, request.params["profileId"])
        change(request, entry)
        return {"profile": entry}

    return answer


def _update_profile(request: ServiceRequest, entry: Entry) -> None:
    for name in (
        "name",
        "sessionPolicy",
        "roleArns",
        "managedPolicyArns",
        "durationSeconds",
        "acceptRoleSessionName",
    ):
        if name in request.params:
            entry[name] = request.params[name]
    entry["updatedAt"] = now()


# -- lists and tags


def _list_operation(kind: str, member: str) -> Callable[[ServiceRequest], Entry]:
    def answer(request: ServiceRequest) -> Entry:
        """Return one page of `pageSize` entries. The token of the next page is its start index."""
        entries = list(getattr(STATE.of(request), kind).values())
        start = request.params.get("nextToken") or "0"
        if not start.isdigit():
            raise Refused("ValidationException", 400, "The pagination token is not one of ours.")
        end = int(start) + int(request.params.get("pageSize") or len(entries) or 1)
        return {member: entries[int(start) : end], **({"nextToken": str(end)} if end < len(entries) else {})}

    return answer


def _tags(request: ServiceRequest) -> dict[str, str]:
    arn, tags = request.params["resourceArn"], STATE.of(request).tags
    if arn not in tags:
        raise Refused("ResourceNotFoundException", 404, f"Resource {arn} was not found.")
    return tags[arn]


def tag_resource(request: ServiceRequest) -> Entry:
    _tags(request).update({tag["key"]: tag["value"] for tag in request.params["tags"]})
    return {}


def untag_resource(request: ServiceRequest) -> Entry:
    tags = _tags(request)
    for key in request.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(request: ServiceRequest) -> Entry:
    return {"tags": [{"key": key, "value": value} for key, value in sorted(_tags(request).items())]}


_ANSWERS: dict[str, Callable[[ServiceRequest], Entry]] = {
    "CreateTrustAnchor": create_trust_anchor,
    "GetTrustAnchor": _anchor_operation(_no_change),
    "UpdateTrustAnchor": _anchor_operation(_update_anchor),
    "EnableTrustAnchor": _anchor_operation(_set_enabled(True)),
    "DisableTrustAnchor": _anchor_operation(_set_enabled(False)),
    "DeleteTrustAnchor": _anchor_operation(_delete_entry("anchors", "trustAnchorId", "trustAnchorArn")),
    "ListTrustAnchors": _list_operation("anchors", "trustAnchors"),
    "PutNotificationSettings": _anchor_operation(_put_notices),
    "ResetNotificationSettings": _anchor_operation(_reset_notices),
    "CreateProfile": create_profile,
    "GetProfile": _profile_operation(_no_change),
    "UpdateProfile": _profile_operation(_update_profile),
    "EnableProfile": _profile_operation(_set_enabled(True)),
    "DisableProfile": _profile_operation(_set_enabled(False)),
    "DeleteProfile": _profile_operation(_delete_entry("profiles", "profileId", "profileArn")),
    "ListProfiles": _list_operation("profiles", "profiles"),
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}

OPERATIONS = tuple(Operation("rolesanywhere", name, answer) for name, answer in _ANSWERS.items())
