"""A fake SageMaker runtime endpoint with vLLM behind it: whole answers and streams."""

from __future__ import annotations

import json
from typing import Any

from tests.edge.fake_aws import FakeAws, Handler
from tests.edge.fake_bedrock import WORDS, raw_frame

SERVED = "Qwen/Qwen3-32B"
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


class FakeSageMaker(FakeAws):
    """`behaviour` is one of: ok, cut, and status-<n>. 424 is SageMaker's status for its container's 400."""

    def __init__(self) -> None:
        super().__init__(_Handler)


class _Handler(Handler):
    server: FakeSageMaker  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        self.server.requests.append((self.path, dict(self.headers.items()), self.asked()))
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
        self.answer(200, answer)

    def _stream(self, behaviour: str) -> None:
        common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": SERVED}
        chunks: list[dict[str, Any]] = [
            {**common, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]}
            for text in WORDS
        ]
        chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({**common, "choices": [], "usage": USAGE})
        events = [f"data: {json.dumps(part)}\n\n" for part in chunks] + ["data: [DONE]\n\n"]
        frames = [
            raw_frame("event", "PayloadPart", event.encode(), "application/octet-stream")
            for event in (events if behaviour == "ok" else events[:2])
        ]
        self.stream(frames, cut=behaviour == "cut")

    def _fail(self, status: int) -> None:
        message = (
            "Received client error (400) from primary. See arn:aws:logs:eu-central-1:123456789012:log-group"
        )
        body: dict[str, Any] = {"Message": message}
        if status == 424:
            body |= {"OriginalStatusCode": 400, "OriginalMessage": "max_tokens is too large"}
        self.answer(status, body)
