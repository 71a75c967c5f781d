"""PostgreSQL, which holds the digests of keys and what was used: where it is, and as whom it is asked."""

from __future__ import annotations

import ipaddress

from pydantic import model_validator

from edge.config.base import File, Name, Port, Strict


class DatabaseConfig(Strict):
    """One database for the gateways of one class at a site."""

    host: Name
    """A name that its certificate bears, or the folder of its socket."""
    port: Port = 5432
    name: Name = "isthmus"
    user: Name
    password: File | None = None
    """Read anew for each connection, so that it can be changed under a running gateway."""
    ca: File | None = None
    """The authority of its certificate. Without one only a socket or the loopback is spoken to."""

    @model_validator(mode="after")
    def _nobody_listens(self) -> DatabaseConfig:
        if self.ca is None and not self._is_here:
            raise ValueError("ca is needed: digests and counts go to another machine under TLS only")
        if self.password is None and not self.host.startswith("/"):
            raise ValueError("password is needed: only a socket's peer is known without one")
        return self

    @property
    def _is_here(self) -> bool:
        try:
            return self.host.startswith("/") or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
