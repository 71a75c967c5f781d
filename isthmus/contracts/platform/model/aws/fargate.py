"""Gateways on AWS Fargate, behind an internal load balancer, for sites without a cluster. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.aws.account import Days
from isthmus.contracts.vocabulary import Cidr, KeyArn, Part

SecretArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$"
    ),
]
"""A secret of AWS Secrets Manager by its whole ARN: a name alone says neither account nor which of two lives."""
AccountArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(root|(role|user)/[A-Za-z0-9+=,.@_/-]+)$")
]

SIZES: dict[int, tuple[int, ...]] = {
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
}
"""CPU units of a task and the MiB that AWS offers with them (Amazon ECS developer guide, "Fargate task definition
differences"; as of knowledge, not checked). Less than one CPU is not offered here: the translator's libraries alone
take a while of one to load."""

SERVICES = ("bedrock-runtime", "ecr.api", "ecr.dkr", "logs", "s3", "secretsmanager")
"""Private endpoints that a task needs: for image and layers, secrets, log and model."""


class Fargate(Part):
    """How a gateway's tasks run on Fargate, and who may call them."""

    clients: list[Cidr] = Field(min_length=1)
    """Networks of the applications that may call it, on port 443."""
    principals: list[AccountArn] = []
    """Accounts, roles or users that may reach it from VPCs of their own by AWS PrivateLink; absent: nobody. Their
    applications' addresses are among `clients`."""
    scrapers: list[Cidr] = []
    """Private networks of the Prometheus that reads the metrics of its tasks, at their health ports; absent: nobody."""
    translator_secret: SecretArn
    """The translator's certificate: a secret of the form of the gateway's `certificate_secret`."""
    sign_on_secret: SecretArn | None = None
    """The public keys of people's sign-on: a secret whose text is the issuer's JWKS. Needed where `people.users` use
    workloads of the gateway. Only tasks that start later know new keys."""
    secrets_key: KeyArn | None = None
    """The organisation's key that seals the named secrets; absent: Secrets Manager's own."""
    zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")] | None = None
    """A private hosted zone of the organisation's in which `host` is written; absent, one of that name is made."""
    cpu: Literal[1024, 2048, 4096] = Field(default=1024, json_schema_extra={"unit": "CPU units"})
    """CPU units of each task: 1024 are one CPU."""
    memory: int = Field(default=2048, ge=2048, le=30720, json_schema_extra={"unit": "MiB"})
    """MiB of each task."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """What the images are built for."""
    log_days: Days = 365
    """How long the tasks' logs are kept; at least as long as the class keeps records."""
