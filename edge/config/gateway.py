"""`mode: gateway`: its callers, and the ways of one class."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.base import DataClass, File, Health, Limits, Listen, Name, Strict, in_cloud


class UpstreamTls(Strict):
    """What the gateway shows to model servers and translators, and the CA it believes."""

    certificate: File
    key: File
    ca: File


class Place(Strict):
    """An upstream: its address, the name its certificate must bear, the model's name there."""

    url: str
    server_name: Name
    model: Name

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must be https://host:port without a path")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, query or fragment")
        return url.rstrip("/")


class Canary(Place):
    """Another upstream, which takes a share of the workload's requests."""

    percent: Annotated[float, Field(ge=0.001, le=99.999)]


class Route(Place):
    """One workload's way: its upstream, what it is asked for, and by whose salt its prefixes are cached."""

    workload: Name
    task: Literal["chat", "embedding", "rerank"] = "chat"
    cache_salt: Name | None = None
    canary: Canary | None = None
    named: bool = False
    """Whether the workload's name goes along in a header, for a router on the way to choose by."""

    @model_validator(mode="after")
    def _salted(self) -> Route:
        if self.cache_salt is not None and self.task != "chat":
            raise ValueError("cache_salt: only chat requests take one")
        return self

    def of_canary(self) -> Route | None:
        """The same way to the canary."""
        if self.canary is None:
            return None
        return self.model_copy(update={**self.canary.model_dump(exclude={"percent"}), "canary": None})


class GatewayConfig(Strict):
    """`mode: gateway`."""

    mode: Literal["gateway"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: Listen
    health: Health
    callers: File
    upstream_tls: UpstreamTls
    limits: Limits = Limits()
    routes: Annotated[list[Route], Field(min_length=1)]

    @model_validator(mode="after")
    def _boundaries(self) -> GatewayConfig:
        if self.listen.client_ca is None and self.data_class != "public":
            raise ValueError(f"listen.client_ca is needed: class {self.data_class} demands mutual TLS")
        seen: set[str] = set()
        for route in self.routes:
            if route.workload in seen:
                raise ValueError(f"routes names workload {route.workload!r} twice")
            seen.add(route.workload)
            for place in (route, route.canary):
                if place is None or self.data_class != "restricted":
                    continue
                host = (urlsplit(place.url).hostname or "").rstrip(".")
                if in_cloud(host) or in_cloud(place.server_name):
                    raise ValueError(
                        f"routes leads restricted workload {route.workload!r} out of the site, to {host!r}"
                    )
        return self
