"""A stand-in for Open WebUI: it keeps the requests that reach it and answers a few of its routes."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeChat:
    """The server, on a free port of the loopback."""

    received: list[Received] = field(default_factory=list)
    models: tuple[str, ...] = ("credit", "claims", "bound", "guarded")
    fails: bool = False
    """Whether it answers 500 to everything."""

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"chat": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, path: str) -> list[Received]:
        return [request for request in self.received if request.path == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    chat: FakeChat
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.chat.received.append(Received(self.command, self.path, headers, body))
        if self.chat.fails:
            self._answer(500, b"{}")
        elif self.path == "/api/v1/auths/signin":
            self._answer(200, b'{"token": "chat-session"}', ("set-cookie", "token=chat-session; HttpOnly"))
        elif self.path.startswith("/api/models"):
            listed = {"data": [{"id": name} for name in self.chat.models]}
            self._answer(200, json.dumps(listed).encode())
        elif self.path == "/slow":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in (b"first", b"second"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
                time.sleep(0.5)
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/elsewhere":
            self._answer(307, b"", ("location", "/"))
        else:
            self._answer(200, b"{}")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
