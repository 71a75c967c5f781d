"""A writer's chain in files: `FOLDER/WRITER/<first number>.jsonl`, durable when `commit` returns.

A process writes one chain and never continues another one. So bytes without a line end show that a writer
crashed. A running process holds a lock on `WRITER/lock`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from edge.audit.records import MAX_LINE_BYTES, WRITER, Broken, Chain, digest

LOCK, SUFFIX, CONTENT = "lock", ".jsonl", "content-"


def now() -> str:
    """The current time in the format of records."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_name(gateway: str) -> str:
    """A writer name that is unique to this start of the process."""
    return f"{gateway}-{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{secrets.token_hex(4)}"


class ChainTruncated(Broken):
    """The files end before the last sealed record. The store still has the records."""


class Writer:
    """Writes the chain of this process. Use it from one thread at a time, and give it up after an error."""

    def __init__(self, root: Path, name: str, opening: dict[str, Any], rotate_bytes: int) -> None:
        self.chain, self._rotate_bytes = Chain(name), rotate_bytes
        self.folder = root / name
        self._lock = self._file = self._content = -1
        self._size = self._content_size = self._content_number = 0
        self.folder.mkdir()
        try:
            # The lock file gets its name when it is locked: a free lock shows that the process has ended.
            self._lock = os.open(self.folder / f"{LOCK}.new", os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.folder / f"{LOCK}.new").rename(self.folder / LOCK)
            sync_folder(root)
            self.commit([self.chain.write("open", now(), opening)])
        except BaseException:
            self.give_up()
            # A start without a record must leave nothing: on a full disk there is one start every second.
            if not any(b"\n" in path.read_bytes() for _, path in record_files(self.folder)):
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def commit(self, lines: list[bytes], content: bytes = b"") -> None:
        """Write lines of this chain durably, and before them the content that they refer to. Raises OSError."""
        if content:
            self._keep(content)
        if self._file < 0 or self._size >= self._rotate_bytes:
            first = self.chain.seq + 1 - len(lines)
            self._file = self._begin(self._file, f"{first:012d}{SUFFIX}")
            self._size = 0
        data = b"\n".join(lines) + b"\n"
        _write(self._file, data)
        self._size += len(data)
        os.fdatasync(self._file)

    def _keep(self, content: bytes) -> None:
        if self._content < 0 or self._content_size >= self._rotate_bytes:
            self._content_number += 1
            self._content = self._begin(self._content, f"{CONTENT}{self._content_number:06d}{SUFFIX}")
            self._content_size = 0
        _write(self._content, content)
        self._content_size += len(content)
        os.fdatasync(self._content)

    def _begin(self, old: int, name: str) -> int:
        fresh = os.open(self.folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        if old >= 0:
            os.close(old)
        sync_folder(self.folder)
        return fresh

    def give_up(self) -> None:
        """Close all files and release the lock. The chain ends here."""
        for descriptor in (self._file, self._content, self._lock):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._file = self._content = self._lock = -1


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises Broken on links and other file types.

    With a link, a writer of the volume could make the sealer put its own keys into the store.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise Broken(f"{path.name} is no plain file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Broken(f"{path.name} is no plain file")
    return os.fdopen(descriptor, "rb")


def list_writers(root: Path) -> list[str]:
    """Names of the writers' folders. Links are ignored."""
    return sorted(
        path.name
        for path in root.iterdir()
        if WRITER.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def record_files(folder: Path) -> list[tuple[int, Path]]:
    """A writer's record files in order, each with the number of its first record."""
    paths = [path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit()]
    return sorted((int(path.stem), path) for path in paths)


def content_files(folder: Path) -> list[tuple[int, Path]]:
    """A writer's content files in order, each with its number."""
    return sorted((int(path.stem.removeprefix(CONTENT)), path) for path in folder.glob(f"{CONTENT}*{SUFFIX}"))


def is_alive(folder: Path) -> bool:
    """Whether the writer's process holds its lock or has not taken it yet."""
    try:
        with open_plain(folder / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return True
    return False


class Tail:
    """Reads a writer's chain from a known record to its last complete line."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.folder, self.chain = folder, chain
        self.torn = 0
        """Bytes after the last complete line at the last read."""
        self._path: Path | None = None
        self._at = 0

    def read(self, at_most: int) -> list[bytes]:
        """The next complete lines, about `at_most` bytes of them.

        It stops before a line that does not belong to the chain. If that is the first line, it raises Broken.
        """
        lines: list[bytes] = []
        size = 0
        if self._path is None and not self._find():
            return lines
        while self._path is not None and size < at_most:
            try:
                stream = open_plain(self._path)
            except FileNotFoundError:  # deleted, because it was sealed and another file follows
                self._path = None
                if not self._find():
                    break
                continue
            with stream:
                stream.seek(self._at)
                data = stream.read(at_most)
                if b"\n" not in data:
                    data += stream.readline(MAX_LINE_BYTES)
            if b"\n" not in data and len(data) > MAX_LINE_BYTES:
                if lines:
                    return lines
                raise Broken(f"{self._path.name} from byte {self._at}: a line without an end")
            end = data.rfind(b"\n") + 1
            self.torn = len(data) - end
            for line in data[:end].split(b"\n")[:-1]:
                try:
                    self.chain.follow(line)
                except Broken as error:
                    if lines:
                        return lines
                    raise Broken(f"{self._path.name} from byte {self._at}: {error}") from None
                self._at += len(line) + 1
                lines.append(line)
            size += end
            if end == 0 and not self._next():
                break
        return lines

    def _find(self) -> bool:
        """Find the file and byte after the known record. Raises Broken if the files contradict it."""
        # Names are listed before contents are read, so that a rotation in between does no harm.
        candidates = [
            (first, path) for first, path in record_files(self.folder) if first <= self.chain.seq + 1
        ]
        if not candidates:
            if record_files(self.folder) or self.chain.seq >= 0:
                raise ChainTruncated(f"the file with record {self.chain.seq + 1} is not there")
            return False
        first, path = candidates[-1]
        at, seq = 0, first - 1
        with open_plain(path) as stream:
            for line in stream:
                if seq >= self.chain.seq or not line.endswith(b"\n"):
                    break
                at, seq = at + len(line), seq + 1
                if seq == self.chain.seq and digest(line[:-1]) != self.chain.head:
                    raise Broken(f"record {seq} in {path.name} is not the one that was sealed")
        if seq < self.chain.seq:
            raise ChainTruncated(f"{path.name} ends at record {seq}, and {self.chain.seq} was sealed")
        self._path, self._at = path, at
        return True

    def _next(self) -> bool:
        """Continue with the file that begins with the next number. False if there is none."""
        for first, path in record_files(self.folder):
            if first == self.chain.seq + 1 and path != self._path:
                self._path, self._at = path, 0
                return True
        return False
