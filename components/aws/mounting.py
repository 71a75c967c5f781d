"""What mounting a share on Amazon EFS takes of whoever does it."""

from typing import Any

import pulumi

from components.aws.names import partition

MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{word}" for word in ("Mount", "Write", "RootAccess"))


def mounting(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """A role's statement: AWS makes up the share's name later, and the share's own policy names who may by which point.

    Both must allow: a resource's policy that names a role does not go past the role's boundary (IAM user guide,
    "Permissions boundaries", as of knowledge, not checked).
    """
    files = pulumi.Output.format(
        "arn:{}:elasticfilesystem:{}:{}:file-system/*", partition(region), region, account
    )
    return {
        "Sid": "MountShares",
        "Effect": "Allow",
        "Action": [MOUNT, WRITE],
        "Resource": [files],
        "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
    }
