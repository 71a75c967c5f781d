"""Endpoints on Amazon SageMaker: instances, keys, scaling and rollout. Data model only.

Settings that other targets have too (weights, replicas, lengths) are on `platform.Endpoint`; `replicas` are instances
here, one replica on each. The rules are in `isthmus.contracts.platform.rules.aws.sagemaker`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from isthmus.contracts.vocabulary import BucketName, KeyArn, Mode, Part, Sha256

InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z][a-z0-9-]*\.[a-z0-9]+$")]
EcrImage = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.(com(\.cn)?|eu)/[a-z0-9._/-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}$"
    ),
    Field(
        examples=[
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com/vllm@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        ]
    ),
]
"""SageMaker pulls from Amazon ECR of the endpoint's region, and by digest only here."""
S3Prefix = Annotated[
    str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([A-Za-z0-9_.@=+-]+/)+$")
]
"""A folder of S3: `s3://BUCKET/PREFIX/`, with the slash at its end, so that no other folder begins alike."""
S3_PREFIX: str = get_args(S3Prefix)[1].pattern
InferenceAmi = Literal[
    "al2-ami-sagemaker-inference-gpu-2",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2-ami-sagemaker-inference-neuron-2",
    "al2023-ami-sagemaker-inference-gpu-4-1",
]
"""As `CreateEndpointConfig` knows them (botocore's model of 2026-11): each has a driver and CUDA of its own."""
MAX_START_S = 3600
"""SageMaker waits no longer for weights to be fetched, nor for a container to answer `/ping` (botocore's model)."""

_FAMILIES_WITH_DISKS = ("dl1", "g4dn", "g5", "g6", "g6e", "g7", "g7e", "trn1", "trn1n", "trn2")
"""Families with disks of their own whose names do not say it (EC2 user guide, "Instance store volumes"; as of
knowledge, not checked)."""


class SealingKey(Part):
    """The key of what an endpoint stores: its log, what it captures, its volumes where AWS takes one."""

    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    arn: KeyArn | None = None
    """`existing`: its policy must let CloudWatch Logs and SageMaker use it."""


class Autoscaling(Part):
    """Instances by load: AWS keeps the calls a minute that one instance gets near a target."""

    min_instances: int = Field(ge=1)
    """The fewest instances."""
    max_instances: int = Field(ge=1)
    """The most instances."""
    calls_per_minute: float = Field(gt=0)
    """Of one instance (SageMakerVariantInvocationsPerInstance)."""
    scale_in_s: int = Field(default=600, ge=0, le=86400)
    """Time after an instance was removed before another may be."""
    scale_out_s: int = Field(default=120, ge=0, le=86400)
    """Time after an instance was added before another may be."""


class ShadowModel(Part):
    """Another model that gets a copy of some calls; its answers go nowhere."""

    model: str
    """Id of the model."""
    uri: S3Prefix
    """Folder of S3 with its weights."""
    digest: Sha256
    """Digest of the weights' manifest."""
    image: EcrImage | None = None
    """Absent: the served model's."""
    instance_type: InstanceType | None = None
    """Absent: the served model's."""
    instances: int = Field(default=1, ge=1)
    """Number of instances."""
    sampling_pct: int = Field(ge=1, le=100)
    """Part of the calls of which it gets a copy."""


class Capture(Part):
    """Prompts and answers kept in S3, only for a class that may keep content."""

    sampling_pct: int = Field(ge=1, le=100)
    """Share of the calls whose prompts and answers are kept."""
    days: int = Field(ge=1)
    """After which they are erased."""
    bucket: BucketName | None = None
    """One that exists, under the endpoint's key, whose owner erases; absent, one is made."""


class Rollback(Part):
    """Alarms at which AWS takes a deployment back by itself."""

    errors: int = Field(default=5, ge=1, json_schema_extra={"unit": "answers per minute"})
    """Answers of 5xx in a minute."""
    latency_p95_ms: int | None = Field(default=None, ge=1)
    """Of the model alone, without SageMaker's own part."""
    minutes: int = Field(default=2, ge=1, le=10)
    """In a row."""


class Rollout(Part):
    """How calls move to new instances: they stand beside the old ones until all have moved (blue/green)."""

    kind: Literal["canary", "linear", "all-at-once"] = "canary"
    """`canary`: a first step, then the rest. `linear`: equal steps. `all-at-once`: one step."""
    step_pct: int = Field(default=25, ge=1, le=50)
    """`canary`: the first step; `linear`: each. Of the instances, rounded up by AWS."""
    wait_s: int = Field(default=300, ge=0, le=3600)
    """After each step: how long the alarms are watched before the next."""
    keep_old_s: int = Field(default=300, ge=0, le=3600)
    """How long the old instances stay when all calls have moved."""


class SageMaker(Part):
    """What an endpoint of SageMaker needs beyond a model and its weights."""

    instance_type: InstanceType
    """SageMaker's instance type."""
    inference_ami: InferenceAmi | None = None
    """Absent: AWS's default for the instance type, which AWS may move."""
    volume_gib: int | None = Field(default=None, ge=1, le=512)
    """Of an instance type without disks of its own."""
    key: SealingKey = SealingKey()
    """Key that encrypts what the endpoint stores."""
    weights_key: KeyArn | None = None
    """The key of the weights' bucket, where it has one of its own."""
    autoscaling: Autoscaling | None = None
    """Instances by load. Absent: always as many as `replicas`."""
    shadow: ShadowModel | None = None
    """Another model that gets a copy of some calls. Absent: none does."""
    capture: Capture | None = None
    """Prompts and answers to keep. Absent: none are kept."""
    rollback: Rollback = Rollback()
    """Alarms at which AWS undoes a deployment."""
    rollout: Rollout = Rollout()
    """How calls move to new instances."""
    log_days: int = Field(default=365, ge=1, le=36500)
    """How long the containers' log is kept."""


def has_disks(instance_type: str) -> bool:
    """Whether the type has local disks. AWS encrypts these itself and accepts neither a key nor a size for them.

    If one variant has them, `CreateEndpointConfig` refuses a key for all (its reference, KmsKeyId, read 2026-11).
    """
    family = instance_type.split(".")[1]
    if family in _FAMILIES_WITH_DISKS or re.fullmatch(r"p[4-9][a-z]*(-[a-z0-9]+)?", family):
        return True
    return re.fullmatch(r"[a-z]+[0-9]+[a-z]*d[a-z]*", family) is not None


def peak_instances(replicas: int, settings: SageMaker) -> dict[str, int]:
    """The most instances at one time, by type. A blue/green deployment at full scale runs all of them twice."""
    instances = settings.autoscaling.max_instances if settings.autoscaling is not None else replicas
    counts = {settings.instance_type: 2 * instances}
    if settings.shadow is not None:
        kind = settings.shadow.instance_type or settings.instance_type
        counts[kind] = counts.get(kind, 0) + 2 * settings.shadow.instances
    return counts
