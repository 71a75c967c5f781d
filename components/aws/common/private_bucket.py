"""Secures a bucket: encryption by one key, no public access, owner-only objects, TLS only."""

from typing import Any

import pulumi

BUCKET_NAME = 63
"""Maximum length of a bucket's name."""


def secure_bucket(
    name: str, bucket: pulumi.Input[str], key: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> tuple[Any, Any, Any]:
    """Set encryption with `key`, the block on public access, and object ownership.

    The bucket's policy must wait for the public access block, because S3 answers 409 to concurrent changes of
    access.
    """
    from pulumi_aws import s3

    encryption = s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=bucket,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key,
                },
                "bucket_key_enabled": True,
            }
        ],
        opts=opts,
    )
    public_access_block = s3.BucketPublicAccessBlock(
        f"{name}-public-access",
        bucket=bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    ownership = s3.BucketOwnershipControls(
        f"{name}-ownership", bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts
    )
    return encryption, public_access_block, ownership


def tls_only_statement(bucket: pulumi.Input[str]) -> dict[str, Any]:
    """The statement of a bucket's policy that denies access without TLS. `bucket`: its ARN."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, pulumi.Output.concat(bucket, "/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
