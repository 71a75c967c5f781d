"""The permissions that mounting an Amazon EFS share needs."""

from typing import Any

import pulumi

from components.aws.common.names import partition

MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{suffix}" for suffix in ("Mount", "Write", "RootAccess"))


def mount_statement(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """What a boundary must allow of a role that mounts shares. It must not be in the role's own policy as well.

    EFS lets in whoever an identity policy or the file system's policy allows (Amazon EFS user guide, "Using IAM to
    control file system data access", read 2026-11). A role that may mount every share by its own policy would go past
    the access points that the share's policy names. In a boundary the statement allows nothing by itself, and IAM
    asks for it where a resource's policy names the role (IAM user guide, "Permissions boundaries").
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
