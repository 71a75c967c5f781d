"""Reads a calendar of who is on call: a YAML file with a rotation and exceptions.

It names targets of the notifier for each moment. Times are local to `time_zone`:

    time_zone: Europe/Berlin
    rotation: {from: 2026-12-07T09:00, days: 7, targets: [duty-1, duty-2]}
    shifts:
      - {from: 2026-12-24T09:00, until: 2026-12-28T09:00, target: duty-2}

A shift takes precedence over the rotation, and a later shift over an earlier one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator

from edge.config.base import ConfigError, Strict
from edge.config.yaml_file import read_yaml
from edge.review_domains import Label, as_zone


def _is_local(moment: datetime) -> datetime:
    if moment.tzinfo is not None:
        raise ValueError("write the local time without an offset, such as 2026-12-07T09:00")
    return moment


Local = Annotated[datetime, AfterValidator(_is_local)]


class Rotation(Strict):
    """Targets that take turns."""

    begins: Local = Field(alias="from")
    """When the first turn of the first target begins."""
    days: Annotated[int, Field(ge=1, le=366)]
    """Length of a turn. It begins at the same time of day, whatever the clock changes."""
    targets: Annotated[list[Label], Field(min_length=1, max_length=100)]


class Shift(Strict):
    """A time in which one target is on call."""

    begins: Local = Field(alias="from")
    until: Local
    target: Label

    @model_validator(mode="after")
    def _ends_later(self) -> Shift:
        if self.until <= self.begins:
            raise ValueError("until must be later than from")
        return self


class OnCall(Strict):
    """A calendar of who is on call."""

    time_zone: Annotated[str, AfterValidator(as_zone)]
    rotation: Rotation | None = None
    shifts: Annotated[list[Shift], Field(max_length=5000)] = []

    @property
    def targets(self) -> set[str]:
        """Every target that is on call at some time."""
        turns = self.rotation.targets if self.rotation else []
        return {*turns, *(shift.target for shift in self.shifts)}

    def at(self, moment: datetime) -> str | None:
        """The target on call at an aware moment. None: nobody."""
        zone = ZoneInfo(self.time_zone)
        moment = moment.astimezone(UTC)
        for shift in reversed(self.shifts):
            begin, end = (at.replace(tzinfo=zone).astimezone(UTC) for at in (shift.begins, shift.until))
            if begin <= moment < end:
                return shift.target
        rotation = self.rotation
        if rotation is None:
            return None
        local = moment.astimezone(zone).replace(tzinfo=None)
        turns = (local - rotation.begins) // timedelta(days=rotation.days)
        return None if turns < 0 else rotation.targets[turns % len(rotation.targets)]


def read_calendar(path: Path) -> OnCall:
    """The calendar in a file. Raises ConfigError."""
    return as_calendar(read_yaml(path), str(path))


def as_calendar(document: Any, where: str) -> OnCall:
    """The calendar of a YAML document. `where`: its file, for messages. Raises ConfigError."""
    try:
        return OnCall.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise ConfigError(f"{where}: {key}: {problem['msg'].removeprefix('Value error, ')}.") from None
