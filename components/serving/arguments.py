"""The arguments of a model server."""

from typing import NotRequired, TypedDict

import pulumi

from components.cluster.certificates import CertificateIssuer


class ModelWeightStore(TypedDict):
    """An S3-compatible store of weights, as seen from the cluster."""

    endpoint: str
    """URL of the store: https, host and port."""
    address: str
    """Its IP address, the only egress of the pods that fetch weights. They use no resolver."""
    region: NotRequired[str]
    """Region with which requests are signed (default us-east-1)."""
    credentials_secret: str
    """Secret in the namespace with `credentials`, a shared credentials file in AWS's format. It is mounted."""
    ca_bundle: NotRequired[str]
    """ConfigMap with `ca.crt`: the CA of the store's certificate. Absent: the public CAs."""


class ModelWeightCache(TypedDict):
    """Where fetched weights are stored. Set exactly one of the two."""

    storage_class: NotRequired[str]
    """StorageClass of a volume that a job fills once. Several nodes must be able to mount it (ReadWriteMany)."""
    node_path: NotRequired[str]
    """Folder on each node's own disk, which a DaemonSet fills. It must contain a folder `CLASS/`."""


class ModelWeights(TypedDict):
    """The source of a model's weights, and how they are verified."""

    uri: str
    """`pvc://CLAIM[/PATH]`, `oci://REFERENCE@sha256:…` (an image volume), or `s3://BUCKET/PREFIX`."""
    digest: str
    """Digest of the weights' manifest, `sha256:…`."""
    volume: NotRequired[str]
    """For `pvc://`: PersistentVolume to which the claim is bound. Absent: the claim exists already."""
    size_gib: NotRequired[int]
    """Size of the claim in GiB (default 200)."""
    precision: NotRequired[str]
    """Precision of the stored weights (default bf16)."""
    store: NotRequired[ModelWeightStore]
    """For `s3://`: the store with the bucket."""
    cache: NotRequired[ModelWeightCache]
    """For `s3://`: where the weights are stored in the cluster."""
    verify: NotRequired[bool]
    """Whether every file is verified with `SHA256SUMS` before each start. Files from `s3://` always are."""
    public_key: NotRequired[str]
    """ConfigMap with `weights.pub`: the public key that must have signed `SHA256SUMS`, in `SHA256SUMS.sig`."""


class ModelCompileCache(TypedDict):
    """Where code that the engine compiles at its start is stored."""

    place: str
    """`pod` (each start compiles again), `node` (the class's folder on the node's disk) or `volume` (a claim)."""
    storage_class: NotRequired[str]
    """For `volume`: a ReadWriteMany StorageClass. Absent: that of the weights' cache."""
    size_gib: NotRequired[int]
    """For `volume`: size of the claim in GiB (default 20)."""


class LoraAdapter(TypedDict):
    """A LoRA adapter served beside the base model, under its own name."""

    name: str
    """Name of the adapter, which requests give as the model."""
    rank: int
    """Rank of its matrices."""
    size_mib: NotRequired[int]
    """Size in MiB."""
    path: NotRequired[str]
    """Path below the weights' mount. Absent: `adapters/NAME`."""


class GroupTopology(TypedDict):
    """Where Kueue places the pods of a multi-node group. The pool's flavor must define the levels."""

    required: NotRequired[str]
    """Level within which all pods of a group must be."""
    preferred: NotRequired[str]
    """Level within which all pods of a group should be, if possible."""


class GroupRdma(TypedDict):
    """Network cards with which the pods of a group access each other's memory."""

    resource: str
    """Resource name of the device plugin, e.g. `rdma/hca_shared_devices`."""
    count: NotRequired[int]
    """Devices for each pod (default 1)."""
    network: str
    """NetworkAttachmentDefinition of the class. Network policies do not apply to it."""


class ModelPicker(TypedDict):
    """An endpoint picker of the Inference Extension that runs in the namespace."""

    service: str
    """Name of its Service."""
    port: NotRequired[int]
    """Port of its Service (default 9002)."""
    labels: dict[str, str]
    """Labels of its pods, which may read the replicas' metrics."""


class ModelSpeculative(TypedDict):
    """Speculative decoding: the engine guesses tokens ahead and verifies them in one step."""

    method: str
    """Method: ngram, draft_model, eagle, eagle3 or mtp."""
    tokens: int
    """Number of tokens that are guessed at a time."""
    path: NotRequired[str]
    """Path of the draft model or head below the weights' mount. Not for ngram and mtp."""


class ModelScaling(TypedDict):
    """Autoscaling by load, from metrics in Prometheus. KEDA must run in the cluster."""

    min_replicas: int
    """Minimum number of replicas. With 0, requests fail until the first replica has started."""
    max_replicas: int
    """Maximum number of replicas."""
    prometheus_url: str
    """URL of the Prometheus that KEDA queries."""
    waiting: NotRequired[int]
    """Waiting requests for which one replica is wanted (default 5)."""
    kv_cache: NotRequired[float]
    """Target share of the KV cache in use, in the fullest replica (default 0.8)."""
    cooldown_s: NotRequired[int]
    """Seconds of lower load before a replica is removed (default 300)."""
    cold_start_s: NotRequired[int]
    """With 0 replicas: seconds for which requests may fail while the first replica starts."""
    fallback_replicas: NotRequired[int]
    """Replicas while the load is not measured, unless more are running (default: `replicas`)."""
    authentication: NotRequired[str]
    """TriggerAuthentication in the namespace with which KEDA reads the metrics."""
    woken_by: NotRequired[list[str]]
    """With 0 replicas: workloads whose requests at the gateway start the first replica."""


class DoorAddresses(TypedDict):
    """Addresses of a model server whose Service and network policies another stack creates."""

    cluster_ip: str
    """ClusterIP of its Service."""
    leaders: NotRequired[list[str]]
    """For multi-node replicas: addresses of the groups' leaders."""


class ModelServerArgs(TypedDict):
    """One served model on a pool of GPUs, for one class."""

    id: str
    """Id of the endpoint: name of its Deployment, its Service and its certificate."""
    sensitivity: str
    """The class that it serves: public, internal, confidential or restricted."""
    model: str
    """Id of the model on its hub, which requests give as the model."""
    weights: ModelWeights
    """The source of the weights."""
    mig_profile: NotRequired[str]
    """MIG profile of its slices, one for each replica. Absent: whole GPUs."""
    slices: NotRequired[str]
    """Owner of its slices. The nodes have the label `slices.isthmus.dev/SLICES`."""
    max_skew: NotRequired[int]
    """Maximum difference in replicas between the places over which it is spread (default 1)."""
    nodes_per_replica: NotRequired[int]
    """Nodes over which a replica is split, with one pod on each (default 1)."""
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
    """Task: chat (default), embedding, rerank or guard."""
    speculative: NotRequired[ModelSpeculative]
    """Speculative decoding; absent: none."""
    batches: NotRequired[bool]
    """Whether gateways send it lines of batches, which wait for other requests (default false)."""
    prefix_cache: NotRequired[str]
    """Sharing of cached prefixes: shared (default), salted (by the gateway's workloads) or off."""
    compile_cache: NotRequired[ModelCompileCache]
    """Where compiled code is stored. Absent: on the nodes' disks if the weights are there, else in the pod."""
    drain_s: NotRequired[int]
    """Seconds for running answers when a replica ends (default 40). Longer answers are cut."""
    picker: NotRequired[ModelPicker]
    """Endpoint picker that chooses the replica of each request, with an InferencePool. Absent: the Service does."""
    router: NotRequired[str]
    """Service of the class's router, which may then reach it in addition to the gateway. Absent: no router."""
    by_replica: NotRequired[bool]
    """Whether a headless Service `ID-replicas` lists its replicas for gateways (default false; not restricted)."""
    scaling: NotRequired[ModelScaling]
    """Autoscaling by load. Absent: always `replicas`."""
    fetch_image: NotRequired[str]
    """For weights from `s3://`: the image that fetches them, which is the translator's, by digest."""
    vllm_image: pulumi.Input[str]
    """Image of vLLM, by digest."""
    edge_image: pulumi.Input[str]
    """Image of the edge, by digest. It terminates mutual TLS in front of vLLM."""
    engine: NotRequired[str]
    """Hardware: gpu (default), or cpu for development with public and internal data."""
    product: NotRequired[str]
    """Label `nvidia.com/gpu.product` of its nodes. Required with GPUs."""
    pool: NotRequired[str]
    """Name of the pool, if its nodes are labelled with it."""
    replicas: NotRequired[int]
    """Number of replicas (default 1)."""
    survive: NotRequired[str]
    """Failure that the endpoint must survive: none (default), replica, node or domain."""
    failure_domains: NotRequired[int]
    """Number of failure domains in the pool (default 1)."""
    failure_domain_label: NotRequired[str]
    """Node label of the failure domains (default topology.kubernetes.io/zone)."""
    cpu: NotRequired[str]
    """CPUs of a replica on each of its nodes. Absent: the profile's; 8 with one GPU, more with others."""
    memory: NotRequired[str]
    """Memory of a replica on each of its nodes. Absent: the profile's; 64Gi with one GPU, more with others."""
    load_timeout_s: NotRequired[int]
    """Maximum start time in seconds, with pulling the image. Absent: the profile's, and at least 1800."""
    surge: NotRequired[bool]
    """Whether a rollout adds a replica before it removes one. Needs spare GPUs."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of its certificate."""
    certificate_secret: NotRequired[str]
    """TLS Secret in the namespace to use instead of a cert-manager Certificate."""
    trust_bundle: NotRequired[str]
    """ConfigMap in the namespace with `ca.crt`: further CAs to trust, in addition to the Secret's own."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    pod_monitors: NotRequired[bool]
    """Whether to create a PodMonitor (default true)."""
    monitor_labels: NotRequired[dict[str, str]]
    """Labels of the PodMonitor, with which a Prometheus selects it."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in the namespace."""
    pod_priority: NotRequired[str]
    """PriorityClass of its pods. Absent: the cluster's default."""
    time_sliced: NotRequired[bool]
    """Whether it runs on time-sliced GPUs, one share a replica. `gpu_memory_utilization` leaves room for others."""
    device_class: NotRequired[str]
    """DeviceClass with which its pods claim GPUs. Absent: they request a number from the device plugin."""
    topology: NotRequired[GroupTopology]
    """Where Kueue places the pods of a group. Absent: the scheduler places them."""
    rdma: NotRequired[GroupRdma]
    """Absent: the pods of a group communicate over the pod network."""
    compute_domain: NotRequired[bool]
    """Whether its pods share GPU memory over NVLink, with a ComputeDomain."""
    queue: NotRequired[str]
    """Kueue LocalQueue of its pods."""
    priority_class: NotRequired[str]
    """Kueue WorkloadPriorityClass of its pods."""
    door: NotRequired[DoorAddresses]
    """Addresses, if another stack creates its Service and network policies. Absent: they are created here."""


class StoreAddress(TypedDict):
    """The address of a store of weights."""

    endpoint: str
    """Its URL: https, host name and port."""
    address: str
    """IP address of the host name."""


class ModelDoorArgs(TypedDict):
    """The network of one model server."""

    id: str
    """Name of the endpoint."""
    sensitivity: str
    """The class that it serves."""
    monitoring_namespace: str
    """The only namespace that may scrape its metrics."""
    nodes_per_replica: NotRequired[int]
    """Nodes over which a replica is split (default 1)."""
    replicas: NotRequired[int]
    """Number of replicas (default 1)."""
    surge: NotRequired[bool]
    """Whether a rollout adds a replica before it removes one."""
    router: NotRequired[str]
    """Service of the class's router, which may then reach it in addition to the gateway."""
    by_replica: NotRequired[bool]
    """Whether a headless Service `ID-replicas` lists its replicas for gateways (default false; not restricted)."""
    picker: NotRequired[ModelPicker]
    """Endpoint picker of its InferencePool, which a router uses instead of the Service."""
    fetched_from: NotRequired[StoreAddress]
    """Store from which a job fetches its weights. The job's network policy is separate."""
