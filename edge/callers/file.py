"""Key store in a file of digests. It is read again when it changes; a broken file lets nobody in."""

from __future__ import annotations

import hmac
import math
import re
import time
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from edge.callers.store import CallersUnreadable, Key, KeyEnds, digest_of, id_of
from edge.config import ConfigError, Name, Strict, read_yaml
from edge.config.gateway import Allowance
from edge.file_changes import Stamp, stamp

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class Caller(Strict):
    """A key, as SHA-256 in lower-case hex, and its workload."""

    key_sha256: Annotated[str, Field(pattern=_SHA256.pattern)]
    workload: Name
    models: Annotated[list[Name], Field(min_length=1)] | None = None
    """Models that it may use, of those of its workload. Absent: all."""
    not_after: AwareDatetime | None = None
    """When it expires. Absent: never."""
    parallel_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Its requests at once at each copy of the gateway. Other limits need a database."""
    evaluation: bool = False
    """Whether it is for evaluations of models."""


class CallersFile(Strict):
    """`callers: [{key_sha256, workload, …}]`. A workload may have several keys, so that keys can be rotated."""

    callers: list[Caller]


class FileKeys:
    """The callers file of one class. Every look-up first checks whether the file changed."""

    def __init__(self, path: Path, data_class: str) -> None:
        self._path, self._class = path, data_class
        self._signature: Stamp | None = None
        self._entries: list[tuple[bytes, Caller]] | None = None
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
        for known_digest, caller in self._entries:  # always all of them, so that the time reveals nothing
            if hmac.compare_digest(known_digest, digest):
                matching_key = self._key(digest, caller)
        return matching_key

    async def find_id(self, key_id: str) -> Key | None:
        """The key of this id, or None. Raises CallersUnreadable."""
        self._refresh()
        if self._entries is None:
            raise CallersUnreadable(self._problem)
        keys = [self._key(digest, caller) for digest, caller in self._entries if id_of(digest) == key_id]
        return keys[0] if keys else None

    async def ends(self, data_class: str) -> dict[str, KeyEnds]:
        """When the keys of each workload end. Raises CallersUnreadable."""
        if (problem := await self.problem()) is not None:
            raise CallersUnreadable(problem)
        left_by_workload: dict[str, list[float]] = {}
        for digest, caller in self._entries or ():
            left_s = self._key(digest, caller).left_s
            left_by_workload.setdefault(caller.workload, []).append(math.inf if left_s is None else left_s)
        return {
            workload: KeyEnds(min((left_s for left_s in all_left if left_s > 0), default=None), max(all_left))
            for workload, all_left in left_by_workload.items()
        }

    def _key(self, digest: bytes, caller: Caller) -> Key:
        parallel = caller.parallel_requests
        return Key(
            id_of(digest),
            caller.workload,
            self._class,
            left_s=None if caller.not_after is None else caller.not_after.timestamp() - time.time(),
            models=None if caller.models is None else frozenset(caller.models),
            allowance=None if parallel is None else Allowance(parallel_requests=parallel),
            evaluates=caller.evaluation,
        )

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

    def _read(self) -> list[tuple[bytes, Caller]]:
        try:
            callers = CallersFile.model_validate(read_yaml(self._path)).callers
        except ValidationError as error:
            key = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ConfigError(f"{self._path}: {key or 'the file'} is malformed") from None
        entries: dict[bytes, Caller] = {}
        for caller in callers:
            other = entries.setdefault(bytes.fromhex(caller.key_sha256), caller)
            if other.workload != caller.workload:
                raise ConfigError(f"{self._path}: one key names two workloads")
            if other != caller:
                raise ConfigError(f"{self._path}: one key is listed twice with different limits")
        return list(entries.items())
