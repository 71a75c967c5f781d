"""Break-glass access: who may request and approve it, for how long, and the record of one access. Data model only.

A record grants access only if two keyholders signed it and the time is between `since` and `until`. The access ends
with the record.
"""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import DnsLabel, Part, Sensitivity
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

MAX_HOURS = 4
"""The longest access, in hours."""
SIGNATURE_NAMESPACE = "isthmus-break-glass"
"""Namespace of signatures (`ssh-keygen -Y sign -n`). A signature with another namespace is not valid here."""

UserName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@:/+=-]*$"), Field(max_length=200)
]
PublicKey = Annotated[
    str,
    StringConstraints(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?$"),
    Field(
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl erika"]
    ),
]


class Keyholder(Part):
    """A person who may request or approve an access."""

    name: DnsLabel
    """Name of the person, as records show it."""
    user: UserName
    """As the cluster's API server knows them from the sign-on's token: with its `--oidc-username-prefix`."""
    key: PublicKey
    """Their public key, as `ssh-keygen -t ed25519` writes it."""


class BreakGlass(Part):
    """Who may use break-glass access, and for how long."""

    keyholders: list[Keyholder] = Field(
        min_length=2,
        examples=[
            [
                {
                    "name": "erika",
                    "user": "oidc:erika",
                    "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl erika",
                },
                {
                    "name": "max",
                    "user": "oidc:max",
                    "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBc2vLdHe3vVLQyA3vpVyqCrGzTvZbHvVqzrLwS9d0Qx max",
                },
            ]
        ],
    )
    """People who may request an access or approve one of another person."""
    max_hours: int = Field(default=MAX_HOURS, ge=1, le=MAX_HOURS)
    """The longest access."""

    @model_validator(mode="after")
    def _persons(self) -> BreakGlass:
        for field in ("name", "user"):
            unique(self.keyholders, field, "keyholders")
        keys = [keyholder.key.split(" ")[1] for keyholder in self.keyholders]
        if len(set(keys)) < len(keys):
            fix = "Give each keyholder a key of their own"
            raise FieldError(
                "two keyholders have the same key, so one person could sign for both",
                "keyholders",
                fix=fix,
                refused=True,
            )
        for index, keyholder in enumerate(self.keyholders):
            if keyholder.user.startswith("system:"):
                message = f"`{keyholder.user}` is a built-in user of Kubernetes"
                raise FieldError(
                    message,
                    "keyholders",
                    index,
                    "user",
                    fix="Set `user` to a person of your identity provider",
                    refused=True,
                )
        return self


class Record(Part):
    """One access: requester, approver, reason, site and class, start and end."""

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
                raise FieldError(
                    f"`{field}` has no time zone", field, fix="Write it like 2026-11-26T14:00:00Z"
                )
        if self.requester == self.approver:
            fix = "Set `approver` to another keyholder"
            raise FieldError(
                "the requester and the approver are the same person", "approver", fix=fix, refused=True
            )
        if not datetime.timedelta(0) < self.until - self.since <= datetime.timedelta(hours=MAX_HOURS):
            fix = f"Set `until` after `since`, by at most {MAX_HOURS} hours; request another access for more time"
            raise FieldError(
                f"the access from {self.since} until {self.until} is longer than {MAX_HOURS} hours or ends "
                "before it begins",
                "until",
                fix=fix,
                refused=True,
            )
        return self

    def text(self, stack: str) -> str:
        """The text that both people sign: the record without signatures, and the name of the stack."""
        fields = self.model_dump(mode="json", by_alias=True, exclude={"signatures"})
        return (
            json.dumps({"isthmus": "break-glass", "stack": stack, **fields}, sort_keys=True, indent=1) + "\n"
        )


class Records(Part):
    """`STACK.break-glass.yaml`: all accesses, current and past, in any order. Keep past ones as the record."""

    isthmus: Literal["v1"] = "v1"
    accesses: list[Record] = []

    @model_validator(mode="after")
    def _each_once(self) -> Records:
        unique(self.accesses, "id", "accesses")
        return self


class Access(Part):
    """An access that is in force, with user names as the cluster knows them."""

    id: DnsLabel
    site: DnsLabel
    class_: Sensitivity = Field(alias="class")
    requester: str
    approver: str
    reason: str
    until: datetime.datetime
