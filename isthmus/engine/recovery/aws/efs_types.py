"""Lookups of Amazon EFS resources after an interrupted creation (see `types`)."""

from __future__ import annotations

from isthmus.engine.recovery.aws.lookup import ByTags, Lookup, by_parent
from isthmus.engine.recovery.aws.settings_types import setting

EFS: dict[str, Lookup] = {
    "aws:efs/fileSystem:FileSystem": ByTags(
        "efs",
        "describe_file_systems",
        "FileSystems",
        "{item[FileSystemId]}",
        created="CreationTime",
        gone="LifeCycleState=='deleted' || LifeCycleState=='deleting'",
    ),
    "aws:efs/accessPoint:AccessPoint": ByTags(
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
