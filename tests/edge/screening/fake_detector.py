"""A fake detector: it answers like the real one, or fails in one of several ways."""

from __future__ import annotations

import json
import socket
import socketserver
import time
from collections.abc import Callable
from typing import Any

from edge.detection import detect_texts
from edge.redaction import Detector
from tests.edge.fake import Fake

Said = dict[str, Any]


def _findings(response: Said, findings: list[Any]) -> Said:
    return {**response, "results": [{**result, "findings": findings} for result in response["results"]]}


NONSENSE: dict[str, Callable[[Said], Any]] = {
    "no object": lambda response: [],
    "another request's": lambda response: {**response, "sha256": "0" * 64},
    "nothing found": lambda response: _findings(response, []),
    "beyond the text": lambda response: _findings(response, [[0, 10**6, "SECRET", 1, "x"]]),
    "backwards": lambda response: _findings(response, [[9, 3, "SECRET", 1, "x"]]),
    "over each other": lambda response: _findings(
        response, [[0, 20, "SECRET", 1, "x"], [5, 36, "SECRET", 1, "x"]]
    ),
    "words for numbers": lambda response: _findings(response, [["0", "36", "SECRET", 1, "x"]]),
    "too few": lambda response: {**response, "results": response["results"][1:]},
    "no version": lambda response: {**response, "version": None},
    "no reach": lambda response: {**response, "reach": {}},
    "a reach below nothing": lambda response: {**response, "reach": {**response["reach"], "widest": -1}},
}


class FakeDetector(Fake):
    """`behaviour` is `ok`, `gone`, `slow`, `cut`, `html`, `status-<n>`, or a key of NONSENSE."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        super().__init__(_Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: FakeDetector  # pyright: ignore[reportIncompatibleVariableOverride]
    request: socket.socket

    def handle(self) -> None:
        while body := self._read():
            behaviour = self.server.behaviour
            if behaviour == "gone":
                return
            if behaviour == "slow":
                time.sleep(1.5)
            if behaviour == "cut":
                self.request.sendall(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n{")
                return
            status, answer = 200, detect_texts(body, self.server.detector)
            if behaviour.startswith("status-"):
                status = int(behaviour.removeprefix("status-"))
            if behaviour == "html":
                answer = b"<html>"
            if behaviour in NONSENSE:
                answer = json.dumps(NONSENSE[behaviour](json.loads(answer))).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
            self.request.sendall(head.encode() + answer)

    def _read(self) -> bytes:
        raw = b""
        while b"\r\n\r\n" not in raw:
            if not (piece := self.request.recv(65536)):
                return b""
            raw += piece
        head, body = raw.split(b"\r\n\r\n", 1)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < int(lengths[0].split(b":")[1]):
            body += self.request.recv(65536)
        return body
