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
from isthmus.engine.state.backup import whole
from isthmus.engine.state.interrupted_creations import Creation


def file_of(root: Path, stack: str) -> Path:
    return root / "out" / "unanswered" / f"{stack}.json"


def read(root: Path, stack: str) -> list[Creation]:
    """What earlier runs wrote down. Raises `EnvironmentFault` where the file cannot be understood."""
    file = file_of(root, stack)
    try:
        return [Creation(each["resource"], each.get("since")) for each in json.loads(file.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EnvironmentFault(
            f"the list of creations that got no answer cannot be read ({error})",
            where=str(file),
            fix="Look through account and cluster for things that the state does not know, then remove it",
        ) from error


def add(root: Path, stack: str, found: Iterable[Creation]) -> None:
    """Write more down; one that stands there already, with the same inputs, is not written twice."""
    every = read(root, stack)
    for creation in found:
        if all((each.urn, each.inputs) != (creation.urn, creation.inputs) for each in every):
            every.append(creation)
    if not every:
        return
    file = file_of(root, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    said = [{"resource": each.resource, "since": each.since} for each in every]
    whole(file, json.dumps(said, indent=1) + "\n")


def forget(root: Path, stack: str) -> None:
    """All are decided."""
    file_of(root, stack).unlink(missing_ok=True)
