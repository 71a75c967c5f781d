"""The platform model: a blueprint renders it, and the components build it. Data model only, no I/O.

The keys are a fixed interface: overrides (`isthmus:overrides`) address them, and `LlmPlatform` takes them. Parts in
lists have a `name` or `id`, by which overrides merge them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.classes import Redacted
from edge.interface_names import Interface
from isthmus.contracts.platform.model.access import GatewayAccess
from isthmus.contracts.platform.model.aws.account import (
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
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.platform.model.aws.fargate import Fargate, SecretArn
from isthmus.contracts.platform.model.aws.sagemaker import EcrImage, SageMaker
from isthmus.contracts.platform.model.callers import GatewayDatabase, GatewayTeam
from isthmus.contracts.platform.model.chat import GatewayChat
from isthmus.contracts.platform.model.costs_and_traces import EndpointCost, Traces
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.dns import ClusterDns
from isthmus.contracts.platform.model.emergency_access import PublicKey
from isthmus.contracts.platform.model.engine_settings import EngineSetting, VllmFlag
from isthmus.contracts.platform.model.evaluator import GatewayEvaluator
from isthmus.contracts.platform.model.lifecycle import Life, OfTheOrganisation
from isthmus.contracts.platform.model.notifier import ReviewNotifier
from isthmus.contracts.platform.model.pools import LabelKey, MigProfile, Pool
from isthmus.contracts.platform.model.records import Address, GatewayAudit
from isthmus.contracts.platform.model.reviews import GatewayReviews, Reviewed
from isthmus.contracts.platform.model.screening import Screening
from isthmus.contracts.platform.model.serving import (
    Adapter,
    Canary,
    ChatTemplate,
    CompileCache,
    Picker,
    PrefixCache,
    ReleaseFreeze,
    Router,
    Scaling,
    Speculative,
    Task,
    Weights,
)
from isthmus.contracts.platform.model.sites import Issuer, Monitoring, Operators, PodPriorities
from isthmus.contracts.platform.model.teams import Team
from isthmus.contracts.platform.model.usage import GatewayUsage
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.reference.handling import Exception_
from isthmus.contracts.vocabulary import (
    VLLM_TARGETS,
    AccountId,
    BucketName,
    Cidr,
    DnsLabel,
    ImageReference,
    KubeName,
    Mode,
    Part,
    Quantity,
    Sensitivity,
    Survive,
    Target,
)
from isthmus.core.errors import FieldError, InputError

_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


class Site(OfTheOrganisation):
    """An on-prem cluster or an AWS region, in a jurisdiction."""

    name: DnsLabel
    """Name of the site."""
    kind: Literal["on-prem", "aws"]
    """`on-prem`: a Kubernetes cluster of yours. `aws`: one region of one account."""
    jurisdiction: str
    """Country of the site, as an ISO code in lower case."""
    kube_context: str | None = None
    """On-prem: the cluster's context. AWS: of its cluster, in place of an address that the stack works out."""
    cluster_uid: Annotated[str | None, StringConstraints(pattern=r"^[0-9a-f-]{36}$")] = None
    """Which cluster the context must lead to: the UID of its namespace kube-system (`isthmus trust pin`)."""
    cidrs: list[Cidr] = []
    """Networks of the site; for AWS the VPC's."""
    failure_domain_label: LabelKey | None = None
    """Node label that tells the cluster's failure domains apart: a zone, a rack, `kubernetes.io/hostname`. Absent:
    `topology.kubernetes.io/zone` in AWS and where a pool has several failure domains, else `kubernetes.io/hostname`."""
    dns: list[str] = []
    """The site's own resolvers (addresses), which know no cloud zone."""
    cluster_dns: ClusterDns = ClusterDns()
    """Who resolves names in the site's cluster, and whether gateways and translators get an allow-list of names."""
    region: str | None = None
    """AWS: the region."""
    account_id: AccountId | None = None
    """AWS: the account's 12 digits. If stated, Isthmus refuses to build in another account."""
    assume_role: RoleArn | None = None
    """The role by which the provider works in the site's account, where that is another one."""
    external_id: str | None = None
    """External id that the trust policy of `assume_role` demands."""
    permissions_boundary: PolicyArn | None = None
    """AWS: the organisation's own boundary of every role made at the site; absent, one is made beside each."""


class Endpoint(Part):
    """One model on a target, for one class."""

    id: DnsLabel
    """Name of the endpoint."""
    class_: Sensitivity = Field(alias="class")
    """Class of the data that it serves."""
    site: DnsLabel
    """Site where the model runs or is called."""
    target: Target
    """What runs the model."""
    model: str
    """The hub's or the provider's own id."""
    # On GPUs (onprem-vllm, eks-vllm)
    pool: DnsLabel | None = None
    """The GPU pool on which it runs. SageMaker and Bedrock need none."""
    weights: Weights | None = None
    """Where the model's weights come from. Bedrock needs none."""
    precision: Annotated[str | None, EngineSetting()] = None
    """Precision to serve in: bf16, fp8, …; absent: as the weights are stored."""
    mig_profile: MigProfile | None = None
    """On slices of cut GPUs, one a replica; `gpus` counts slices then."""
    tensor_parallel: Annotated[int, Field(ge=1), EngineSetting()] = 1
    """GPUs of one machine over which a replica is split (default 1)."""
    nodes_per_replica: int = Field(default=1, ge=1)
    """Machines over which a replica is split."""
    replicas: int = Field(default=1, ge=1)
    """Copies of the model."""
    gpus: int = Field(default=0, ge=0)
    """GPUs in all: tensor_parallel × nodes_per_replica × replicas."""
    survive: Survive = "none"
    """The largest failure that it survives."""
    max_model_len: Annotated[int | None, Field(ge=1), VllmFlag()] = None
    """Longest prompt and answer together, tokens."""
    max_num_seqs: Annotated[int | None, Field(ge=1), VllmFlag()] = None
    """Most requests in one batch."""
    concurrency: int | None = Field(default=None, ge=1, json_schema_extra={"unit": "requests per replica"})
    """Requests that a replica serves at once within its goals; further ones wait in the gateway. Absent: ten elevenths
    of `max_num_seqs`, because plans leave so much room; without that either, nobody waits there."""
    gpu_memory_utilization: Annotated[
        float | None, Field(gt=0, le=1, json_schema_extra={"unit": "share from 0 to 1"}), VllmFlag()
    ] = None
    """Share of the GPU's memory that the engine takes, 0 to 1."""
    kv_cache_dtype: Annotated[str | None, VllmFlag()] = None
    """Type of the KV cache: auto, fp8, …"""
    adapters: list[Adapter] = []
    """LoRA adapters that are served beside the model."""
    engine_version: Annotated[str | None, EngineSetting()] = None
    """Version of vLLM in the image; this version of Isthmus knows the flags of 0.33.0."""
    engine_args: Annotated[list[str], EngineSetting()] = []
    """Further arguments of `vllm serve`, each a flag that it knows, as `--flag` or `--flag=value`."""
    model_family: Annotated[str | None, EngineSetting()] = None
    """Family whose profile it takes; absent: the one that the model's name fits."""
    tool_call_parser: Annotated[str | None, EngineSetting()] = None
    """vLLM's parser of tool calls, or none; absent: the profile's."""
    reasoning_parser: Annotated[str | None, EngineSetting()] = None
    """vLLM's parser of reasoning, or none; absent: the profile's."""
    chat_template: ChatTemplate | None = None
    """`model`: the one in the model's folder. Else a path: absolute in the image, or below the weights' mount. Absent:
    the profile's."""
    engine: Literal["gpu", "cpu"] = "gpu"
    """`cpu`: vLLM without GPUs and without a pool, to develop against; for public and internal work."""
    task: Task = "chat"
    """What the model does."""
    speculative: Speculative | None = None
    """Tokens guessed ahead, for faster answers. Absent: none are."""
    prefix_cache: PrefixCache = "shared"
    """Who may hit prefixes that were computed before: all workloads of the endpoint, only those of one team
    (`salted`), or nobody."""
    compile_cache: CompileCache | None = None
    """Absent: on the machines' own disks where the weights are kept there, else in the pod."""
    picker: Picker | None = None
    """Chooses each request's replica by load and cached prefixes, through an InferencePool; absent: the Service."""
    drain_s: int = Field(default=40, ge=5, le=3600)
    """Seconds for the answers under way when a replica ends; longer ones are cut."""
    cpu: Quantity = "8"
    """CPUs of a replica on each of its machines; absent, with GPUs: its profile's, which grow with the GPUs."""
    memory: Quantity = "64Gi"
    """Memory of a replica on each of its machines; absent, with GPUs: its profile's."""
    load_timeout_s: int = Field(default=1800, ge=60)
    """How long starting may take: pulling the image and reading the weights. Absent, with GPUs: twice the profile's
    startup, and 1800 at least."""
    surge: bool = False
    """Roll with one replica more: only where GPUs are kept for it (the pool's `reserved_gpus`)."""
    certificate_secret: KubeName | None = None
    """A named TLS Secret in place of a cert-manager Certificate."""
    time_sliced: bool = False
    """On GPUs that are shared in time, one share a replica; `gpus` counts shares then."""
    team: DnsLabel | None = None
    """One of its class's teams in the pool's `sharing`: whose queue it waits in."""
    priority: DnsLabel | None = None
    """One of the pool's `sharing.priorities`; absent: its class's."""
    cost: EndpointCost | None = None
    """What its gateway's accounts charge for its work. Absent: the price of the plan, if the plan has one."""
    # On Bedrock
    region: str | None = None
    """AWS region in which the model is called. Absent: the site's."""
    inference_profile: str | None = None
    """Bedrock's inference profile. Absent: the model is called directly."""
    destination_regions: list[str] = []
    """Every region that the inference profile may route to; the region itself without a profile."""
    # On SageMaker
    sagemaker: SageMaker | None = None
    """Machines, keys, scaling and rollout of a SageMaker endpoint; `replicas` are its instances."""

    @model_validator(mode="before")
    @classmethod
    def _sized_by_profile(cls, data: Any) -> Any:
        """Fill in CPU, memory and load timeout from the model's profile, unless the endpoint sets them."""
        if (
            not isinstance(data, dict)
            or data.get("target") not in VLLM_TARGETS
            or data.get("engine") == "cpu"
        ):
            return data
        model, gpus, family = data.get("model"), data.get("tensor_parallel", 1), data.get("model_family")
        if not isinstance(model, str) or type(gpus) is not int or not isinstance(family, str | None):
            return data  # the fields' own errors say more
        return {**model_profiles.requests_of(model, gpus, family), **data}

    @model_validator(mode="after")
    def _known_parsers(self) -> Endpoint:
        model_profiles.check_parsers(self.tool_call_parser, self.reasoning_parser)
        return self

    @field_validator("engine_args")
    @classmethod
    def _known_flags(cls, value: list[str]) -> list[str]:
        from isthmus.contracts.reference import vllm_flags

        for index, argument in enumerate(value):
            try:
                vllm_flags.check_engine_args([argument])
            except InputError as error:
                raise FieldError(error.what, index, fix=error.fix) from None
        return value


class Slo(Part):
    """Goals of a workload. 95 % of its requests keep the times, which are boundaries of the gateway's histograms."""

    ttft_p95_ms: float | None = Field(default=None, gt=0, json_schema_extra={"unit": "ms"})
    """Time to the first token."""
    tpot_p95_ms: float | None = Field(default=None, gt=0, json_schema_extra={"unit": "ms"})
    """Time for each further token."""
    answer_p95_ms: float | None = Field(default=None, gt=0, json_schema_extra={"unit": "ms"})
    """Time to the last token."""
    availability: float | None = Field(
        default=None, gt=0, lt=1, json_schema_extra={"unit": "share from 0 to 1"}, examples=[0.995]
    )
    """Share of its requests that succeed."""


class Workload(Reviewed):
    """What a gateway serves to one group of callers: its name, and the endpoints for its requests."""

    name: DnsLabel
    """Name of the workload."""
    endpoint: DnsLabel
    """Primary endpoint."""
    also: list[DnsLabel] = []
    """Further model servers of its gateway's site that are as good: a request goes where the least wait."""
    overflow: list[DnsLabel] = []
    """Endpoint in AWS that takes the chats which its own cannot take: one, and never for restricted work."""
    fallback: list[DnsLabel] = Field(default=[], max_length=4)
    """Endpoints with other models that answer chats when its own cannot, in order: at its gateway's site, or on
    Bedrock or SageMaker where the class may use them."""
    overflow_when_waiting: int = Field(default=4, ge=1, json_schema_extra={"unit": "requests"})
    """Also when so many requests wait at its own endpoint, by the model server's own word."""
    residency: list[str] = []
    """Jurisdictions in which its data may be. Empty: anywhere."""
    adapter: DnsLabel | None = None
    """Adapter of the endpoint that serves this workload; absent: the base model."""
    canary: Canary | None = Field(default=None, examples=[{"endpoint": "qwen3-32b-fra1", "percent": 5}])
    """Another endpoint that takes a share of its requests."""
    interfaces: list[Interface] = []
    """How applications may ask it, beside chat. Only the requirements add one."""
    slo: Slo | None = None
    """Its goals, from the requirements. Absent: none is stated."""
    mode: Literal["interactive", "batch"] = "interactive"
    """`batch`: where an endpoint is at its limit, its requests wait for those of interactive workloads."""
    weight: int = Field(default=1, ge=1, le=1000, json_schema_extra={"unit": "shares"})
    """Its share of an endpoint at its limit, compared with the other workloads there."""
    team: DnsLabel | None = None
    """Whose it is: what it takes is accounted so, and where the prefix cache is salted its team's workloads share it.
    Absent: it shares with none."""

    @property
    def awaited(self) -> tuple[str, ...]:
        """Endpoints that must be ready before the gateway sends requests to them."""
        return (self.endpoint, *self.also, *([self.canary.endpoint] if self.canary else []))

    @property
    def endpoint_and_substitutes(self) -> tuple[str, ...]:
        """Its primary endpoint, and those with other models that take over from it."""
        return (self.endpoint, *self.overflow, *self.fallback)

    @property
    def reaches(self) -> tuple[str, ...]:
        """Every endpoint that may get its requests."""
        canary = [self.canary.endpoint] if self.canary else []
        return (self.endpoint, *self.also, *self.overflow, *canary, *self.fallback)


class Destination(Part):
    """An allowed destination of a gateway: an address range and a port. Host names are not accepted."""

    name: DnsLabel
    """Name of the destination."""
    cidr: Cidr
    """Network that may be reached."""
    port: int = Field(ge=1, le=65535)
    """Port that may be reached."""


class Proxy(Part):
    """A forward proxy between a site and AWS. It passes TLS through unopened (CONNECT)."""

    url: Annotated[str, StringConstraints(pattern=r"^http://(\d{1,3}\.){3}\d{1,3}:\d{1,5}$")]
    """By address: a network policy cannot hold a name to anything. Credentials never stand here."""
    no_proxy: list[str] = []
    """Names, domains and addresses that are reached without it."""


class Gateway(Part):
    """The gateway of a class: the only endpoint that applications of the class can reach."""

    class_: Sensitivity = Field(alias="class")
    """Class of the data that it serves."""
    name: DnsLabel
    """By which overrides merge; `CLASS` at its site."""
    site: DnsLabel
    """Site where it runs."""
    runs_on: Literal["kubernetes", "fargate"] = "kubernetes"
    """In the site's cluster, or, at an AWS site without one, on AWS Fargate."""
    host: str
    """Name by which applications call it."""
    replicas: int = Field(default=2, ge=1)
    """Copies; the blueprint plans them by the load (`isthmus.contracts.platform.lookups.gateway_size`)."""
    max_replicas: int | None = Field(default=None, ge=2)
    """Copies are added by their CPU, from `replicas` to so many: by KEDA, on Fargate by AWS. Absent: none is added."""
    metrics_authentication: KubeName | None = None
    """TriggerAuthentication in the class's namespace with which KEDA reads `monitoring.prometheus_url`."""
    cpu: Quantity = "1"
    """Of each copy, request and limit."""
    memory: Quantity = "1Gi"
    """Memory of each copy."""
    workloads: list[Workload]
    """The workloads that it serves."""
    releasers: list[PublicKey] = []
    """Public keys of the people who may move releases of canaries with `steps` at this gateway."""
    release_freezes: list[ReleaseFreeze] = []
    """Times in which no release moves on here, for example the end of a year. An abort is always possible."""
    identity: DnsLabel | None = None
    """The AWS identity of the translator behind it; never with a class that may not use AWS."""
    destinations: list[Destination] = []
    """For the translator: where AWS is reached. For a restricted gateway: on-prem only."""
    proxy: Proxy | None = None
    """By which the translator reaches AWS: for public work that no network of ours carries."""
    ca_bundle: KubeName | None = None
    """ConfigMap with `ca.crt` in the class's namespace: whom the translator believes to be AWS, in place of
    the public authorities (where TLS is opened on the way). For the public and internal classes."""
    callers_secret: KubeName | SecretArn
    """Secret with `callers.yaml`: SHA-256 of each key and the workload it names; with `database`, with `password`,
    `ca.crt` and `salt` (64 hexadecimal digits), and `transit` (as many) where a workload has the interface `batches` or
    `idempotency`. On Fargate the ARN of a secret whose text is that file."""
    database: GatewayDatabase | None = None
    """Where keys are looked up and use is counted, in place of `callers.yaml`."""
    teams: list[GatewayTeam] = []
    """What each team's workloads may use together, beside the team's budget."""
    audit: GatewayAudit | None = None
    """Its records: where it writes them and who seals them. Every gateway in an on-prem cluster has them."""
    traces: Traces | None = None
    """Who takes its traces; absent: none leave it."""
    redacted: list[Redacted] = []
    """What the organisation's handling redacts beside what the class demands of itself."""
    screening: Screening | None = None
    """The detector beside its copies, and what guards look for; absent: nothing is looked through."""
    reviews: GatewayReviews | None = None
    """Where people look at its answers before they are given out; absent: none is held, and no workload may ask."""
    access: GatewayAccess | None = None
    """Who outside the cluster may call it; absent: nobody."""
    usage: GatewayUsage | None = None
    """The ledger of what its workloads use, and whether people are named in it; absent: no ledger is kept."""
    evaluator: GatewayEvaluator | None = None
    """The jobs that evaluate models of its workloads; absent: `isthmus evaluate` runs on a machine of yours."""
    chat: GatewayChat | None = None
    """The chat of people who may use its workloads; absent: there is none."""
    certificate_secret: KubeName | SecretArn | None = None
    """A TLS Secret in place of a cert-manager Certificate. On Fargate the ARN of a secret that is JSON with
    `certificate`, `key` and `ca`, each PEM."""
    fargate: Fargate | None = None
    """`runs_on: fargate`: how, and who may call."""
    router: Router | None = None
    """Between it and its model servers; absent: it reaches each by its Service, and splits by itself."""

    @property
    def desk(self) -> ReviewDesk | None:
        """The pages on which people decide on its held answers."""
        return self.reviews.desk if self.reviews is not None else None

    @property
    def notifier(self) -> ReviewNotifier | None:
        """Who tells people that held answers wait."""
        return self.reviews.notifier if self.reviews is not None else None


class Identity(Part):
    """An AWS role that a class's translator assumes."""

    name: DnsLabel
    """Name of the identity."""
    class_: Sensitivity = Field(alias="class")
    """Class whose translator assumes it."""
    site: DnsLabel
    """The AWS site in whose account the role lives."""
    assumed_by: Literal["roles-anywhere", "ecs-tasks", "eks-pod-identity"] = "roles-anywhere"
    """Who becomes it: pods outside AWS by a certificate, tasks on Fargate, or pods of a cluster in AWS."""
    endpoints: list[DnsLabel]
    """Endpoints in AWS that it may call."""
    trust: DnsLabel | None = None
    """What vouches for its certificates: one of `trust`."""
    guardrail: DnsLabel | None = None
    """The guardrail without which it may call no model: one of `guardrails`."""
    certificate_secret: KubeName | None = None
    """A TLS Secret of the organisation's PKI in place of a cert-manager Certificate."""
    permissions_boundary: PolicyArn | None = None
    """The organisation's own boundary for this identity; absent, its site's; else one is made that keeps the
    trail and IAM out of reach."""
    network_condition: Literal["own-region", "every-region"] = "own-region"
    """Where calls of Bedrock must name the network (`aws:SourceVpc`): in the region in which they are made, or also in
    each to which an inference profile routes them. AWS does not document that routed calls still name it."""


class AuditStore(Part):
    """The write-once store for the audit records of a site."""

    name: DnsLabel
    """Name of the store."""
    site: DnsLabel
    """The site whose records it holds."""
    mode: Mode
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    retention_days: Days
    """The strictest minimum of the classes whose records it holds."""
    delete_after_retention: bool = True
    """`manage`: whether S3 deletes records once `retention_days` are over; false keeps them, for a legal hold."""
    endpoint: str | None = None
    """`existing`: URL of the S3-compatible service (on-prem), absent for AWS's own."""
    bucket: BucketName | None = None
    """`existing`: the bucket, with object lock."""
    address: Address | None = None
    """On-prem: where `endpoint` is reached; sealers are let out to it and know its name by it."""

    @field_validator("endpoint")
    @classmethod
    def _sealed(cls, value: str | None) -> str | None:
        # The message does not repeat the value, because it may contain a password.
        if value is not None and not _HTTPS.fullmatch(value):
            fix = "Write it like https://s3.fra1.bank.example: https, host and port, without credentials"
            raise FieldError("the endpoint of the audit store is not a plain https address", fix=fix)
        return value


class Images(Part):
    """Container images of the pods, by digest. Absent ones come from `images.lock.yaml`, at `registry`."""

    registry: (
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?$")] | None
    ) = None
    """The organisation's registry, and a path in it: there the lock's images are mirrored."""
    edge: ImageReference
    """Image of the gateway, the sealer and the review service."""
    translator: ImageReference | None = None
    """Needed where a gateway has an AWS identity, or its records are sealed."""
    vllm: ImageReference | None = None
    """Needed where a model is served on GPUs of ours."""
    vllm_cpu: ImageReference | None = None
    """Needed where an endpoint's engine is `cpu`."""
    detector: ImageReference | None = None
    """Needed where a gateway has a screening: the detector, with the entity models in `/models`."""
    resolver: ImageReference | None = None
    """CoreDNS: answers a class's gateway and translator for the names that they need. Needed where a site's
    `cluster_dns` filters, and a gateway that is not restricted runs in its cluster."""
    credential_helper: ImageReference | None = None
    """AWS's `aws_signing_helper`, beside each translator with an identity."""
    chat: ImageReference | None = None
    """Open WebUI, of the version whose switches we set (`components/chat/switches.yaml`). Needed where a gateway has a
    chat."""
    sign_on: ImageReference | None = None
    """oauth2-proxy, at which people sign on to chats and review desks."""
    notifier: ImageReference | None = None
    """Needed where a gateway's reviews have a notifier: the edge with Apprise beside it."""
    evaluator: ImageReference | None = None
    """Needed where a gateway has an evaluator: Isthmus with Inspect AI beside it."""
    sagemaker: EcrImage | None = None
    """What serves models on SageMaker: vLLM with SageMaker's entry point, in Amazon ECR of the endpoints' region."""
    registries: list[str] = Field(min_length=1)
    """Image prefixes that admission lets in, each ending in `/`; absent: `registry` alone."""
    pull_secrets: list[KubeName] = []
    """Secrets of type `kubernetes.io/dockerconfigjson`, in every class's namespace: all pods pull with them."""
    pull_secret: KubeName | None = None
    """One of `pull_secrets`, as it was written when there was one only."""

    @property
    def all_pull_secrets(self) -> list[str]:
        """All pull secrets without duplicates, in the given order."""
        return list(dict.fromkeys([*([self.pull_secret] if self.pull_secret else []), *self.pull_secrets]))


class Platform(Life):
    """The complete platform of one stack."""

    isthmus: Literal["v1"]
    """Version of the format."""
    name: DnsLabel
    """Name of the platform."""
    blueprint: str
    """Blueprint that rendered it."""
    sites: list[Site] = Field(min_length=1)
    """On-prem clusters and AWS regions."""
    clusters: list[Cluster] = []
    """Kubernetes clusters in AWS."""
    pools: list[Pool] = []
    """GPU pools."""
    endpoints: list[Endpoint] = Field(min_length=1)
    """Served models."""
    gateways: list[Gateway] = Field(min_length=1)
    """Gateways, one for each class at a site."""
    identities: list[Identity] = []
    """AWS roles of translators."""
    audit: list[AuditStore] = Field(min_length=1)
    """Stores of audit records, one for each site in use."""
    networks: list[Network] = []
    """Private networks in AWS."""
    links: list[Link] = []
    """Private links between sites and AWS."""
    trust: list[Trust] = []
    """Certificate authorities that AWS trusts."""
    guardrails: list[Guardrail] = []
    """Guardrails of Bedrock."""
    invocation_logging: list[InvocationLogging] = []
    """Bedrock's logs of calls."""
    trails: list[Trail] = []
    """CloudTrail trails."""
    teams: list[Team] = []
    """Teams with a budget, which acts at their gateways and in AWS."""
    budgets: list[Budget] = []
    """Monthly budgets in AWS with alerts, beside those of teams."""
    anomalies: Anomalies = Anomalies(mode="off")
    """Alerts about unusual spend."""
    cost_tags: Mode = "manage"
    """Whether the cost-allocation tags that budgets count by are activated here: in an organisation only the
    management account may (`existing` elsewhere), and no account before a day of use."""
    provisioned: list[Provisioned] = []
    """Provisioned throughput of Bedrock."""
    contacts: Contacts = Contacts()
    """Who gets alerts."""
    images: Images
    """Container images."""
    issuer: Issuer | None = None
    """Signs certificates of gateways and model servers. Absent: each names a Secret of its own."""
    trust_bundle: KubeName | None = None
    """ConfigMap with `ca.crt` in every class's namespace: CAs that gateways, translators and model servers believe
    besides those of their own Secrets. With the old and the new CA in it, a CA is replaced without an outage."""
    monitoring: Monitoring
    """Who scrapes metrics."""
    operators: Operators = Operators()
    """Operators of the clusters."""
    pod_priorities: PodPriorities = PodPriorities()
    """Which pods the scheduler evicts first."""
    scaling: list[Scaling] = []
    """Replicas of endpoints by load."""
    tags: dict[str, str] = {}
    """Further tags of every resource in AWS."""
    exceptions: list[Exception_] = []
    """Recorded exceptions to the handling: confidential work on Bedrock."""

    def site(self, name: str) -> Site:
        """The site with that name. The rules ensure that every named site exists."""
        return next(site for site in self.sites if site.name == name)
