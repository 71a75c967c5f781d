"""How models are served: weights and caches, scaling, canaries, routers and engine settings. Data model only.

The rules are in `isthmus.contracts.platform.rules.serving`.
"""

from __future__ import annotations

import datetime
import itertools
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part, ResultFile, Sha256
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    pass

_HTTPS = re.compile(r"https://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?/?")
_FOLDER_PATTERN = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
NOT_A_FOLDER = "is not a plain absolute path of a folder"
FOLDER_FIX = "Write it like /mnt/nvme/isthmus: from the root, without `..` and without a slash at the end"
CACHE_FIX = "Set `storage_class` for a volume that many nodes mount, or `node_path` for a folder on each node"

Task = Literal["chat", "embedding", "rerank", "guard"]
"""What an endpoint is asked for. A guard model writes its verdict, so it is asked as a chat model is."""

_TEMPLATE = StringConstraints(pattern=r"^/?[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$")
CHAT_TEMPLATE = str(_TEMPLATE.pattern)
"""A path that leads nowhere back up; `model` fits as well."""
ChatTemplate = Annotated[str, _TEMPLATE]
"""`model`, or the path of a Jinja file. The template itself may not stand in an argument."""

PrefixCache = Literal["shared", "salted", "off"]
"""Who hits the prefixes that the engine has computed: all of the endpoint's workloads, those of one team, nobody."""


def _stay_below(path: str) -> str:
    """Refuse a path that leads back up."""
    if ".." in path.partition("://")[2].split("/") or ".." in path.split("/"):
        raise FieldError(
            f"`{path}` leads out of the weights' folder, to other files",
            fix="Write a path below the weights' folder, without `..`",
            refused=True,
        )
    return path


BelowWeights = Annotated[str, AfterValidator(_stay_below)]
"""A path below the weights' mount."""


class WeightStore(Part):
    """An S3-compatible store that holds weights, as a cluster reaches it."""

    endpoint: str
    """URL of the store: https, host and port."""
    address: Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]
    """Its address: a network policy cannot hold a name to anything, and nothing that fetches asks a resolver."""
    region: str = "us-east-1"
    """As requests are signed for it; most stores on-prem take this one."""
    credentials_secret: KubeName
    """Secret in the class's namespace with `credentials`, a shared credentials file of AWS's form. Mounted."""
    ca_bundle: KubeName | None = None
    """ConfigMap with `ca.crt` in the class's namespace: whom to believe to be the store, absent: public authorities."""

    @field_validator("endpoint")
    @classmethod
    def _plain(cls, value: str) -> str:
        # The message does not repeat the value, because it may contain a password.
        if not _HTTPS.fullmatch(value):
            fix = "Write it like https://s3.fra1.bank.example:9000, without credentials"
            raise FieldError("the endpoint of the weight store is not a plain https address", fix=fix)
        return value.rstrip("/")

    @property
    def host(self) -> str:
        return self.endpoint.removeprefix("https://").partition(":")[0]

    @property
    def port(self) -> int:
        return int(self.endpoint.removeprefix("https://").partition(":")[2] or 443)


class WeightCache(Part):
    """Where fetched weights are kept: a volume that a job fills once, or a folder on each machine of the pool."""

    storage_class: KubeName | None = None
    """Storage class whose volumes many machines can mount (ReadWriteMany)."""
    node_path: str | None = None
    """Folder on each machine's own disk, e.g. `/mnt/nvme/isthmus`; in it, `CLASS/` must be there on each."""

    @field_validator("node_path")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not is_folder(value):
            raise FieldError(f"`{value}` {NOT_A_FOLDER}", fix=FOLDER_FIX)
        return value

    @model_validator(mode="after")
    def _one_of_them(self) -> WeightCache:
        if (self.storage_class is None) == (self.node_path is None):
            words = ("neither", "nor") if self.storage_class is None else ("both", "and")
            raise FieldError(
                f"the weight cache has {words[0]} `storage_class` {words[1]} `node_path`", fix=CACHE_FIX
            )
        return self


class Weights(Part):
    """Where a model's weights come from, and what they must be."""

    uri: Annotated[
        str,
        StringConstraints(
            pattern=r"^(pvc://[a-z0-9.-]+(/[\w./-]*)?|oci://\S+@sha256:[0-9a-f]{64}|s3://[a-z0-9.-]+/[\w.@=+/-]*[\w/-])$"
        ),
        AfterValidator(_stay_below),
    ] = Field(examples=["pvc://qwen3-32b"])
    """`pvc://CLAIM[/PATH]`, `oci://REFERENCE@sha256:…` (an image volume), or `s3://BUCKET/PREFIX` with `store` and
    `cache`; on SageMaker `s3://BUCKET/PREFIX/`."""
    digest: Sha256
    """Digest of the weights' manifest; recorded in audit and outputs."""
    volume: str | None = None
    """For `pvc://`: the PersistentVolume to bind the claim to; absent, the claim exists already."""
    size_gib: int = Field(default=200, ge=1)
    """Size of the weights, and of the volume that holds them."""
    precision: str = "bf16"
    """As they are stored; where the endpoint's precision differs, the engine quantizes while loading."""
    store: WeightStore | None = None
    """For `s3://`: where the bucket is."""
    cache: WeightCache | None = None
    """For `s3://`: where they are kept in the cluster."""
    verify: bool = False
    """Read every file and hold it against `SHA256SUMS`, whose own digest is `digest`, before each start. What comes
    from `s3://` is always verified."""
    public_key: KubeName | None = None
    """ConfigMap with `weights.pub` in the class's namespace: whose signature the manifest must bear, in the file
    `SHA256SUMS.sig`. Says `verify` too."""

    @property
    def verified(self) -> bool:
        return self.verify or self.public_key is not None or self.uri.startswith("s3://")


class CompileCache(Part):
    """Where what vLLM compiles at its start (torch.compile, Triton, FlashInfer, DeepGEMM) is kept."""

    place: Literal["pod", "node", "volume"]
    """`pod`: nowhere, each start compiles again. `node`: in the class's folder on the machine's own disk, where
    `weights.cache.node_path` is. `volume`: in a claim of the endpoint's own."""
    storage_class: KubeName | None = None
    """`volume`: storage class whose volumes many machines can mount (ReadWriteMany); absent: the weights' cache's."""
    size_gib: int = Field(default=20, ge=1)
    """`volume`: size of the claim."""


class Adapter(Part):
    """A LoRA adapter beside the base model."""

    name: DnsLabel
    """Name of the adapter."""
    rank: int = Field(ge=1, json_schema_extra={"unit": "dimensions"})
    """LoRA rank of the adapter."""
    size_mib: int = Field(ge=1)
    """Size of its weights."""
    path: BelowWeights | None = None
    """Path below the weights' mount; absent: `adapters/NAME`."""


class Speculative(Part):
    """Tokens guessed ahead and checked in one step: faster answers at the same distribution."""

    method: Literal["ngram", "draft_model", "eagle", "eagle3", "mtp"]
    """How tokens are guessed, as vLLM names it."""
    tokens: int = Field(ge=1, le=16)
    """How many are guessed at a time."""
    path: BelowWeights | None = None
    """The draft model's or the head's path below the weights' mount; `ngram` and `mtp` need none."""


class CandidateEvaluation(Part):
    """The result of `isthmus evaluate` that lets a candidate answer people."""

    file: ResultFile = Field(examples=["kyc-extraction/results/2026-12-01T093000-confidential-llama-v2.json"])
    """The result, below the folder `evaluations` of the project. Its signature is beside it."""
    sha256: Sha256
    """Digest of the result."""


class ReleaseFreeze(Part):
    """A time in which no release of a gateway moves on."""

    begin: datetime.datetime
    """Its first moment, with its time zone."""
    end: datetime.datetime
    """The first moment after it."""

    @model_validator(mode="after")
    def _in_order(self) -> ReleaseFreeze:
        for key, time in (("begin", self.begin), ("end", self.end)):
            if time.tzinfo is None:
                raise FieldError(
                    f"{key} {time.isoformat()} has no time zone",
                    key,
                    fix=f"Write {time.isoformat()}+01:00, or Z",
                )
        if self.end <= self.begin:
            raise FieldError("it ends before it begins", "end", fix="Write a later `end`")
        return self


class AnswerJudge(Part):
    """A model that scores a sample of a release's answers by a rubric, after they have left."""

    workload: DnsLabel
    """Its workload: a chat of the same gateway, so of the same class and site, with another model than it judges."""
    rubric: str = Field(
        min_length=1, max_length=8000, examples=["A right answer names the policy and is polite."]
    )
    """What a right answer has, as in a task of an evaluation. Its digest is on record with each answer."""
    percent: float = Field(default=10, gt=0, le=100)
    """Of the candidate's answers, and of its shadow's. Of the version in use at most four times as many are judged."""
    per_day: int = Field(default=1000, ge=1, le=10_000_000, json_schema_extra={"unit": "answers a day"})
    """Answers of all versions together that are judged on a day (UTC): what the judge costs at most."""


class Canary(Part):
    """A share of a workload's requests goes to another endpoint: a new version, before it takes all."""

    endpoint: DnsLabel
    """The endpoint that takes the share."""
    percent: float = Field(default=0, ge=0, le=99)
    """Of the workload's people and conversations, in steps of 0.001. 0: only evaluations reach it."""
    release: DnsLabel | None = Field(default=None, examples=["2026-12-chat-v2"])
    """Name of this attempt, which chooses the people. A canary that a gateway stopped comes back under another name
    only. Absent: the endpoint and its model."""
    steps: list[Annotated[float, Field(gt=0, le=100, json_schema_extra={"unit": "per cent"})]] = Field(
        default=[], max_length=100, examples=[[1, 5, 25, 50, 100]]
    )
    """Shares, ascending, to which people may move the release with `isthmus release`; `percent` is then 0. Absent: the
    share is `percent`, and each change of it needs `isthmus up`."""
    shadow_percent: float = Field(default=0, ge=0, le=100)
    """Of the people and conversations whose answered requests also go to the candidate, which answers nobody. Needs
    `release`, and a gateway with `database`."""
    shadow_by_token: bool = False
    """Whether a candidate that is billed by the token may get such copies. Each of them costs as a request does."""
    judge: AnswerJudge | None = None
    """Who judges answers of the traffic. Needs `release`, and a gateway with `database`. Absent: nobody."""
    evaluation: CandidateEvaluation | None = None
    """Its official result. Needed as soon as it gets requests of people, or copies of them, except in a sandbox."""

    @model_validator(mode="after")
    def _in_steps(self) -> Canary:
        for before, after in itertools.pairwise(self.steps):
            if after <= before:
                raise FieldError(
                    f"step {after:g} comes after {before:g}, but steps ascend",
                    "steps",
                    fix=f"Write {', '.join(f'{step:g}' for step in sorted(set(self.steps)))}",
                )
        if self.steps and self.percent:
            message = f"percent is {self.percent:g}, but a release with steps begins at 0"
            raise FieldError(message, "percent", fix="Remove `percent`: the first move sets the first step")
        if self.steps and self.release is None:
            message = "steps need a `release`, the name under which people move it"
            raise FieldError(message, "steps", fix="Add `release`, for example 2026-12-chat-v2")
        return self

    @model_validator(mode="after")
    def _shadowed_under_a_name(self) -> Canary:
        if self.shadow_percent and self.release is None:
            raise FieldError(
                "shadow_percent needs release, under which the outcomes are counted",
                "release",
                fix="Add `release: NAME`, a new name for each attempt",
            )
        return self

    @model_validator(mode="after")
    def _judged_under_a_name(self) -> Canary:
        if self.judge is not None and self.release is None:
            raise FieldError(
                "judge needs release, under which the scores are counted",
                "release",
                fix="Add `release: NAME`, a new name for each attempt",
            )
        return self

    @property
    def share(self) -> str:
        """Its share of the requests, as people write it: `5 %`, or `up to 100 %` with steps."""
        return f"up to {self.steps[-1]:g} %" if self.steps else f"{self.percent:g} %"

    @property
    def takes_requests(self) -> bool:
        """Whether it may get requests of people, or copies of them."""
        return self.percent > 0 or bool(self.steps) or self.shadow_percent > 0


class Picker(Part):
    """An endpoint picker of the Inference Extension in the class's namespace. It chooses the replica."""

    service: KubeName
    """Service of the picker."""
    port: int = Field(default=9002, ge=1, le=65535)
    """Port of the Service."""
    labels: dict[str, str] = Field(min_length=1)
    """Of its pods: they may read the replicas' metrics."""


class RouterParameters(Part):
    """An object of the Gateway API's implementation with settings of one Gateway, in the class's namespace."""

    group: str = ""
    """Its API group; empty: core, as of a ConfigMap."""
    kind: str = "ConfigMap"
    """Kind of the object."""
    name: KubeName
    """Name of the object."""


class Router(Part):
    """A Gateway API gateway between the gateway and the model servers: it splits by weight and asks pickers."""

    gateway_class: KubeName
    """GatewayClass of an implementation that puts its proxies into the Gateway's own namespace."""
    service: KubeName
    """The Service that it makes for them there, e.g. `internal-router-istio`."""
    ca: KubeName
    """ConfigMap in the class's namespace with `ca.crt`: who signs gateways and model servers."""
    control_namespace: DnsLabel
    """Where its control plane runs: the proxies may reach it."""
    control_port: int = Field(ge=1, le=65535)
    """Port of the control plane."""
    certificate_secret: KubeName | None = None
    """A TLS Secret in place of a cert-manager Certificate."""
    parameters: RouterParameters | None = None
    """How the implementation makes Service and proxies; absent: Istio's annotation asks for a ClusterIP Service."""


class Scaling(Part):
    """Replicas of an endpoint. If minimum equals maximum, Pulumi sets them; otherwise KEDA scales by load."""

    endpoint: DnsLabel
    """The endpoint that is scaled."""
    min_replicas: int = Field(ge=0)
    """The plan's replicas; or 0 where `cold_start_s` says that callers wait."""
    max_replicas: int = Field(ge=1)
    """The most replicas."""
    waiting: int = Field(default=5, ge=1, json_schema_extra={"unit": "requests per replica"})
    """Requests that wait in the engines' queues, for each replica that is then wanted."""
    kv_cache: float = Field(default=0.8, gt=0, le=1, json_schema_extra={"unit": "share from 0 to 1"})
    """Share of the KV cache in use, of the fullest replica, to which the number of replicas is steered."""
    cooldown_s: int = Field(default=300, ge=30)
    """How long the load must be lower before a replica goes, and before the last one does."""
    cold_start_s: int | None = Field(default=None, ge=60)
    """How long callers may get no answer while the first replica starts: what the SLO allows. Needed for 0."""
    fallback_replicas: int | None = Field(default=None, ge=0)
    """Replicas while nothing measures the load, or those that run if they are more; absent: the endpoint's."""
    authentication: KubeName | None = None
    """TriggerAuthentication in the class's namespace by which KEDA reads the metrics."""

    @field_validator("max_replicas")
    @classmethod
    def _in_order(cls, value: int, info: object) -> int:
        min_replicas = getattr(info, "data", {}).get("min_replicas")
        if min_replicas is not None and value < min_replicas:
            raise FieldError(
                f"max_replicas is {value}, below min_replicas {min_replicas}",
                fix=f"Set max_replicas to {min_replicas} or more",
            )
        return value

    @property
    def by_load(self) -> bool:
        return self.min_replicas != self.max_replicas


def is_folder(path: str) -> bool:
    """Whether a path is an absolute folder path without `..`."""
    return _FOLDER_PATTERN.fullmatch(path) is not None
