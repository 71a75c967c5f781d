"""What a SageMaker endpoint stores, and under which key: its containers' log, and captured prompts and answers."""

from typing import Any

import pulumi

from components.aws.common.keys import account_root, rotated_key
from components.aws.common.log_group import key_policy, retention
from components.aws.common.names import for_auto_name, partition
from components.aws.common.private_bucket import BUCKET_NAME, private, tls_only
from components.aws.sagemaker.arguments import SealingKeySettings
from components.aws.sagemaker.role import log_group


def sealing_key(
    name: str,
    endpoint: str,
    settings: SealingKeySettings,
    *,
    region: str,
    account: pulumi.Input[str],
    kept: bool,
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> pulumi.Output[str] | None:
    """ARN of the key; None where there is none. `kept`: it stays, since what is sealed by it does."""
    if settings["mode"] != "manage":
        given = settings.get("arn") if settings["mode"] == "existing" else None
        return pulumi.Output.from_input(given) if given else None
    policy = key_policy(region, account, log_group(endpoint))
    through = {
        "kms:CallerAccount": account,
        "kms:ViaService": [f"{one}.{region}.amazonaws.com" for one in _VIA],
    }
    use: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": account_root(partition(region), account),
        "Resource": "*",
    }
    policy["Statement"] += [
        {
            "Sid": "SealAndReadThroughS3AndSageMaker",
            **use,
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            "Condition": {"StringEquals": through},
        },
        {
            # SageMaker attaches volumes by a grant, which who deploys gives it.
            "Sid": "GrantToSageMaker",
            **use,
            "Action": ["kms:CreateGrant"],
            "Condition": {
                "StringEquals": {**through, "kms:ViaService": f"sagemaker.{region}.amazonaws.com"},
                "Bool": {"kms:GrantIsForAWSResource": "true"},
            },
        },
    ]
    made = rotated_key(
        f"{name}-key",
        f"Log and captured content of {name}",
        policy,
        tags,
        pulumi.ResourceOptions(parent=parent, retain_on_delete=kept),
    )
    return made.arn


_VIA = ("s3", "sagemaker")


def container_log(
    name: str,
    endpoint: str,
    key: pulumi.Output[str] | None,
    days: int,
    where: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> Any:
    """The log group, made before SageMaker would make one of its own: without a key, and for ever."""
    from pulumi_aws.cloudwatch import LogGroup

    return LogGroup(
        f"{name}-log",
        name=log_group(endpoint),
        retention_in_days=retention(days, where),
        kms_key_id=key,
        tags=tags,
        opts=opts,
    )


def bucket_name(name: str) -> str:
    """How the name of the bucket begins; AWS's plugin makes the end up."""
    return for_auto_name(f"{name}-captured", BUCKET_NAME)


def capture_bucket(
    name: str,
    called: str,
    key: pulumi.Output[str],
    days: int,
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> tuple[Any, list[pulumi.Resource]]:
    """The bucket for prompts and answers, which erases them after `days`; and what a capture waits for. `called`: as
    of `bucket_name`.

    It stays when the endpoint goes: what was captured is erased in its time, not before and not after.
    """
    from pulumi_aws import s3

    kept = pulumi.ResourceOptions(parent=parent, retain_on_delete=True)
    bucket = s3.Bucket(called, force_destroy=False, tags=tags, opts=kept)
    encrypted, closed, owned = private(name, bucket.id, key, kept)
    erased = s3.BucketLifecycleConfiguration(
        f"{name}-erasure",
        bucket=bucket.id,
        rules=[{"id": "erase", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days}}],
        opts=kept,
    )
    policy = s3.BucketPolicy(
        f"{name}-tls",
        bucket=bucket.id,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [tls_only(bucket.arn)]}),
        opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True, depends_on=[closed]),
    )
    return bucket, [encrypted, owned, erased, policy]
