"""The arguments of a SageMaker endpoint."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class S3Weights(TypedDict):
    """A model's weights in S3."""

    uri: str
    """`s3://BUCKET/PREFIX/`: a folder, with the slash at its end."""
    digest: str
    """Digest of the weights' manifest, for records. The folder's content is not verified."""
    precision: NotRequired[str]
    """Precision of the stored weights (default bf16)."""


class SealingKeySettings(TypedDict):
    """The key that encrypts an endpoint's storage."""

    mode: str
    """`manage`, `existing` or `off`."""
    arn: NotRequired[str]
    """`existing`: ARN of the key."""


class AutoscalingSettings(TypedDict):
    """Autoscaling by load."""

    min_instances: int
    """Minimum number of instances."""
    max_instances: int
    """Maximum number of instances."""
    calls_per_minute: float
    """Target number of requests per minute for each instance."""
    scale_in_s: NotRequired[int]
    """Cooldown in seconds after removing an instance (default 600)."""
    scale_out_s: NotRequired[int]
    """Cooldown in seconds after adding an instance (default 120)."""


class ShadowSettings(TypedDict):
    """A shadow model: it gets a copy of some requests, and its answers are discarded."""

    model: str
    """Id of the model on its hub."""
    uri: str
    """Its weights: `s3://BUCKET/PREFIX/`."""
    digest: str
    """Digest of the weights' manifest, for records."""
    image: NotRequired[str]
    """Its image. Absent: the image of the served model."""
    instance_type: NotRequired[str]
    """Its instance type. Absent: that of the served model."""
    instances: NotRequired[int]
    """Number of instances (default 1)."""
    sampling_pct: int
    """Percentage of the requests that it gets."""


class CaptureSettings(TypedDict):
    """Storage of prompts and answers in S3."""

    sampling_pct: int
    """Percentage of the requests."""
    days: int
    """Days after which they are deleted."""
    bucket: NotRequired[str]
    """An existing bucket, whose owner deletes. Absent: a bucket is created."""


class RollbackSettings(TypedDict):
    """Alarms that roll a deployment back."""

    errors: NotRequired[int]
    """Number of 5xx answers per minute (default 5)."""
    latency_p95_ms: NotRequired[int]
    """Latency of the model in milliseconds. Absent: no alarm."""
    minutes: NotRequired[int]
    """Number of consecutive minutes (default 2)."""


class RolloutSettings(TypedDict):
    """How traffic moves to new instances."""

    kind: NotRequired[str]
    """`canary` (default), `linear` or `all-at-once`."""
    step_pct: NotRequired[int]
    """Percentage of the instances in the canary or in each step (default 25)."""
    wait_s: NotRequired[int]
    """Seconds to watch the alarms after each step (default 300)."""
    keep_old_s: NotRequired[int]
    """Seconds for which the old instances stay after all traffic has moved (default 300)."""


class HostedNames(TypedDict):
    """Names that another stack has used in policies before these resources exist."""

    endpoint: str
    """Name of the endpoint."""
    role: str
    """Name of the role."""
    bucket: str
    """Prefix of the name of the bucket with captured content."""


class SageMakerEndpointArgs(TypedDict):
    """One served model on an endpoint of Amazon SageMaker, for one class."""

    id: str
    """Name of the endpoint in the platform."""
    sensitivity: str
    """The class that it serves."""
    model: str
    """Id of the model on its hub, which callers name."""
    region: str
    """AWS region."""
    vpc_id: pulumi.Input[str]
    """Id of its VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of private subnets, in two zones at least."""
    image: str
    """Image of vLLM with SageMaker's entry point, in Amazon ECR of the region, by digest."""
    weights: S3Weights
    """The weights of the model."""
    instance_type: str
    """Instance type, e.g. ml.g6e.12xlarge."""
    replicas: int
    """Number of instances, with one replica on each."""
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
    """Path of a chat template in the image or below the weights. Absent: the model's own."""
    load_timeout_s: NotRequired[int]
    """Time limit in seconds for fetching the weights, and for starting (default 1800, at most 3600)."""
    inference_ami: NotRequired[str]
    """Machine image with another driver. Absent: AWS's default."""
    volume_gib: NotRequired[int]
    """Size of an instance's volume in GiB, for types without local disks."""
    key: NotRequired[SealingKeySettings]
    """The key that encrypts its storage (default: one is created)."""
    weights_key: NotRequired[str]
    """ARN of the key of the weights' bucket, if it has one."""
    autoscaling: NotRequired[AutoscalingSettings]
    """Autoscaling by load. Absent: always `replicas`."""
    shadow: NotRequired[ShadowSettings]
    """A shadow model, which gets a copy of some requests."""
    capture: NotRequired[CaptureSettings]
    """Storage of prompts and answers in S3. Only for a class that may keep content."""
    rollback: NotRequired[RollbackSettings]
    """Alarms that roll a deployment back."""
    rollout: NotRequired[RolloutSettings]
    """How traffic moves to new instances."""
    log_days: NotRequired[int]
    """Retention of the containers' log in days (default 365)."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of its role's permissions boundary. Absent: one is created."""
    names: NotRequired[HostedNames]
    """Names that another stack has used in policies. Absent: they are derived from this stack."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""
