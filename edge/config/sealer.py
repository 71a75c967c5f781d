"""`mode: sealer`: whose records it seals, under which key, and into which store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import DataClass, File, Health, Name, Strict, is_cloud_host


class WriteOnce(Strict):
    """An S3-compatible store with Object Lock."""

    endpoint: str | None = None
    """Absent: AWS's own of the region."""
    region: Name
    bucket: Name
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]$")]
    credentials: File | None = None
    """A shared credentials file. Absent: what the pod or the task is given by its place (EKS pod identity, ECS task
    role); no other identity is looked for."""
    ca: File | None = None
    retention_days: Annotated[int, Field(ge=1, le=36500)]
    """How long nobody can delete a seal."""
    content_days: Annotated[int, Field(ge=1, le=3660)] = 30
    """How long nobody can delete what was encrypted; its keys are destroyed apart from that."""

    @field_validator("endpoint")
    @classmethod
    def _https(cls, url: str | None) -> str | None:
        address = urlsplit(url or "https://x")
        loopback = address.hostname in ("127.0.0.1", "::1")
        if address.scheme != "https" and not (address.scheme == "http" and loopback):
            raise ValueError("must be https://, or http:// on loopback")
        if not address.hostname or address.username or address.query or address.path not in ("", "/"):
            raise ValueError("must be https://host:port without user, path or query")
        return url


class SealerConfig(Strict):
    """`mode: sealer`."""

    mode: Literal["sealer"]
    data_class: DataClass = Field(alias="class")
    site: Name
    records: Path
    """The gateways' folder of records; it is only read."""
    seals: Path
    """The folder in which the gateways look for the latest seal."""
    signing_key: File
    """Ed25519, PEM (`openssl genpkey -algorithm ed25519`); no gateway has it."""
    earlier_keys: File | None = None
    """Public keys, PEM, of the keys that signed before this one."""
    every_s: Annotated[int, Field(ge=1, le=60)] = 30
    idle_s: Annotated[int, Field(ge=60, le=86400)] = 3600
    """After so long without records an empty seal says that the sealer is there."""
    store: WriteOnce
    health: Health

    @model_validator(mode="after")
    def _at_home(self) -> SealerConfig:
        host = (urlsplit(self.store.endpoint).hostname or "") if self.store.endpoint else "amazonaws.com"
        if self.data_class == "restricted" and is_cloud_host(host.rstrip(".")):
            raise ValueError(
                f"store.endpoint: records of class restricted are sealed on-prem, not at {host!r}"
            )
        if self.data_class == "restricted" and self.store.credentials is None:
            raise ValueError(
                "store.credentials: a restricted sealer bears no identity of a cloud's; name a file"
            )
        return self
