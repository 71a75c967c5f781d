"""Where a site's audit records are sealed: a write-once bucket, or the store that the organisation names."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.bedrock_access import partition
from components.checks import MODES, one_of
from isthmus.contracts.errors import InputError


class AuditTrailArgs(TypedDict):
    """Where a site's audit records are sealed, write-once."""

    name: str
    """Name of the store."""
    site: str
    """Name of the site whose records it holds."""
    mode: str
    """`manage`: made here, on AWS. `existing`: the organisation's, named below. `off`: none."""
    retention_days: int
    """How long no one can delete a record, days."""
    region: NotRequired[str]
    """AWS region, for `manage`."""
    endpoint: NotRequired[str]
    """`existing`: URL of the S3-compatible service; absent for AWS's own."""
    bucket: NotRequired[str]
    """`existing`: the bucket, with object lock."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""


class AuditTrail(pulumi.ComponentResource):
    """A store of audit records that no one can alter or delete before their time.

    What is made stays when the stack is destroyed: `retained` names it. Losing the key would lose the
    records.
    """

    bucket: pulumi.Output[str]
    """Name of the bucket; empty with `off`."""
    endpoint: pulumi.Output[str]
    """URL of an S3-compatible service; empty for AWS's own."""
    retained: pulumi.Output[list[str]]
    """What is left on purpose when the stack is destroyed."""

    def __init__(self, name: str, args: AuditTrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:AuditTrail", name, dict(args), opts)
        where = f"audit.{args['name']}"
        mode = one_of(args["mode"], MODES, f"{where}.mode")
        if mode == "existing" and not args.get("bucket"):
            raise InputError("the audit store names no bucket", where=where, todo="Name its `bucket`")
        self.bucket = pulumi.Output.from_input(args.get("bucket", "") if mode == "existing" else "")
        self.endpoint = pulumi.Output.from_input(args.get("endpoint", "") if mode == "existing" else "")
        self.retained = pulumi.Output.from_input([])
        if mode == "manage":
            if not args.get("region"):
                raise InputError(
                    "an audit store can be made on AWS only",
                    where=where,
                    todo="On-prem, name an S3-compatible store with object lock: 'existing' and its bucket",
                )
            self._make(name, args)
        self.register_outputs({"bucket": self.bucket, "endpoint": self.endpoint, "retained": self.retained})

    def _make(self, name: str, args: AuditTrailArgs) -> None:
        from pulumi_aws import get_caller_identity_output, s3
        from pulumi_aws.kms import Key

        region = args.get("region", "")
        tags = {**args.get("tags", {}), "isthmus.dev/audit": args["name"]}
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        key = Key(
            f"{name}-key",
            description=f"Audit records of {args['site']}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=pulumi.Output.json_dumps(_key_policy(region, account)),
            tags=tags,
            opts=kept,
        )
        bucket = s3.Bucket(
            f"{name}-bucket", object_lock_enabled=True, force_destroy=False, tags=tags, opts=kept
        )
        versioning = s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=kept,
        )
        s3.BucketObjectLockConfiguration(
            f"{name}-lock",
            bucket=bucket.id,
            # COMPLIANCE: not even the account's root can shorten it.
            rule={"default_retention": {"mode": "COMPLIANCE", "days": args["retention_days"]}},
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True, depends_on=[versioning]),
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": key.arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=kept,
        )
        closed = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=kept,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=kept
        )
        s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=pulumi.Output.json_dumps(_bucket_policy(bucket.arn, key.arn)),
            # One after the other: S3 answers 409 to two changes of access at once.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True, depends_on=[closed]),
        )
        self.bucket = bucket.id
        self.retained = pulumi.Output.all(bucket.arn, key.arn)


def _key_policy(region: str, account: pulumi.Output[str]) -> dict[str, Any]:
    """The account administers the key through IAM; in it, records are sealed and read through S3 only.

    In a key's policy `Resource: "*"` means the key itself. The account's root is named so that the key
    cannot become one that nobody may manage.
    """
    root = pulumi.Output.format("arn:{}:iam::{}:root", partition(region), account)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Administer",
                "Effect": "Allow",
                "Principal": {"AWS": root},
                "Action": [
                    "kms:DescribeKey",
                    "kms:GetKeyPolicy",
                    "kms:GetKeyRotationStatus",
                    "kms:ListResourceTags",
                    "kms:PutKeyPolicy",
                    "kms:EnableKeyRotation",
                    "kms:UpdateKeyDescription",
                    "kms:TagResource",
                    "kms:UntagResource",
                    "kms:ScheduleKeyDeletion",
                    "kms:CancelKeyDeletion",
                    "kms:EnableKey",
                    "kms:DisableKey",
                ],
                "Resource": "*",
            },
            {
                "Sid": "SealAndReadThroughS3",
                "Effect": "Allow",
                "Principal": {"AWS": root},
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:ViaService": f"s3.{region}.amazonaws.com",
                        "kms:CallerAccount": account,
                    }
                },
            },
        ],
    }


def _bucket_policy(bucket: pulumi.Output[str], key: pulumi.Output[str]) -> dict[str, Any]:
    """Denials for everyone: nothing without TLS, nothing under another key."""
    objects = pulumi.Output.concat(bucket, "/*")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, objects],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Sid": "NoOtherEncryption",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": [objects],
                "Condition": {
                    "StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption": "aws:kms"},
                },
            },
            {
                "Sid": "NoOtherKey",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": [objects],
                "Condition": {
                    "StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key}
                },
            },
        ],
    }
