"""Base of fake AWS services: an endpoint that records requests and can misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.edge.fake import Fake


class FakeAws(Fake):
    """A fake AWS service. `behaviour` is `ok`, or a fault that the service supports."""

    def __init__(self, handler: type[Handler]) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        super().__init__(handler)

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.requests.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def asked(self) -> dict[str, Any]:
        """Read the request's body."""
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, frames: Iterable[bytes], *, cut: bool) -> None:
        """Send messages of vnd.amazon.eventstream. `cut`: break the connection after them."""
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for data in frames:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")
