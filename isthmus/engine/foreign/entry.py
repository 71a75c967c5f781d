"""A resource of the stack with foreign entries, in a cluster or in AWS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.graph.resources.state import Stated
from isthmus.reports.format.lists import first_few

CLOUD_AUTHOR = "somebody whom CloudTrail names"
"""The author of entries in AWS, which does not tell it with the resource."""


@dataclass(frozen=True)
class Foreign(ABC):
    """A resource of the stack with foreign entries."""

    resource: Stated
    entries: tuple[FieldDifference, ...]
    """`old` is the value in the stack's state, None for what the stack does not set; `new` is the live value."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The resource as messages name it."""

    @property
    @abstractmethod
    def managers(self) -> str:
        """Who added the entries, for messages."""

    @property
    def paths(self) -> str:
        """The paths of the first few entries."""
        return first_few([entry.path for entry in self.entries])

    @property
    def described(self) -> str:
        """The resource, the paths of its foreign entries, and who added them."""
        return f"{self.label} ({self.paths}, by {self.managers})"
