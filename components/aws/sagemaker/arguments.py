"""The arguments of a SageMaker endpoint."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class S3Weights(TypedDict):
    """A model's weights in S3."""

    uri: str
    """`s3://BUCKET/PREFIX/`: a folder, with the slash at its end."""
    digest: str
    """Digest of the weights' manifest, recorded; what the folder holds is not compared with it."""
    precision: NotRequired[str]
    """As they are stored (default bf16)."""


class SealingKeySettings(TypedDict):
    """The key of what an endpoint stores."""

    mode: str
    """`manage`, `existing` or `off`."""
    arn: NotRequired[str]
    """`existing`: its ARN."""


class AutoscalingSettings(TypedDict):
    """Instances by load."""

    min_instances: int
    """Fewest instances."""
    max_instances: int
    """Most instances."""
    calls_per_minute: float
    """Calls a minute of one instance that AWS keeps it near."""
    scale_in_s: NotRequired[int]
    """Seconds between two steps down (default 600)."""
    scale_out_s: NotRequired[int]
    """Seconds between two steps up (default 120)."""


class ShadowSettings(TypedDict):
    """Another model that gets a copy of some calls; its answers go nowhere."""

    model: str
    """The hub's id."""
    uri: str
    """Its weights: `s3://BUCKET/PREFIX/`."""
    digest: str
    """Digest of the weights' manifest, recorded."""
    image: NotRequired[str]
    """What serves it; absent: what serves the model."""
    instance_type: NotRequired[str]
    """Absent: the served model's."""
    instances: NotRequired[int]
    """How many (default 1)."""
    sampling_pct: int
    """Percent of the calls of which it gets a copy."""


class CaptureSettings(TypedDict):
    """Prompts and answers kept in S3."""

    sampling_pct: int
    """Percent of the calls."""
    days: int
    """After which they are erased."""
    bucket: NotRequired[str]
    """One that exists, whose owner erases; absent, one is made."""


class RollbackSettings(TypedDict):
    """Alarms at which AWS takes a deployment back."""

    errors: NotRequired[int]
    """Answers of 5xx in a minute (default 5)."""
    latency_p95_ms: NotRequired[int]
    """Of the model alone; absent: not watched."""
    minutes: NotRequired[int]
    """In a row (default 2)."""


class RolloutSettings(TypedDict):
    """How calls move to new instances."""

    kind: NotRequired[str]
    """`canary` (default), `linear` or `all-at-once`."""
    step_pct: NotRequired[int]
    """Percent of the instances: of the canary, or of each step (default 25)."""
    wait_s: NotRequired[int]
    """Seconds that the alarms are watched after each step (default 300)."""
    keep_old_s: NotRequired[int]
    """Seconds that the old instances stay when all calls have moved (default 300)."""


class HostedNames(TypedDict):
    """Names by which another stack lets in what is made here."""

    endpoint: str
    """The endpoint's, which callers name."""
    role: str
    """The role's."""
    bucket: str
    """How that of the bucket with captured content begins."""


class SageMakerEndpointArgs(TypedDict):
    """One served model on an endpoint of Amazon SageMaker, for one class."""

    id: str
    """Name of the endpoint in the platform."""
    sensitivity: str
    """The class whose work it does."""
    model: str
    """The hub's id: what callers name."""
    region: str
    """AWS region."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC in which it stands."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of private subnets, in two zones at least."""
    image: str
    """What serves it: vLLM with SageMaker's entry point, in Amazon ECR of the region, by digest."""
    weights: S3Weights
    """Its weights."""
    instance_type: str
    """Type of machine, e.g. ml.g6e.12xlarge."""
    replicas: int
    """Instances: one replica on each."""
    # Engine settings of the contract: `python -m scripts.component_reference` writes them.
    precision: NotRequired[str]
    """Precision to serve in: bf16, fp8, …; absent: as the weights are stored."""
    tensor_parallel: NotRequired[int]
    """GPUs of one machine over which a replica is split (default 1)."""
    max_model_len: NotRequired[int]
    """Longest prompt and answer together, tokens."""
    max_num_seqs: NotRequired[int]
    """Most requests in one batch."""
    gpu_memory_utilization: NotRequired[float]
    """Share of the GPU's memory that the engine takes, 0 to 1."""
    kv_cache_dtype: NotRequired[str]
    """Type of the KV cache: auto, fp8, …"""
    engine_version: NotRequired[str]
    """Version of vLLM in the image; this version of Isthmus knows the flags of 0.33.0."""
    engine_args: NotRequired[list[str]]
    """Further arguments of `vllm serve`, each a flag that it knows, as `--flag` or `--flag=value`."""
    model_family: NotRequired[str]
    """Family whose profile it takes; absent: the one that the model's name fits."""
    tool_call_parser: NotRequired[str]
    """vLLM's parser of tool calls, or none; absent: the profile's."""
    reasoning_parser: NotRequired[str]
    """vLLM's parser of reasoning, or none; absent: the profile's."""
    # End of the engine settings.
    chat_template: NotRequired[str]
    """Path of a chat template in the image or below the weights; absent: the model's own."""
    load_timeout_s: NotRequired[int]
    """How long fetching the weights and starting may take, each (default 1800, at most 3600)."""
    inference_ami: NotRequired[str]
    """Image of the machines, with a driver of its own; absent: AWS's default."""
    volume_gib: NotRequired[int]
    """GiB of a machine's volume, for a type without disks of its own."""
    key: NotRequired[SealingKeySettings]
    """The key of what it stores (default: one is made)."""
    weights_key: NotRequired[str]
    """ARN of the key of the weights' bucket, where it has one of its own."""
    autoscaling: NotRequired[AutoscalingSettings]
    """Instances by load; absent: as many as `replicas`."""
    shadow: NotRequired[ShadowSettings]
    """Another model that gets a copy of some calls."""
    capture: NotRequired[CaptureSettings]
    """Prompts and answers kept in S3, only for a class that may keep content."""
    rollback: NotRequired[RollbackSettings]
    """Alarms at which AWS takes a deployment back."""
    rollout: NotRequired[RolloutSettings]
    """How calls move to new instances."""
    log_days: NotRequired[int]
    """How long the containers' log is kept (default 365)."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the policy that bounds its role; absent, one is made beside it."""
    names: NotRequired[HostedNames]
    """Names that another stack has told who may call it and what it may fetch; absent, they follow from this stack."""
    tags: NotRequired[dict[str, str]]
    """Tags of what is made."""
