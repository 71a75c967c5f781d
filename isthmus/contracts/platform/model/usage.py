"""The usage ledger of a gateway: its database, and what a loader needs to fill it. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.callers import GatewayDatabase
from isthmus.contracts.vocabulary import KubeName, Part


class UsageLedger(GatewayDatabase):
    """PostgreSQL with the usage ledger. A loader, in a namespace of its own, fills it from the sealed records."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "usage"
    """Name of the database."""
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "usage"
    """User as whom the loader signs in: one that loads only (`--usage-user`)."""
    secret: KubeName
    """Secret in the loader's namespace with `password` and `ca.crt` of the database."""
    store_secret: KubeName
    """Secret in the loader's namespace: `credentials` that may only read the store of the records, its `ca.crt`, and
    `sealer.pem` with the public keys of the sealer, earlier ones too."""
    since: int = Field(default=1, ge=1, json_schema_extra={"unit": "number of a seal"})
    """The first seal that an empty ledger loads, where earlier ones are gone after their retention."""


class GatewayUsage(Part):
    """What is summed up of the use of a gateway's workloads, from its sealed records."""

    by_person: bool = True
    """Whether people have a pseudonym in the ledger, if the class allows it. The handling of the requirements may say
    no, which overrides cannot change."""
    ledger: UsageLedger | None = None
    """Where the sums are kept. Absent: no loader runs, and `isthmus usage` reads the records themselves."""
