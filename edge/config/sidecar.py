"""`mode: sidecar`: who may ask the model server on this pod's loopback."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from edge.config.base import DataClass, Health, Limits, MutualListen, Name, Strict


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
        parts = urlsplit(url)
        try:
            loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            loopback = False
        if (
            parts.scheme != "http"
            or not loopback
            or parts.path not in ("", "/")
            or parts.query
            or parts.username
        ):
            raise ValueError("must be http:// on a loopback address, such as http://127.0.0.1:8000")
        return url.rstrip("/")
