"""Reads an upload (`multipart/form-data`) piece by piece, so that no plain text of it is ever on a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message
from typing import Any

from starlette.requests import ClientDisconnect, Request

from edge.openai_api import Refusal, bad_request

MOST_FIELD_BYTES = 512
MOST_OVERHEAD_BYTES = 64 * 1024
"""Bytes of a body beside its file."""
_MALFORMED = "malformed_upload", "The body is not multipart/form-data with the fields 'purpose' and 'file'."


class Upload:
    """The parts of an upload: `fields` are complete when `content` has ended."""

    def __init__(self, request: Request, max_bytes: int, known_fields: frozenset[str]) -> None:
        """`max_bytes`: of the file. Raises Refusal 413 or 415."""
        # Imported here, because only gateways with batches take uploads.
        from python_multipart.multipart import MultipartParser

        options = Message()
        options["content-type"] = request.headers.get("content-type", "")
        boundary = options.get_param("boundary")
        if options.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
            raise Refusal(415, "unsupported_media_type", "Send the file as multipart/form-data.")
        declared = request.headers.get("content-length", "")
        self.expected_bytes = int(declared) if declared.isdigit() else max_bytes
        if self.expected_bytes > max_bytes + MOST_OVERHEAD_BYTES:
            raise too_large(max_bytes)
        self.expected_bytes = min(self.expected_bytes, max_bytes)
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._request, self._max_bytes, self._known = request, max_bytes, known_fields
        self._pending: list[bytes] = []
        self._header: list[bytes] = [b"", b""]
        self._name, self._text = "", bytearray()
        self._is_file = self._had_file = self._ended = False
        events = ("part_begin", "header_field", "header_value", "header_end", "headers_finished")
        callbacks: Any = {f"on_{event}": getattr(self, f"_{event}") for event in events}
        callbacks |= {"on_part_data": self._part_data, "on_part_end": self._part_end, "on_end": self._end}
        self._parser = MultipartParser(boundary.encode("latin-1", "replace"), callbacks)

    async def content(self) -> AsyncIterator[bytes]:
        """The file's content in pieces. Raises Refusal 400, 413 or 499."""
        from python_multipart.exceptions import FormParserError

        size = received = 0
        try:
            async for data in self._request.stream():
                received += len(data)
                if received > self._max_bytes + MOST_OVERHEAD_BYTES:
                    raise too_large(self._max_bytes)
                self._parser.write(data)
                for piece in self._pending:
                    size += len(piece)
                    if size > self._max_bytes:
                        raise too_large(self._max_bytes)
                    yield piece
                self._pending.clear()
        except FormParserError:
            raise bad_request(*_MALFORMED) from None
        except ClientDisconnect:
            raise Refusal(499, "client_closed_request", "The client went away.") from None
        self._request.state.exchange.bytes_in = received
        if not self._ended or not self._had_file:
            raise bad_request(*_MALFORMED)

    def _part_begin(self) -> None:
        self._name, self._is_file = "", False
        self._text.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_end(self) -> None:
        name, value = (part.decode("utf-8", "replace") for part in self._header)
        self._header = [b"", b""]
        if name.lower() != "content-disposition":
            return
        disposition = Message()
        disposition["content-disposition"] = value
        field = disposition.get_param("name", header="content-disposition")
        self._name = field if isinstance(field, str) else ""
        if self._name == "file":
            self._is_file = True
            self.file_name = (disposition.get_filename() or "upload")[:256]

    def _headers_finished(self) -> None:
        if self._is_file:
            if self._had_file:
                raise bad_request("invalid_file", "The field 'file' is sent twice.")
            self._had_file = True
        elif self._name not in self._known:
            raise bad_request("unknown_field", f"The field {self._name[:80]!r} is not accepted.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pending.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MOST_FIELD_BYTES:
            raise bad_request(f"invalid_{self._name}", f"The field {self._name[:80]!r} is too long.")

    def _part_end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def too_large(max_bytes: int) -> Refusal:
    """The refusal of a file that is too large."""
    return Refusal(
        413, "file_too_large", f"The file is larger than {max_bytes} bytes. Send it as several files."
    )
