"""Creates the write-once bucket of audit records, its key and their policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.common.keys import account_root, administration_statement, rotated_key
from components.aws.common.names import logical_name, partition
from components.aws.common.private_bucket import BUCKET_NAME, secure_bucket, tls_only_statement

CLOUDTRAIL = {"Service": "cloudtrail.amazonaws.com"}
UPLOAD_DAYS = 7
"""Days after which S3 deletes incomplete uploads."""


@dataclass(frozen=True)
class Delivery:
    """A trail that delivers to a store. It is known before creation, because policies name it and it depends on
    them.
    """

    trail: pulumi.Output[str]
    """ARN of the trail."""
    any_region: pulumi.Output[str]
    """The trail's ARN with `*` as its region, because a trail of all regions encrypts under each region's name."""
    prefix: str
    """Folder of the bucket."""
    folders: list[pulumi.Output[str]]
    """Names below `PREFIX/AWSLogs/`: the trail's account, and for an organisation its id too."""


@dataclass(frozen=True)
class AuditOptions:
    """Common options of one site's audit resources."""

    site: str
    """Name of the site of the records."""
    region: str
    account: pulumi.Input[str]
    tags: dict[str, str]
    parent: pulumi.Resource
    kms_key: pulumi.Input[str] | None = None
    """ARN of the organisation's key. None: keys are created."""

    def retained_opts(self, *dependencies: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a resource that stays after a destroy."""
        return pulumi.ResourceOptions(
            parent=self.parent, retain_on_delete=True, depends_on=list(dependencies) or None
        )


@dataclass(frozen=True)
class Store:
    """The store of sealed records."""

    bucket: pulumi.Output[str]
    """Name of the bucket."""
    bucket_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    retained: list[pulumi.Output[str]]
    """ARNs of resources that a destroy retains."""
    ready: list[pulumi.Resource]
    """Resources on which a delivery depends."""


def make_store(
    name: str,
    options: AuditOptions,
    *,
    retention_days: int,
    delivery: Delivery | None,
    sealers: Sequence[pulumi.Input[str]] = (),
    delete_after_retention: bool = True,
) -> Store:
    """Create the bucket, locked in COMPLIANCE mode for `retention_days`, and its key. Both stay after a destroy.

    `delete_after_retention`: whether S3 deletes records after their lock. `sealers`: ARN patterns of the only roles
    that may put seals. The trail, if there is one, also delivers.
    """
    from pulumi_aws import s3

    key = make_key(name, options, delivery, sealers=sealers) if options.kms_key is None else None
    key_arn: Any = pulumi.Output.from_input(options.kms_key) if key is None else key.arn
    bucket = _create_bucket(name, options)
    locked = _lock(name, options, bucket, retention_days, delete_after_retention)
    encryption, public_access_block, ownership = secure_bucket(
        name, bucket.id, key_arn, options.retained_opts()
    )
    policy = s3.BucketPolicy(
        f"{name}-policy",
        bucket=bucket.id,
        policy=pulumi.Output.json_dumps(bucket_policy(bucket.arn, key_arn, delivery, sealers)),
        opts=options.retained_opts(public_access_block),
    )
    ready = [policy, locked, encryption, ownership]
    if key is None:
        return Store(bucket.id, bucket.arn, key_arn, [bucket.arn], ready)
    return Store(bucket.id, bucket.arn, key_arn, [bucket.arn, key_arn], [*ready, key])


def _create_bucket(name: str, options: AuditOptions) -> Any:
    from pulumi_aws import s3

    return s3.Bucket(
        logical_name(f"{name}-bucket", BUCKET_NAME),
        object_lock_enabled=True,
        force_destroy=False,
        tags=options.tags,
        opts=options.retained_opts(),
    )


def _lock(
    name: str, options: AuditOptions, bucket: Any, retention_days: int, delete_after_retention: bool
) -> pulumi.Resource:
    """Lock each version of an object for `retention_days`. Returns the lock. S3 deletes records only after it."""
    from pulumi_aws import s3

    versioning = s3.BucketVersioning(
        f"{name}-versioning",
        bucket=bucket.id,
        versioning_configuration={"status": "Enabled"},
        opts=options.retained_opts(),
    )
    locked = s3.BucketObjectLockConfiguration(
        f"{name}-lock",
        bucket=bucket.id,
        # COMPLIANCE: even the account's root cannot shorten it.
        rule={"default_retention": {"mode": "COMPLIANCE", "days": retention_days}},
        opts=options.retained_opts(versioning),
    )
    s3.BucketLifecycleConfiguration(
        f"{name}-expiry",
        bucket=bucket.id,
        rules=expiry(retention_days, delete_after_retention),
        # Rules of a bucket without versions delete at once, so the lock comes first.
        opts=options.retained_opts(versioning, locked),
    )
    return locked


def expiry(retention_days: int, delete_after_retention: bool) -> list[Any]:
    """Lifecycle rules: records are deleted after their lock, never before.

    S3 hides a record one day after its lock ended, and deletes it one day later. It deletes no version that is
    locked or under a legal hold, whatever the rules say. But it would hide such a version, so the rules wait for
    the lock. A denial in the bucket's policy does not stop S3's own deletion (S3 User Guide, "Object Lock
    considerations", "Managing S3 Lifecycle policies with Object Lock", and "Expiring objects").
    """
    all_objects = {"status": "Enabled", "filter": {"prefix": ""}}
    rules: list[Any] = [
        {
            **all_objects,
            "id": "drop-unfinished-uploads",
            "abort_incomplete_multipart_upload": {"days_after_initiation": UPLOAD_DAYS},
        }
    ]
    if delete_after_retention:
        rules += [
            {
                **all_objects,
                "id": "delete-after-retention",
                # The sealer's clock sets the lock of a seal, and S3's clock the rule. One day covers the
                # difference.
                "expiration": {"days": retention_days + 1},
                "noncurrent_version_expiration": {"noncurrent_days": 1},
            },
            # S3 refuses this in a rule with days.
            {
                **all_objects,
                "id": "drop-markers-of-nothing",
                "expiration": {"expired_object_delete_marker": True},
            },
        ]
    return rules


def make_key(
    name: str,
    options: AuditOptions,
    delivery: Delivery | None,
    *,
    sealers: Sequence[pulumi.Input[str]] = (),
) -> Any:
    """The key of the records. It stays after a destroy, because losing it would lose the records."""
    return rotated_key(
        f"{name}-key",
        f"Audit records of {options.site}",
        key_policy(options.region, options.account, delivery, sealers),
        options.tags,
        options.retained_opts(),
    )


def key_policy(
    region: str,
    account: pulumi.Input[str],
    delivery: Delivery | None = None,
    sealers: Sequence[pulumi.Input[str]] = (),
) -> dict[str, Any]:
    """The account administers the key through IAM. Within the account, records are decrypted through S3 only, and
    only sealers encrypt.
    """
    aws_partition = partition(region)
    through_s3 = {"kms:ViaService": f"s3.{region}.amazonaws.com", "kms:CallerAccount": account}
    statements: list[dict[str, Any]] = [
        administration_statement(aws_partition, account),
        {
            "Sid": "ReadThroughS3",
            "Effect": "Allow",
            "Principal": account_root(aws_partition, account),
            "Action": ["kms:Decrypt"],
            "Resource": "*",
            "Condition": {"StringEquals": through_s3},
        },
    ]
    if sealers:
        # Principals that the account's IAM allows, and of these only the sealers.
        sealer_condition = {"StringEquals": through_s3, "ArnLike": {"aws:PrincipalArn": list(sealers)}}
        statements.append(
            {
                "Sid": "SealThroughS3",
                "Effect": "Allow",
                "Principal": account_root(aws_partition, account),
                "Action": ["kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": sealer_condition,
            }
        )
    return {"Version": "2012-10-17", "Statement": statements + (_trail_key(delivery) if delivery else [])}


def _trail_key(delivery: Delivery) -> list[dict[str, Any]]:
    """CloudTrail encrypts for this trail only. It must also decrypt, because the bucket uses bucket keys.

    Source: CloudTrail User Guide, "Configure AWS KMS key policies for CloudTrail" (read 2026-11-25).
    """
    trail_condition = {"StringEquals": {"aws:SourceArn": delivery.trail}}
    context = {"kms:EncryptionContext:aws:cloudtrail:arn": delivery.any_region}
    use = {"Effect": "Allow", "Principal": CLOUDTRAIL, "Resource": "*"}
    return [
        {
            "Sid": "SealTheTrail",
            **use,
            "Action": ["kms:GenerateDataKey"],
            "Condition": {**trail_condition, "StringLike": context},
        },
        {"Sid": "OpenBucketKeyForTheTrail", **use, "Action": ["kms:Decrypt"], "Condition": trail_condition},
        {"Sid": "DescribeToTheTrail", **use, "Action": ["kms:DescribeKey"], "Condition": trail_condition},
    ]


def bucket_policy(
    bucket: pulumi.Output[str],
    key: pulumi.Output[str],
    delivery: Delivery | None = None,
    sealers: Sequence[pulumi.Input[str]] = (),
) -> dict[str, Any]:
    """Denials for everybody: requests without TLS, another key, and writes except by sealers and AWS services. The
    trail, if there is one, may deliver. Nothing allows other services.

    A request without encryption settings gets the bucket's own. A request with settings must also name its key,
    because S3 would otherwise use the account's default key. A denial with `…IfExists` would also match requests
    without settings. The trail is excluded from this denial: its files use its own key, and its digests were
    encrypted with S3's own key for years (CloudTrail User Guide, "Encrypting CloudTrail log files", in editions
    before 2025).
    """
    objects = pulumi.Output.concat(bucket, "/*")
    statements = [
        tls_only_statement(bucket),
        *_change_denials(objects, sealers),
        *_encryption_denials(objects, key, delivery),
        *(_trail_writes(bucket, delivery) if delivery else []),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _change_denials(
    objects: pulumi.Output[str], sealers: Sequence[pulumi.Input[str]]
) -> list[dict[str, Any]]:
    """Only sealers put records, and nobody deletes one."""
    # An AWS service has no principal ARN. A denial for a missing ARN would stop the trail's delivery.
    non_sealers: dict[str, Any] = {"Bool": {"aws:PrincipalIsAWSService": "false"}}
    if sealers:
        non_sealers["ArnNotLike"] = {"aws:PrincipalArn": list(sealers)}
    return [
        {
            "Sid": "SealersAlonePut",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"],
            "Resource": [objects],
            "Condition": non_sealers,
        },
        {
            "Sid": "NobodyDeletes",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion"],
            "Resource": [objects],
        },
    ]


def _encryption_denials(
    objects: pulumi.Output[str], key: pulumi.Output[str], delivery: Delivery | None
) -> list[dict[str, Any]]:
    """Deny objects with another encryption, another key or a key of the caller."""
    names_encryption: dict[str, Any] = {"Null": {"s3:x-amz-server-side-encryption": "false"}}
    if delivery:
        names_encryption["ArnNotEquals"] = {"aws:SourceArn": delivery.trail}
    encryption_is_other = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    key_is_other = {"StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key}}
    key_is_of_caller = {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}}
    conditions: dict[str, dict[str, Any]] = {
        "NoOtherEncryption": {**names_encryption, **encryption_is_other},
        "NoOtherKey": {**names_encryption, **key_is_other},
        "NoKeyOfTheCallers": key_is_of_caller,
    }
    return [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": [objects],
            "Condition": condition,
        }
        for sid, condition in conditions.items()
    ]


def _trail_writes(bucket: pulumi.Output[str], delivery: Delivery) -> list[dict[str, Any]]:
    """CloudTrail reads the bucket's ACL, then writes, for this trail and into its folders only.

    It sets the ACL `bucket-owner-full-control`, the only one that a bucket without ACLs accepts. Source: CloudTrail
    User Guide, "Amazon S3 bucket policy for CloudTrail" (read 2026-11-25).
    """
    trail_condition = {"aws:SourceArn": delivery.trail}
    return [
        {
            "Sid": "TrailLooksAtTheBucket",
            "Effect": "Allow",
            "Principal": CLOUDTRAIL,
            "Action": "s3:GetBucketAcl",
            "Resource": [bucket],
            "Condition": {"StringEquals": trail_condition},
        },
        {
            "Sid": "TrailDelivers",
            "Effect": "Allow",
            "Principal": CLOUDTRAIL,
            "Action": "s3:PutObject",
            "Resource": [
                pulumi.Output.format("{}/{}/AWSLogs/{}/*", bucket, delivery.prefix, folder)
                for folder in delivery.folders
            ],
            "Condition": {"StringEquals": {**trail_condition, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ]
