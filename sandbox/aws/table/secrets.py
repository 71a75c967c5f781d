"""AWS Secrets Manager: secrets and their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ResourceNotFoundException",)
_SECRET = {"SecretId": "$arn"}

SECRET = Type(
    "aws:secretsmanager/secret:Secret",
    service="secretsmanager",
    id="{arn}",
    inputs={
        "description": Prop(),
        "kmsKeyId": Prop(),
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "policy": Prop("json"),
        "recoveryWindowInDays": Prop("number", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_secret",
        {
            "Name": "$name",
            "Description": "$description",
            "KmsKeyId": "$kmsKeyId",
            "Tags": "$tagsAll",
        },
        result={"arn": "ARN"},
    ),
    find_only=lambda call, scope: call("describe_secret", SecretId=scope["name"])["ARN"],
    reads=(
        Call(
            "describe_secret",
            _SECRET,
            result={
                "name": "Name",
                "description": "Description",
                "kmsKeyId": "KmsKeyId",
                "tagsAll": "Tags",
                "_deleted": "DeletedDate",
            },
            absent=_GONE,
        ),
        Call("get_resource_policy", _SECRET, result={"policy": "ResourcePolicy"}),
    ),
    facets=(
        Facet(
            ("description", "kmsKeyId"),
            put=Call(
                "update_secret",
                {
                    **_SECRET,
                    "Description": lambda scope: scope.get("description") or "",
                    "KmsKeyId": "$kmsKeyId",
                },
            ),
        ),
        Facet(
            ("policy",),
            at_create=True,
            put=Call("put_resource_policy", {**_SECRET, "ResourcePolicy": "$policy"}),
            clear=Call("delete_resource_policy", _SECRET),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_resource", {**_SECRET, "Tags": "$tagsSet"}),
        remove=Call("untag_resource", {**_SECRET, "TagKeys": "$tagsGone"}),
    ),
    is_gone=lambda scope: bool(scope.get("_deleted")),
    delete=Call(
        "delete_secret",
        {
            **_SECRET,
            "ForceDeleteWithoutRecovery": lambda scope: scope.get("recoveryWindowInDays") == 0 or None,
            "RecoveryWindowInDays": lambda scope: scope.get("recoveryWindowInDays") or None,
        },
        absent=(*_GONE, "InvalidRequestException"),
    ),
    autoname=AutoName("name", "namePrefix", longest=512),
    limits="A deleted secret stays, pending deletion, and keeps its name, as in AWS (unless "
    "`recoveryWindowInDays` is 0); nothing ends the waiting time. Nothing is encrypted. No replicas, no "
    "rotation. A policy is kept, not enforced.",
)


def _same_secret(expected: Any, actual: Any) -> bool:
    """Compare secrets by name or ARN. The ARN ends with the name and six characters that AWS chooses."""
    return bool(expected == actual or f":secret:{expected}-" in str(actual)[:-5])


def _move(call: Callable[..., Any], scope: Scope) -> None:
    """Move the wanted labels to this version from other versions, and remove the others."""
    secret, version_id = scope["secretArn"], scope["versionId"]
    new_stages = set(scope.get("versionStages") or ["AWSCURRENT"])
    holders = {stage: version for version, stage in _labels(call, secret)}
    for stage in sorted(
        new_stages - {stage for version, stage in _labels(call, secret) if version == version_id}
    ):
        previous_holder = {"RemoveFromVersionId": holders[stage]} if stage in holders else {}
        move = {"SecretId": secret, "VersionStage": stage, "MoveToVersionId": version_id}
        call("update_secret_version_stage", **move, **previous_holder)
    _take_off(call, secret, version_id, new_stages)


def _labels(call: Callable[..., Any], secret: str) -> list[tuple[str, str]]:
    """Return (version, label) of all labels."""
    versions = call("describe_secret", SecretId=secret).get("VersionIdsToStages", {})
    return [(version, stage) for version, stages in versions.items() for stage in stages]


def _take_off(call: Callable[..., Any], secret: str, version_id: str, kept_stages: set[str]) -> None:
    """Remove labels that are not kept. AWSCURRENT stays, since AWS only allows moving it."""
    for version, stage in _labels(call, secret):
        if version == version_id and stage not in {*kept_stages, "AWSCURRENT"}:
            gone = {"SecretId": secret, "VersionStage": stage, "RemoveFromVersionId": version_id}
            call("update_secret_version_stage", **gone)


SECRET_VERSION = Type(
    "aws:secretsmanager/secretVersion:SecretVersion",
    service="secretsmanager",
    id="{secretArn}|{versionId}",
    inputs={
        "secretId": Prop(required=True, replace=True, alike=_same_secret),
        "secretString": Prop(replace=True, secret=True),
        "versionStages": Prop("list", computed=True, alike=has_same_members),
        "region": REGION,
    },
    outputs={"arn": Prop(), "secretArn": Prop(), "versionId": Prop()},
    create=Call(
        "put_secret_value",
        {"SecretId": "$secretId", "SecretString": "$secretString", "VersionStages": "$versionStages"},
        result={"secretArn": "ARN", "versionId": "VersionId"},
    ),
    reads=(
        Call(
            "get_secret_value",
            {"SecretId": "$secretArn", "VersionId": "$versionId"},
            result={
                "arn": "ARN",
                "secretArn": "ARN",
                "secretId": "ARN",
                "secretString": "SecretString",
                "versionId": "VersionId",
                "versionStages": "VersionStages",
            },
            absent=(*_GONE, "InvalidRequestException"),
        ),
    ),
    facets=(Facet(("versionStages",), put=_move),),
    before_delete=lambda call, scope: _take_off(call, scope["secretArn"], scope["versionId"], set()),
    # AWS deletes versions without labels itself. There is no call for it.
    delete=Call("describe_secret", {"SecretId": "$secretArn"}, absent=(*_GONE, "InvalidRequestException")),
    limits="The current version stays until its secret goes, as in AWS. Text only; nothing is encrypted. A "
    "version without labels is not deleted in time.",
)

TYPES = (SECRET, SECRET_VERSION)
