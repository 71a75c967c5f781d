"""Amazon CloudWatch Logs: giving an existing log group a key, which moto does only at creation.

The groups are moto's own, so what is set here is what moto's answers show.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused


def _group(asked: Asked) -> Any:
    from moto.logs.models import logs_backends

    name = asked.params.get("logGroupName")
    groups = logs_backends[asked.account][asked.region].groups
    if name not in groups:
        raise Refused("ResourceNotFoundException", 400, "The specified log group does not exist.")
    return groups[name]


def associate_kms_key(asked: Asked) -> dict[str, Any]:
    _group(asked).kms_key_id = asked.params["kmsKeyId"]
    return {}


def disassociate_kms_key(asked: Asked) -> dict[str, Any]:
    _group(asked).kms_key_id = None
    return {}


OPERATIONS = (
    Operation("logs", "AssociateKmsKey", associate_kms_key),
    Operation("logs", "DisassociateKmsKey", disassociate_kms_key),
)
