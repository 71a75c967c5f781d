"""Who is at work on a stack: the engine's locks in a file backend, those of the dead, and our own."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.project.prerequisites import run_environment
from isthmus.engine.project.project import Stack
from isthmus.engine.state import backend as state_backend


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
        """Whether its process is known to be gone: it ran on this host and no longer does.

        A number that was given away again, after a restart of the machine above all, is known by a
        process that began after the lock was written.
        """
        if self.host != socket.gethostname() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _is_zombie(self.pid) or _began_after(self.pid, self.since)


def locks(backend_url: str, project: str, stack: str) -> list[Lock]:
    """The stack's locks; none for a backend that is no folder, which keeps its own."""
    if not backend_url.startswith("file://"):
        return []
    folder = Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi" / "locks"
    found_locks = []
    for file in sorted(folder.glob(f"organization/{project}/{stack}/*.json")):
        try:
            found_locks.append(_read_lock(file))
        except (OSError, ValueError):
            # Written this moment, or gone this moment: the engine's own check decides.
            continue
    return found_locks


def clear_dead(backend_url: str, project: str, stack: str) -> list[Lock]:
    """Remove the locks of dead processes and return them.

    Raises `EnvironmentFault` naming the owner of a lock whose process may be alive.
    """
    cleared = []
    for lock in locks(backend_url, project, stack):
        if not lock.dead:
            raise _busy_fault(lock, stack, f"Wait for it; if it is dead, run `pulumi cancel --stack {stack}`")
        lock.file.unlink(missing_ok=True)
        cleared.append(lock)
    return cleared


@contextlib.contextmanager
def exclusive_lock(backend_url: str, root: Path, project: str, stack: str) -> Iterator[None]:
    """Be the only `isthmus` at work on the stack, from its first look at the state to its last change.

    The engine's lock is held for single commands; between two of them another run could come in. Ours is
    the kernel's, on a file of the backend's folder (of the project where the backend is no folder), and
    ends with the process. Raises `EnvironmentFault` naming who holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: the engine's locks alone
        yield
        return
    base = Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi"
    folder = (base if backend_url.startswith("file://") else root / "out") / "isthmus-turns" / project
    file = folder / f"{stack}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"the file that says who is at work cannot be written ({error.strerror})",
            where=str(file),
            fix="Make room, or the folder writable",
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _busy_fault(_lock_holder(file), stack, "Wait for it") from None
        handle.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        owner = {
            "pid": os.getpid(),
            "username": _user(),
            "hostname": socket.gethostname(),
            "timestamp": since,
        }
        handle.write(json.dumps(owner))
        handle.flush()
        yield


@contextlib.contextmanager
def selection_lock(root: Path) -> Iterator[None]:
    """One after the other: to select a stack is to write the one file of the user's that says which is selected."""
    try:
        import fcntl

        folder = root / "out"
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".selecting").open("a")
    except (ImportError, OSError):  # nowhere to write: then no other run of this folder can lock, either
        yield
        return
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _busy_fault(lock: Lock, stack: str, fix: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"another run is at work: process {lock.pid} of {lock.user} on {lock.host}, since {lock.since}",
        where=f"stack {stack}",
        fix=fix,
    )


def _lock_holder(file: Path) -> Lock:
    try:
        return _read_lock(file)
    except (OSError, ValueError):
        return Lock(file, 0, "?", "?", "this moment")


def _read_lock(file: Path) -> Lock:
    """Raises OSError or ValueError where it is being written or taken away this moment."""
    content = json.loads(file.read_text("utf-8"))
    owner = [str(content.get(name, "?")) for name in ("hostname", "username", "timestamp")]
    return Lock(file, int(content.get("pid", 0)), *owner)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"


def _began_after(pid: int, since: str, margin_s: float = 60.0) -> bool:
    """Whether the process with that number is younger than the lock (Linux; elsewhere never known)."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime")
        )
        written = datetime.fromisoformat(since).timestamp()
    except (OSError, ValueError, IndexError, StopIteration):
        return False
    return boot + ticks / os.sysconf("SC_CLK_TCK") > written + margin_s


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


@contextlib.contextmanager
def exclusive_stack_run(stack: Stack) -> Iterator[None]:
    """Enter the stack's process environment, and hold its lock: no other `isthmus` changes the stack meanwhile."""
    with run_environment(stack):
        # The environment decides which backend is used, so it comes first.
        project = stack.project
        with exclusive_lock(state_backend.url(project), project.root, project.name, stack.name):
            yield
