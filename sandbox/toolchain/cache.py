"""The user's cache of tools: one folder a tool and version, complete or not there.

    <cache>/toolchain/cluster-1.36.3-1f0c9a7b-linux-x86_64/bin/etcd …
    <cache>/toolchain/downloads-…/                              what `--from download` fetched
    <cache>/toolchain/timings.json                              how long each build took

A folder's name holds a digest of everything that decides its content, so a changed go.sum is another tool.
It is filled under a temporary name and renamed; whoever sees it sees all of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import scripts
from sandbox.toolchain.table import Tool

TMP = ".making-"


def root() -> Path:
    """`$ISTHMUS_CACHE`, else the user's cache directory; its part for tools."""
    chosen = os.environ.get("ISTHMUS_CACHE")
    if not chosen:
        from platformdirs import user_cache_dir

        chosen = user_cache_dir("isthmus")
    return Path(chosen).expanduser().absolute() / "toolchain"


def machine() -> str:
    """E.g. `linux-x86_64`."""
    return f"{sys.platform}-{platform.machine().lower()}"


def folder(tool: Tool) -> Path:
    """Where a tool of this version, with these sources, is or will be."""
    return root() / f"{tool.name}-{tool.version}-{_digest(tool)}-{machine()}"


def downloads() -> Path:
    """Where official releases go, by this table's versions."""
    from sandbox.toolchain.table import KUBERNETES, KWOK, PULUMI

    return root() / f"downloads-pulumi{PULUMI}-k8s{KUBERNETES}-kwok{KWOK}-{machine()}"


def _digest(tool: Tool) -> str:
    digest = hashlib.sha256()
    if tool.package is None:
        digest.update(scripts.host_script().encode())
    else:
        for name in ("go.mod", "go.sum", "main.go"):
            file = tool.module / name
            digest.update(file.read_bytes() if file.exists() else b"")
        digest.update(f"{tool.package} {tool.link}".encode())
    return digest.hexdigest()[:8]


@contextmanager
def filling(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes `target` when the block ends well, and vanishes when
    not.

    The caller holds the lock of `target`, so leftovers of a killed attempt are nobody's and are removed
    first.
    """
    with told_about_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{TMP}{target.name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{TMP}{target.name}-", dir=target.parent))
        try:
            made.chmod(0o755)
            yield made
            made.rename(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


@contextmanager
def turn(target: Path, waiting: str, say) -> Iterator[None]:
    """One process at a time for a target; the second is told, waits, and then finds the work done."""
    from filelock import FileLock, Timeout

    with told_about_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.parent / f".{target.name}.lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            say(waiting)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def told_about_space(place: Path) -> Iterator[None]:
    """Turn the system's "no space", "read-only" and "not allowed" into one paragraph (exit code 3)."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(place) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise EnvironmentFault(
                f"the toolchain's cache cannot be written ({error.strerror})",
                where=str(place),
                fix="Set ISTHMUS_CACHE to a folder that you may write to",
            ) from None
        raise


def no_space(place: Path) -> EnvironmentFault:
    return EnvironmentFault(
        "there is no space left on the disk for building the toolchain",
        where=str(place),
        fix="Free about 12 GiB, or set ISTHMUS_CACHE and GOCACHE to folders on another disk, and run "
        "`isthmus sandbox install` again: it goes on from where it stopped",
    )


def record_time(tool: Tool, seconds: float, packages: int) -> None:
    """Note in timings.json how long a build took; a build that finds Go's cache full is short."""
    import datetime

    from filelock import FileLock

    file = root() / "timings.json"
    with told_about_space(file.parent), FileLock(root() / ".timings.lock"):
        known = timings()
        known[folder(tool).name] = {
            "seconds": round(seconds, 1),
            "packages_compiled": packages,
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "cores": os.cpu_count(),
        }
        new = file.with_suffix(".new")
        new.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        new.replace(file)


def timings() -> dict[str, dict]:
    """What `record_time` noted, by folder name; empty where nothing was built."""
    try:
        return json.loads((root() / "timings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
