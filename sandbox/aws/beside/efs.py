"""Amazon EFS: changing how a file system is throttled, and taking its policy away, which moto does not; and that of a
file system that is gone, at whose policy moto fails inside.

The file systems are moto's own, so what is set here is what moto's answers show.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused

_SHOWN = (
    *("OwnerId", "CreationToken", "FileSystemId", "FileSystemArn", "CreationTime", "LifeCycleState", "Name"),
    *("NumberOfMountTargets", "SizeInBytes", "PerformanceMode", "Encrypted", "KmsKeyId", "ThroughputMode"),
    "Tags",
)


def _files(asked: Asked) -> Any:
    from moto.efs.models import efs_backends

    name = asked.params.get("FileSystemId")
    known = efs_backends[asked.account][asked.region].file_systems_by_id
    if name not in known:
        raise Refused("FileSystemNotFound", 404, f"File system '{name}' does not exist.")
    return known[name]


def update_file_system(asked: Asked) -> dict[str, Any]:
    files = _files(asked)
    if asked.params.get("ThroughputMode"):
        files.throughput_mode = asked.params["ThroughputMode"]
    shown = files.info_json()
    return {key: shown[key] for key in _SHOWN if shown.get(key) is not None}


def describe_file_system_policy(asked: Asked) -> dict[str, Any]:
    files = _files(asked)
    if not files.file_system_policy:
        raise Refused("PolicyNotFound", 404, f"No policy found for file system '{files.file_system_id}'.")
    return {"FileSystemId": files.file_system_id, "Policy": files.file_system_policy}


def delete_file_system_policy(asked: Asked) -> dict[str, Any]:
    _files(asked).file_system_policy = None
    return {}


OPERATIONS = (
    Operation("efs", "UpdateFileSystem", update_file_system),
    Operation("efs", "DescribeFileSystemPolicy", describe_file_system_policy),
    Operation("efs", "DeleteFileSystemPolicy", delete_file_system_policy),
)
