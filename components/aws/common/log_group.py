"""Creates a log group with its own key and a retention of at least the requested days."""

from typing import Any, NamedTuple

import pulumi

from components.aws.common.keys import administration_statement, rotated_key
from components.aws.common.names import partition
from isthmus.core.errors import InputError

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Days that CloudWatch Logs knows (PutRetentionPolicy, API reference; as of knowledge, not checked)."""
NEVER_EXPIRES = 0


class SealedLogGroup(NamedTuple):
    """What `sealed_log_group` made: outputs of the group's name and ARN, of its key's ARN, and of all that it made."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    made: list[pulumi.Output[str]]


def retention_period(days: int, where: str) -> int:
    """The shortest period that CloudWatch Logs knows and that is not shorter than `days`; 0: for ever."""
    if days < 1:
        raise InputError(f"{days} is not a retention period", where=where, fix="Set it to 1 day or more")
    return next((period for period in RETENTIONS if period >= days), NEVER_EXPIRES)


def sealed_log_group(
    name: str,
    prefix: str,
    *,
    region: str,
    account: pulumi.Input[str],
    days: int,
    where: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
    kms_key: pulumi.Input[str] | None = None,
) -> SealedLogGroup:
    """A log group whose name starts with `prefix`, and its KMS key, which serves groups of that name only.

    `kms_key`: the organisation's own in place of it; that it admits CloudWatch Logs is the organisation's to see to.
    Children: `NAME-log-key`, `NAME-logs`. With `retain_on_delete` in `opts` both stay: without the key the
    records could not be read. The name's end is made up, so that one left behind is in nobody's way.
    """
    from pulumi_aws.cloudwatch import LogGroup

    arn = pulumi.Output.from_input(kms_key) if kms_key is not None else None
    if arn is None:
        arn = rotated_key(
            f"{name}-log-key", f"Log records of {name}", key_policy(region, account, prefix), tags, opts
        ).arn
    group = LogGroup(
        f"{name}-logs",
        name_prefix=prefix,
        retention_in_days=retention_period(days, where),
        kms_key_id=arn,
        tags=tags,
        opts=opts,
    )
    arns = [group.arn] if kms_key is not None else [group.arn, arn]
    return SealedLogGroup(group.name, group.arn, arn, arns)


def key_policy(region: str, account: pulumi.Input[str], prefix: str) -> dict[str, Any]:
    """The account administers the key through IAM; CloudWatch Logs alone seals and opens with it.

    Readers need no right to the key: the service opens records for whoever may read the group.
    """
    aws_partition = partition(region)
    suffix = "amazonaws.com.cn" if aws_partition == "aws-cn" else "amazonaws.com"
    return {
        "Version": "2012-10-17",
        "Statement": [
            administration_statement(aws_partition, account),
            {
                "Sid": "SealLogs",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{region}.{suffix}"},
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncryptFrom",
                    "kms:ReEncryptTo",
                    "kms:GenerateDataKey",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": pulumi.Output.format(
                            "arn:{}:logs:{}:{}:log-group:{}*", aws_partition, region, account, prefix
                        )
                    }
                },
            },
        ],
    }
