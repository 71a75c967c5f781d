"""A writer's chain in files: `FOLDER/WRITER/<first number>.jsonl`, durable when `commit` returns.

A process writes one chain and never goes on with another's, so what a crash leaves at the end of a file is
seen as such: bytes without the end of a line. While a process lives it holds a lock on `WRITER/lock`.
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
    """The time as records bear it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_name(gateway: str) -> str:
    """A name that no other start of any process bears."""
    return f"{gateway}-{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{secrets.token_hex(4)}"


class ChainTruncated(Broken):
    """The files end before the known place: what was sealed is in the store, and no longer here."""


class Writer:
    """The chain of this process. Not for two threads at once; after an error it must be given up."""

    def __init__(self, root: Path, name: str, opening: dict[str, Any], rotate_bytes: int) -> None:
        self.chain, self._rotate_bytes = Chain(name), rotate_bytes
        self.folder = root / name
        self._lock = self._file = self._content = -1
        self._size = self._content_size = self._content_number = 0
        self.folder.mkdir()
        try:
            # Under its name only when it is held: who finds it free knows that the process is gone.
            self._lock = os.open(self.folder / f"{LOCK}.new", os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.folder / f"{LOCK}.new").rename(self.folder / LOCK)
            sync_folder(root)
            self.commit([self.chain.write("open", now(), opening)])
        except BaseException:
            self.give_up()
            # Of a start that came to no record nothing stays: on a full disk there is one every second.
            if not any(b"\n" in path.read_bytes() for _, path in record_files(self.folder)):
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def commit(self, lines: list[bytes], content: bytes = b"") -> None:
        """Lines of this chain, in order, and before them the content that they speak of. Raises OSError."""
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
        """Close all files, and with them the lock: the chain ends here."""
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
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_plain(path: Path) -> BinaryIO:
    """A file to read; raises Broken on anything else.

    Never what a link leads to: who writes the volume could make the sealer read, and put into the store, its own keys.
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
    """The names of the folders of writers; a link is none."""
    return sorted(
        path.name
        for path in root.iterdir()
        if WRITER.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def record_files(folder: Path) -> list[tuple[int, Path]]:
    """A writer's record files with the number of the first line of each, in order."""
    paths = [path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit()]
    return sorted((int(path.stem), path) for path in paths)


def content_files(folder: Path) -> list[tuple[int, Path]]:
    """A writer's content files by their number, in order."""
    return sorted((int(path.stem.removeprefix(CONTENT)), path) for path in folder.glob(f"{CONTENT}*{SUFFIX}"))


def is_alive(folder: Path) -> bool:
    """Whether the writer's process still holds its lock, or has not come to take it yet."""
    try:
        with open_plain(folder / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return True
    return False


class Tail:
    """Reads a writer's chain on from a known place, as far as it is whole."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.folder, self.chain = folder, chain
        self.torn = 0
        """Bytes after the last whole line, at the last look."""
        self._path: Path | None = None
        self._at = 0

    def read(self, at_most: int) -> list[bytes]:
        """Whole lines that come next, some `at_most` bytes of them.

        Before a line that is none of this chain it stops; as the first one to read, it raises Broken.
        """
        lines: list[bytes] = []
        size = 0
        if self._path is None and not self._find():
            return lines
        while self._path is not None and size < at_most:
            try:
                stream = open_plain(self._path)
            except FileNotFoundError:  # cleared away, since it was sealed and another one follows
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
        """The file and byte after the known line; raises Broken where the files say otherwise."""
        # By a look at names before the one at contents: what is rotated between is seen as it was.
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
        """Go on to the file that begins with the next number, where there is one."""
        for first, path in record_files(self.folder):
            if first == self.chain.seq + 1 and path != self._path:
                self._path, self._at = path, 0
                return True
        return False
