"""The platform: what a blueprint renders and the components build. Data only, no I/O.

Keys are a contract: overrides (`isthmus:overrides`) address them, `LlmPlatform` takes them.
Every part that can be named carries `name` or `id`, by which overrides merge lists.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from isthmus.contracts.errors import At, InputError
from isthmus.contracts.handling import Exception_
from isthmus.contracts.platform_aws import (
    Anomalies,
    Budget,
    Contacts,
    Days,
    Guardrail,
    InvocationLogging,
    Link,
    Network,
    PolicyArn,
    Provisioned,
    RoleArn,
    Trail,
    Trust,
)
from isthmus.contracts.platform_eks import Cluster, NodeGroup
from isthmus.contracts.words import (
    AccountId,
    Cidr,
    DnsLabel,
    ImageReference,
    KubeName,
    Mode,
    Part,
    Sensitivity,
    Sha256,
    Survive,
    Target,
)

_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""As Kubernetes writes an amount."""


class Site(Part):
    """An on-prem cluster or an AWS region, in a jurisdiction."""

    name: DnsLabel
    kind: Literal["on-prem", "aws"]
    jurisdiction: str
    kube_context: str | None = None
    """On-prem: the cluster's context. AWS: of its cluster, in place of an address that the stack works out."""
    cidrs: list[Cidr] = []
    """Networks of the site; for AWS the VPC's."""
    dns: list[str] = []
    """The site's own resolvers (addresses), which know no cloud zone."""
    region: str | None = None
    account_id: AccountId | None = None
    assume_role: RoleArn | None = None
    """The role by which the provider works in the site's account, where that is another one."""
    external_id: str | None = None
    permissions_boundary: PolicyArn | None = None
    """AWS: the organisation's own boundary of every role made at the site; absent, one is made beside each."""


MigProfile = Annotated[str, StringConstraints(pattern=r"^[1-9]g\.[1-9][0-9]{0,2}gb$")]
"""As NVIDIA names a slice: compute slices and memory, e.g. `3g.40gb`."""


class CutGpus(Part):
    """GPUs of a pool cut alike for one class: no cut GPU serves two."""

    class_: Sensitivity = Field(alias="class")
    profile: MigProfile
    gpus: int = Field(ge=1)


class Pool(Part):
    """The GPUs of one kind at a site."""

    name: DnsLabel
    site: DnsLabel
    gpu: str
    """GPU id, e.g. `h100-sxm-80gb`."""
    product: str
    """The label `nvidia.com/gpu.product` as GPU Feature Discovery sets it."""
    nodes: int = Field(ge=1)
    gpus_per_node: int = Field(ge=1)
    failure_domains: int = Field(default=1, ge=1)
    reserved_gpus: int = Field(default=0, ge=0)
    mig: list[CutGpus] = []
    """GPUs that are cut into slices; the others stay whole. Which machine's they are follows from what
    must be outlived (`mig.lay_out`), so the machines must be named."""
    node_names: list[str] = []
    """The machines by name: each is labelled and tainted by server-side apply. Empty: a
    NodeFeatureRule does it for every node that shows the product, by Node Feature Discovery. Where GPUs
    are cut, machine i is in failure domain i mod `failure_domains`."""
    node_group: NodeGroup | None = None
    """AWS, in a cluster that is managed: the machines to make, labelled and tainted from the start."""


class Weights(Part):
    """Where a model's weights come from, and what they must be."""

    uri: Annotated[
        str, StringConstraints(pattern=r"^(pvc://[a-z0-9.-]+(/[\w./-]*)?|oci://\S+@sha256:[0-9a-f]{64})$")
    ]
    """`pvc://CLAIM[/PATH]`, or `oci://REFERENCE@sha256:…` (an image volume)."""
    digest: Sha256
    """Digest of the weights' manifest; recorded in audit and outputs."""
    volume: str | None = None
    """For `pvc://`: the PersistentVolume to bind the claim to; absent, the claim exists already."""
    size_gib: int = Field(default=200, ge=1)
    precision: str = "bf16"
    """As they are stored; where the endpoint's precision differs, the engine quantizes while loading."""


class Adapter(Part):
    name: DnsLabel
    rank: int = Field(ge=1)
    size_mib: int = Field(ge=1)
    path: str | None = None
    """Path below the weights' mount; absent: `adapters/NAME`."""


class Endpoint(Part):
    """One served model on a target, for one class."""

    id: DnsLabel
    class_: Sensitivity = Field(alias="class")
    site: DnsLabel
    target: Target
    model: str
    """The hub's or the provider's own id."""
    # On GPUs (onprem-vllm, eks-vllm)
    pool: DnsLabel | None = None
    weights: Weights | None = None
    precision: str | None = None
    mig_profile: MigProfile | None = None
    """On slices of cut GPUs, one a replica; `gpus` counts slices then."""
    tensor_parallel: int = Field(default=1, ge=1)
    nodes_per_replica: int = Field(default=1, ge=1)
    replicas: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0)
    survive: Survive = "none"
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int | None = Field(default=None, ge=1)
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    kv_cache_dtype: str | None = None
    adapters: list[Adapter] = []
    engine_version: str | None = None
    engine_args: list[str] = []
    """Further arguments of `vllm serve`; every flag must be one that the pinned version knows."""
    cpu: Quantity = "8"
    memory: Quantity = "64Gi"
    load_timeout_s: int = Field(default=1800, ge=60)
    """How long starting may take: pulling the image and reading the weights."""
    surge: bool = False
    """Roll with one replica more: only where GPUs are kept for it (the pool's `reserved_gpus`)."""
    certificate_secret: KubeName | None = None
    """A named TLS Secret in place of a cert-manager Certificate."""
    # On Bedrock
    region: str | None = None
    inference_profile: str | None = None
    destination_regions: list[str] = []
    """Every region that the inference profile may route to; the region itself without a profile."""

    @field_validator("engine_args")
    @classmethod
    def _known_flags(cls, value: list[str]) -> list[str]:
        from isthmus.contracts import vllm_flags

        for index, argument in enumerate(value):
            try:
                vllm_flags.check_engine_args([argument])
            except InputError as error:
                raise At(error.what, index, todo=error.todo) from None
        return value


class Workload(Part):
    """What a gateway serves to one caller group: its name, and where its requests go."""

    name: DnsLabel
    endpoint: DnsLabel
    """Primary endpoint."""
    overflow: list[DnsLabel] = []
    residency: list[str] = []
    impact: Literal["low", "material", "high"] = "low"
    adapter: DnsLabel | None = None
    """Adapter of the endpoint that serves this workload; absent: the base model."""


class Destination(Part):
    """A named way out of a gateway: an address range and a port; a host name alone is refused."""

    name: DnsLabel
    cidr: Cidr
    port: int = Field(ge=1, le=65535)


class Proxy(Part):
    """A forward proxy between a site and AWS, through which TLS goes unopened (CONNECT)."""

    url: Annotated[str, StringConstraints(pattern=r"^http://(\d{1,3}\.){3}\d{1,3}:\d{1,5}$")]
    """By address: a network policy cannot hold a name to anything. Credentials never stand here."""
    no_proxy: list[str] = []
    """Names, domains and addresses that are reached without it."""


class Gateway(Part):
    """The only thing that applications of one class can reach."""

    class_: Sensitivity = Field(alias="class")
    name: DnsLabel
    """By which overrides merge; `CLASS` at its site."""
    site: DnsLabel
    host: str
    replicas: int = Field(default=2, ge=1)
    workloads: list[Workload]
    identity: DnsLabel | None = None
    """The AWS identity of the translator behind it; never with a class that may not use AWS."""
    destinations: list[Destination] = []
    """For the translator: where AWS is reached. For a restricted gateway: on-prem only."""
    proxy: Proxy | None = None
    """By which the translator reaches AWS: for public work that no network of ours carries."""
    ca_bundle: KubeName | None = None
    """ConfigMap with `ca.crt` in the class's namespace: whom the translator believes to be AWS, in place of
    the public authorities (where TLS is opened on the way). For the public and internal classes."""
    callers_secret: KubeName
    """Secret with `callers.yaml`: SHA-256 of each key and the workload it names."""
    certificate_secret: KubeName | None = None


class Identity(Part):
    """An AWS role that a class's translator assumes."""

    name: DnsLabel
    class_: Sensitivity = Field(alias="class")
    site: DnsLabel
    """The AWS site in whose account the role lives."""
    endpoints: list[DnsLabel]
    assumed_by: Literal["roles-anywhere", "ecs-tasks", "eks-pod-identity"] = "roles-anywhere"
    """By what its bearer proves who it is: a certificate, or where it runs in AWS."""
    trust: DnsLabel | None = None
    """What vouches for its certificates: one of `trust`."""
    guardrail: DnsLabel | None = None
    """The guardrail without which it may call no model: one of `guardrails`."""
    certificate_secret: KubeName | None = None
    """A TLS Secret of the organisation's PKI in place of a cert-manager Certificate."""
    permissions_boundary: PolicyArn | None = None
    """The organisation's own boundary for this identity; absent, its site's; else one is made that keeps the
    trail and IAM out of reach."""


class AuditStore(Part):
    """Where a site's audit records are sealed, write-once."""

    name: DnsLabel
    site: DnsLabel
    mode: Mode
    retention_days: Days
    """The strictest minimum of the classes whose records it holds."""
    endpoint: str | None = None
    """`existing`: URL of the S3-compatible service (on-prem), absent for AWS's own."""
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    """`existing`: the bucket, with object lock."""

    @field_validator("endpoint")
    @classmethod
    def _sealed(cls, value: str | None) -> str | None:
        # The value is not repeated: what is refused may hold a password.
        if value is not None and not _HTTPS.fullmatch(value):
            todo = "Write it like https://s3.fra1.bank.example: https, host and port; credentials never stand here"
            raise At("the store's endpoint is no plain https address", todo=todo)
        return value


class Images(Part):
    """What the pods run, by digest. What is not given comes from `images.lock.yaml`, at `registry`."""

    registry: (
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?$")] | None
    ) = None
    """The organisation's registry, and a path in it: there the lock's images are mirrored."""
    edge: ImageReference
    translator: ImageReference | None = None
    """Needed where a gateway has an AWS identity."""
    vllm: ImageReference
    credential_helper: ImageReference | None = None
    """AWS's `aws_signing_helper`, beside each translator with an identity."""
    registries: list[str] = Field(min_length=1)
    """Image prefixes that admission lets in, each ending in `/`; absent: `registry` alone."""
    pull_secrets: list[KubeName] = []
    """Secrets of type `kubernetes.io/dockerconfigjson`, in every class's namespace: all pods pull with them."""
    pull_secret: KubeName | None = None
    """One of `pull_secrets`, as it was written when there was one only."""

    @property
    def all_pull_secrets(self) -> list[str]:
        """Each once, in the order given."""
        return list(dict.fromkeys([*([self.pull_secret] if self.pull_secret else []), *self.pull_secrets]))


class Monitoring(Part):
    namespace: DnsLabel
    """The only namespace that may scrape models and gateways."""
    pod_monitors: bool = True
    prometheus_url: str | None = None


class Operators(Part):
    """Cluster singletons of others: `existing` is checked, `off` leaves out what needs them."""

    gpu_operator: Mode = "existing"
    gpu_operator_namespace: DnsLabel = "gpu-operator"
    """Where its MIG manager looks for layouts of nodes whose GPUs are cut in part."""
    kueue: Mode = "existing"
    cert_manager: Mode = "existing"


class Issuer(Part):
    """The cert-manager issuer that signs gateways, translators and model servers."""

    name: KubeName
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"


class Scaling(Part):
    """Replicas of an endpoint; Pulumi owns them where minimum equals maximum."""

    endpoint: DnsLabel
    min_replicas: int = Field(ge=1)
    max_replicas: int = Field(ge=1)

    @model_validator(mode="after")
    def _fixed(self) -> Scaling:
        if self.min_replicas != self.max_replicas:
            raise ValueError("scaling by load is not built yet: min_replicas must equal max_replicas")
        return self


class Platform(Part):
    """The whole platform of one stack."""

    isthmus: Literal["v1"]
    name: DnsLabel
    blueprint: str
    sites: list[Site] = Field(min_length=1)
    clusters: list[Cluster] = []
    pools: list[Pool] = []
    endpoints: list[Endpoint] = Field(min_length=1)
    gateways: list[Gateway] = Field(min_length=1)
    identities: list[Identity] = []
    audit: list[AuditStore] = Field(min_length=1)
    networks: list[Network] = []
    links: list[Link] = []
    trust: list[Trust] = []
    guardrails: list[Guardrail] = []
    invocation_logging: list[InvocationLogging] = []
    trails: list[Trail] = []
    budgets: list[Budget] = []
    anomalies: Anomalies = Anomalies(mode="off")
    cost_tags: Mode = "manage"
    """Whether the cost-allocation tags that budgets count by are activated here: in an organisation only the
    management account may (`existing` elsewhere), and no account before a day of use."""
    provisioned: list[Provisioned] = []
    contacts: Contacts = Contacts()
    images: Images
    issuer: Issuer | None = None
    monitoring: Monitoring
    operators: Operators = Operators()
    scaling: list[Scaling] = []
    tags: dict[str, str] = {}
    exceptions: list[Exception_] = []
    """Recorded exceptions to the handling: confidential work on Bedrock."""

    @model_validator(mode="after")
    def _holds_together(self) -> Platform:
        """Refuse what breaks handling or points nowhere, whoever made it: blueprint, plan or override."""
        from isthmus.contracts import platform_checks

        platform_checks.check(self)
        return self
