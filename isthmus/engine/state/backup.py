"""Copies of the state, written before a run changes anything and when it ended well:
`out/backups/STACK/TIME.json`.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault

COPIES_KEPT = 10
"""How many copies of a stack stay."""


def folder(root: Path, stack: str) -> Path:
    """Where the copies of a stack of the project at `root` lie."""
    return root / "out" / "backups" / stack


def write(root: Path, stack: str, exported: dict[str, Any], now: datetime | None = None) -> Path | None:
    """Copy what `pulumi stack export` said; secrets stay encrypted as they came. None for an empty stack.

    The name is the UTC time. A state that equals the newest copy is not copied again, so that runs which
    change nothing push no older copy out. Raises `EnvironmentFault` where it cannot be written: without
    a copy nothing is changed.
    """
    if not (exported.get("deployment") or {}).get("resources"):
        return None
    copies_folder = folder(root, stack)
    text = json.dumps(exported) + "\n"  # in one line: five times as fast, and a state has megabytes
    try:
        copies_folder.mkdir(parents=True, exist_ok=True)
        copies = sorted(copies_folder.glob("*.json"))
        if copies and copies[-1].read_text("utf-8") == text:
            return copies[-1]
        target = copies_folder / f"{(now or datetime.now(UTC)):%Y-%m-%dT%H%M%S.%fZ}.json"
        write_atomically(target, text)
        for old in [*copies, target][:-COPIES_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"the state cannot be copied before it is changed ({error.strerror})",
            where=str(copies_folder),
            fix="Make room, or the folder writable, and run the same command again",
        ) from error
    return target


def time_of_copy_before(root: Path, stack: str, urn: str) -> str | None:
    """When the newest copy was written that knows no cut-off creation of `urn`: the creation began later.

    As the engine writes times (RFC 3339, UTC); None where no copy tells.
    """
    for copy in sorted(folder(root, stack).glob("*.json"), reverse=True):
        try:
            state = json.loads(copy.read_text("utf-8")).get("deployment") or {}
            written_at = datetime.strptime(copy.stem, "%Y-%m-%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        except (OSError, ValueError, AttributeError):
            continue
        if all(operation["resource"]["urn"] != urn for operation in state.get("pending_operations") or []):
            return written_at.isoformat()
    return None


def write_atomically(target: Path, text: str) -> None:
    """Write a file that is either there whole or not at all, readable by its owner only."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
