"""A record: one line of canonical JSON that names its writer, its place in the writer's chain and the line before it.

What a line is called by is the SHA-256 of its bytes, so a head names every line before it. A record never holds what
was asked or answered.
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
WRITER = re.compile(r"[a-z0-9][a-z0-9.-]{0,119}-[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}")
"""Who writes, since when, and eight random digits: each start of a process is a writer of its own."""


class Broken(Exception):
    """A line that is not the next one of its chain."""


def canonical(value: Any) -> bytes:
    """The one way to write a value: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def parse(line: bytes) -> dict[str, Any]:
    """A line as an object; raises Broken where it is not written canonically, so that no two readers differ."""
    try:
        value = json.loads(line)
        if isinstance(value, dict) and canonical(value) == line:
            return value
    except (ValueError, RecursionError):
        pass
    raise Broken("it is no canonical JSON object")


def genesis(writer: str) -> str:
    """What a writer's first line names as the line before it."""
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
    "erase": {"subject": str, "by": str},
    "hold": {"subject": str, "by": str, "reason": str},
    "release": {"subject": str, "by": str},
}


def find_shape_error(record: dict[str, Any]) -> str | None:
    """What a record of its kind must say and does not: a chain holds whatever its gateway wrote into it."""
    shape = _SHAPES.get(record["kind"])
    if shape is None:
        return f"the kind {record['kind'][:20]!r} is unknown"
    return next(
        (
            f"{key} is not as it must be"
            for key, kind in shape.items()
            if not _has_type(record.get(key, _NO), kind)
        ),
        None,
    )


_NO = object()


def _has_type(value: Any, kind: type | tuple[type, ...]) -> bool:
    if kind is list:
        # The one list of a record: what was said, each in words.
        return isinstance(value, list) and all(isinstance(element, str) for element in value)
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is int)


@dataclass
class Chain:
    """Where a writer's chain has come to: the last sequence number, and that line's digest."""

    writer: str
    seq: int = -1
    head: str = ""
    ended: bool = False
    """Whether its last record was `close`."""

    def __post_init__(self) -> None:
        self.head = self.head or genesis(self.writer)

    def write(self, kind: str, time: str, fields: dict[str, Any]) -> bytes:
        """The next line, without its end; the chain goes on. Raises ValueError on a line beyond all measure."""
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
        """The record of the next line, with which the chain goes on; raises Broken where it is another's."""
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
