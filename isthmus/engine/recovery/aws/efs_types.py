"""How the types of a share on Amazon EFS are looked for after a creation that was cut off (as `aws_ways`)."""

from __future__ import annotations

from isthmus.engine.recovery.aws.lookup import Way, child, tagged
from isthmus.engine.recovery.aws.settings_types import put

EFS: dict[str, Way] = {
    "aws:efs/fileSystem:FileSystem": tagged(
        "efs",
        "describe_file_systems",
        "FileSystems",
        "{found[FileSystemId]}",
        created="CreationTime",
        gone="LifeCycleState=='deleted' || LifeCycleState=='deleting'",
    ),
    "aws:efs/accessPoint:AccessPoint": tagged(
        "efs",
        "describe_access_points",
        "AccessPoints",
        "{found[AccessPointId]}",
        params={"FileSystemId": "{fileSystemId}"},
        gone="LifeCycleState=='deleted' || LifeCycleState=='deleting'",
    ),
    "aws:efs/mountTarget:MountTarget": child(
        "efs",
        "describe_mount_targets",
        {"FileSystemId": "{fileSystemId}"},
        "MountTargets[?SubnetId=='{subnetId}']",
        "{found[MountTargetId]}",
    ),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": put(),
}
