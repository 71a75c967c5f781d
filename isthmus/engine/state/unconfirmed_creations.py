"""List of creations that failed without an answer of the API: `out/unanswered/STACK.json`.

If a provider dies or an answer is lost, the engine counts the creation as failed and forgets it, including its
generated name, although the resource may exist. The run stores such creations here. The next run decides them
together with the interrupted creations of the state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state.backup import write_atomically
from isthmus.engine.state.interrupted_creations import Creation


def list_file(root: Path, stack: str) -> Path:
    return root / "out" / "unanswered" / f"{stack}.json"


def read(root: Path, stack: str) -> list[Creation]:
    """The creations that earlier runs stored. Raises `EnvironmentFault` for an unreadable file."""
    file = list_file(root, stack)
    try:
        return [
            Creation(entry["resource"], entry.get("since")) for entry in json.loads(file.read_text("utf-8"))
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EnvironmentFault(
            f"the list of unconfirmed creations cannot be read ({error})",
            where=str(file),
            fix="Search the account and the cluster for resources that are not in the state, then delete this file",
        ) from error


def add(root: Path, stack: str, new_creations: Iterable[Creation]) -> None:
    """Store more creations. One that is already stored with the same inputs is skipped."""
    creations = read(root, stack)
    for creation in new_creations:
        if all((stored.urn, stored.inputs) != (creation.urn, creation.inputs) for stored in creations):
            creations.append(creation)
    if not creations:
        return
    file = list_file(root, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"resource": creation.resource, "since": creation.since} for creation in creations]
    write_atomically(file, json.dumps(entries, indent=1) + "\n")


def forget(root: Path, stack: str) -> None:
    """Delete the list, because all its creations are decided."""
    list_file(root, stack).unlink(missing_ok=True)
