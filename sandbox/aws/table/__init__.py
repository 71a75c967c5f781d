"""The table: every resource type that the sandbox's AWS provider serves, by token."""

from __future__ import annotations

from sandbox.aws.model import Type
from sandbox.aws.table import iam, kms, logs, s3

TYPES: dict[str, Type] = {entry.token: entry for module in (kms, s3, iam, logs) for entry in module.TYPES}
WHERE = "sandbox/aws/table"
"""Where a type is added, for the error that names an unknown one."""
