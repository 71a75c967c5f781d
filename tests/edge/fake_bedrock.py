"""A Bedrock runtime endpoint for tests: Converse and ConverseStream, held to botocore's own model."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from botocore.session import Session
from botocore.validate import ParamValidator

WORDS = ["Guten", " Tag", ", Anna"]
USAGE = {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
_SHAPES = Session().get_service_model("bedrock-runtime")


class FakeBedrock(ThreadingHTTPServer):
    """`behaviour` is one of: ok, guarded, cut, truncated, exception, and status-<n>."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = "ok"
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.wrong: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self, behaviour: str = "ok") -> None:
        self.behaviour = behaviour
        self.requests.clear()
        self.wrong.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is part of the tests."""


def conforms(value: Any, shape: Any) -> str:
    """botocore's complaint about a value of a shape, or nothing."""
    report = ParamValidator().validate(value, shape)
    return report.generate_report() if report.has_errors() else ""


def frame(kind: str, name: str, payload: dict[str, Any]) -> bytes:
    """One message of vnd.amazon.eventstream, with JSON in it."""
    return raw_frame(kind, name, json.dumps(payload).encode(), "application/json")


def raw_frame(kind: str, name: str, body: bytes, content: str) -> bytes:
    """One message of vnd.amazon.eventstream: prelude, its CRC, headers, payload, CRC of all before."""
    headers = b""
    for key, value in (
        (":event-type" if kind == "event" else ":exception-type", name),
        (":content-type", content),
        (":message-type", kind),
    ):
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeBedrock  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, _, model, operation = self.path.split("/")
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        name = {"converse": "Converse", "converse-stream": "ConverseStream"}[operation]
        shape = _SHAPES.operation_model(name).input_shape
        self.server.wrong += filter(None, [conforms({"modelId": unquote(model), **body}, shape)])
        behaviour = self.server.behaviour
        if behaviour.startswith("status-"):
            self._fail(int(behaviour.removeprefix("status-")), unquote(model))
        elif operation == "converse":
            self._whole()
        else:
            self._stream(behaviour)

    def _whole(self) -> None:
        answer = {
            "output": {"message": {"role": "assistant", "content": [{"text": "".join(WORDS)}]}},
            "stopReason": "guardrail_intervened" if self.server.behaviour == "guarded" else "end_turn",
            "usage": USAGE,
            "metrics": {"latencyMs": 5},
        }
        shape = _SHAPES.operation_model("Converse").output_shape
        self.server.wrong += filter(None, [conforms(answer, shape)])
        self._send(200, json.dumps(answer).encode(), "application/json")

    def _stream(self, behaviour: str) -> None:
        events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        events += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in WORDS]
        events += [
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}),
        ]
        output: Any = _SHAPES.operation_model("ConverseStream").output_shape
        members = output.members["stream"].members
        self.server.wrong += [c for name, value in events if (c := conforms(value, members[name]))]
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, payload in events if behaviour == "ok" else events[:3]:
            self._chunk(frame("event", name, payload))
        if behaviour == "exception":
            message = {"message": "arn:aws:bedrock:eu-central-1:123456789012:x is throttled"}
            self._chunk(frame("exception", "throttlingException", message))
        if behaviour == "cut":
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _fail(self, status: int, model: str) -> None:
        text = f"The model {model} of account 123456789012 does not take this."
        self._send(status, json.dumps({"message": text}).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
