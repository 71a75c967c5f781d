"""How the types of a share on Amazon EFS are looked for after a creation that was cut off (as `aws_ways`)."""

from __future__ import annotations

from isthmus.engine.recovery.aws.lookup import Lookup, by_parent, by_tags
from isthmus.engine.recovery.aws.settings_types import setting

EFS: dict[str, Lookup] = {
    "aws:efs/fileSystem:FileSystem": by_tags(
        "efs",
        "describe_file_systems",
        "FileSystems",
        "{item[FileSystemId]}",
        created="CreationTime",
        gone="LifeCycleState=='deleted' || LifeCycleState=='deleting'",
    ),
    "aws:efs/accessPoint:AccessPoint": by_tags(
        "efs",
        "describe_access_points",
        "AccessPoints",
        "{item[AccessPointId]}",
        params={"FileSystemId": "{fileSystemId}"},
        gone="LifeCycleState=='deleted' || LifeCycleState=='deleting'",
    ),
    "aws:efs/mountTarget:MountTarget": by_parent(
        "efs",
        "describe_mount_targets",
        {"FileSystemId": "{fileSystemId}"},
        "MountTargets[?SubnetId=='{subnetId}']",
        "{item[MountTargetId]}",
    ),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": setting(),
}
