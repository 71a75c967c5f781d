"""Settings of `mode: detector`: the redaction rules, the loopback listener and the number of workers."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edge.classes import DataClass
from edge.config.base import Health, Strict
from edge.redaction.rules import Rules


class DetectorConfig(Strict):
    """`mode: detector`."""

    mode: Literal["detector"]
    data_class: DataClass = Field(alias="class")
    listen: Health
    """Loopback only, because the texts that come here are not redacted yet."""
    health: Health
    rules: Rules = Rules()
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Worker processes. Each has the models in its memory."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 16 * 1024 * 1024

    @field_validator("listen")
    @classmethod
    def _loopback(cls, listen: Health) -> Health:
        try:
            loopback = ipaddress.ip_address(listen.host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError(
                "host must be a loopback address such as 127.0.0.1, because the detector has no TLS"
            )
        return listen
