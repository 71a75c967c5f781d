"""A model server for clients: answers like a real model, with JSON on request and one tool call for each question."""

from __future__ import annotations

import base64
import struct
from typing import Any

from tests.edge.fake_model import ARGUMENTS, WORDS, FakeModel

VECTOR = [0.5, 0.25]


class Helpful(FakeModel):
    """A model server that answers like a real model: JSON on request, and one tool call for each question."""

    def prepare(self, request: dict[str, Any]) -> None:
        response_format = request.get("response_format", {}).get("type", "text")
        self.words = [ARGUMENTS] if response_format != "text" else WORDS
        choice = request.get("tool_choice")
        tool = choice if isinstance(choice, dict) else next(iter(request.get("tools", ())), None)
        self.function = tool["function"]["name"] if tool else ""

    def calls_tool(self, request: dict[str, Any]) -> bool:
        return "tools" in request and request["messages"][-1]["role"] != "tool"

    def answer_to(self, path: str, request: dict[str, Any]) -> dict[str, Any] | None:
        if path != "/v1/embeddings":
            return super().answer_to(path, request)
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        packed = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()
        vector = packed if request.get("encoding_format") == "base64" else VECTOR
        data = [{"index": at, "object": "embedding", "embedding": vector} for at, _ in enumerate(texts)]
        return {
            "id": "embd-1",
            "object": "list",
            "created": 1,
            "model": "bge",
            "data": data,
            "usage": self.usage,
        }
