"""Settings `tokens`: access tokens of the organisation's sign-on, by which people call a gateway or open a page."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from edge.config.base import File, Name, Strict, is_cloud_host

_URL = re.compile(r"https?://[^/@?#\s]+(/[^@?#\s]*)?")
LOOPBACK = ("127.0.0.1", "localhost")


class Grant(Strict):
    """Groups whose people may use a workload."""

    workload: Name
    groups: Annotated[list[Name], Field(min_length=1)]


class AcceptedTokens(Strict):
    """Access tokens (JWT) of one issuer, and which of them are accepted."""

    issuer: Annotated[str, Field(pattern=_URL.pattern)]
    """Claim `iss`, exactly."""
    audiences: Annotated[list[Name], Field(min_length=1)]
    """Claim `aud` must name one of them."""
    clients: list[Name] = []
    """Applications of the issuer whose tokens are accepted (claim `azp`, `client_id` or `appid`). Absent: all."""
    jwks_file: File | None = None
    """The issuer's public keys. It is read again when it changes."""
    jwks_url: Annotated[str, Field(pattern=_URL.pattern)] | None = None
    """Where the issuer publishes its public keys."""
    ca: File | None = None
    """CA of `jwks_url`. Absent: the machine's own."""
    groups_claim: Name = "groups"
    subject_claim: Name = "sub"
    """What names a person for good: `sub`, or `oid` with Entra."""
    name_claim: Name = "email"
    """The name by which reviewers and erasures know a person. Absent in a token: the subject."""
    skew_s: Annotated[int, Field(ge=0, le=300)] = 60
    """Seconds by which clocks may differ."""
    max_lifetime_s: Annotated[int, Field(ge=60, le=5400)] = 600
    """Longest life of a token that is accepted, `exp` minus `iat`: who leaves a group is out after this time."""

    @model_validator(mode="after")
    def _has_keys(self) -> AcceptedTokens:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("set either jwks_file or jwks_url")
        if self.ca is not None and self.jwks_url is None:
            raise ValueError("ca is for jwks_url. Remove it, or set jwks_url")
        for url in (self.issuer, self.jwks_url or ""):
            parts = urlsplit(url)
            if parts.scheme == "http" and parts.hostname not in LOOPBACK:
                raise ValueError(f"{url} must be https")
        return self

    def reads_keys_of_a_cloud(self) -> str | None:
        """The cloud host from which the issuer's keys are read, or None."""
        host = urlsplit(self.jwks_url or "").hostname or ""
        return host if is_cloud_host(host) else None


class Tokens(AcceptedTokens):
    """Tokens that a gateway or a chat accepts. They add to keys and certificates, and widen neither."""

    through: list[Name] = []
    """DNS names or SPIFFE ids of the certificates that may present tokens, such as a proxy's. Needed with
    `listen.client_ca`."""
    workloads: Annotated[list[Grant], Field(min_length=1)]
    owners: list[Grant] = []
    """Groups whose people own a workload: they see what it has used of its limits."""

    def problem(self, config: Any) -> str | None:
        """The first setting that does not fit the gateway, as a message, or None. `config`: a `GatewayConfig`."""
        if config.listen.client_ca is not None and not self.through:
            return "tokens.through is needed with listen.client_ca. Name the certificates that may present tokens"
        if config.audit is None:
            return "tokens needs `audit`, whose site_key makes people's pseudonyms. Add `audit`"
        if self.through and config.listen.client_ca is None:
            return "tokens.through needs listen.client_ca, which verifies the certificates"
        host = self.reads_keys_of_a_cloud()
        if config.data_class == "restricted" and host is not None:
            return f"tokens.jwks_url: restricted must read its issuer's keys on the site, but {host!r} is a cloud host"
        known = {workload.name for workload in config.workloads} | {route.workload for route in config.routes}
        for name, grants in (("workloads", self.workloads), ("owners", self.owners)):
            unknown = [grant.workload for grant in grants if grant.workload not in known]
            if unknown:
                return f"tokens.{name}: {unknown[0]!r} is no workload of this gateway"
        return None
