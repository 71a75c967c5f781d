"""Cases of Amazon EFS."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.network import NEW_TAGS, TAGS, group, subnet, vpc
from tests.aws_sandbox.driver import World, document


def _files(world: World) -> str:
    return world.boto("efs").create_file_system(CreationToken=world.name("files"))["FileSystemId"]


def files(world: World) -> Inputs:
    return {
        **{"encrypted": True, "kmsKeyId": world.key(), "throughputMode": "elastic"},
        "performanceMode": "generalPurpose",
        # By its tags it is found when nobody was answered.
        "tags": {**TAGS["tags"], "share": world.name("files")},
    }


def point(world: World) -> Inputs:
    owner = {"ownerUid": 2000, "ownerGid": 2000, "permissions": "0755"}
    return {
        "fileSystemId": _files(world),
        "posixUser": {"uid": 2000, "gid": 2000},
        "rootDirectory": {"path": "/records", "creationInfo": owner},
        **TAGS,
    }


def target(world: World) -> Inputs:
    network = vpc(world)
    groups = [group(world, network)]
    return {
        "fileSystemId": _files(world),
        "subnetId": subnet(world, network, "10.20.0.0/24"),
        "securityGroups": groups,
    }


def _elsewhere(world: World, inputs: Inputs) -> Inputs:
    network = vpc(world)
    groups = [group(world, network)]
    where = subnet(world, network, "10.20.1.0/24", "b")
    return {"fileSystemId": _files(world), "subnetId": where, "securityGroups": groups}


def _other_groups(world: World, inputs: Inputs) -> Inputs:
    answer = world.boto("ec2").describe_subnets(SubnetIds=[inputs["subnetId"]])["Subnets"][0]
    return {**inputs, "securityGroups": [group(world, answer["VpcId"])]}


def _files_behind(world: World, inputs: Inputs) -> str:
    world.boto("efs").update_file_system(FileSystemId=_id(world, inputs), ThroughputMode="bursting")
    return "throughputMode"


def _id(world: World, inputs: Inputs) -> str:
    """By the ARN; an address, which has none, by the subnet it lies in; empty where it is gone."""
    if "subnetId" not in inputs:
        return inputs["arn"].rpartition("/")[2]
    every = world.boto("efs").describe_mount_targets(FileSystemId=inputs["fileSystemId"])["MountTargets"]
    return next((entry["MountTargetId"] for entry in every if entry["SubnetId"] == inputs["subnetId"]), "")


def _gone(operation: str, name: str, listed: str) -> Any:
    def behind(world: World, inputs: Inputs) -> str:
        getattr(world.boto("efs"), f"delete_{operation}")(**{name: _id(world, inputs)})
        return ""

    def left(world: World, inputs: Inputs) -> bool:
        id = _id(world, inputs)
        answer = id and found(lambda: getattr(world.boto("efs"), f"describe_{operation}s")(**{name: id}))
        return bool(answer and answer[listed])

    return {"behind": behind, "left": left}


def _policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("efs").put_file_system_policy(
        FileSystemId=inputs["fileSystemId"], Policy=document("elasticfilesystem:ClientRootAccess")
    )
    return "policy"


def _policed(world: World, inputs: Inputs) -> bool:
    efs = world.boto("efs")
    return found(lambda: efs.describe_file_system_policy(FileSystemId=inputs["fileSystemId"])) is not None


CASES: dict[str, Case] = {
    "aws:efs/fileSystem:FileSystem": Case(
        make=files,
        change=changed(throughputMode="bursting", **NEW_TAGS),
        replace=changed(encrypted=False, kmsKeyId=None),
        **{**_gone("file_system", "FileSystemId", "FileSystems"), "behind": _files_behind},
    ),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": Case(
        make=lambda world: {
            "fileSystemId": _files(world),
            "policy": document("elasticfilesystem:ClientMount"),
        },
        change=changed(policy=document("elasticfilesystem:ClientWrite")),
        replace=lambda world, inputs: {**inputs, "fileSystemId": _files(world)},
        behind=_policy_behind,
        left=_policed,
    ),
    "aws:efs/mountTarget:MountTarget": Case(
        make=target,
        change=_other_groups,
        replace=_elsewhere,
        **_gone("mount_target", "MountTargetId", "MountTargets"),
    ),
    "aws:efs/accessPoint:AccessPoint": Case(
        make=point,
        change=changed(**NEW_TAGS),
        replace=changed(posixUser={"uid": 2001, "gid": 2000}),
        **_gone("access_point", "AccessPointId", "AccessPoints"),
    ),
}
