"""What moto lacks, served beside it: one module a service, gathered here."""

from __future__ import annotations

from sandbox.aws.beside.bedrock import OPERATIONS as BEDROCK
from sandbox.aws.beside.logs import OPERATIONS as LOGS
from sandbox.aws.frame import Operation

OPERATIONS: tuple[Operation, ...] = (*BEDROCK, *LOGS)
