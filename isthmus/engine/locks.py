"""Locks that a killed run left in a file backend, and who holds the others."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from isthmus.contracts.errors import EnvironmentFault


@dataclass(frozen=True)
class Lock:
    """One lock file of the backend, and who wrote it."""

    file: Path
    pid: int
    host: str
    user: str
    since: str

    @property
    def dead(self) -> bool:
        """Whether its process is known to be gone: it ran on this host and no longer does."""
        if self.host != socket.gethostname() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _zombie(self.pid)


def locks(backend_url: str, project: str, stack: str) -> list[Lock]:
    """The stack's locks; none for a backend that is no folder, which keeps its own."""
    if not backend_url.startswith("file://"):
        return []
    folder = Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi" / "locks"
    found = []
    for file in sorted(folder.glob(f"organization/{project}/{stack}/*.json")):
        try:
            said = json.loads(file.read_text("utf-8"))
            found.append(
                Lock(
                    file,
                    int(said.get("pid", 0)),
                    str(said.get("hostname", "?")),
                    str(said.get("username", "?")),
                    str(said.get("timestamp", "?")),
                )
            )
        except (OSError, ValueError):
            # Written this moment, or gone this moment: the engine's own check decides.
            continue
    return found


def clear_dead(backend_url: str, project: str, stack: str) -> list[Lock]:
    """Remove the locks of dead processes and return them.

    Raises `EnvironmentFault` naming the owner of a lock whose process may be alive.
    """
    cleared = []
    for lock in locks(backend_url, project, stack):
        if not lock.dead:
            raise EnvironmentFault(
                f"another run holds the lock: process {lock.pid} of {lock.user} on {lock.host},"
                f" since {lock.since}",
                where=f"stack {stack}",
                todo=f"Wait for it; if it is dead, run `pulumi cancel --stack {stack}`",
            )
        lock.file.unlink(missing_ok=True)
        cleared.append(lock)
    return cleared


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
