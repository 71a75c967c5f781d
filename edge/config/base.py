"""What every mode's part of the file is made of."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from edge.environment import as_file
from edge.strict_model import Name, Strict

DataClass = Literal["public", "internal", "confidential", "restricted"]
Port = Annotated[int, Field(ge=1, le=65535)]
File = Annotated[Path, BeforeValidator(as_file)]
"""A path, or `env:NAME`: the content of an environment variable (`edge.environment`)."""
Files = Annotated[tuple[File, ...], Field(max_length=8)]

# Names under which clouds serve models. The network is the boundary; this catches a wrong file early.
CLOUD_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "azure.com",
    "googleapis.com",
    "openai.com",
    "anthropic.com",
)


class ConfigError(Exception):
    """The configuration is wrong: one paragraph that names the file and the key. Exit code 2."""

    exit_code = 2


class EnvironmentFault(ConfigError):
    """The machine is wrong, not the file: a port that is taken. Exit code 3."""

    exit_code = 3


class TlsListen(Strict):
    """The TLS listener and what it shows."""

    host: Name
    port: Port
    certificate: File
    key: File


class Listen(TlsListen):
    """With `client_ca`, a client must show a certificate that this CA signed."""

    client_ca: File | None = None
    crl: File | None = None
    """PEM: the revocation lists, one for each CA of the clients."""
    client_ca_bundles: Files = ()
    """Files with further CAs, whose clients are let in too: the old and the new one while a CA is replaced."""

    @model_validator(mode="after")
    def _bundles_add_to_one(self) -> Listen:
        if self.client_ca_bundles and self.client_ca is None:
            raise ValueError(
                "client_ca_bundles add to client_ca, and there is none. Set client_ca, or leave them out"
            )
        if self.crl is not None and self.client_ca is None:
            raise ValueError("crl needs client_ca: it says which client certificates are revoked")
        return self


class MutualListen(TlsListen):
    """A listener that always demands a client certificate."""

    client_ca: File
    crl: File | None = None
    """PEM: the revocation lists, one for each CA of the clients."""
    client_ca_bundles: Files = ()
    """Files with further CAs, whose clients are let in too: the old and the new one while a CA is replaced."""


class Health(Strict):
    """The plain HTTP listener: `/health` and `/metrics` only."""

    host: Name
    port: Port


class Limits(Strict):
    """Bytes and seconds that one request may take; `drain_timeout_s` bounds the end of the process."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    request_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300
    drain_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Places that one request is offered to. The next is asked only when the one before took nothing of it."""
    max_connections: Annotated[int, Field(ge=16, le=100_000)] = 2048
    """Of clients at once, as far as the process may open files. A full listener gives up the connection that has waited
    longest for a whole request."""
    max_connections_per_client: Annotated[int, Field(ge=8, le=100_000)] = 1024
    """From one address."""
    answer_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 4096
    """Of each answer, where the request states no maximum and a limit in tokens or USD applies: so much is reserved,
    and the model server is told to write no more."""
    probe_s: Annotated[float, Field(ge=0.1, le=300)] = 5
    """How often each place is asked for its health and for how many wait there."""

    @property
    def drain_s(self) -> float:
        """Seconds for running requests after SIGTERM: as long as one may take, unless the file says less."""
        return self.drain_timeout_s or self.request_timeout_s


def is_cloud_host(host: str) -> bool:
    """Whether a host is a cloud's."""
    return any(host == domain or host.endswith("." + domain) for domain in CLOUD_DOMAINS)


def require_loopback(url: str, example: str) -> str:
    """An address of this pod or machine alone, without a slash at its end. Raises ValueError."""
    address = urlsplit(url)
    try:
        loopback = ipaddress.ip_address(address.hostname or "").is_loopback
    except ValueError:
        loopback = False
    if (
        address.scheme != "http"
        or not loopback
        or address.path not in ("", "/")
        or address.query
        or address.username
    ):
        raise ValueError(f"must be http:// on a loopback address, such as {example}")
    return url.rstrip("/")
