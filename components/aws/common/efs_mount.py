"""The permissions that mounting an Amazon EFS share needs."""

from typing import Any

import pulumi

from components.aws.common.names import partition

MOUNT, WRITE, ROOT = (f"elasticfilesystem:Client{suffix}" for suffix in ("Mount", "Write", "RootAccess"))


def mount_statement(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """The statement that the boundary of a role that mounts shares must have. The role's own policy must not have
    it.

    EFS admits a caller that an identity policy or the file system's policy allows (Amazon EFS user guide, "Using
    IAM to control file system data access", read 2026-11). If the role's own policy allowed mounting every share,
    it would bypass the access points in the share's policy. In a boundary the statement grants nothing, but IAM
    requires it if a resource's policy names the role (IAM user guide, "Permissions boundaries").
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
