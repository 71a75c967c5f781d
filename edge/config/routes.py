"""Where a workload's requests go: places of its class, and at most one beyond them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import Name, Strict

Usd = Annotated[float, Field(ge=0, le=1_000_000)]


class TokenPrice(Strict):
    """USD for a million tokens, where a provider charges by them."""

    prompt: Usd
    completion: Usd


class Server(Strict):
    """A model server: its address, the name its certificate must bear, and the model's name there."""

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
            raise ValueError("must hold no user, query or fragment")
        return url.rstrip("/")

    @property
    def host(self) -> str:
        """Without the port."""
        return (urlsplit(self.url).hostname or "").rstrip(".")


class Place(Server):
    """An upstream, and what it costs."""

    target: Literal["onprem-vllm", "eks-vllm", "sagemaker", "bedrock"] | None = None
    """On what it runs, for the audit record."""
    site: Name | None = None
    """Where it stands. What goes to another site than the gateway's own leaves it; where neither this nor `target`
    says that it stays, it leaves too."""
    model_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Of the weights' manifest, for the audit record."""
    gpus: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """All behind the address, replicas together; absent: no GPU time is accounted."""
    usd_per_gpu_hour: Usd | None = None
    usd_per_million_tokens: TokenPrice | None = None
    vllm_fields: bool | None = None
    """Whether vLLM's own request fields (`top_k`, `structured_outputs`, …) may go there; absent: where `target` says
    that it is vLLM."""

    @property
    def takes_vllm_fields(self) -> bool:
        """What the file says, or what follows of the target."""
        vllm_fields = self.vllm_fields
        return self.target in ("onprem-vllm", "eks-vllm") if vllm_fields is None else vllm_fields

    @model_validator(mode="after")
    def _priced_once(self) -> Place:
        if self.usd_per_gpu_hour is not None and self.gpus is None:
            raise ValueError("usd_per_gpu_hour needs gpus")
        if self.usd_per_gpu_hour is not None and self.usd_per_million_tokens is not None:
            raise ValueError("a place costs by the GPU or by the token, not by both")
        return self


class Canary(Place):
    """Another upstream, which takes a share of the workload's requests."""

    percent: Annotated[float, Field(ge=0.001, le=99.999)]


class Overflow(Place):
    """Where requests go that the class's own places cannot take: the translator, for chat only."""

    when_waiting: Annotated[int, Field(ge=1)] | None = None
    """Also when so many wait at each of the own places; absent: only when none of those can be reached."""


class Route(Place):
    """One model of a workload: its first upstream, others that are as good, and what it is asked for."""

    workload: Name
    name: Name = ""
    """By which callers know it; absent: the workload's own. What serves it can change, the name stays."""
    task: Literal["chat", "embedding", "rerank"] = "chat"
    completions: bool = False
    """Whether `/v1/completions` is served too: a model server of the class does, the translator does not."""
    cache_salt: Name | None = None
    """Who shares cached prefixes: a team or a workload. With `salt_key` its HMAC goes along in its place."""
    also: list[Place] = []
    canary: Canary | None = None
    overflow: Overflow | None = None
    named: bool = False
    """Whether the workload's name goes along in a header, for a router on the way to choose by."""

    @model_validator(mode="after")
    def _of_chat(self) -> Route:
        if self.task != "chat":
            for key in ("cache_salt", "overflow"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: only chat requests take one")
            if self.completions:
                raise ValueError("completions: only a model that chats completes text")
        return self

    @property
    def called(self) -> str:
        """The model's name for callers."""
        return self.name or self.workload

    @property
    def own(self) -> list[Place]:
        """The places of the class, the first before the others."""
        fields = {field: getattr(self, field) for field in Place.model_fields}
        return [Place.model_construct(**fields), *self.also]

    @property
    def places(self) -> list[Place]:
        """All that a request of this route can reach."""
        return [*self.own, *filter(None, (self.canary, self.overflow))]
