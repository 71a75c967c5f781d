"""Server-sent events as in OpenAI's streams: `data:` lines with JSON, ended by `[DONE]`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from edge import strict_json

DONE = b"data: [DONE]\n\n"
DONE_DATA = b"[DONE]"
MAX_EVENT_BYTES = 8 * 1024 * 1024
HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}


class BrokenStream(Exception):
    """The stream contains no valid events, or an event is too long."""


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event. A last event without a blank line after it is incomplete, so it is dropped.

    Lines end at LF or CR LF only. `str.splitlines` would also split at U+2028, which JSON text may contain.
    """
    buffer = bytearray()
    data: list[bytes] = []
    async for piece in pieces:
        buffer += piece
        if len(buffer) > MAX_EVENT_BYTES:
            raise BrokenStream("an event is too large")
        *lines, unfinished = bytes(buffer).split(b"\n")
        buffer = bytearray(unfinished)
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []


def event(value: Any, name: str = "") -> bytes:
    """One event with a value as JSON, and with a name if the interface names its events."""
    head = f"event: {name}\n".encode() if name else b""
    try:
        data = strict_json.dump(value)
    except ValueError:  # half of a surrogate pair, or an infinite number
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return head + b"data: " + data + b"\n\n"
