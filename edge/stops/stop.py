"""A stop of a workload, where gateways read it, and the refusal that callers get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard

from edge.openai_api import Refusal

MOST_MESSAGE = 500
"""Characters of a message for people."""
DEFAULT_MESSAGE = (
    "People have stopped this service. Your request was not processed. "
    "Try again later, or ask your help desk."
)
Way = Literal["reviews", "database", "file"]
"""Through what a person acts: the review service, the database as its own user, or the file of stops."""


@dataclass(frozen=True)
class Stop:
    """A stop that is in effect."""

    id: str
    workload: str
    message: str
    """For people who call the workload. Empty: `DEFAULT_MESSAGE`."""
    by: str
    """Who stopped it last."""
    way: Way
    reason: str

    def refusal(self) -> Refusal:
        """The error for a caller. Clients of OpenAI and Anthropic do not repeat the request by themselves."""
        return Refusal(503, "workload_stopped", self.message or DEFAULT_MESSAGE, {"x-should-retry": "false"})


class StopsUnreadable(Exception):
    """It cannot be read which workloads are stopped."""


class StopSource(Protocol):
    """Where a gateway reads which workloads are stopped."""

    async def read(self) -> Sequence[Stop]:
        """The stops in effect. Raises StopsUnreadable."""
        ...

    async def restarted_by(self, stop: Stop) -> list[str]:
        """The people who asked for the restart of a stop that is over. Raises StopsUnreadable."""
        ...

    async def confirm(self, stop: Stop) -> None:
        """Tell people that this copy of the gateway refuses the workload. Raises StopsUnreadable."""
        ...


def is_message(value: object) -> TypeGuard[str]:
    """Whether a value is a message for people: one line of at most `MOST_MESSAGE` characters."""
    return isinstance(value, str) and len(value) <= MOST_MESSAGE and (value.isprintable() or not value)
