"""The lines of a batch: their check, and the lines of its results, as OpenAI has them."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from edge import strict_json
from edge.openai_api import Refusal

MOST_ID = 512
"""Characters of a `custom_id`."""
_FIELDS = frozenset(["custom_id", "method", "url", "body"])


class BadLine(Exception):
    """A line that cannot be sent. The message quotes nothing of it."""

    def __init__(self, code: str, message: str, custom_id: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.custom_id = code, message, custom_id


@dataclass(frozen=True)
class Line:
    """A checked line: its id, the model that it asks for, and the body to send."""

    custom_id: str
    model: str
    """Workload and the model's name for callers, with a space between them."""
    body: bytes

    def dump(self) -> bytes:
        """As one text, to be encrypted."""
        return json.dumps(self.custom_id).encode() + b"\n" + self.body

    @staticmethod
    def load(text: bytes) -> tuple[str, bytes]:
        """`custom_id` and body of `dump`."""
        custom_id, _, body = text.partition(b"\n")
        return json.loads(custom_id), body


class LineCheck:
    """Checks the lines of one batch, in order."""

    def __init__(self, endpoint: str, max_bytes: int, model_of: Callable[[dict[str, Any]], str]) -> None:
        """`model_of`: the model of a body, after its check. Raises Refusal."""
        self._endpoint, self._max_bytes, self._model_of = endpoint, max_bytes, model_of
        self._seen: set[str] = set()

    def line(self, text: bytes) -> Line:
        """The checked line. Raises BadLine."""
        if len(text) > self._max_bytes:
            raise BadLine("request_too_large", f"The line is larger than {self._max_bytes} bytes.")
        try:
            fields = strict_json.parse(text)
        except strict_json.NotStrict as error:
            raise BadLine("malformed_json", f"The line {error}. Write one JSON object in UTF-8.") from None
        if not isinstance(fields, dict):
            raise BadLine("malformed_json", "The line must be a JSON object.")
        custom_id = fields.get("custom_id")
        if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MOST_ID:
            raise BadLine("invalid_custom_id", f"'custom_id' must be a text of 1 to {MOST_ID} characters.")
        try:
            return self._checked(custom_id, fields)
        except Refusal as refusal:
            raise BadLine(refusal.code, refusal.message, custom_id) from None

    def _checked(self, custom_id: str, fields: dict[str, Any]) -> Line:
        def bad(code: str, message: str) -> BadLine:
            return BadLine(code, message, custom_id)

        if fields.keys() - _FIELDS:
            raise bad(
                "unknown_field", "A line has 'custom_id', 'method', 'url' and 'body', and nothing else."
            )
        if fields.get("method") != "POST":
            raise bad("invalid_method", "'method' must be POST.")
        if fields.get("url") != self._endpoint:
            raise bad("invalid_url", f"'url' must be the batch's endpoint, {self._endpoint}.")
        body = fields.get("body")
        if not isinstance(body, dict):
            raise bad("invalid_body", "'body' must be a JSON object.")
        if body.get("stream"):
            raise bad("stream_not_allowed", "A line of a batch cannot be streamed. Remove 'stream'.")
        if custom_id in self._seen:
            raise bad("duplicate_custom_id", "An earlier line has the same 'custom_id'.")
        model, text = self._model_of(body), _dump(body, bad)
        self._seen.add(custom_id)
        return Line(custom_id, model, text)


def _dump(body: dict[str, Any], bad: Callable[[str, str], BadLine]) -> bytes:
    try:
        return strict_json.dump(body)
    except (ValueError, RecursionError):
        raise bad("malformed_json", "The body holds text that is not valid Unicode.") from None


async def split_lines(pieces: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[tuple[int, bytes]]:
    """The lines of a file with their numbers from 1, without empty ones. A line that is longer than `max_bytes` is cut
    to one byte more.
    """
    number, rest, is_cut = 1, bytearray(), False
    async for piece in pieces:
        *whole, last = piece.split(b"\n")
        for part in whole:
            rest += b"" if is_cut else part[: max_bytes + 1 - len(rest)]
            if rest.strip():
                yield number, bytes(rest)
            number, is_cut = number + 1, False
            rest.clear()
        rest += b"" if is_cut else last[: max_bytes + 1 - len(rest)]
        is_cut = len(rest) > max_bytes
    if rest.strip():
        yield number, bytes(rest)


def answered(custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The result line of a request that was answered, or refused for its own fault."""
    return _result(custom_id, {"status_code": status, "request_id": request_id, "body": _parsed(body)}, None)


def not_answered(custom_id: str | None, code: str, message: str, line: int) -> bytes:
    """The result line of a request that was not answered. `line`: its number in the input."""
    return _result(custom_id, None, {"code": code, "message": message, "line": line})


def _result(custom_id: str | None, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    result = {
        "id": f"batch_req_{secrets.token_hex(16)}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
    # ASCII, because many readers split lines at U+2028 too.
    return json.dumps(result, separators=(",", ":")).encode("ascii") + b"\n"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
