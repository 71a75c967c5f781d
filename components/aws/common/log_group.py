"""Creates a log group with its own key and a retention of at least the requested days."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pulumi

from components.aws.common.keys import administration_statement, rotated_key
from components.aws.common.names import partition
from isthmus.core.errors import InputError

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Retention periods in days that CloudWatch Logs supports (PutRetentionPolicy, API reference; as of knowledge, not
checked)."""
NEVER_EXPIRES = 0


@dataclass(frozen=True)
class LogGroupOptions:
    """Common options of the log groups of one component."""

    region: str
    account: pulumi.Input[str]
    tags: dict[str, str]
    opts: pulumi.ResourceOptions
    """With `retain_on_delete`, group and key stay when the stack is destroyed: without the key nobody could read the
    records."""
    kms_key: pulumi.Input[str] | None = None
    """ARN of the organisation's key, whose policy must admit CloudWatch Logs. None: the group gets a key of its own."""


class SealedLogGroup(NamedTuple):
    """Outputs of a log group: its name and ARN, the ARN of its key, and the ARNs of all resources made for it."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    made: list[pulumi.Output[str]]


def retention_period(days: int, where: str) -> int:
    """The shortest supported period that is not shorter than `days`. 0: for ever."""
    if days < 1:
        raise InputError(f"{days} is not a retention period", where=where, fix="Set it to 1 day or more")
    return next((period for period in RETENTIONS if period >= days), NEVER_EXPIRES)


def create_log_group(
    name: str, prefix: str, days: int, where: str, options: LogGroupOptions
) -> SealedLogGroup:
    """Create a log group whose name starts with `prefix`, and its KMS key, which is for groups with that prefix
    only.

    `days`: minimum retention. `where`: path of the setting, for messages. Children: `NAME-log-key`, `NAME-logs`.
    AWS generates the end of the group's name, so that a retained group does not block a new one.
    """
    from pulumi_aws.cloudwatch import LogGroup

    key_arn = _log_key(name, prefix, options)
    group = LogGroup(
        f"{name}-logs",
        name_prefix=prefix,
        retention_in_days=retention_period(days, where),
        kms_key_id=key_arn,
        tags=options.tags,
        opts=options.opts,
    )
    arns = [group.arn] if options.kms_key is not None else [group.arn, key_arn]
    return SealedLogGroup(group.name, group.arn, key_arn, arns)


def _log_key(name: str, prefix: str, options: LogGroupOptions) -> pulumi.Output[str]:
    """ARN of the organisation's key, or of a new one."""
    if options.kms_key is not None:
        return pulumi.Output.from_input(options.kms_key)
    policy = key_policy(options.region, options.account, prefix)
    return rotated_key(f"{name}-log-key", f"Log records of {name}", policy, options.tags, options.opts).arn


def key_policy(region: str, account: pulumi.Input[str], prefix: str) -> dict[str, Any]:
    """The account administers the key through IAM. Only CloudWatch Logs encrypts and decrypts with it.

    Readers need no permission on the key, because the service decrypts records for everybody who may read the
    group.
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
