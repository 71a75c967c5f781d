"""Audit records: lines of canonical JSON that name their writer, their number in its chain and the line before.

A line is named by the SHA-256 of its bytes, so the last digest covers every line before it. Records never hold
requests or answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from types import NoneType
from typing import Any

VERSION = 1
MAX_LINE_BYTES = 64 * 1024
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
WRITER = re.compile(r"[a-z0-9][a-z0-9.-]{0,119}-[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}")
"""Gateway, start time and eight random digits: each start of a process is a writer of its own."""


class Broken(Exception):
    """A line is not the next one of its chain."""


def canonical(value: Any) -> bytes:
    """A value as canonical JSON: sorted keys, no spaces, ASCII, no NaN."""
    return _CANONICAL.encode(value).encode("ascii")


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def parse(line: bytes) -> dict[str, Any]:
    """The object in a line. Raises Broken unless it is canonical JSON, so that all readers agree."""
    try:
        value = json.loads(line)
        if isinstance(value, dict) and canonical(value) == line:
            return value
    except (ValueError, RecursionError):
        pass
    raise Broken("it is no canonical JSON object")


def genesis(writer: str) -> str:
    """The digest that a writer's first line names as the line before it."""
    return digest(f"isthmus audit {VERSION} {writer}".encode())


_SAID: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "class": str,
    "site": str,
    "gateway": str,
    "who": dict,
}
_SHAPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "open": {"class": str, "site": str, "gateway": str, "policy": str},
    "intent": {**_SAID, "to": dict, "prompt": str, "attempt": int},
    "outcome": {
        **_SAID,
        "ran": (dict, NoneType),
        "attempts": int,
        "status": int,
        "code": str,
        "ended_well": bool,
        "tokens": dict,
        "usd": (int, float, NoneType),
        "verdicts": list,
        "content": (dict, NoneType),
    },
    "refused": {"class": str, "site": str, "gateway": str, "since": str, "codes": dict},
    "close": {},
    "review": {**_SAID, "act": str, "state": str, "version": int, "reason": str, "sha256": str},
    "feedback": {**_SAID, "rating": str, "reason": str},
    "stop": {**_SAID, "act": str, "reason": str},
    "canary": {
        **{"class": str, "site": str, "gateway": str, "workload": str, "model": str, "release": str},
        **{"answered": int, "failed": int},
    },
    "move": {
        **{"class": str, "site": str, "gateway": str, "workload": str, "model": str, "release": str},
        **{"number": int, "act": str, "percent": (int, float), "by": str, "reason": str},
        **{"signed": str, "signature": str},
    },
    "reidentify": {**_SAID, "act": str, "reason": str, "month": str, "person": str},
    "erase": {"subject": str, "by": str},
    "export": {"workload": str, "by": str, "reason": str, "answers": int, "sha256": str},
    "hold": {"subject": str, "by": str, "reason": str},
    "release": {"subject": str, "by": str},
}


_SINCE: dict[str, dict[str, type | tuple[type, ...]]] = {
    "intent": {"question": (str, NoneType)},
    "outcome": {"answer": list, "price": (dict, NoneType), "gpu_seconds": (int, float, NoneType)},
    "review": {"answer": list, "turns": list, "legal_basis": str, "notice": str, "appeal_of": str},
}
"""Fields that records of earlier releases lack."""


def find_shape_error(record: dict[str, Any]) -> str | None:
    """The first field that is missing or of the wrong type for the record's kind, as a message, or None.

    A chain holds whatever its gateway wrote, so a valid chain may hold invalid records.
    """
    shape = _SHAPES.get(record["kind"])
    if shape is None:
        return f"the kind {record['kind'][:20]!r} is unknown"
    for key, kind in shape.items():
        if not _has_type(record.get(key, _NO), kind):
            return f"{key} is not as it must be"
    for key, kind in _SINCE.get(record["kind"], {}).items():
        if key in record and not _has_type(record[key], kind):
            return f"{key} is not as it must be"
    return None


_NO = object()


def _has_type(value: Any, kind: type | tuple[type, ...]) -> bool:
    if kind is list:
        # Lists of a record hold words: verdicts, HMACs, marks.
        return isinstance(value, list) and all(isinstance(element, str) for element in value)
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is int)


@dataclass
class Chain:
    """The end of a writer's chain: the last sequence number and the digest of that line."""

    writer: str
    seq: int = -1
    head: str = ""
    ended: bool = False
    """Whether its last record was `close`."""

    def __post_init__(self) -> None:
        self.head = self.head or genesis(self.writer)

    def write(self, kind: str, time: str, fields: dict[str, Any]) -> bytes:
        """The next line of the chain, without the line end. Raises ValueError if it is longer than `MAX_LINE_BYTES`."""
        record = {
            **fields,
            "v": VERSION,
            "kind": kind,
            "time": time,
            "writer": self.writer,
            "seq": self.seq + 1,
            "prev": self.head,
        }
        line = canonical(record)
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"a record of {len(line)} bytes")
        self._step(line, kind)
        return line

    def follow(self, line: bytes) -> dict[str, Any]:
        """The record of the next line. Raises Broken if the line does not continue the chain."""
        record = parse(line)
        if record.get("writer") != self.writer:
            raise Broken(f"it is of writer {record.get('writer')!r}")
        if record.get("seq") != self.seq + 1:
            raise Broken(f"it bears number {record.get('seq')!r}, and {self.seq + 1} comes next")
        if record.get("prev") != self.head:
            raise Broken("it names another line before it")
        if self.ended:
            raise Broken("the chain had ended with the record `close`")
        if record.get("v") != VERSION or not isinstance(record.get("kind"), str):
            raise Broken("it is of an unknown version")
        if (record["kind"] == "open") != (record["seq"] == 0):
            raise Broken("a chain begins with the record `open`, and has no other")
        self._step(line, record["kind"])
        return record

    def _step(self, line: bytes, kind: str) -> None:
        self.seq, self.head, self.ended = self.seq + 1, digest(line), kind == "close"
