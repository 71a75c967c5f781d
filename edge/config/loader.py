"""Settings of `mode: loader`: the store of seals that it reads, and the usage ledger that it fills."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.classes import DataClass
from edge.config.base import File, Health, Name, Strict, is_cloud_host
from edge.config.database import DatabaseConfig
from edge.config.sealer import SealStore, check_store_at_home


class LoaderConfig(Strict):
    """`mode: loader`. It loads the sealed records of one class at one site into the usage ledger."""

    mode: Literal["loader"]
    data_class: DataClass = Field(alias="class")
    site: Name
    health: Health
    database: DatabaseConfig
    """The ledger. Use a database user for this mode (`--usage-user`)."""
    store: SealStore
    """Read only. The credentials need no right to write."""
    public_key: File
    """PEM file of the public keys that verify the seals."""
    named_workloads: Annotated[list[Name], Field(max_length=10_000)] = []
    """Workloads whose people have a pseudonym in the ledger. Other people's usage is one sum."""
    since: Annotated[int, Field(ge=1)] = 1
    """The first seal that an empty ledger loads."""
    every_s: Annotated[int, Field(ge=1, le=3600)] = 30
    """Seconds between two looks for new seals."""

    @model_validator(mode="after")
    def _at_home(self) -> LoaderConfig:
        check_store_at_home(self.data_class, self.store)
        if self.data_class == "restricted" and is_cloud_host(self.database.host):
            raise ValueError(
                "database.host: usage of class restricted must stay on-prem, "
                f"but {self.database.host!r} is a cloud host"
            )
        return self
