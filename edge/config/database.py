"""Settings `database`: the PostgreSQL server that holds key digests and usage counts."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import ValidationError, model_validator

from edge.config.base import ConfigError, File, Name, Port, Strict
from edge.config.yaml_file import read_yaml


class DatabaseConfig(Strict):
    """The database that the gateways of one class at one site share."""

    host: Name
    """Host name in the server's certificate, or the folder of its socket."""
    port: Port = 5432
    name: Name = "isthmus"
    user: Name
    password: File | None = None
    """Read for each new connection, so that it can be changed while the gateway runs."""
    ca: File | None = None
    """CA of the server's certificate. Without it, only a socket or a loopback address is allowed."""

    @model_validator(mode="after")
    def _nobody_listens(self) -> DatabaseConfig:
        if self.ca is None and not self._is_here:
            raise ValueError(
                "ca is needed for a database on another machine. Set ca to the CA file of the server"
            )
        if self.password is None and not self.host.startswith("/"):
            raise ValueError(
                "password is needed unless host is a socket. Set password to a file with the password"
            )
        return self

    @property
    def _is_here(self) -> bool:
        try:
            return self.host.startswith("/") or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_database_settings(path: Path) -> DatabaseConfig:
    """The settings in a file of their own, as `python -m edge.keys` takes them. Raises ConfigError."""
    try:
        return DatabaseConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}.") from None
