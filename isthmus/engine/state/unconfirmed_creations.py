"""Creations that failed without the API's own answer getting back to the state: `out/unanswered/STACK.json`.

Where a provider dies, or an answer is lost, the engine counts the creation as failed and forgets it, with
the name that was made up for it, though the thing may exist. The run writes such creations down here, and
the next one decides them as it does the state's own.
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
    """What earlier runs wrote down. Raises `EnvironmentFault` where the file cannot be understood."""
    file = list_file(root, stack)
    try:
        return [
            Creation(entry["resource"], entry.get("since")) for entry in json.loads(file.read_text("utf-8"))
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EnvironmentFault(
            f"the list of creations that got no answer cannot be read ({error})",
            where=str(file),
            fix="Look through account and cluster for things that the state does not know, then remove it",
        ) from error


def add(root: Path, stack: str, new_creations: Iterable[Creation]) -> None:
    """Write more down; one that stands there already, with the same inputs, is not written twice."""
    creations = read(root, stack)
    for creation in new_creations:
        if all((known.urn, known.inputs) != (creation.urn, creation.inputs) for known in creations):
            creations.append(creation)
    if not creations:
        return
    file = list_file(root, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"resource": known.resource, "since": known.since} for known in creations]
    write_atomically(file, json.dumps(entries, indent=1) + "\n")


def forget(root: Path, stack: str) -> None:
    """All are decided."""
    list_file(root, stack).unlink(missing_ok=True)
