"""Settings of `mode: translator`: the AWS models that a class may use, and the network path to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from edge.config.base import File, Health, Limits, MutualListen, Name, Strict


class Guardrail(Strict):
    """The Bedrock guardrail of every call. It needs a version number, because a draft can change."""

    id: Annotated[
        str, Field(pattern=r"^([a-z0-9]{1,64}|arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:guardrail/[a-z0-9]+)$")
    ]
    version: Annotated[str, Field(pattern=r"^[1-9]\d{0,7}$")]


class CalledModel(Strict):
    """A model that the gateway calls by `name`, and where AWS serves it."""

    name: Name
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    endpoint_url: str | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("must be an http(s) address or null")
        return url


class BedrockModel(CalledModel):
    """A model of Amazon Bedrock, and the inference profile that serves it.

    The translator calls `model_id`: an application inference profile or provisioned throughput. If it is absent, it
    calls `inference_profile`, which in any case decides the model's request format.
    """

    provider: Literal["bedrock"] = "bedrock"
    inference_profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:/_-]{2,2047}$")]
    model_id: (
        Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:[a-z-]+/[A-Za-z0-9.:_-]+$")]
        | None
    ) = None
    guardrail: Guardrail | None = None


class SageMakerModel(CalledModel):
    """A model on an endpoint of Amazon SageMaker that speaks chat completions."""

    provider: Literal["sagemaker"]
    endpoint: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")]
    model: Name
    """The model's name at the endpoint."""


def _provider(value: Any) -> Any:
    provider = value.get("provider") if isinstance(value, dict) else getattr(value, "provider", None)
    return "bedrock" if provider is None else provider


AnyModel = Annotated[
    Annotated[BedrockModel, Tag("bedrock")] | Annotated[SageMakerModel, Tag("sagemaker")],
    Discriminator(_provider),
]
"""A model without `provider` is a Bedrock model."""
PROVIDERS = ("bedrock", "sagemaker")


class Outbound(Strict):
    """The path to AWS: a forward proxy, and a CA file that replaces the public CAs."""

    proxy: Annotated[str, Field(pattern=r"^http://[0-9.]+:[0-9]{1,5}$")] | None = None
    no_proxy: list[Name] = []
    ca: File | None = None


class TranslatorConfig(Strict):
    """Settings of `mode: translator`. Restricted data has no translator, because it has no path to AWS."""

    mode: Literal["translator"]
    data_class: Literal["public", "internal", "confidential"] = Field(alias="class")
    listen: MutualListen
    allowed_clients: Annotated[list[Name], Field(min_length=1)]
    health: Health
    limits: Limits = Limits()
    outbound: Outbound = Outbound()
    models: Annotated[list[AnyModel], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_ways(self) -> TranslatorConfig:
        if self.data_class == "confidential" and self.outbound != Outbound():
            raise ValueError(
                "outbound is not allowed for class confidential, whose requests go to private endpoints only"
            )
        if self.data_class != "public" and self.outbound.proxy:
            raise ValueError("outbound.proxy is for class public only. Other classes use private endpoints")
        return self

    @model_validator(mode="after")
    def _models(self) -> TranslatorConfig:
        names: set[str] = set()
        for model in self.models:
            if model.name in names:
                raise ValueError(f"models names {model.name!r} twice")
            names.add(model.name)
            if isinstance(model, SageMakerModel):
                continue
            if model.inference_profile.startswith("global.") and self.data_class != "public":
                raise ValueError(
                    f"models: {model.inference_profile!r} may serve from any region. Only class public may use it"
                )
        return self
