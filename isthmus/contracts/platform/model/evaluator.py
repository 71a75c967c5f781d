"""The evaluation jobs of a gateway: whose models they ask, with which cases, keys and budget. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part, Quantity
from isthmus.core.errors import FieldError

CronSchedule = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9*/,-]+( [0-9*/,-]+){4}$"),
    Field(examples=["0 3 * * 6"]),
]
"""Minute, hour, day of the month, month and day of the week, as Kubernetes writes a schedule, in UTC."""


class EvaluationJob(Part):
    """The evaluation of one workload: of the version in use, and of its canary while it has one."""

    name: DnsLabel
    """The workload. It has one job."""
    secret: KubeName
    """Secret in the jobs' namespace: `key`, a key for evaluations of the workload; with `judge`, `judge-key` too."""
    cases_secret: KubeName | None = None
    """Secret in the jobs' namespace with the files of `evaluations/WORKLOAD`, up to 1 MiB in all."""
    cases_claim: KubeName | None = None
    """PersistentVolumeClaim in the jobs' namespace with these files, in place of `cases_secret`. It is only read."""
    volume: KubeName
    """PersistentVolumeClaim in the jobs' namespace: unfinished runs and results. Jobs may share it."""
    judge: DnsLabel | None = None
    """Workload of the gateway whose model scores tasks with a rubric: what `evaluation.yaml` names."""
    schedule: CronSchedule | None = None
    """When the version in use is evaluated again, in UTC. Absent: only when somebody starts a job."""
    tokens: int = Field(default=2_000_000, ge=1, le=1_000_000_000, json_schema_extra={"unit": "tokens"})
    """Tokens of prompts and answers that a job may take, in place of the budget of `evaluation.yaml`."""
    minutes: int = Field(default=60, ge=1, le=1440)
    """Minutes that a job may ask."""
    parallel: int = Field(default=4, ge=1, le=256, json_schema_extra={"unit": "cases at once"})
    """Cases that it asks at once."""

    @model_validator(mode="after")
    def _one_source_of_cases(self) -> EvaluationJob:
        if (self.cases_secret is None) == (self.cases_claim is None):
            raise FieldError(
                f"the evaluation of {self.name} needs exactly one of cases_secret and cases_claim",
                fix="Name a Secret for cases up to 1 MiB, else a PersistentVolumeClaim",
            )
        return self


class GatewayEvaluator(Part):
    """Evaluates models of a gateway's workloads by jobs, in a namespace of their own that reaches this gateway only."""

    signer: Annotated[
        str,
        StringConstraints(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}$"),
        Field(examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"]),
    ]
    """Public key of the key that signs results. Results are official if `trust.yaml` has it among its `evaluators`."""
    signing_secret: KubeName
    """Secret in the jobs' namespace with `evaluator.key`, the private key of `signer`."""
    certificate_secret: KubeName | None = None
    """A TLS Secret in place of a cert-manager Certificate: with which the jobs call the gateway."""
    cpu: Quantity = "1"
    """CPUs of a job."""
    memory: Quantity = "2Gi"
    """Memory of a job."""
    jobs: list[EvaluationJob] = Field(min_length=1)
    """The workloads that are evaluated."""
