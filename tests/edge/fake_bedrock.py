"""A fake Bedrock runtime endpoint: Converse and ConverseStream, checked against botocore's own model."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any
from urllib.parse import unquote

from botocore.session import Session
from botocore.validate import ParamValidator

from tests.edge.fake_aws import FakeAws, Handler

WORDS = ["Guten", " Tag", ", Anna"]
USAGE = {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
_SHAPES = Session().get_service_model("bedrock-runtime")


class FakeBedrock(FakeAws):
    """`behaviour` is one of: ok, guarded, cut, truncated, exception, and status-<n>."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.usage = USAGE
        self.wrong: list[str] = []

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.usage = USAGE
        self.wrong.clear()


def conforms(value: Any, shape: Any) -> str:
    """Validate a value against a shape of botocore's model. Returns the error, or an empty text."""
    report = ParamValidator().validate(value, shape)
    return report.generate_report() if report.has_errors() else ""


def frame(kind: str, name: str, payload: dict[str, Any]) -> bytes:
    """One message of vnd.amazon.eventstream with JSON."""
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


class _Handler(Handler):
    server: FakeBedrock  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.asked()
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
            "usage": self.server.usage,
            "metrics": {"latencyMs": 5},
        }
        shape = _SHAPES.operation_model("Converse").output_shape
        self.server.wrong += filter(None, [conforms(answer, shape)])
        self.answer(200, answer)

    def _stream(self, behaviour: str) -> None:
        events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        events += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}) for text in WORDS]
        events += [
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": self.server.usage, "metrics": {"latencyMs": 5}}),
        ]
        output: Any = _SHAPES.operation_model("ConverseStream").output_shape
        members = output.members["stream"].members
        self.server.wrong += [c for name, value in events if (c := conforms(value, members[name]))]
        frames = [frame("event", *event) for event in (events if behaviour == "ok" else events[:3])]
        if behaviour == "exception":
            message = {"message": "arn:aws:bedrock:eu-central-1:123456789012:x is throttled"}
            frames.append(frame("exception", "throttlingException", message))
        self.stream(frames, cut=behaviour == "cut")

    def _fail(self, status: int, model: str) -> None:
        text = f"The model {model} of account 123456789012 does not take this."
        self.answer(status, {"message": text})
