"""The words of the contracts: the types that requirements, plan and platform share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Sensitivity = Literal["public", "internal", "confidential", "restricted"]
"""How sensitive a workload's data is, from least to most."""
SENSITIVITIES: tuple[Sensitivity, ...] = ("public", "internal", "confidential", "restricted")
Impact = Literal["low", "material", "high"]
"""What an answer does to people or money; it decides human review."""
Target = Literal["onprem-vllm", "eks-vllm", "sagemaker", "bedrock"]
TARGETS: tuple[Target, ...] = ("onprem-vllm", "eks-vllm", "sagemaker", "bedrock")
ON_PREM_TARGETS: tuple[Target, ...] = ("onprem-vllm",)
VLLM_TARGETS: tuple[Target, ...] = ("onprem-vllm", "eks-vllm")
CALLED_TARGETS: tuple[Target, ...] = ("sagemaker", "bedrock")
"""What is called by AWS's own API, through a translator with an AWS identity."""
Buildable = Literal["onprem-vllm", "eks-vllm", "sagemaker", "bedrock", "mig", "several-nodes", "overflow"]
"""What a blueprint may say that it builds: a target, slices of a GPU (`mig`), replicas over several nodes, and a way
on to AWS for what comes above the base load (`overflow`)."""
Survive = Literal["none", "replica", "node", "domain"]
"""The largest part whose loss the endpoint outlives."""
SURVIVES: tuple[Survive, ...] = ("none", "replica", "node", "domain")
"""From the least to the most."""
FailurePart = Literal[
    "replica",
    "node-on-prem",
    "node-aws",
    "domain-on-prem",
    "domain-aws",
    "gateway",
    "database",
    "link-vpn",
    "link-direct-connect",
    "link-internet",
    "site-on-prem",
    "site-aws",
    "provider-bedrock",
    "provider-sagemaker",
]
"""A part of a platform that fails, as the table of failure modes names it (docs/planning.md)."""
Precision = Literal["bf16", "fp8", "nvfp4", "mxfp4", "int8", "int4", "api"]
"""`api`: served by a provider, whose precision is not ours to choose."""
PRECISIONS_MADE_WHILE_LOADING: tuple[Precision, ...] = ("fp8",)
"""What vLLM makes of bf16 weights while it loads them; any other precision must be stored as such."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$"), Field(examples=["en"])]
"""An ISO 639 code."""
Regime = Literal["gdpr", "amlr", "pci-dss", "hipaa", "ai-act-high-risk", "dora"]
Mode = Literal["manage", "existing", "off"]
"""Who owns a singleton: Isthmus makes it, the organisation has it, or there is none."""
Evidence = Literal["measured", "interpolated", "estimated", "list-price", "given"]

UP_STEP = "ISTHMUS_UP_STEP"
"""Environment variable by which `isthmus up` asks the program for a part only: `admission`, what is built before
all else; `room`, what must go before the rest can come. Absent: for everything."""
UP_STANDING = "ISTHMUS_UP_STANDING"
"""Environment variable by which `isthmus up` tells the program what stands (JSON). Absent: the program asks the
stack's own outputs, which know what the last run that ended well has built."""
UP_ROOM = "ISTHMUS_UP_ROOM"
"""Environment variable with what the step `room` registers (JSON, `isthmus.engine.estate.migration`)."""

PAUSED_REPLICAS_ANNOTATION = "autoscaling.keda.sh/paused-replicas"
"""Annotation of a ScaledObject by which KEDA keeps so many replicas, whatever the load."""

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""At most 40 characters, so that names derived from it stay within Kubernetes' 63."""
_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$"), Field(examples=[_DIGEST])]
ResultFile = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\.json$")
]
"""A result of `isthmus evaluate`, as a path below the folder `evaluations`."""
ImageReference = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9.\-_/:]+@sha256:[0-9a-f]{64}$"),
    Field(examples=[f"registry.example/llm/edge@{_DIGEST}"]),
]
"""An image by digest: `registry/name[:tag]@sha256:…`."""
Cidr = Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$")]
KeyArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$")
]
"""A KMS key by its ARN; an alias may come to mean another one."""
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$"), Field(examples=["123456789012"])]
KubeName = Annotated[
    str, Field(max_length=253), StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
]
"""An object's name in Kubernetes (a DNS subdomain)."""
Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""As Kubernetes writes an amount."""


class Part(BaseModel):
    """A part of a contract: unknown keys are errors, `class` is spelt as in the files."""

    # Built when first used: importing the contracts stays fast.
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True, defer_build=True)


class FilePart(Part):
    """A part of a file that people write: `true` is no number, and `"3"` is none either."""

    model_config = ConfigDict(strict=True)
