"""Amazon S3: buckets, and bucket settings that are separate resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop, is_same_instant, is_same_tail, to_api
from sandbox.aws.table.kms import REGION, TAGS

_BUCKET = {"Bucket": "$bucket"}
_GONE = ("NoSuchBucket", "404")


def _location(scope: Scope) -> dict[str, str] | None:
    """Return the location constraint. AWS refuses the default region, us-east-1, in it."""
    return None if scope["region"] == "us-east-1" else {"LocationConstraint": scope["region"]}


def _empty(call: Callable[..., Any], scope: Scope) -> None:
    """With `forceDestroy`, delete all versions and markers first.

    Like the real plugin, this bypasses a lock in GOVERNANCE mode. A lock in COMPLIANCE mode refuses the deletion.
    """
    if not scope.get("forceDestroy"):
        return
    bypass = {"BypassGovernanceRetention": True} if scope.get("objectLockEnabled") else {}
    while True:
        listing = call("list_object_versions", Bucket=scope["bucket"])
        versions = listing.get("Versions", []) + listing.get("DeleteMarkers", [])
        for version in versions:
            call(
                "delete_object",
                Bucket=scope["bucket"],
                Key=version["Key"],
                VersionId=version["VersionId"],
                **bypass,
            )
        if not versions or not listing.get("IsTruncated"):
            return


def _born(call: Callable[..., Any], scope: Scope) -> datetime | None:
    listed = call("list_buckets", Prefix=scope["bucket"])["Buckets"]
    return next((bucket["CreationDate"] for bucket in listed if bucket["Name"] == scope["bucket"]), None)


BUCKET = Type(
    "aws:s3/bucket:Bucket",
    service="s3",
    id="{bucket}",
    inputs={
        "bucket": Prop(replace=True),
        "bucketPrefix": Prop(replace=True, local=True),
        "forceDestroy": Prop("flag", local=True),
        "objectLockEnabled": Prop("flag", replace=True, default=False),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "bucketDomainName": Prop(),
        "bucketRegion": Prop(),
        "bucketRegionalDomainName": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_bucket",
        {
            **_BUCKET,
            "CreateBucketConfiguration": _location,
            "ObjectLockEnabledForBucket": lambda scope: scope.get("objectLockEnabled") or None,
        },
    ),
    reads=(
        Call("head_bucket", _BUCKET, absent=_GONE),
        Call(
            "get_object_lock_configuration",
            _BUCKET,
            result={"objectLockEnabled": "ObjectLockConfiguration.ObjectLockEnabled == 'Enabled'"},
            absent=("ObjectLockConfigurationNotFoundError",),
        ),
        Call("get_bucket_tagging", _BUCKET, result={"tagsAll": "TagSet"}, absent=("NoSuchTagSet",)),
    ),
    # One call replaces all tags; another one removes all.
    tagging=Tagging(
        put=Call("put_bucket_tagging", {**_BUCKET, "Tagging": {"TagSet": "$tagsAll"}}),
        remove=Call("delete_bucket_tagging", _BUCKET),
        whole=True,
    ),
    creation_time=_born,
    before_delete=_empty,
    delete=Call("delete_bucket", _BUCKET, absent=_GONE),
    computed={
        "arn": "arn:{partition}:s3:::{bucket}",
        "bucketDomainName": "{bucket}.s3.{dnsSuffix}",
        "bucketRegionalDomainName": "{bucket}.s3.{region}.{dnsSuffix}",
        "bucketRegion": "{region}",
    },
    autoname=AutoName("bucket", "bucketPrefix", longest=63, shape=str.lower),
    limits="That a name is free in all of AWS. Objects under a COMPLIANCE lock refuse deletion here too.",
)


def _setting(
    kind: str,
    inputs: Mapping[str, Prop],
    *,
    put: Call,
    read: Call,
    delete: Call,
    owner: bool = False,
    is_gone: Callable[[Scope], bool] | None = None,
    limits: str = "",
) -> Type:
    """Return the type of a bucket setting. The same call creates and changes it, and its id is the bucket."""
    all_inputs: dict[str, Prop] = {"bucket": Prop(required=True, replace=True), "region": REGION, **inputs}
    if owner:
        all_inputs["expectedBucketOwner"] = Prop(replace=True, local=True)
    lower = kind[0].lower() + kind[1:]
    return Type(
        f"aws:s3/{lower}:{kind}",
        service="s3",
        id="{bucket}",
        inputs=all_inputs,
        outputs={},
        create=put,
        reads=(read,),
        facets=(
            Facet(tuple(name for name, prop in inputs.items() if not (prop.local or prop.replace)), put=put),
        ),
        delete=delete,
        is_gone=is_gone,
        limits=limits,
    )


BUCKET_VERSIONING = _setting(
    "BucketVersioning",
    {
        "versioningConfiguration": Prop(
            "object",
            required=True,
            fields={"status": Prop(required=True), "mfaDelete": Prop(api="MFADelete", computed=True)},
        ),
    },
    owner=True,
    put=Call("put_bucket_versioning", {**_BUCKET, "VersioningConfiguration": "$versioningConfiguration"}),
    read=Call("get_bucket_versioning", _BUCKET, result={"versioningConfiguration": "@"}, absent=_GONE),
    is_gone=lambda scope: not (scope.get("versioningConfiguration") or {}).get("status"),
    # Versioning of a bucket with object lock cannot be turned off.
    delete=Call(
        "put_bucket_versioning",
        {**_BUCKET, "VersioningConfiguration": {"Status": "Suspended"}},
        absent=(*_GONE, "InvalidBucketState"),
    ),
    limits="Deleting it suspends versioning, as in AWS. MFA delete asks for no code.",
)

_ENCRYPTION_RULE = Prop(
    "object",
    fields={
        "applyServerSideEncryptionByDefault": Prop(
            "object",
            fields={
                "sseAlgorithm": Prop(api="SSEAlgorithm", required=True),
                "kmsMasterKeyId": Prop(api="KMSMasterKeyID", alike=is_same_tail),
            },
        ),
        "bucketKeyEnabled": Prop("flag", default=False),
    },
)

BUCKET_ENCRYPTION = _setting(
    "BucketServerSideEncryptionConfiguration",
    {"rules": Prop("list", required=True, item=_ENCRYPTION_RULE)},
    owner=True,
    put=Call("put_bucket_encryption", {**_BUCKET, "ServerSideEncryptionConfiguration": {"Rules": "$rules"}}),
    read=Call(
        "get_bucket_encryption",
        _BUCKET,
        result={"rules": "ServerSideEncryptionConfiguration.Rules"},
        absent=(*_GONE, "ServerSideEncryptionConfigurationNotFoundError"),
    ),
    delete=Call("delete_bucket_encryption", _BUCKET, absent=_GONE),
    limits="Objects are not encrypted. In AWS a bucket without it has SSE-S3; here it has none.",
)

_FOUR = {
    "BlockPublicAcls": "$blockPublicAcls",
    "BlockPublicPolicy": "$blockPublicPolicy",
    "IgnorePublicAcls": "$ignorePublicAcls",
    "RestrictPublicBuckets": "$restrictPublicBuckets",
}
_FOUR_PROPS = {value[1:]: Prop("flag", default=False) for value in _FOUR.values()}

BUCKET_PUBLIC_ACCESS_BLOCK = _setting(
    "BucketPublicAccessBlock",
    {**_FOUR_PROPS, "skipDestroy": Prop("flag", local=True)},
    put=Call("put_public_access_block", {**_BUCKET, "PublicAccessBlockConfiguration": _FOUR}),
    read=Call(
        "get_public_access_block",
        _BUCKET,
        pick="PublicAccessBlockConfiguration",
        result={value[1:]: name for name, value in _FOUR.items()},
        absent=(*_GONE, "NoSuchPublicAccessBlockConfiguration"),
    ),
    delete=Call("delete_public_access_block", _BUCKET, absent=_GONE),
    limits="Kept; no access is blocked by it.",
)

BUCKET_OWNERSHIP_CONTROLS = _setting(
    "BucketOwnershipControls",
    {"rule": Prop("object", required=True, fields={"objectOwnership": Prop(required=True)})},
    put=Call("put_bucket_ownership_controls", {**_BUCKET, "OwnershipControls": {"Rules": ["$rule"]}}),
    read=Call(
        "get_bucket_ownership_controls",
        _BUCKET,
        result={"rule": "OwnershipControls.Rules[0]"},
        absent=(*_GONE, "OwnershipControlsNotFoundError"),
    ),
    delete=Call("delete_bucket_ownership_controls", _BUCKET, absent=_GONE),
    limits="Kept; access control lists still work here.",
)

BUCKET_POLICY = _setting(
    "BucketPolicy",
    {"policy": Prop("json", required=True)},
    put=Call("put_bucket_policy", {**_BUCKET, "Policy": "$policy"}),
    read=Call(
        "get_bucket_policy",
        _BUCKET,
        result={"policy": "Policy"},
        absent=(*_GONE, "NoSuchBucketPolicy"),
    ),
    delete=Call("delete_bucket_policy", _BUCKET, absent=_GONE),
    limits="Kept and checked for form; no request is refused by it.",
)

_RETENTION = Prop(
    "object",
    required=True,
    fields={"mode": Prop(), "days": Prop("number", default=0), "years": Prop("number", default=0)},
)

BUCKET_OBJECT_LOCK = _setting(
    "BucketObjectLockConfiguration",
    {
        "objectLockEnabled": Prop(default="Enabled", replace=True),
        "rule": Prop("object", fields={"defaultRetention": _RETENTION}),
    },
    owner=True,
    put=Call(
        "put_object_lock_configuration",
        {
            **_BUCKET,
            "ObjectLockConfiguration": {"ObjectLockEnabled": "$objectLockEnabled", "Rule": "$rule"},
        },
    ),
    read=Call(
        "get_object_lock_configuration",
        _BUCKET,
        pick="ObjectLockConfiguration",
        result={"objectLockEnabled": "ObjectLockEnabled", "rule": "Rule"},
        absent=(*_GONE, "ObjectLockConfigurationNotFoundError"),
    ),
    delete=Call(
        "put_object_lock_configuration",
        {**_BUCKET, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
        absent=(*_GONE, "ObjectLockConfigurationNotFoundError"),
    ),
    limits="Deleting it leaves object lock on without a default, as in AWS.",
)

_SIZES = {"objectSizeGreaterThan": Prop("number"), "objectSizeLessThan": Prop("number")}
_FILTER = Prop(
    "object",
    fields={
        "prefix": Prop(),
        **_SIZES,
        "tag": Prop("object", fields={"key": Prop(required=True), "value": Prop(required=True)}),
        "and": Prop("object", fields={"prefix": Prop(), **_SIZES, "tags": Prop("tags")}),
    },
)
_LIFECYCLE_RULE = Prop(
    "object",
    fields={
        "id": Prop(api="ID", required=True),
        "status": Prop(required=True),
        "filter": _FILTER,
        "expiration": Prop(
            "object",
            fields={
                "days": Prop("number", default=0),
                "date": Prop(alike=is_same_instant),
                "expiredObjectDeleteMarker": Prop("flag", default=False),
            },
        ),
        "noncurrentVersionExpiration": Prop(
            "object",
            fields={
                "noncurrentDays": Prop("number", required=True),
                "newerNoncurrentVersions": Prop("number"),
            },
        ),
        "noncurrentVersionTransitions": Prop(
            "list",
            item=Prop(
                "object",
                fields={
                    "noncurrentDays": Prop("number", required=True),
                    "newerNoncurrentVersions": Prop("number"),
                    "storageClass": Prop(required=True),
                },
            ),
        ),
        "transitions": Prop(
            "list",
            item=Prop(
                "object",
                fields={
                    "days": Prop("number"),
                    "date": Prop(alike=is_same_instant),
                    "storageClass": Prop(required=True),
                },
            ),
        ),
        "abortIncompleteMultipartUpload": Prop("object", fields={"daysAfterInitiation": Prop("number")}),
    },
)


def _rules(scope: Scope) -> dict[str, Any]:
    """Return the rules for the API: without a filter, a rule is for the whole bucket. Zeros are omitted."""
    rules = []
    for rule in scope["rules"]:
        rule_members = to_api(_LIFECYCLE_RULE, rule)
        rule_members.setdefault("Filter", {"Prefix": ""})
        if rule_members["Filter"] == {}:
            rule_members["Filter"] = {"Prefix": ""}
        if "Expiration" in rule_members:
            rule_members["Expiration"] = {
                name: value for name, value in rule_members["Expiration"].items() if value
            }
        rules.append(rule_members)
    return {"Rules": rules}


BUCKET_LIFECYCLE = _setting(
    "BucketLifecycleConfiguration",
    {"rules": Prop("list", required=True, item=_LIFECYCLE_RULE)},
    owner=True,
    put=Call("put_bucket_lifecycle_configuration", {**_BUCKET, "LifecycleConfiguration": _rules}),
    read=Call(
        "get_bucket_lifecycle_configuration",
        _BUCKET,
        result={"rules": "Rules"},
        absent=(*_GONE, "NoSuchLifecycleConfiguration"),
    ),
    delete=Call("delete_bucket_lifecycle", _BUCKET, absent=_GONE),
    limits="No object expires or moves.",
)

TYPES = (
    BUCKET,
    BUCKET_VERSIONING,
    BUCKET_ENCRYPTION,
    BUCKET_PUBLIC_ACCESS_BLOCK,
    BUCKET_OWNERSHIP_CONTROLS,
    BUCKET_POLICY,
    BUCKET_OBJECT_LOCK,
    BUCKET_LIFECYCLE,
)
