"""Settings `routes[]`: the upstreams of a workload's model, its canary and its overflow."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import Name, Strict, is_address
from edge.interface_names import GENERATING, Interface

Usd = Annotated[float, Field(ge=0, le=1_000_000)]


class TokenPrice(Strict):
    """USD for a million tokens, for providers that charge by the token."""

    prompt: Usd
    completion: Usd
    cached: Usd | None = None
    """Of the prompt's tokens that the provider's cache had. Absent: not known, so they cost as much as others."""


class Server(Strict):
    """A model server: its URL, the name in its certificate, and the model's name there."""

    url: str
    server_name: Name
    model: Name

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, url: str) -> str:
        address = urlsplit(url)
        if address.scheme != "https" or not address.hostname or address.path not in ("", "/"):
            raise ValueError("must be https://host:port without a path")
        if address.username or address.password or address.query or address.fragment:
            raise ValueError("must not have a user, query or fragment")
        return url.rstrip("/")

    @property
    def host(self) -> str:
        """Host name of the URL, without the port."""
        return (urlsplit(self.url).hostname or "").rstrip(".")


class Place(Server):
    """An upstream and its price."""

    target: Literal["onprem-vllm", "eks-vllm", "sagemaker", "bedrock"] | None = None
    """Platform that it runs on, for the audit record."""
    site: Name | None = None
    """Site of the upstream. Requests to another site than the gateway's count as leaving the site. They also count as
    leaving if neither `site` nor `target` shows that they stay."""
    model_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the weights' manifest, for the audit record."""
    by_replica: bool = False
    """Whether the URL's host name lists the address of each replica, as a headless Service does. The gateway then
    chooses the replica of each request, and measures health, load and GPU time of each."""
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """With `by_replica`: the replicas that `gpus` and `concurrency` count. Absent: those that the host name lists, and
    `concurrency` does not follow their number."""
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests at once that all replicas behind the address serve within their goals, for this copy of the gateway.
    Further requests wait in the gateway. Absent: every request is sent at once."""
    gpus: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """GPUs of all replicas behind the address. Absent: no GPU time is accounted."""
    usd_per_gpu_hour: Usd | None = None
    usd_per_million_tokens: TokenPrice | None = None
    vllm_fields: bool | None = None
    """Whether vLLM's own request fields (`top_k`, `structured_outputs`, …) pass. Default: if `target` is vLLM."""
    probed: bool | None = None
    """With `model_probes`: whether the model there is asked. Default: if it is not billed by the token. Set it to false
    for a model that scales to zero: a probe would wake it."""

    @property
    def is_probed(self) -> bool:
        """The setting `probed`, or its default from `target` and price."""
        by_token = self.target == "bedrock" or self.usd_per_million_tokens is not None
        return not by_token if self.probed is None else self.probed

    @property
    def has_price(self) -> bool:
        """Whether the cost of a request there is known."""
        return self.usd_per_gpu_hour is not None or self.usd_per_million_tokens is not None

    @property
    def takes_vllm_fields(self) -> bool:
        """The setting `vllm_fields`, or its default from `target`."""
        vllm_fields = self.vllm_fields
        return self.target in ("onprem-vllm", "eks-vllm") if vllm_fields is None else vllm_fields

    @model_validator(mode="after")
    def _priced_once(self) -> Place:
        if self.usd_per_gpu_hour is not None and self.gpus is None:
            raise ValueError("usd_per_gpu_hour needs gpus")
        if self.usd_per_gpu_hour is not None and self.usd_per_million_tokens is not None:
            raise ValueError("set either usd_per_gpu_hour or usd_per_million_tokens, not both")
        return self

    @model_validator(mode="after")
    def _listed_by_name(self) -> Place:
        if self.replicas is not None and not self.by_replica:
            raise ValueError("replicas needs by_replica. Set by_replica: true, or remove replicas")
        if self.by_replica and is_address(self.host):
            raise ValueError(
                f"by_replica needs a host name that lists the replicas, but the url has the address {self.host}"
            )
        return self


class JudgeModel(Strict):
    """A model that scores a sample of a release's answers by a rubric: one of the same gateway, so of its class."""

    workload: Name
    """Its workload. The model is the workload's own."""
    rubric: Annotated[str, Field(min_length=1, max_length=8000)]
    """What a right answer has."""
    percent: Annotated[float, Field(gt=0, le=100)]
    """Share of the candidate's answers that are judged, and of its shadow's."""
    per_day: Annotated[int, Field(ge=1, le=10_000_000)]
    """Answers of all versions together that are judged on a day (UTC)."""


class Canary(Place):
    """An upstream that receives a share of the workload's requests."""

    percent: Annotated[float, Field(ge=0, le=99.999)]
    """Share of the workload's people and conversations. 0: only evaluations reach it."""
    release: Name | None = None
    """Name of this attempt. A stopped canary comes back under another name only. Absent: its server and model."""
    steps: list[Annotated[float, Field(gt=0, le=100)]] = []
    """Shares in percent, ascending, that people may move the release to. The last move in the database decides the
    share, and `percent` is 0. Empty: the share is `percent`."""
    shadow_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Share of people and conversations of which answered requests are sent to it too, and its answers dropped."""
    two_people: bool = False
    """Whether a `start` or `next` counts only if a second person has approved it."""
    judge: JudgeModel | None = None
    """Absent: no answers are judged."""

    @model_validator(mode="after")
    def _in_steps(self) -> Canary:
        if any(after <= before for before, after in itertools.pairwise(self.steps)):
            raise ValueError("steps must ascend")
        if self.steps and self.percent:
            raise ValueError("percent must be 0 with steps, because a release begins with its first move")
        if self.steps and self.release is None:
            raise ValueError("steps needs `release`, the name under which people move it")
        return self

    @model_validator(mode="after")
    def _counted_under_a_name(self) -> Canary:
        if self.shadow_percent and self.release is None:
            raise ValueError(
                "shadow_percent needs release, under which the outcomes are counted. Add `release`"
            )
        if self.judge is not None and self.release is None:
            raise ValueError("judge needs release, under which the scores are counted. Add `release`")
        return self


class Overflow(Place):
    """The translator, for chat requests that the class's own places cannot serve."""

    when_waiting: Annotated[int, Field(ge=1)] | None = None
    """Overflow also when so many requests wait at each own place. Absent: only if no own place can be reached."""


class Route(Place):
    """One model of a workload: its first upstream, its equivalents (`also`), and its task."""

    workload: Name
    name: Name = ""
    """The model's name for callers. Absent: the workload's name. It stays when another model serves the route."""
    task: Literal["chat", "embedding", "rerank"] = "chat"
    interfaces: list[Interface] = []
    """What is served beside the task's own path. `completions` and `tokenize` never go to the translator."""
    cache_salt: Name | None = None
    """Team or workload whose requests share cached prefixes. With `salt_key`, its HMAC is sent instead of the name."""
    also: list[Place] = []
    canary: Canary | None = None
    overflow: Overflow | None = None
    fallback: Annotated[list[Place], Field(max_length=4)] = []
    """Other models of the class, in order, for chats that the route's own model cannot serve: it is not available, at
    its limit or fails before its answer begins, or the prompt is longer than its context."""
    named: bool = False
    """Whether a header carries the workload's name, for a router between gateway and model server."""

    @model_validator(mode="after")
    def _of_chat(self) -> Route:
        if self.task != "chat":
            for key in ("cache_salt", "overflow", "fallback"):
                if getattr(self, key):
                    raise ValueError(f"{key} is for task chat only")
            if generating := sorted(GENERATING.intersection(self.interfaces)):
                raise ValueError(f"interfaces: {generating[0]} is for task chat only")
        return self

    @property
    def called(self) -> str:
        """The model's name for callers."""
        return self.name or self.workload

    @property
    def own(self) -> list[Place]:
        """The places of the class: the route's own place first, then `also`."""
        fields = {field: getattr(self, field) for field in Place.model_fields}
        return [Place.model_construct(**fields), *self.also]

    @property
    def places(self) -> list[Place]:
        """All places that a request of this route can reach."""
        return [*self.own, *filter(None, (self.canary, self.overflow)), *self.fallback]
