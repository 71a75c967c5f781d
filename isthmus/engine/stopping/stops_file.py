"""Changes the file of stops of a gateway without a database (`edge.stops.file`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused

if TYPE_CHECKING:
    from edge.stops.file import FileStop


def stopped(
    text: str, workload: str, reason: str, message: str, person: str, now: datetime
) -> tuple[str, str]:
    """The file with a stop, and the outcome: `stopped` or `already`. Raises `InputError` if the file is malformed."""
    stops = _read(text)
    before = stops.get(workload)
    is_new = before is None or before["is_over"]
    stops[workload] = {
        "workload": workload,
        "reason": reason,
        "message": message or ("" if before is None or is_new else before["message"]),
        "by": person,
        "at": now.isoformat(timespec="seconds"),
    }
    return _write(stops), "stopped" if is_new else "already"


def restart_asked(text: str, workload: str, person: str) -> tuple[str, str]:
    """The file with a person's question for a restart, and the outcome: `asked` or `restarted`.

    Raises `InputError` if the file is malformed, and `Refused` if the workload is not stopped, or the person has
    asked before.
    """
    stops = _read(text)
    stop = stops.get(workload)
    if stop is None or stop["is_over"]:
        raise Refused("it is not stopped", where=workload)
    people = stop.get("restart", [])
    if person in people:
        raise Refused(
            f"{person} has asked for the restart already",
            where=workload,
            fix="Let another person run the same command",
        )
    stop["restart"] = [*people, person]
    return _write(stops), "restarted" if people else "asked"


def _read(text: str) -> dict[str, dict[str, Any]]:
    """The stops by workload. Their key `is_over` is not the file's."""
    from edge.stops.file import StopsFile

    try:
        stops = StopsFile.model_validate(yaml_files.loads(text).data if text.strip() else {}).stops
    except ValidationError as error:
        raise InputError(
            f"the file of stops is malformed: {error.errors()[0]['msg']}",
            where="stops.yaml",
            fix="Correct it by hand (docs/stop.md). Until then the gateway lets nobody in",
        ) from None
    return {stop.workload: _fields(stop) for stop in stops}


def _fields(stop: FileStop) -> dict[str, Any]:
    return {
        **stop.model_dump(mode="json", exclude_defaults=True),
        "message": stop.message,
        "is_over": stop.is_over,
    }


def _write(stops: dict[str, dict[str, Any]]) -> str:
    entries = [
        {key: value for key, value in stop.items() if key != "is_over" and value != ""}
        for stop in stops.values()
    ]
    return yaml_files.dumps({"stops": entries})
