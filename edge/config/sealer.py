"""Settings of `mode: sealer`: the records it seals, its signing key and its store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.classes import DataClass
from edge.config.base import File, Health, Name, Strict, is_cloud_host


class SealStore(Strict):
    """Where the seals of a class are: a prefix of a bucket in an S3-compatible store."""

    endpoint: str | None = None
    """Absent: the AWS endpoint of the region."""
    region: Name
    bucket: Name
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]$")]
    credentials: File | None = None
    """A shared credentials file. Absent: the EKS pod identity or the ECS task role. No other identity is used."""
    ca: File | None = None

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


class WriteOnce(SealStore):
    """An S3-compatible store with Object Lock."""

    retention_days: Annotated[int, Field(ge=1, le=36500)]
    """Days for which nobody can delete a seal."""
    content_days: Annotated[int, Field(ge=1, le=3660)] = 30
    """Days for which nobody can delete encrypted content. Its keys are destroyed independently of that."""


def check_store_at_home(data_class: DataClass, store: SealStore) -> None:
    """Raise ValueError if records of class restricted would be in a cloud, or be read with an identity of one."""
    if data_class != "restricted":
        return
    host = (urlsplit(store.endpoint).hostname or "") if store.endpoint else "amazonaws.com"
    if is_cloud_host(host.rstrip(".")):
        raise ValueError(
            f"store.endpoint: records of class restricted must stay on-prem, but {host!r} is a cloud host"
        )
    if store.credentials is None:
        raise ValueError("store.credentials is needed for class restricted. Set it to a credentials file")


class SealerConfig(Strict):
    """`mode: sealer`."""

    mode: Literal["sealer"]
    data_class: DataClass = Field(alias="class")
    site: Name
    records: Path
    """Folder of the gateways' records. The sealer only reads it."""
    seals: Path
    """Folder in which gateways look for the latest seal."""
    signing_key: File
    """Ed25519 key in PEM (`openssl genpkey -algorithm ed25519`). No gateway has it."""
    earlier_keys: File | None = None
    """PEM file of the public keys that belong to earlier signing keys."""
    every_s: Annotated[int, Field(ge=1, le=60)] = 30
    idle_s: Annotated[int, Field(ge=60, le=86400)] = 3600
    """Seconds without records after which an empty seal shows that the sealer runs."""
    store: WriteOnce
    health: Health

    @model_validator(mode="after")
    def _at_home(self) -> SealerConfig:
        check_store_at_home(self.data_class, self.store)
        return self
