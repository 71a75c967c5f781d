"""Types that the configurations of several modes share: listeners, limits, files, and the errors of a bad file."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge.environment import as_file
from edge.strict_model import Name, Strict

Port = Annotated[int, Field(ge=1, le=65535)]
File = Annotated[Path, BeforeValidator(as_file)]
"""A path, or `env:NAME` for the content of an environment variable (`edge.environment`)."""
Files = Annotated[tuple[File, ...], Field(max_length=8)]

# Domains under which clouds serve models. The network enforces the boundary; this check finds a wrong file early.
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
    """The configuration is invalid. The message names the file and the key. Exit code 2."""

    exit_code = 2


class EnvironmentFault(ConfigError):
    """The machine does not allow what a valid file asks for, such as a port that is in use. Exit code 3."""

    exit_code = 3


class TlsListen(Strict):
    """A TLS listener and its certificate."""

    host: Name
    port: Port
    certificate: File
    key: File


class Listen(TlsListen):
    """A TLS listener. With `client_ca`, clients must present a certificate of this CA."""

    client_ca: File | None = None
    crl: File | None = None
    """PEM file of revocation lists, one for each CA of the clients."""
    client_ca_bundles: Files = ()
    """Files of further CAs whose clients are accepted, for the time in which a CA is replaced."""

    @model_validator(mode="after")
    def _bundles_add_to_one(self) -> Listen:
        if self.client_ca_bundles and self.client_ca is None:
            raise ValueError("client_ca_bundles needs client_ca. Set client_ca, or remove client_ca_bundles")
        if self.crl is not None and self.client_ca is None:
            raise ValueError(
                "crl needs client_ca, because it lists revoked client certificates. Set client_ca, or remove crl"
            )
        return self


class MutualListen(TlsListen):
    """A listener that always demands a client certificate."""

    client_ca: File
    crl: File | None = None
    """PEM file of revocation lists, one for each CA of the clients."""
    client_ca_bundles: Files = ()
    """Files of further CAs whose clients are accepted, for the time in which a CA is replaced."""


def as_range(text: str) -> str:
    """An address range. Raises ValueError for anything else, and for host bits beyond the prefix."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an address range. Write it like 10.40.0.0/16") from None
    return str(network)


class Access(Strict):
    """A second TLS port, for callers from outside the cluster. Connections from other addresses are closed before
    TLS begins.
    """

    port: Port
    source_ranges: Annotated[
        list[Annotated[str, AfterValidator(as_range)]], Field(min_length=1, max_length=64)
    ]
    """Address ranges of the callers. A load balancer must keep the callers' addresses."""


class Health(Strict):
    """The plain HTTP listener of `/health` and `/metrics`."""

    host: Name
    port: Port


class Limits(Strict):
    """Limits of one request in bytes and seconds, and `drain_timeout_s`, the limit for the end of the process."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    request_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300
    drain_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Places that one request is sent to at most. The next place is tried only when the last one accepted nothing."""
    max_connections: Annotated[int, Field(ge=16, le=100_000)] = 2048
    """Client connections at once, limited further by the process's open files. A full listener closes the connection
    that has waited longest for a whole request."""
    max_connections_per_client: Annotated[int, Field(ge=8, le=100_000)] = 1024
    """Connections from one address."""
    answer_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 4096
    """Tokens of each answer if the request sets no maximum and a limit in tokens or USD applies. The gateway reserves
    them and sends them to the model server as `max_tokens`."""
    probe_s: Annotated[float, Field(ge=0.1, le=300)] = 5
    """Seconds between two probes of each place for its health and its queue."""

    @property
    def drain_s(self) -> float:
        """Seconds for running requests after SIGTERM. Default: `request_timeout_s`."""
        return self.drain_timeout_s or self.request_timeout_s


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether an IP address is in one of these networks."""
    ip = ipaddress.ip_address(address)
    return any(ip in ipaddress.ip_network(network) for network in networks)


def is_cloud_host(host: str) -> bool:
    """Whether the host belongs to a cloud provider (`CLOUD_DOMAINS`)."""
    return any(host == domain or host.endswith("." + domain) for domain in CLOUD_DOMAINS)


def is_address(host: str) -> bool:
    """Whether the host is an IP address, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def require_loopback(url: str, example: str) -> str:
    """The URL without a trailing slash. Raises ValueError unless it is http:// on a loopback address."""
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
