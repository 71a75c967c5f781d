"""Break-glass: who may ask, who may agree, and for how long; and the record of one access. Data only, no I/O.

A record grants nothing unless two people signed it, each with a key that the platform knows, and it is in force: from
its `since` until its `until`, hours at most. What it grants goes with it.
"""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import DnsLabel, Part, Sensitivity
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

LONGEST_H = 4
"""Hours that an access may last at most."""
NAMESPACE = "isthmus-break-glass"
"""What a signature is for (`ssh-keygen -Y sign -n`): one given for anything else is none."""

UserName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@:/+=-]*$"), Field(max_length=200)
]
PublicKey = Annotated[str, StringConstraints(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?$")]


class Keyholder(Part):
    """A person who may ask for, or agree to, an access."""

    name: DnsLabel
    user: UserName
    """As the cluster's API server knows them from the sign-on's token: with its `--oidc-username-prefix`."""
    key: PublicKey
    """Their public key, as `ssh-keygen -t ed25519` writes it."""


class BreakGlass(Part):
    """Who may break the glass."""

    keyholders: list[Keyholder] = Field(min_length=2)
    max_hours: int = Field(default=LONGEST_H, ge=1, le=LONGEST_H)

    @model_validator(mode="after")
    def _persons(self) -> BreakGlass:
        for field in ("name", "user"):
            unique(self.keyholders, field, "keyholders")
        keys = [each.key.split(" ")[1] for each in self.keyholders]
        if len(set(keys)) < len(keys):
            fix = "Each person signs with a key of their own"
            raise FieldError(
                "two keyholders have one key: one person could be both", "keyholders", fix=fix, refused=True
            )
        for index, each in enumerate(self.keyholders):
            if each.user.startswith("system:"):
                what = f"`{each.user}` is Kubernetes' own"
                raise FieldError(
                    what, "keyholders", index, "user", fix="Name a person of the sign-on", refused=True
                )
        return self


class Record(Part):
    """One access: who asked, who agreed, why, to what, from when until when."""

    id: DnsLabel
    """By which it is known in the cluster and in the records; never used twice."""
    requester: DnsLabel
    """Who gets the access; one of `keyholders`."""
    approver: DnsLabel
    """Who agreed: another one."""
    reason: str = Field(min_length=10, max_length=500)
    """An incident's or ticket's number and what is to be done."""
    site: DnsLabel
    class_: Sensitivity = Field(alias="class")
    since: datetime.datetime
    until: datetime.datetime
    signatures: dict[str, str] = {}
    """By keyholder's name: what `ssh-keygen -Y sign` wrote."""

    @model_validator(mode="after")
    def _two_and_short(self) -> Record:
        for field in ("since", "until"):
            if getattr(self, field).tzinfo is None:
                raise FieldError("a time without a zone", field, fix="Write it like 2026-11-26T14:00:00Z")
        if self.requester == self.approver:
            fix = "Have another keyholder agree"
            raise FieldError(
                "the one who asks may not be the one who agrees", "approver", fix=fix, refused=True
            )
        if not datetime.timedelta(0) < self.until - self.since <= datetime.timedelta(hours=LONGEST_H):
            fix = f"An access lasts {LONGEST_H} hours at most; ask anew for more"
            raise FieldError(
                f"from {self.since} until {self.until} is no such time", "until", fix=fix, refused=True
            )
        return self

    def text(self, stack: str) -> str:
        """What both sign: all of it but the signatures, and the stack that it is for."""
        said = self.model_dump(mode="json", by_alias=True, exclude={"signatures"})
        return json.dumps({"isthmus": "break-glass", "stack": stack, **said}, sort_keys=True, indent=1) + "\n"


class Records(Part):
    """`STACK.break-glass.yaml`: every access that is or was, newest where you like. Kept: it is the record."""

    isthmus: Literal["v1"] = "v1"
    accesses: list[Record] = []

    @model_validator(mode="after")
    def _each_once(self) -> Records:
        unique(self.accesses, "id", "accesses")
        return self


class Access(Part):
    """A record in force, with the people's names as the cluster knows them."""

    id: DnsLabel
    site: DnsLabel
    class_: Sensitivity = Field(alias="class")
    requester: str
    approver: str
    reason: str
    until: datetime.datetime
