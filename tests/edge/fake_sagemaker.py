"""A SageMaker runtime endpoint for tests, with vLLM behind it: whole answers and answers as they come."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.edge.fake_bedrock import WORDS, raw_frame

SERVED = "Qwen/Qwen3-32B"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


class FakeSageMaker(ThreadingHTTPServer):
    """`behaviour` is one of: ok, cut, and status-<n>; 424 is what SageMaker gives for its container's 400."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = "ok"
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self, behaviour: str = "ok") -> None:
        self.behaviour = behaviour
        self.requests.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeSageMaker  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        behaviour = self.server.behaviour
        if behaviour.startswith("status-"):
            self._fail(int(behaviour.removeprefix("status-")))
        elif self.path.endswith("/invocations"):
            self._whole()
        else:
            self._stream(behaviour)

    def _whole(self) -> None:
        message = {"role": "assistant", "content": "".join(WORDS)}
        answer = {
            **{
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": SERVED,
                "usage": USAGE,
            },
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        self._send(200, json.dumps(answer).encode())

    def _stream(self, behaviour: str) -> None:
        common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": SERVED}
        parts: list[dict[str, Any]] = [
            {**common, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]}
            for word in WORDS
        ]
        parts.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        parts.append({**common, "choices": [], "usage": USAGE})
        events = [f"data: {json.dumps(part)}\n\n" for part in parts] + ["data: [DONE]\n\n"]
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events if behaviour == "ok" else events[:2]:
            data = raw_frame("event", "PayloadPart", event.encode(), "application/octet-stream")
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if behaviour == "cut":
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _fail(self, status: int) -> None:
        words = (
            "Received client error (400) from primary. See arn:aws:logs:eu-central-1:123456789012:log-group"
        )
        told: dict[str, Any] = {"Message": words}
        if status == 424:
            told |= {"OriginalStatusCode": 400, "OriginalMessage": "max_tokens is too large"}
        self._send(status, json.dumps(told).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
