"""Amazon CloudWatch Logs: changing the key of an existing log group, which moto lacks.

The groups are moto's objects, so moto's answers show the changes.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest


def _find_group(request: ServiceRequest) -> Any:
    from moto.logs.models import logs_backends

    name = request.params.get("logGroupName")
    groups = logs_backends[request.account][request.region].groups
    if name not in groups:
        raise Refused("ResourceNotFoundException", 400, "The specified log group does not exist.")
    return groups[name]


def associate_kms_key(request: ServiceRequest) -> dict[str, Any]:
    _find_group(request).kms_key_id = request.params["kmsKeyId"]
    return {}


def disassociate_kms_key(request: ServiceRequest) -> dict[str, Any]:
    _find_group(request).kms_key_id = None
    return {}


OPERATIONS = (
    Operation("logs", "AssociateKmsKey", associate_kms_key),
    Operation("logs", "DisassociateKmsKey", disassociate_kms_key),
)
