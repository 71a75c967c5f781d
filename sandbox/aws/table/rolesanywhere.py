"""IAM Roles Anywhere: trust anchors, and profiles of the roles that their certificates may assume."""

from __future__ import annotations

from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type, list_all_ids, pairs
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import TAGS

_GONE = ("ResourceNotFoundException",)
_OURS = "configuredBy!='rolesanywhere.amazonaws.com'"
"""JMESPath of a trust anchor's notification settings, without AWS's defaults."""


def _tags(scope: Scope) -> list[dict[str, str]] | None:
    return pairs(scope.get("tagsAll"), "key", "value")


def same_members(left: Any, right: Any) -> bool:
    """Compare lists as sets, as AWS does."""
    return sorted(map(str, left or [])) == sorted(map(str, right or []))


_TAGGING = Tagging(
    put=Call(
        "tag_resource",
        {"resourceArn": "$arn", "tags": lambda scope: pairs(scope["tagsSet"], "key", "value")},
    ),
    remove=Call("untag_resource", {"resourceArn": "$arn", "tagKeys": "$tagsGone"}),
)
_READ_TAGS = Call(
    "list_tags_for_resource",
    {"resourceArn": "$arn"},
    result={"tagsAll": "tags[].{Key: key, Value: value}"},
    absent=_GONE,
)

_ANCHOR = {"trustAnchorId": "$_id"}
_SOURCE = Prop(
    "object",
    api="source",
    required=True,
    fields={
        "sourceType": Prop(api="sourceType", required=True),
        "sourceData": Prop(
            "object",
            api="sourceData",
            required=True,
            fields={
                "acmPcaArn": Prop(api="acmPcaArn"),
                "x509CertificateData": Prop(api="x509CertificateData"),
            },
        ),
    },
)
_NOTICE = Prop(
    "object",
    fields={
        "event": Prop(api="event"),
        "enabled": Prop("flag", api="enabled", default=False),
        "threshold": Prop("number", api="threshold", computed=True),
        "channel": Prop(api="channel", default="ALL"),
    },
)

TRUST_ANCHOR = Type(
    "aws:rolesanywhere/trustAnchor:TrustAnchor",
    service="rolesanywhere",
    id="{_id}",
    inputs={
        "enabled": Prop("flag", computed=True),
        "name": Prop(),
        "notificationSettings": Prop("list", item=_NOTICE),
        "source": _SOURCE,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_trust_anchor",
        {
            "name": "$name",
            "source": "$source",
            "enabled": "$enabled",
            "notificationSettings": "$notificationSettings",
            "tags": _tags,
        },
        result={"_id": "trustAnchor.trustAnchorId", "arn": "trustAnchor.trustAnchorArn"},
    ),
    list_all=list_all_ids("list_trust_anchors", "trustAnchors[].trustAnchorId"),
    reads=(
        Call(
            "get_trust_anchor",
            _ANCHOR,
            pick="trustAnchor",
            result={
                "_id": "trustAnchorId",
                "arn": "trustAnchorArn",
                "name": "name",
                "enabled": "enabled",
                "source": "source",
                "notificationSettings": f"notificationSettings[?{_OURS}]",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("name", "source"),
            put=Call("update_trust_anchor", {**_ANCHOR, "name": "$name", "source": "$source"}),
        ),
        Facet(
            ("notificationSettings",),
            put=Call(
                "put_notification_settings", {**_ANCHOR, "notificationSettings": "$notificationSettings"}
            ),
            clear=Call(
                "reset_notification_settings",
                {
                    **_ANCHOR,
                    "notificationSettingKeys": [
                        {"event": "CA_CERTIFICATE_EXPIRY", "channel": "ALL"},
                        {"event": "END_ENTITY_CERTIFICATE_EXPIRY", "channel": "ALL"},
                    ],
                },
            ),
        ),
        Facet(
            ("enabled",),
            put=Call("enable_trust_anchor", _ANCHOR),
            clear=Call("disable_trust_anchor", _ANCHOR),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_trust_anchor", _ANCHOR, absent=_GONE),
    autoname=AutoName("name", None, longest=255),
    allows_duplicates=True,
    limits="A bundle's certificates are read; that a private authority of ACM is there is not. Nobody is "
    "notified before a certificate ends, and there are no revocation lists. Without `enabled` AWS's plugin and "
    "API differ in what they take: say it.",
)

_PROFILE = {"profileId": "$_id"}

PROFILE = Type(
    "aws:rolesanywhere/profile:Profile",
    service="rolesanywhere",
    id="{_id}",
    inputs={
        "acceptRoleSessionName": Prop("flag", default=False),
        "durationSeconds": Prop("number", computed=True),
        "enabled": Prop("flag", default=False),
        "managedPolicyArns": Prop("list", alike=same_members),
        "name": Prop(),
        "requireInstanceProperties": Prop("flag", replace=True, default=False),
        "roleArns": Prop("list", alike=same_members),
        "sessionPolicy": Prop("json"),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_profile",
        {
            "name": "$name",
            "roleArns": lambda scope: list(scope.get("roleArns") or []),
            "enabled": "$enabled",
            "durationSeconds": "$durationSeconds",
            "managedPolicyArns": "$managedPolicyArns",
            "requireInstanceProperties": "$requireInstanceProperties",
            "sessionPolicy": "$sessionPolicy",
            "acceptRoleSessionName": "$acceptRoleSessionName",
            "tags": _tags,
        },
        result={"_id": "profile.profileId", "arn": "profile.profileArn"},
    ),
    list_all=list_all_ids("list_profiles", "profiles[].profileId"),
    reads=(
        Call(
            "get_profile",
            _PROFILE,
            pick="profile",
            result={
                "_id": "profileId",
                "arn": "profileArn",
                "name": "name",
                "enabled": "enabled",
                "roleArns": "roleArns",
                "durationSeconds": "durationSeconds",
                "managedPolicyArns": "managedPolicyArns",
                "requireInstanceProperties": "requireInstanceProperties",
                "sessionPolicy": "sessionPolicy",
                "acceptRoleSessionName": "acceptRoleSessionName",
            },
            absent=_GONE,
        ),
        _READ_TAGS,
    ),
    facets=(
        Facet(
            ("name", "roleArns", "managedPolicyArns", "durationSeconds", "acceptRoleSessionName"),
            put=Call(
                "update_profile",
                {
                    **_PROFILE,
                    "name": "$name",
                    "roleArns": lambda scope: list(scope.get("roleArns") or []),
                    "managedPolicyArns": lambda scope: list(scope.get("managedPolicyArns") or []),
                    "durationSeconds": "$durationSeconds",
                    "acceptRoleSessionName": "$acceptRoleSessionName",
                },
            ),
        ),
        # AWS refuses an empty policy, so a policy cannot be removed. The refusal is reported.
        Facet(
            ("sessionPolicy",),
            put=Call(
                "update_profile",
                {**_PROFILE, "sessionPolicy": lambda scope: scope.get("sessionPolicy") or ""},
            ),
        ),
        Facet(
            ("enabled",),
            put=Call("enable_profile", _PROFILE),
            clear=Call("disable_profile", _PROFILE),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_profile", _PROFILE, absent=_GONE),
    autoname=AutoName("name", None, longest=255),
    allows_duplicates=True,
    limits="A session gets the policies recorded, not enforced. `requireInstanceProperties` is kept and "
    "asks for nothing (in AWS too); a change of it makes the profile anew here, where AWS's plugin changes "
    "nothing.",
)

TYPES = (TRUST_ANCHOR, PROFILE)
