"""Prices of endpoints for the gateway's accounts, and the collector of its traces. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.platform.model.records import Address
from isthmus.contracts.vocabulary import KubeName, Part
from isthmus.core.errors import FieldError

Usd = Annotated[float, Field(ge=0, le=1_000_000)]


class TokenPrice(Part):
    """USD per million tokens, for providers that charge by the token."""

    prompt: Usd = Field(json_schema_extra={"unit": "USD per million tokens"})
    """Price of prompts."""
    completion: Usd = Field(json_schema_extra={"unit": "USD per million tokens"})
    """Price of answers."""
    cached: Usd | None = Field(default=None, json_schema_extra={"unit": "USD per million tokens"})
    """Price of the prompts' tokens that the provider's cache had. Absent: not known, so they cost as much as others."""


class EndpointCost(Part):
    """Price of an endpoint's work in accounts: per GPU hour or per token. Stated, it replaces that of the plan."""

    usd_per_gpu_hour: Usd | None = None
    """Price of one GPU for an hour."""
    usd_per_million_tokens: TokenPrice | None = None
    """Price of a million tokens."""
    source: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, examples=["AWS price list eu-central-1"]
    )
    """Where the price is from. Needed for models that AWS serves."""
    as_of: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, examples=["2026-11-02"]
    )
    """The day of the price. Needed for models that AWS serves."""

    @model_validator(mode="after")
    def _one_of_two(self) -> EndpointCost:
        if (self.usd_per_gpu_hour is None) == (self.usd_per_million_tokens is None):
            fix = "Write `usd_per_gpu_hour: 1.4`, or `usd_per_million_tokens: {prompt: 1.1, completion: 5.5}`"
            raise FieldError(
                "`cost` needs exactly one of usd_per_gpu_hour and usd_per_million_tokens", fix=fix
            )
        return self


class Traces(Part):
    """A collector of OTLP traces over HTTP. Traces have times and names of requests, never prompts or answers."""

    endpoint: Annotated[
        str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._/-]*$")
    ]
    """Its address with the path, e.g. https://collector.site.example:4318/v1/traces."""
    address: Address
    """By which it is reached: a network policy cannot hold a name to anything."""
    ca: KubeName | None = None
    """ConfigMap in the class's namespace with `ca.crt`: who signs it; absent: the public authorities."""
    share: float = Field(default=1.0, ge=0, le=1, json_schema_extra={"unit": "share from 0 to 1"})
    """Of the requests about which no caller has decided."""
