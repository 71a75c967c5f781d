"""A fake model server: answers like vLLM 0.33, records every byte that it receives, and can misbehave.

Whole answers have all fields of vLLM's response classes, most of them null. Stream events have only the fields that
vLLM sets (`vllm/entrypoints/openai/chat_completion/protocol.py` and `serving.py`, `completion/protocol.py`).
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterable
from typing import Any

from tests.edge.fake import Fake

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
WORDS = ["Paid", " to", " Muster\u2028GmbH", " for", " rent"]
HEALTHY = "vllm:num_requests_running 0\n"
ARGUMENTS = '{"city": "Bern"}'
TOOL_CALL = {"id": "call-1", "type": "function", "function": {"name": "rate", "arguments": ARGUMENTS}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
VECTORS = {
    "id": "embd-1",
    "object": "list",
    "created": 1,
    "data": [{"index": 0, "object": "embedding", "embedding": [0.1]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": None},
    "secret": "10.1.2.3",
}
ORDER = {
    "id": "rerank-1",
    "results": [{"index": 0, "document": {"text": "a"}, "relevance_score": 0.9}],
    "usage": {"total_tokens": 3},
}
TOKENS = {"count": 9, "max_model_len": 32768, "tokens": [101, 102, 103], "token_strs": None}
# Fields that are null in vLLM's answer to a request without special options.
_OF_ANSWER = {
    "service_tier": None,
    "system_fingerprint": "vllm-0.33.0-host-7",
    "prompt_logprobs": None,
    "prompt_token_ids": None,
    "prompt_text": None,
    "kv_transfer_params": None,
    "ec_transfer_params": None,
    "metrics": None,
}
_OF_CHOICE = {"logprobs": None, "stop_reason": None, "token_ids": None, "routed_experts": None}
_OF_COMPLETION = {"prompt_logprobs": None, "prompt_token_ids": None}
_OF_MESSAGE = {
    "refusal": None,
    "annotations": None,
    "audio": None,
    "function_call": None,
    "tool_calls": [],
    "reasoning": None,
}


class FakeModel(Fake):
    """`behaviour` is one of: ok, cut, no-done, error-event, endless, flood, slow, held, linger, stall, half,
    status-<n>, too-long, html, ill, full, die, die-once.

    `ill`: reports that it is unhealthy, but answers. `full`: reports that it is healthy, but refuses requests. `half`:
    ends within a whole answer, as `cut` within a stream. `held`: sends the first word of a stream, and the others
    when `released` is set.
    """

    words: list[str]
    logprobs: list[float] | None
    """Log-probabilities of the words, sent if requested. None: never sent."""
    changes: dict[str, Any]
    """Fields that replace those of whole answers and stream events."""
    usage: Any
    """The `usage` of answers, possibly malformed."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.received: list[bytes] = []
        self.cancelled = threading.Event()
        self.words_sent, self.released = threading.Event(), threading.Event()
        self.metrics = HEALTHY
        self.reset_words()
        super().__init__(_Handler, address)

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.received.clear()
        self.cancelled.clear()
        self.words_sent.clear()
        self.released.clear()
        self.metrics = HEALTHY
        self.reset_words()

    def reset_words(self) -> None:
        """Reset the words of its answer."""
        self.words, self.logprobs, self.arguments, self.usage = WORDS, None, ARGUMENTS, USAGE
        self.function, self.call_id = "rate", "call-1"
        self.changes: dict[str, Any] = {}

    def call(self) -> dict[str, Any]:
        """The tool call of its answer, if the request has tools."""
        function = {"name": self.function, "arguments": self.arguments}
        return {"id": self.call_id, "type": "function", "function": function}

    def answers(self, path: str) -> dict[str, Any] | None:
        """Fixed answers of paths other than chat, if any."""
        return {"/tokenize": TOKENS}.get(path)

    def answer_to(self, path: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a request at a path other than chat."""
        return self.answers(path)

    def prepare(self, request: dict[str, Any]) -> None:
        """Choose the answer to a chat or completions request, unless the test has set one."""

    def calls_tool(self, request: dict[str, Any]) -> bool:
        """Whether it answers with a tool call instead of text."""
        return "tools" in request

    def last_body(self) -> dict[str, Any]:
        return json.loads(self.received[-1].split(b"\r\n\r\n", 1)[1])


class Answering(FakeModel):
    """A fake model server that also answers embeddings and reranking."""

    def answers(self, path: str) -> dict[str, Any] | None:
        return {"/v1/embeddings": VECTORS, "/v1/rerank": ORDER}.get(path) or super().answers(path)


class _Handler(socketserver.BaseRequestHandler):
    server: FakeModel  # pyright: ignore[reportIncompatibleVariableOverride]
    request: socket.socket
    _chats = True

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while raw := self._read():
            head, body = raw.split(b"\r\n\r\n", 1)
            path = head.split(b" ")[1].decode()
            if path == "/health":
                ill = self.server.behaviour in ("status-503", "ill")
                self._answer(503 if ill else 200, b"", "text/plain")
            elif path == "/metrics":
                self._answer(200, self.server.metrics.encode(), "text/plain; version=0.0.4")
            elif path == "/v1/models":
                self._answer(200, json.dumps({"data": [{"id": MODEL}]}).encode(), "application/json")
            else:
                self.server.received.append(raw)
                request = json.loads(body)
                self._chats = path.endswith("/chat/completions")
                if (prepared := self.server.answer_to(path, request)) is not None:
                    self._answer(200, json.dumps(prepared).encode(), "application/json")
                elif not self._complete(request):
                    return

    def _read(self) -> bytes:
        raw = b""
        while b"\r\n\r\n" not in raw:
            piece = self.request.recv(65536)
            if not piece:
                return b""
            raw += piece
        head, body = raw.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            body += self.request.recv(65536)
        return head + b"\r\n\r\n" + body

    def _complete(self, request: dict[str, Any]) -> bool:
        """Answer the request. Returns whether the connection stays open."""
        self.server.prepare(request)
        behaviour = self.server.behaviour.replace("full", "status-503")
        message = f"{MODEL} says no: 10.1.2.3"
        if behaviour == "too-long":
            behaviour = "status-400"
            message = "This model's maximum context length is 4096 tokens. However, your request has 5000."
        if behaviour.startswith("status-"):
            error = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}}
            self._answer(
                int(behaviour.removeprefix("status-")), json.dumps(error).encode(), "application/json"
            )
            return True
        if behaviour in ("die", "die-once"):
            self.server.behaviour = "die" if behaviour == "die" else "ok"
            return False
        if behaviour == "html":
            self._answer(200, b"<html>", "text/html")
            return True
        if behaviour == "stall":
            self._wait_for_the_end()
            return False
        usage = self.server.usage
        if not request.get("stream"):
            answer = {
                "id": "chatcmpl-1",
                "object": "chat.completion" if self._chats else "text_completion",
                "created": 1,
                "model": request["model"],
                "choices": [self._choice(request)],
                "usage": _counted(usage),
                **_OF_ANSWER,
                **self.server.changes,
            }
            whole = json.dumps(answer, ensure_ascii=False).encode()
            if behaviour == "half":
                self._send(200, whole[: len(whole) // 2], "application/json", len(whole))
                return False
            self._answer(200, whole, "application/json")
            return True
        return self._stream(request, usage, behaviour)

    def _choice(self, request: dict[str, Any]) -> dict[str, Any]:
        """A choice with text, or with a tool call if the request has tools."""
        if not self._chats:
            choice = {"index": 0, "text": "".join(self.server.words), "finish_reason": "stop"}
            return {**choice, **_OF_CHOICE, **_OF_COMPLETION}
        message = {"role": "assistant", "content": "".join(self.server.words), **_OF_MESSAGE}
        reason = "stop"
        if self.server.calls_tool(request):
            message |= {"content": None, "tool_calls": [self.server.call()]}
            reason = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": reason, **_OF_CHOICE}
        return choice | self._logprobs(request, range(len(self.server.words)))

    def _logprobs(self, request: dict[str, Any], numbers: Iterable[int]) -> dict[str, Any]:
        """Log-probabilities of words by their index, in vLLM's format."""
        if not request.get("logprobs") or self.server.logprobs is None:
            return {}
        texts, logprobs = self.server.words, self.server.logprobs
        content = [
            {"token": texts[index], "logprob": logprobs[index], "bytes": list(texts[index].encode())}
            for index in numbers
        ]
        return {"logprobs": {"content": content}}

    def _piece(self, text: str, last: str | None) -> dict[str, Any]:
        extra = {"logprobs": None, "finish_reason": last, "token_ids": None}
        extra |= {} if last is None else {"stop_reason": None}
        if not self._chats:
            return {"index": 0, "text": text, **extra}
        return {"index": 0, "delta": {"content": text}, **extra}

    def _stream(self, request: dict[str, Any], usage: Any, behaviour: str) -> bool:
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"x-upstream-secret: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        if self._chats:
            begins = {"index": 0, "delta": {"role": "assistant", "content": ""}}
            self._event(request, [{**begins, "logprobs": None, "finish_reason": None}])
        for index, part in enumerate(self._tool_deltas() if self.server.calls_tool(request) else ()):
            last = "tool_calls" if index == 2 else None
            choice = {"index": 0, "delta": {"tool_calls": [part]}, "logprobs": None, "finish_reason": last}
            self._event(request, [choice])
        for number, token in enumerate(() if self.server.calls_tool(request) else self.server.words):
            if behaviour in ("cut", "no-done", "error-event") and number == 3:
                break
            if behaviour == "slow" and number:
                time.sleep(0.4)
            if behaviour == "held" and number:
                self.server.released.wait(30)
            last = "stop" if number == len(self.server.words) - 1 else None
            running = {"prompt_tokens": 7, "completion_tokens": number + 1}
            continuous = request.get("stream_options", {}).get("continuous_usage_stats")
            choices = [self._piece(token, last) | self._logprobs(request, [number])]
            self._event(request, choices, running if continuous else None)
            self.server.words_sent.set()
        if behaviour == "cut":
            return False
        if behaviour in ("endless", "flood"):
            text = "." if behaviour == "endless" else "word " * 20_000
            try:
                while True:
                    time.sleep(0.05)
                    self._event(request, [{"index": 0, "delta": {"content": text}, "finish_reason": None}])
            except OSError:
                self.server.cancelled.set()
                return False
        if behaviour == "error-event":
            self._chunk(b'data: {"error": {"message": "engine dead at 10.1.2.3"}}\n\ndata: [DONE]\n\n')
        elif behaviour != "no-done":
            if request.get("stream_options", {}).get("include_usage"):
                self._event(request, [], usage)
            self._chunk(b"data: [DONE]\n\n")
        if behaviour == "linger":
            self._wait_for_the_end()
            return False
        self.request.sendall(b"0\r\n\r\n")
        return True

    def _tool_deltas(self) -> list[dict[str, Any]]:
        """A tool call in stream pieces: its name, then its arguments."""
        call, arguments = self.server.call(), self.server.arguments
        opening = {"index": 0, **call, "function": {**call["function"], "arguments": ""}}
        pieces = (arguments[:9], arguments[9:])
        return [opening, *({"index": 0, "function": {"arguments": part}} for part in pieces)]

    def _event(self, request: dict[str, Any], choices: list[Any], usage: Any = None) -> None:
        chunk: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk" if self._chats else "text_completion",
            "created": 1,
            "model": request["model"],
            "choices": choices,
            **({} if usage is None else {"usage": _counted(usage)}),
            **self.server.changes,
        }
        self._chunk(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.request.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self._send(status, body, kind, len(body))

    def _send(self, status: int, body: bytes, kind: str, length: int) -> None:
        """Send a response whose header states this length of its body."""
        head = (
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-upstream-secret: 1\r\n"
            f"content-length: {length}\r\n\r\n"
        )
        self.request.sendall(head.encode() + body)

    def _wait_for_the_end(self) -> None:
        self.request.settimeout(15)
        try:
            if self.request.recv(1) == b"":
                self.server.cancelled.set()
        except ConnectionError:
            self.server.cancelled.set()


def _counted(usage: Any) -> Any:
    """The `usage` in vLLM's format. A value other than an object is returned unchanged."""
    if not isinstance(usage, dict):
        return usage
    return {"prompt_tokens_details": None, "completion_tokens_details": None, **usage}
