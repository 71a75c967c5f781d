"""Stops in a file, for gateways without a database. The file is read again when it changes; a missing one has no stops.

    stops:
      - workload: campaign-copy
        reason: wrong-answers
        message: The text assistant is not available.
        by: ann@bank.example
        restart: []

A stop is over when `restart` names two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from edge.config import ConfigError, Name, Strict, read_yaml
from edge.file_changes import Stamp, stamp
from edge.stops.stop import MOST_MESSAGE, Stop, StopsUnreadable, is_message

PEOPLE = 2
"""People who must ask for a restart."""


def _one_line(text: str) -> str:
    if not is_message(text):
        raise ValueError(f"must be one line of at most {MOST_MESSAGE} characters")
    return text


class FileStop(Strict):
    """A stop, and who has asked for its restart."""

    workload: Name
    reason: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    message: Annotated[str, AfterValidator(_one_line)] = ""
    by: Name
    at: AwareDatetime | None = None
    """When, for people. Gateways do not read it."""
    restart: list[Name] = []

    @property
    def is_over(self) -> bool:
        """Whether two people have asked for the restart."""
        return len(set(self.restart)) >= PEOPLE


class StopsFile(Strict):
    """The content of the file."""

    stops: list[FileStop] = []

    @model_validator(mode="after")
    def _one_each(self) -> StopsFile:
        workloads = [stop.workload for stop in self.stops]
        if len(set(workloads)) < len(workloads):
            raise ValueError("a workload has two stops")
        return self


class FileStops:
    """The stops of a gateway's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._stops: list[FileStop] = []

    async def read(self) -> Sequence[Stop]:
        """The stops in effect. Raises StopsUnreadable."""
        try:
            current = stamp(self._path)
            if current != self._stamp:
                self._stops, self._stamp = read_stops(self._path), current
        except FileNotFoundError:
            self._stops, self._stamp = [], None
        except (OSError, ConfigError) as error:
            self._stamp = None
            raise StopsUnreadable(str(error)) from None
        return [
            Stop(f"file-{stop.workload}", stop.workload, stop.message, stop.by, "file", stop.reason)
            for stop in self._stops
            if not stop.is_over
        ]

    async def restarted_by(self, stop: Stop) -> list[str]:
        """The people who asked for the restart, as the file has them."""
        return next(
            (sorted(set(entry.restart)) for entry in self._stops if entry.workload == stop.workload), []
        )

    async def confirm(self, stop: Stop) -> None:
        """Nobody is told: the file is read only. The gateway's journal, metrics and records say it."""


def read_stops(path: Path) -> list[FileStop]:
    """The stops of a file. Raises ConfigError and OSError."""
    try:
        return StopsFile.model_validate(read_yaml(path) or {}).stops
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError(f"{path}: {key or 'the file'} is malformed") from None
