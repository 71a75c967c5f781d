"""Key store in a file of digests. It is read again when it changes; a broken file lets nobody in."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from edge.callers.store import CallersUnreadable, Key, digest_of, id_of
from edge.config import ConfigError, Name, Strict, read_yaml
from edge.file_changes import Stamp, stamp

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class Caller(Strict):
    """A key, as SHA-256 in lower-case hex, and its workload."""

    key_sha256: Annotated[str, Field(pattern=_SHA256.pattern)]
    workload: Name


class CallersFile(Strict):
    """`callers: [{key_sha256, workload}]`. A workload may have several keys, so that keys can be rotated."""

    callers: list[Caller]


class FileKeys:
    """The callers file of one class. Every look-up first checks whether the file changed."""

    def __init__(self, path: Path, data_class: str) -> None:
        self._path, self._class = path, data_class
        self._signature: Stamp | None = None
        self._entries: list[tuple[bytes, str]] | None = None
        self._problem = "not read yet"

    async def problem(self) -> str | None:
        """Why the file cannot be used, or None."""
        self._refresh()
        return self._problem if self._entries is None else None

    async def find(self, key: str) -> Key | None:
        """The key with this digest, or None. Raises CallersUnreadable."""
        self._refresh()
        if self._entries is None:
            raise CallersUnreadable(self._problem)
        digest = digest_of(key)
        matching_key = None
        for known_digest, workload in self._entries:  # always all of them, so that the time reveals nothing
            if hmac.compare_digest(known_digest, digest):
                matching_key = Key(id_of(digest), workload, self._class)
        return matching_key

    def _refresh(self) -> None:
        try:
            signature = stamp(self._path)
        except OSError as error:
            self._signature, self._entries = None, None
            self._problem = f"{self._path}: {error.strerror}"
            return
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._entries = self._read()
        except ConfigError as error:
            self._entries, self._problem = None, str(error)

    def _read(self) -> list[tuple[bytes, str]]:
        try:
            callers = CallersFile.model_validate(read_yaml(self._path)).callers
        except ValidationError as error:
            key = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ConfigError(f"{self._path}: {key or 'the file'} is malformed") from None
        entries: dict[bytes, str] = {}
        for caller in callers:
            digest = bytes.fromhex(caller.key_sha256)
            if entries.setdefault(digest, caller.workload) != caller.workload:
                raise ConfigError(f"{self._path}: one key names two workloads")
        return list(entries.items())
