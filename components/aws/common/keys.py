"""Creates KMS keys: rotated, with a long deletion window, and administered by the account."""

from collections.abc import Sequence
from typing import Any

import pulumi

ADMINISTER = [
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
]
"""Actions of an account's administrators on a key. None of them decrypts."""

STORE_UNDER = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]
"""Actions of an AWS service on the key of a disk or file system."""


def account_root(partition: pulumi.Input[str], account: pulumi.Input[str]) -> dict[str, Any]:
    """The account's root as a principal, which means everybody whom the account's IAM allows."""
    return {"AWS": pulumi.Output.format("arn:{}:iam::{}:root", partition, account)}


def administration_statement(
    partition: pulumi.Input[str], account: pulumi.Input[str], *, extra_actions: Sequence[str] = ()
) -> dict[str, Any]:
    """The first statement of a key's policy: the account administers the key through IAM, and may do
    `extra_actions`.

    In a key's policy `Resource: "*"` means the key itself. The account's root is named so that the key always has
    an administrator.
    """
    return {
        "Sid": "Administer",
        "Effect": "Allow",
        "Principal": account_root(partition, account),
        "Action": [*ADMINISTER, *extra_actions],
        "Resource": "*",
    }


def rotated_key(
    name: str,
    description: str,
    policy: dict[str, Any],
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
    *,
    days: int = 30,
) -> Any:
    """The key `name`, with a deletion window of `days`."""
    from pulumi_aws.kms import Key

    return Key(
        name,
        description=description,
        enable_key_rotation=True,
        deletion_window_in_days=days,
        policy=pulumi.Output.json_dumps(policy),
        tags=tags,
        opts=opts,
    )
