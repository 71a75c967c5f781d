"""Settings of `mode: sidecar`: the clients that may call the model server on the pod's loopback address."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from edge.classes import DataClass
from edge.config.base import Health, Limits, MutualListen, Name, Strict, require_loopback


class SidecarConfig(Strict):
    """`mode: sidecar`."""

    mode: Literal["sidecar"]
    data_class: DataClass = Field(alias="class")
    listen: MutualListen
    allowed_clients: Annotated[list[Name], Field(min_length=1)]
    health: Health
    upstream: str
    limits: Limits = Limits()

    @field_validator("upstream")
    @classmethod
    def _loopback(cls, url: str) -> str:
        return require_loopback(url, "http://127.0.0.1:8000")
