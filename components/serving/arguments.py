"""The arguments of a model server."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.certificates import CertificateIssuer
from isthmus.contracts.reference import model_profiles
from isthmus.core.errors import FieldError, InputError


class ModelWeightStore(TypedDict):
    """An S3-compatible store that holds weights, as the cluster reaches it."""

    endpoint: str
    """URL of the store: https, host and port."""
    address: str
    """Its address: what fetches may reach it and nothing else, and asks no resolver."""
    region: NotRequired[str]
    """As requests are signed for it (default us-east-1)."""
    credentials_secret: str
    """Secret in the namespace with `credentials`, a shared credentials file of AWS's form; mounted."""
    ca_bundle: NotRequired[str]
    """ConfigMap with `ca.crt`: whom to believe to be the store; absent: the public authorities."""


class ModelWeightCache(TypedDict):
    """Where fetched weights are kept; one of the two."""

    storage_class: NotRequired[str]
    """A volume that a job fills once: storage class whose volumes many machines can mount (ReadWriteMany)."""
    node_path: NotRequired[str]
    """A folder on each machine's own disk, filled by a DaemonSet on the pool; in it, `CLASS/` must be there."""


class ModelWeights(TypedDict):
    """Where a model's weights come from, and what they must be."""

    uri: str
    """`pvc://CLAIM[/PATH]`, `oci://REFERENCE@sha256:…` (an image volume), or `s3://BUCKET/PREFIX`."""
    digest: str
    """Digest of the weights' manifest, `sha256:…`."""
    volume: NotRequired[str]
    """For `pvc://`: the PersistentVolume to bind the claim to; absent, the claim exists already."""
    size_gib: NotRequired[int]
    """Size of the claim, GiB (default 200)."""
    precision: NotRequired[str]
    """Precision in which they are stored (default bf16)."""
    store: NotRequired[ModelWeightStore]
    """For `s3://`: where the bucket is."""
    cache: NotRequired[ModelWeightCache]
    """For `s3://`: where they are kept in the cluster."""
    verify: NotRequired[bool]
    """Hold every file against `SHA256SUMS`, whose digest is `digest`, before each start; `s3://` always is."""
    public_key: NotRequired[str]
    """ConfigMap with `weights.pub`: whose signature `SHA256SUMS` must bear, in `SHA256SUMS.sig`."""


class ModelCompileCache(TypedDict):
    """Where what the engine compiles at its start is kept."""

    place: str
    """`pod` (each start compiles again), `node` (in the class's folder on the machine's disk) or `volume` (a claim)."""
    storage_class: NotRequired[str]
    """For `volume`: storage class whose volumes many machines can mount; absent: that of the weights' cache."""
    size_gib: NotRequired[int]
    """For `volume`: size of the claim, GiB (default 20)."""


class LoraAdapter(TypedDict):
    """A LoRA adapter served beside the base model, under its own name."""

    name: str
    """The name that requests ask for."""
    rank: int
    """Rank of its matrices."""
    size_mib: NotRequired[int]
    """Size, MiB."""
    path: NotRequired[str]
    """Path below the weights' mount; absent: `adapters/NAME`."""


class GroupTopology(TypedDict):
    """Where Kueue places a group over several machines; its pool's flavor must name the levels."""

    required: NotRequired[str]
    """Level of which a group must stay within one."""
    preferred: NotRequired[str]
    """Level of which a group stays within one where it can be."""


class GroupRdma(TypedDict):
    """Network cards by which the pods of a group reach each other's memory."""

    resource: str
    """As their device plugin gives them out, e.g. `rdma/hca_shared_devices`."""
    count: NotRequired[int]
    """Of them for each pod (default 1)."""
    network: str
    """NetworkAttachmentDefinition of the class; no network policy holds on it."""


class ModelPicker(TypedDict):
    """An endpoint picker of the Inference Extension that runs in the namespace."""

    service: str
    """Its Service."""
    port: NotRequired[int]
    """Port of its Service (default 9002)."""
    labels: dict[str, str]
    """Of its pods: they may read the replicas' metrics."""


class ModelSpeculative(TypedDict):
    """Tokens guessed ahead and checked in one step."""

    method: str
    """How: ngram, draft_model, eagle, eagle3 or mtp."""
    tokens: int
    """How many are guessed at a time."""
    path: NotRequired[str]
    """Path of the draft model or the head below the weights' mount; ngram and mtp have none."""


class ModelScaling(TypedDict):
    """Replicas by the load, from what Prometheus has of it. KEDA must run in the cluster."""

    min_replicas: int
    """Fewest replicas; 0: none while nobody asks, and no answer until the first one has started."""
    max_replicas: int
    """Most replicas."""
    prometheus_url: str
    """The Prometheus that KEDA asks."""
    waiting: NotRequired[int]
    """Requests waiting in the engines' queues, for each replica that is then wanted (default 5)."""
    kv_cache: NotRequired[float]
    """Share of the KV cache in use, of the fullest replica, to which the replicas are steered (default 0.8)."""
    cooldown_s: NotRequired[int]
    """How long the load must be lower before a replica goes, seconds (default 300)."""
    cold_start_s: NotRequired[int]
    """With 0 replicas: how long callers may get no answer while the first one starts, seconds."""
    fallback_replicas: NotRequired[int]
    """Replicas while nothing measures the load, or those that run if they are more (default: `replicas`)."""
    authentication: NotRequired[str]
    """TriggerAuthentication in the namespace by which KEDA reads the metrics."""
    woken_by: NotRequired[list[str]]
    """With 0 replicas: the workloads whose requests, counted at the gateway, start the first one."""


class DoorAddresses(TypedDict):
    """The addresses of a model server whose Service and network policies another stack makes."""

    cluster_ip: str
    """Its Service's."""
    leaders: NotRequired[list[str]]
    """Where a replica spans machines: those of its groups' leaders."""


class ModelServerArgs(TypedDict):
    """One served model on a pool of GPUs, for one class."""

    id: str
    """Name of the endpoint: its Deployment's, its Service's and its certificate's."""
    sensitivity: str
    """The class that it serves: public, internal, confidential or restricted."""
    model: str
    """The hub's own id, by which requests ask for it."""
    weights: ModelWeights
    """Where the weights come from."""
    mig_profile: NotRequired[str]
    """On slices of this MIG profile, one a replica, in place of whole GPUs."""
    slices: NotRequired[str]
    """Whose slices: its machines bear the label `slices.isthmus.dev/SLICES`."""
    max_skew: NotRequired[int]
    """By how many replicas the places over which it is spread may differ (default 1)."""
    nodes_per_replica: NotRequired[int]
    """Machines over which a replica is split, a pod on each (default 1)."""
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
    adapters: NotRequired[list[LoraAdapter]]
    """LoRA adapters served beside the base model."""
    chat_template: NotRequired[str]
    """Chat template: `model` (the model's own), or a path in the image or below the weights; absent: the profile's."""
    task: NotRequired[str]
    """What it is asked for: chat (default), embedding, rerank or guard."""
    speculative: NotRequired[ModelSpeculative]
    """Speculative decoding; absent: none."""
    prefix_cache: NotRequired[str]
    """Who shares computed prefixes: shared (default), salted (the gateway's workloads say by whom), off."""
    compile_cache: NotRequired[ModelCompileCache]
    """Where compiled code is kept; absent: on the machines' disks where the weights are kept there, else in the pod."""
    drain_s: NotRequired[int]
    """Seconds for the answers under way when a replica ends (default 40); longer ones are cut."""
    picker: NotRequired[ModelPicker]
    """What chooses the replica of each request, through an InferencePool; absent: the Service."""
    router: NotRequired[str]
    """Service of the class's router, which may then reach it beside the gateway; absent: there is none."""
    scaling: NotRequired[ModelScaling]
    """Scaling by load; absent: `replicas` and no others."""
    fetch_image: NotRequired[str]
    """For weights from `s3://`: the image that fetches them, the translator's, by digest."""
    vllm_image: pulumi.Input[str]
    """Image of vLLM, by digest."""
    edge_image: pulumi.Input[str]
    """Image of the edge, by digest; it ends mutual TLS before vLLM."""
    engine: NotRequired[str]
    """What it runs on: gpu (default), or cpu, to develop against, for public and internal work."""
    product: NotRequired[str]
    """The label `nvidia.com/gpu.product` of the machines that may run it; needed with GPUs."""
    pool: NotRequired[str]
    """The pool's name, where its machines are labelled with it."""
    replicas: NotRequired[int]
    """Copies (default 1)."""
    survive: NotRequired[str]
    """What the endpoint outlives: none (default), replica, node or domain."""
    failure_domains: NotRequired[int]
    """Failure domains that the pool spans (default 1)."""
    failure_domain_label: NotRequired[str]
    """Node label that tells them apart (default topology.kubernetes.io/zone)."""
    cpu: NotRequired[str]
    """CPUs of a replica, on each of its machines; absent: the profile's, 8 with one GPU and more with each other."""
    memory: NotRequired[str]
    """Memory of a replica, on each of its machines; absent: the profile's, 64Gi with one GPU and more with others."""
    load_timeout_s: NotRequired[int]
    """How long starting may take, seconds: pulling the image too; absent: the profile's, and 1800 at least."""
    surge: NotRequired[bool]
    """Roll with one replica more: only where GPUs are kept for it."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificate."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in the namespace, in place of a cert-manager Certificate."""
    trust_bundle: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: CAs that are believed besides the Secret's own."""
    monitoring_namespace: str
    """The only namespace that may scrape it."""
    pod_monitors: NotRequired[bool]
    """Whether to make a PodMonitor (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of the PodMonitor, by which a Prometheus selects it."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in the namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods; absent: the cluster's default."""
    time_sliced: NotRequired[bool]
    """On GPUs that are shared in time, one share a replica; `gpu_memory_utilization` must leave room for the others."""
    device_class: NotRequired[str]
    """DeviceClass by which its pods claim their GPUs; absent: they ask the device plugin for a count."""
    topology: NotRequired[GroupTopology]
    """Where Kueue places a group; absent: the scheduler does."""
    rdma: NotRequired[GroupRdma]
    """Absent: the pods of a group talk over the pod network."""
    compute_domain: NotRequired[bool]
    """Memory of other machines' GPUs by NVLink: a ComputeDomain over the endpoint's pods."""
    queue: NotRequired[str]
    """Kueue LocalQueue that its pods wait in."""
    priority_class: NotRequired[str]
    """Kueue WorkloadPriorityClass of its pods."""
    door: NotRequired[DoorAddresses]
    """Where another stack makes its Service and network policies: their addresses. Absent, they are made here."""


def sized_by_profile(args: ModelServerArgs) -> ModelServerArgs:
    """The arguments with defaults of the model's profile for CPU, memory and load timeout.

    Raises `InputError` for a family that does not exist.
    """
    if args.get("engine", "gpu") == "cpu":
        return args
    try:
        profile = model_profiles.requests_of(
            args["model"], args.get("tensor_parallel", 1), args.get("model_family")
        )
    except FieldError as error:
        raise InputError(error.what, where=f"{args['id']}.model_family", fix=error.fix) from None
    completed_args: Any = {**profile, **args}
    return completed_args


class StoreAddress(TypedDict):
    """Where a store of weights is."""

    endpoint: str
    """Its URL: https, a name and a port."""
    address: str
    """The address behind the name."""


class ModelDoorArgs(TypedDict):
    """The network of one model server."""

    id: str
    """Name of the endpoint."""
    sensitivity: str
    """The class that it serves."""
    monitoring_namespace: str
    """The only namespace that may scrape it."""
    nodes_per_replica: NotRequired[int]
    """Machines over which a replica is split (default 1)."""
    replicas: NotRequired[int]
    """Copies (default 1)."""
    surge: NotRequired[bool]
    """Whether it rolls with one replica more."""
    router: NotRequired[str]
    """Service of the class's router, which may then reach it beside the gateway."""
    picker: NotRequired[ModelPicker]
    """What chooses the replica of each request, through an InferencePool: to a router it is what a Service is."""
    fetched_from: NotRequired[StoreAddress]
    """The store that a job fetches its weights from, by a way of its own."""
