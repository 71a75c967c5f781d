"""Lifecycle of a platform: durable or disposable, imported resources, and people's roles. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from isthmus.contracts.platform.model.people import People
from isthmus.contracts.vocabulary import KeyArn, Part, Sensitivity

Lifecycle = Literal["durable", "disposable"]
"""Whether what holds records, their keys and models outlives a stack and its mistakes, or goes with it."""
Named = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]+ [A-Za-z0-9][A-Za-z0-9.-]*$")]
"""A resource as previews name it: its kind and its name in the stack, `Bucket bank-frankfurt-bucket`."""


class OfTheOrganisation(Part):
    """Resources of a site that the organisation already has and keeps."""

    existing_namespaces: list[Sensitivity] = []
    """On-prem: classes whose namespace `isthmus-CLASS` is the organisation's. It is labelled for its class, and
    stays, with these labels."""
    kms_key: KeyArn | None = None
    """AWS: the organisation's key, under which records are sealed in place of keys made here."""


class Life(Part):
    """Lifecycle settings of a platform."""

    lifecycle: Lifecycle = "durable"
    """Absent in a stack's files: `disposable` in the sandbox, else `durable`."""
    imports: dict[Named, str] = {}
    """What exists and is taken over in place of being made: the resource, and the id that its cluster or account
    knows it by. It belongs to the stack from then on, and the line stays."""
    people: People | None = None
    """Who may do what in clusters and accounts, beside the stack; absent: nothing is granted to anybody."""

    @property
    def names_roles(self) -> bool:
        """Whether people have roles in clusters or accounts, or emergency access to them."""
        return self.people is not None and bool(self.people.members or self.people.break_glass)
