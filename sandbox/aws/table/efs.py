"""Amazon EFS: file systems, their policies, mount targets, and access points."""

from __future__ import annotations

from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Tagging, Type, fresh_token, list_all_ids
from sandbox.aws.schema import Prop, has_same_members, is_same_tail
from sandbox.aws.table.kms import REGION, TAGS

_FILES = {"FileSystemId": "$id"}
_NO_FILES = ("FileSystemNotFound",)
_TAGGING = Tagging(
    put=Call("tag_resource", {"ResourceId": "$id", "Tags": "$tagsSet"}),
    remove=Call("untag_resource", {"ResourceId": "$id", "TagKeys": "$tagsGone"}),
)


def _same_tags(call: Any, scope: Scope) -> str | None:
    """Return the id of the only file system that has all these tags, with the resource's own."""
    expected_tags = scope.get("tagsAll") or {}
    matching_ids = [
        file_system["FileSystemId"]
        for file_system in call("describe_file_systems")["FileSystems"]
        if expected_tags
        and {tag["Key"]: tag["Value"] for tag in file_system.get("Tags", [])} == expected_tags
    ]
    return matching_ids[0] if len(matching_ids) == 1 else None


FILE_SYSTEM = Type(
    "aws:efs/fileSystem:FileSystem",
    service="efs",
    id="{id}",
    inputs={
        "encrypted": Prop("flag", replace=True, computed=True),
        "kmsKeyId": Prop(replace=True, computed=True, alike=is_same_tail),
        "performanceMode": Prop(replace=True, computed=True),
        "throughputMode": Prop(default="bursting"),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "name": Prop(),
        "numberOfMountTargets": Prop("number"),
        "ownerId": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_file_system",
        {
            "CreationToken": fresh_token,
            "Encrypted": "$encrypted",
            "KmsKeyId": "$kmsKeyId",
            "PerformanceMode": "$performanceMode",
            "ThroughputMode": "$throughputMode",
            "Tags": "$tagsAll",
        },
        result={"id": "FileSystemId"},
    ),
    # AWS answers a repeated token with an error, not with the first answer.
    find_only=lambda call, scope: _same_tags(call, scope),
    allows_duplicates=False,
    reads=(
        Call(
            "describe_file_systems",
            _FILES,
            pick="FileSystems[0]",
            result={
                "encrypted": "Encrypted",
                "kmsKeyId": "KmsKeyId",
                "performanceMode": "PerformanceMode",
                "throughputMode": "ThroughputMode",
                "name": "Name",
                "numberOfMountTargets": "NumberOfMountTargets",
                "ownerId": "OwnerId",
                "tagsAll": "Tags",
            },
            absent=_NO_FILES,
        ),
    ),
    facets=(
        Facet(
            ("throughputMode",),
            put=Call("update_file_system", {**_FILES, "ThroughputMode": "$throughputMode"}),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_file_system", _FILES, absent=_NO_FILES),
    computed={"arn": "arn:{partition}:elasticfilesystem:{region}:{account}:file-system/{id}"},
    limits="Kept; nothing can be mounted, and nothing is encrypted. Life cycles, backups and replication are not "
    "served.",
)

FILE_SYSTEM_POLICY = Type(
    "aws:efs/fileSystemPolicy:FileSystemPolicy",
    service="efs",
    id="{fileSystemId}",
    inputs={
        "fileSystemId": Prop(required=True, replace=True),
        "policy": Prop("json", required=True),
        "bypassPolicyLockoutSafetyCheck": Prop("flag", local=True),
        "region": REGION,
    },
    outputs={},
    create=Call("put_file_system_policy", {"FileSystemId": "$fileSystemId", "Policy": "$policy"}),
    reads=(
        Call(
            "describe_file_system_policy",
            {"FileSystemId": "$fileSystemId"},
            result={"policy": "Policy", "fileSystemId": "FileSystemId"},
            absent=(*_NO_FILES, "PolicyNotFound"),
        ),
    ),
    facets=(
        Facet(
            ("policy",),
            put=Call("put_file_system_policy", {"FileSystemId": "$fileSystemId", "Policy": "$policy"}),
        ),
    ),
    delete=Call(
        "delete_file_system_policy",
        {"FileSystemId": "$fileSystemId"},
        absent=(*_NO_FILES, "PolicyNotFound"),
    ),
    limits="Kept, not enforced: nobody mounts anything here.",
)


def _of_target(answer: Any) -> Any:
    return answer.get("SecurityGroups") or []


MOUNT_TARGET = Type(
    "aws:efs/mountTarget:MountTarget",
    service="efs",
    id="{id}",
    inputs={
        "fileSystemId": Prop(required=True, replace=True),
        "subnetId": Prop(required=True, replace=True),
        "ipAddress": Prop(replace=True, computed=True),
        "securityGroups": Prop("list", computed=True, alike=has_same_members),
        "region": REGION,
    },
    outputs={
        "availabilityZoneName": Prop(),
        "networkInterfaceId": Prop(),
        "ownerId": Prop(),
    },
    create=Call(
        "create_mount_target",
        {
            "FileSystemId": "$fileSystemId",
            "SubnetId": "$subnetId",
            "IpAddress": "$ipAddress",
            "SecurityGroups": "$securityGroups",
        },
        result={"id": "MountTargetId"},
    ),
    reads=(
        Call(
            "describe_mount_targets",
            {"MountTargetId": "$id"},
            pick="MountTargets[0]",
            result={
                "fileSystemId": "FileSystemId",
                "subnetId": "SubnetId",
                "ipAddress": "IpAddress",
                "availabilityZoneName": "AvailabilityZoneName",
                "networkInterfaceId": "NetworkInterfaceId",
                "ownerId": "OwnerId",
            },
            absent=("MountTargetNotFound",),
        ),
        Call(
            "describe_mount_target_security_groups",
            {"MountTargetId": "$id"},
            result={"securityGroups": _of_target},
            absent=("MountTargetNotFound",),
        ),
    ),
    facets=(
        Facet(
            ("securityGroups",),
            put=Call(
                "modify_mount_target_security_groups",
                {"MountTargetId": "$id", "SecurityGroups": "$securityGroups"},
            ),
        ),
    ),
    delete=Call("delete_mount_target", {"MountTargetId": "$id"}, absent=("MountTargetNotFound",)),
    allows_duplicates=False,
    find_only=lambda call, scope: _twin(call, scope),
    limits="There at once; in AWS it takes a minute or two.",
)


def _twin(call: Any, scope: Scope) -> str | None:
    """Return the id of the file system's only mount target in this subnet: AWS allows one in each zone."""
    mount_targets = call("describe_mount_targets", FileSystemId=scope["fileSystemId"])["MountTargets"]
    matching_ids = [
        mount_target["MountTargetId"]
        for mount_target in mount_targets
        if mount_target["SubnetId"] == scope["subnetId"]
    ]
    return matching_ids[0] if len(matching_ids) == 1 else None


ACCESS_POINT = Type(
    "aws:efs/accessPoint:AccessPoint",
    service="efs",
    id="{id}",
    inputs={
        "fileSystemId": Prop(required=True, replace=True),
        "posixUser": Prop(
            "object",
            replace=True,
            fields={
                "uid": Prop("number"),
                "gid": Prop("number"),
                "secondaryGids": Prop("list"),
            },
        ),
        "rootDirectory": Prop(
            "object",
            replace=True,
            computed=True,
            fields={
                "path": Prop(),
                "creationInfo": Prop(
                    "object",
                    fields={
                        "ownerUid": Prop("number"),
                        "ownerGid": Prop("number"),
                        "permissions": Prop(),
                    },
                ),
            },
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_access_point",
        {
            "ClientToken": fresh_token,
            "FileSystemId": "$fileSystemId",
            "PosixUser": "$posixUser",
            "RootDirectory": "$rootDirectory",
            "Tags": "$tagsAll",
        },
        result={"id": "AccessPointId"},
    ),
    list_all=list_all_ids(
        "describe_access_points",
        "AccessPoints[].AccessPointId",
        FileSystemId=lambda scope: scope["fileSystemId"],
    ),
    reads=(
        Call(
            "describe_access_points",
            {"AccessPointId": "$id"},
            pick="AccessPoints[0]",
            result={
                "fileSystemId": "FileSystemId",
                "posixUser": "PosixUser",
                "rootDirectory": "RootDirectory",
                "ownerId": "OwnerId",
                "tagsAll": "Tags",
            },
            absent=("AccessPointNotFound",),
        ),
    ),
    tagging=_TAGGING,
    delete=Call("delete_access_point", {"AccessPointId": "$id"}, absent=("AccessPointNotFound",)),
    computed={"arn": "arn:{partition}:elasticfilesystem:{region}:{account}:access-point/{id}"},
    limits="Kept; nobody comes by it.",
)

TYPES = (FILE_SYSTEM, FILE_SYSTEM_POLICY, MOUNT_TARGET, ACCESS_POINT)
