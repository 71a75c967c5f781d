"""The user's cache of tools, with one folder for each tool and version.

    <cache>/toolchain/cluster-1.36.3-1f0c9a7b-linux-x86_64/bin/etcd …
    <cache>/toolchain/cluster-1.36.3-9b2e71d0-release-linux-x86_64/bin/etcd …    official releases
    <cache>/toolchain/timings.json                              how long each build took

A folder's name holds a digest of all that decides its content, so a changed go.sum means another folder. A folder
is filled under a temporary name and then renamed, so that it is always complete.
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

TEMPORARY_PREFIX = ".making-"


def root() -> Path:
    """Return the folder of tools in `$ISTHMUS_CACHE`, by default in the user's cache directory."""
    folder = os.environ.get("ISTHMUS_CACHE")
    if not folder:
        from platformdirs import user_cache_dir

        folder = user_cache_dir("isthmus")
    return Path(folder).expanduser().absolute() / "toolchain"


def machine() -> str:
    """Return system and architecture, e.g. `linux-x86_64`."""
    return f"{sys.platform}-{platform.machine().lower()}"


def tool_folder(tool: Tool) -> Path:
    """Return the folder of a tool with this version and these sources, whether it exists or not."""
    return root() / f"{tool.name}-{tool.version}-{_digest(tool)}-{machine()}"


def release_folder(tool: Tool) -> Path:
    """Return the folder of a tool's official releases, whether it exists or not."""
    digest = hashlib.sha256(" ".join(str(release.url) for release in tool.releases).encode())
    if tool.package is None:
        digest.update(_digest(tool).encode())
    return root() / f"{tool.name}-{tool.version}-{digest.hexdigest()[:8]}-release-{machine()}"


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
def fill_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder, and rename it to `target` when the block ends. On an error it is deleted.

    The caller must hold the lock of `target`: leftovers of a killed attempt are removed first.
    """
    with explain_disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{TEMPORARY_PREFIX}{target.name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{target.name}-", dir=target.parent))
        try:
            temporary.chmod(0o755)
            yield temporary
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextmanager
def exclusive(target: Path, waiting: str, report) -> Iterator[None]:
    """Let one process at a time work on a target. A second process reports `waiting`, and waits."""
    from filelock import FileLock, Timeout

    with explain_disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.parent / f".{target.name}.lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            report(waiting)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Raise `EnvironmentFault` in place of system errors for a full, read-only or protected disk."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space_fault(folder) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise EnvironmentFault(
                f"the cache of the toolchain cannot be written ({error.strerror})",
                where=str(folder),
                fix="Set ISTHMUS_CACHE to a folder that you may write to",
            ) from None
        raise


def no_space_fault(folder: Path) -> EnvironmentFault:
    return EnvironmentFault(
        "the disk is full, so the toolchain cannot be built",
        where=str(folder),
        fix="Free about 12 GiB, or set ISTHMUS_CACHE and GOCACHE to folders on another disk, and run "
        "`isthmus sandbox install` again: it continues from where it stopped",
    )


def record_time(tool: Tool, seconds: float, packages: int) -> None:
    """Record in timings.json how long a build took. Packages in Go's cache make a build short."""
    import datetime

    from filelock import FileLock

    file = root() / "timings.json"
    with explain_disk_errors(file.parent), FileLock(root() / ".timings.lock"):
        builds = timings()
        builds[tool_folder(tool).name] = {
            "seconds": round(seconds, 1),
            "packages_compiled": packages,
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "cores": os.cpu_count(),
        }
        new = file.with_suffix(".new")
        new.write_text(json.dumps(builds, indent=2) + "\n", encoding="utf-8")
        new.replace(file)


def timings() -> dict[str, dict]:
    """Return the records of `record_time` by folder name. Empty if nothing was built."""
    try:
        return json.loads((root() / "timings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
