"""Sources and targets of files: a file, a folder, or a prefix of a bucket (`buckets.py`).

A file is in the target as a whole under its name, or not at all. The manifest gets a line for each file, which is on
the disk before the next file begins.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MANIFEST, SUMMARY, WORK = "manifest.jsonl", "summary.json", ".sanitise"
"""Reserved names in a target. WORK is a folder of unfinished files."""


class BadPlace(Exception):
    """A source or target that cannot be used: the reason, and the fix."""

    def __init__(self, problem: str, where: str, fix: str = "") -> None:
        super().__init__(problem)
        self.what, self.where, self.fix = problem, where, fix


class PlaceFault(Exception):
    """The store cannot be reached, or does not behave as required."""


@dataclass(frozen=True)
class Item:
    """A file of a source."""

    name: str
    """Path within the source, with `/`."""
    size: int
    unreadable: str = ""
    """Why it cannot be read, e.g. it is a link or a pipe."""


class Source(Protocol):
    """A place to read files from."""

    def items(self) -> list[Item]:
        """Return all files, sorted by name. Raises BadPlace."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises OSError or PlaceFault."""
        ...


class Output(Protocol):
    """A file that is being written into a target."""

    def write(self, data: bytes) -> None:
        """Append bytes."""
        ...

    def keep(self) -> None:
        """Give the file its name, after its content is on the disk."""
        ...

    def drop(self) -> None:
        """Delete what was written."""
        ...


class Target(Protocol):
    """A place to write files to."""

    def begin(self) -> list[bytes]:
        """Return the manifest's lines of earlier runs. Raises BadPlace if the place contains other files."""
        ...

    def output(self, name: str) -> Output:
        """Return a new file to write."""
        ...

    def sha256(self, name: str) -> str | None:
        """Return the SHA-256 of the file with this name; None if it does not exist."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        ...

    def note(self, line: bytes) -> None:
        """Append a line to the manifest durably."""
        ...

    def end(self, manifest: bytes, summary: bytes) -> None:
        """Write the sorted manifest and the summary."""
        ...

    def close(self) -> None:
        """Release locks and files."""
        ...


class FolderSource:
    """A folder with everything below it, or one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def _root(self) -> Path:
        return self._path if self._path.is_dir() else self._path.parent

    def items(self) -> list[Item]:
        if not self._path.exists():
            raise BadPlace("there is no such file or folder", str(self._path), "Check the path")
        paths = [self._path] if not self._path.is_dir() else self._path.rglob("*")
        return sorted((self._item(path) for path in paths if self._counts(path)), key=lambda item: item.name)

    def _counts(self, path: Path) -> bool:
        return path.is_symlink() or not path.is_dir()

    def _item(self, path: Path) -> Item:
        name = path.relative_to(self._root).as_posix()
        if path.is_symlink() and path != self._path:
            return Item(name, 0, "it is a link, which may lead anywhere")
        if not path.is_file():
            return Item(name, 0, "it is no file")
        return Item(name, path.stat().st_size)

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


class FolderTarget:
    """A folder that only this target uses: empty at first, or begun by an earlier run."""

    def __init__(self, root: Path) -> None:
        self._root, self._manifest = root, root / MANIFEST
        self._stream: io.FileIO | None = None

    def begin(self) -> list[bytes]:
        if self._root.exists() and not self._root.is_dir():
            raise BadPlace("this is no folder", str(self._root), "Name a folder")
        self._root.mkdir(parents=True, exist_ok=True)
        if not self._manifest.exists() and any(self._root.iterdir()):
            raise BadPlace(
                f"the folder holds files and no {MANIFEST}, so it is not one that this command made",
                str(self._root),
                "Name an empty folder",
            )
        self._stream = io.FileIO(self._manifest, "a+")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadPlace("another run is writing here", str(self._root), "Wait for its end") from None
        manifest = self._manifest.read_bytes()
        if end_of_lines := manifest.rfind(b"\n") + 1:
            self._stream.truncate(end_of_lines)  # of a run that was interrupted while it wrote a line
        else:
            self._stream.truncate(0)
        shutil.rmtree(self._root / WORK, ignore_errors=True)
        (self._root / SUMMARY).unlink(missing_ok=True)
        _sync_folder(self._root)
        return manifest[:end_of_lines].splitlines()

    def output(self, name: str) -> _Part:
        return _Part(self._root, name)

    def sha256(self, name: str) -> str | None:
        try:
            with (self._root / name).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def remove(self, name: str) -> None:
        path = self._root / name
        if is_reserved(name) or leads_outside(name):
            return
        if path.is_file() or path.is_symlink():
            path.unlink()
            _sync_folder(path.parent)

    def note(self, line: bytes) -> None:
        assert self._stream is not None
        _write_all(self._stream, line)
        os.fsync(self._stream.fileno())

    def end(self, manifest: bytes, summary: bytes) -> None:
        for name, data in ((MANIFEST, manifest), (SUMMARY, summary)):
            part = _Part(self._root, name)
            part.write(data)
            part.keep()
        shutil.rmtree(self._root / WORK, ignore_errors=True)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class _Part:
    """A file under a temporary name until it is complete."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._path = root, root / name
        self._part = root / WORK / "part"
        self._part.parent.mkdir(exist_ok=True)
        self._stream = io.FileIO(self._part, "w")

    def write(self, data: bytes) -> None:
        _write_all(self._stream, data)

    def keep(self) -> None:
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part.replace(self._path)
        for folder in [parent for parent in self._path.parents if parent.is_relative_to(self._root)]:
            _sync_folder(folder)

    def drop(self) -> None:
        self._stream.close()
        self._part.unlink(missing_ok=True)


def require_apart(source: Path, target: Path) -> None:
    """Raise BadPlace if one of the two contains the other."""
    source_path, target_path = source.resolve(), target.resolve()
    if (
        source_path == target_path
        or source_path in target_path.parents
        or (source.is_dir() and target_path in source_path.parents)
    ):
        raise BadPlace(
            "source and target lie one within the other", str(target), "Name a folder apart from it"
        )


def is_reserved(name: str) -> bool:
    """Whether a name is reserved for the target itself."""
    return name.split("/")[0] in (MANIFEST, SUMMARY, WORK)


def leads_outside(name: str) -> bool:
    """Whether a name could lead out of a folder."""
    return any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name


def _write_all(stream: io.FileIO, data: bytes) -> None:
    """Write all bytes. A raw file may take fewer bytes than it is given, e.g. on a disk that fills up."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[stream.write(remaining) :]


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def join_lines(data: Iterable[bytes]) -> bytes:
    """Join lines to the content of a file."""
    return b"".join(line + b"\n" for line in data)
