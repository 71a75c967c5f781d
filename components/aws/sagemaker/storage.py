"""Storage of a SageMaker endpoint: its key, its log group and the bucket of captured content."""

from typing import Any

import pulumi

from components.aws.common.keys import account_root, rotated_key
from components.aws.common.log_group import key_policy, retention_period
from components.aws.common.names import logical_name, partition
from components.aws.common.private_bucket import BUCKET_NAME, secure_bucket, tls_only_statement
from components.aws.sagemaker.arguments import SealingKeySettings
from components.aws.sagemaker.role import log_group

_KEY_USERS = ("s3", "sagemaker")


def sealing_key(
    name: str,
    endpoint: str,
    settings: SealingKeySettings,
    *,
    region: str,
    account: pulumi.Input[str],
    is_retained: bool,
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> pulumi.Output[str] | None:
    """ARN of the key. None without a key. `is_retained`: whether it stays after a destroy, like the data that it
    encrypts.
    """
    if settings["mode"] != "manage":
        arn = settings.get("arn") if settings["mode"] == "existing" else None
        return pulumi.Output.from_input(arn) if arn else None
    policy = key_policy(region, account, log_group(endpoint))
    policy["Statement"] += _storage_statements(region, account)
    key = rotated_key(
        f"{name}-key",
        f"Log and captured content of {name}",
        policy,
        tags,
        pulumi.ResourceOptions(parent=parent, retain_on_delete=is_retained),
    )
    return key.arn


def _storage_statements(region: str, account: pulumi.Input[str]) -> list[dict[str, Any]]:
    """Statements of the key's policy: principals of the account that use S3 or SageMaker may use the key through
    them.
    """
    via_services = {
        "kms:CallerAccount": account,
        "kms:ViaService": [f"{service}.{region}.amazonaws.com" for service in _KEY_USERS],
    }
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": account_root(partition(region), account),
        "Resource": "*",
    }
    return [
        {
            "Sid": "SealAndReadThroughS3AndSageMaker",
            **statement,
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            "Condition": {"StringEquals": via_services},
        },
        {
            # SageMaker attaches volumes with a grant, which the deployer creates for it.
            "Sid": "GrantToSageMaker",
            **statement,
            "Action": ["kms:CreateGrant"],
            "Condition": {
                "StringEquals": {**via_services, "kms:ViaService": f"sagemaker.{region}.amazonaws.com"},
                "Bool": {"kms:GrantIsForAWSResource": "true"},
            },
        },
    ]


def container_log(
    name: str,
    endpoint: str,
    key: pulumi.Output[str] | None,
    days: int,
    where: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> Any:
    """The log group. Created first, because SageMaker would create one without a key and with unlimited retention."""
    from pulumi_aws.cloudwatch import LogGroup

    return LogGroup(
        f"{name}-log",
        name=log_group(endpoint),
        retention_in_days=retention_period(days, where),
        kms_key_id=key,
        tags=tags,
        opts=opts,
    )


def bucket_name(name: str) -> str:
    """Prefix of the bucket's name. Pulumi's AWS provider generates the end."""
    return logical_name(f"{name}-captured", BUCKET_NAME)


def capture_bucket(
    name: str,
    bucket_name_given: str,
    key: pulumi.Output[str],
    days: int,
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> tuple[Any, list[pulumi.Resource]]:
    """The bucket for prompts and answers, which deletes them after `days`, and the resources on which captures
    depend. `bucket_name_given`: from `bucket_name`.

    It stays after the endpoint's deletion, so that captured content is deleted at its own time.
    """
    from pulumi_aws import s3

    retained_opts = pulumi.ResourceOptions(parent=parent, retain_on_delete=True)
    bucket = s3.Bucket(bucket_name_given, force_destroy=False, tags=tags, opts=retained_opts)
    encryption, public_access_block, ownership = secure_bucket(name, bucket.id, key, retained_opts)
    lifecycle = s3.BucketLifecycleConfiguration(
        f"{name}-erasure",
        bucket=bucket.id,
        rules=[{"id": "erase", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days}}],
        opts=retained_opts,
    )
    policy = s3.BucketPolicy(
        f"{name}-tls",
        bucket=bucket.id,
        policy=pulumi.Output.json_dumps(
            {"Version": "2012-10-17", "Statement": [tls_only_statement(bucket.arn)]}
        ),
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True, depends_on=[public_access_block]),
    )
    return bucket, [encryption, ownership, lifecycle, policy]
