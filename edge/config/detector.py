"""`mode: detector`: by which rules texts are looked through, on this pod's loopback."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edge.config.base import DataClass, Health, Strict
from edge.redaction.rules import Rules


class DetectorConfig(Strict):
    """`mode: detector`."""

    mode: Literal["detector"]
    data_class: DataClass = Field(alias="class")
    listen: Health
    """Loopback only: what comes here is what redaction has not seen yet."""
    health: Health
    rules: Rules = Rules()
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes, each with the models in its memory."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 16 * 1024 * 1024

    @field_validator("listen")
    @classmethod
    def _loopback(cls, listen: Health) -> Health:
        try:
            loopback = ipaddress.ip_address(listen.host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError("host must be a loopback address: the detector speaks no TLS")
        return listen
