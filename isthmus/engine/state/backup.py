"""Backups of a stack's state in `out/backups/STACK/TIME.json`, written before and after a run."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault

COPIES_KEPT = 10
"""Number of copies of a stack that are kept."""


def folder(root: Path, stack: str) -> Path:
    """Folder of the copies of a stack; `root` is the project's folder."""
    return root / "out" / "backups" / stack


def write(root: Path, stack: str, exported: dict[str, Any], now: datetime | None = None) -> Path | None:
    """Write a copy of an exported state; secrets stay encrypted. Returns its path, or None for an empty stack.

    The file name is the UTC time. A state that equals the newest copy is not written again, so runs without changes
    do not displace older copies. Raises `EnvironmentFault` if the copy cannot be written: then nothing is changed.
    """
    if not (exported.get("deployment") or {}).get("resources"):
        return None
    copies_folder = folder(root, stack)
    text = json.dumps(exported) + "\n"  # without indentation: five times as fast, and states have megabytes
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
            f"no backup of the state can be written ({error.strerror}), so nothing was changed",
            where=str(copies_folder),
            fix="Free disk space or make the folder writable, then run the same command again",
        ) from error
    return target


def time_of_copy_before(root: Path, stack: str, urn: str) -> str | None:
    """Time of the newest copy without an interrupted creation of `urn`: the creation began after it.

    RFC 3339 in UTC, the engine's own format; None if no copy shows it.
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
    """Write a file atomically (a temporary file, then a rename), readable by its owner only."""
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
