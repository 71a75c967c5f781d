"""Amazon EFS: changing a file system's throughput mode, and reading and deleting its policy.

moto lacks the changes, and has an internal error for the policy of a missing file system. The file systems are moto's
objects, so moto's answers show the changes.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_SHOWN = (
    *("OwnerId", "CreationToken", "FileSystemId", "FileSystemArn", "CreationTime", "LifeCycleState", "Name"),
    *("NumberOfMountTargets", "SizeInBytes", "PerformanceMode", "Encrypted", "KmsKeyId", "ThroughputMode"),
    "Tags",
)


def _find_file_system(request: ServiceRequest) -> Any:
    from moto.efs.models import efs_backends

    name = request.params.get("FileSystemId")
    file_systems = efs_backends[request.account][request.region].file_systems_by_id
    if name not in file_systems:
        raise Refused("FileSystemNotFound", 404, f"File system '{name}' does not exist.")
    return file_systems[name]


def update_file_system(request: ServiceRequest) -> dict[str, Any]:
    file_system = _find_file_system(request)
    if request.params.get("ThroughputMode"):
        file_system.throughput_mode = request.params["ThroughputMode"]
    shown = file_system.info_json()
    return {key: shown[key] for key in _SHOWN if shown.get(key) is not None}


def describe_file_system_policy(request: ServiceRequest) -> dict[str, Any]:
    file_system = _find_file_system(request)
    if not file_system.file_system_policy:
        raise Refused(
            "PolicyNotFound", 404, f"No policy found for file system '{file_system.file_system_id}'."
        )
    return {"FileSystemId": file_system.file_system_id, "Policy": file_system.file_system_policy}


def delete_file_system_policy(request: ServiceRequest) -> dict[str, Any]:
    _find_file_system(request).file_system_policy = None
    return {}


OPERATIONS = (
    Operation("efs", "UpdateFileSystem", update_file_system),
    Operation("efs", "DescribeFileSystemPolicy", describe_file_system_policy),
    Operation("efs", "DeleteFileSystemPolicy", delete_file_system_policy),
)
