"""Settings `routes[]`: the upstreams of a workload's model, its canary and its overflow."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import Name, Strict

Usd = Annotated[float, Field(ge=0, le=1_000_000)]


class TokenPrice(Strict):
    """USD for a million tokens, for providers that charge by the token."""

    prompt: Usd
    completion: Usd


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
    gpus: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """GPUs of all replicas behind the address. Absent: no GPU time is accounted."""
    usd_per_gpu_hour: Usd | None = None
    usd_per_million_tokens: TokenPrice | None = None
    vllm_fields: bool | None = None
    """Whether vLLM's own request fields (`top_k`, `structured_outputs`, …) pass. Default: if `target` is vLLM."""

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


class Canary(Place):
    """An upstream that receives a share of the workload's requests."""

    percent: Annotated[float, Field(ge=0.001, le=99.999)]


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
    completions: bool = False
    """Whether `/v1/completions` is served too. Model servers support it, the translator does not."""
    cache_salt: Name | None = None
    """Team or workload whose requests share cached prefixes. With `salt_key`, its HMAC is sent instead of the name."""
    also: list[Place] = []
    canary: Canary | None = None
    overflow: Overflow | None = None
    named: bool = False
    """Whether a header carries the workload's name, for a router between gateway and model server."""

    @model_validator(mode="after")
    def _of_chat(self) -> Route:
        if self.task != "chat":
            for key in ("cache_salt", "overflow"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} is for task chat only")
            if self.completions:
                raise ValueError("completions is for task chat only")
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
        return [*self.own, *filter(None, (self.canary, self.overflow))]
