"""The table: every resource type that the sandbox's AWS provider serves, by token."""

from __future__ import annotations

from sandbox.aws.model import Type
from sandbox.aws.table import (
    bedrock,
    iam,
    kms,
    logs,
    rolesanywhere,
    s3,
)

_MODULES = (
    kms,
    s3,
    iam,
    logs,
    rolesanywhere,
    bedrock,
)
TYPES: dict[str, Type] = {entry.token: entry for module in _MODULES for entry in module.TYPES}
WHERE = "sandbox/aws/table"
"""Where a type is added, for the error that names an unknown one."""
