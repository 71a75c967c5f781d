"""A model server for tests: speaks enough HTTP, records every byte it is sent, and can misbehave."""

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
    "object": "list",
    "data": [{"embedding": [0.1]}],
    "usage": {"prompt_tokens": 3},
    "secret": "10.1.2.3",
}
ORDER = {"id": "r", "results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 3}}


class FakeModel(Fake):
    """`behaviour` is one of: ok, cut, no-done, error-event, endless, flood, slow, linger, stall, status-<n>, html, ill,
    full, die, die-once.

    `ill` says so of itself and answers nevertheless; `full` says that it is well, and takes nothing.
    """

    words: list[str]
    logprobs: list[float] | None
    """Of the words, told where they are asked for; None: it knows none, whoever asks."""
    usage: Any
    """What an answer counts, or whatever else stands there."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.received: list[bytes] = []
        self.cancelled = threading.Event()
        self.words_sent = threading.Event()
        self.metrics = HEALTHY
        self.words, self.logprobs, self.arguments, self.usage = WORDS, None, ARGUMENTS, USAGE
        super().__init__(_Handler, address)

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.received.clear()
        self.cancelled.clear()
        self.words_sent.clear()
        self.metrics = HEALTHY
        self.reset_words()

    def reset_words(self) -> None:
        """What it answers with."""
        self.words, self.logprobs, self.arguments, self.usage = WORDS, None, ARGUMENTS, USAGE

    def call(self) -> dict[str, Any]:
        """The call of a tool that it answers with, where there are tools."""
        return {**TOOL_CALL, "function": {"name": "rate", "arguments": self.arguments}}

    def answers(self, path: str) -> dict[str, Any] | None:
        """The fixed answer of a path beside chat."""
        return None

    def last_body(self) -> dict[str, Any]:
        return json.loads(self.received[-1].split(b"\r\n\r\n", 1)[1])


class Answering(FakeModel):
    """A model server that answers embeddings and reranking too."""

    def answers(self, path: str) -> dict[str, Any] | None:
        return {"/v1/embeddings": VECTORS, "/v1/rerank": ORDER}.get(path)


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
            elif (fixed := self.server.answers(path)) is not None:
                self.server.received.append(raw)
                self._answer(200, json.dumps(fixed).encode(), "application/json")
            else:
                self.server.received.append(raw)
                self._chats = path.endswith("/chat/completions")
                if not self._complete(json.loads(body)):
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

    def _complete(self, asked: dict[str, Any]) -> bool:
        """Answer; whether the connection goes on."""
        behaviour = self.server.behaviour.replace("full", "status-503")
        if behaviour.startswith("status-"):
            error = {"error": {"message": f"{MODEL} says no: 10.1.2.3", "type": "x", "code": 1}}
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
        if not asked.get("stream"):
            answer = {
                "id": "chatcmpl-1",
                "object": "chat.completion" if self._chats else "text_completion",
                "created": 1,
                "model": asked["model"],
                "system_fingerprint": "vllm-host-7",
                "choices": [self._choice(asked)],
                "usage": usage,
            }
            self._answer(200, json.dumps(answer, ensure_ascii=False).encode(), "application/json")
            return True
        return self._stream(asked, usage, behaviour)

    def _choice(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Text, or the call of a tool where there are any."""
        if not self._chats:
            return {"index": 0, "text": "".join(self.server.words), "logprobs": None, "finish_reason": "stop"}
        if "tools" in asked:
            message = {"role": "assistant", "content": None, "tool_calls": [self.server.call()]}
            called = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return called | self._logprobs(asked, range(len(self.server.words)))
        message = {"role": "assistant", "content": "".join(self.server.words)}
        whole = {"index": 0, "message": message, "finish_reason": "stop"}
        return whole | self._logprobs(asked, range(len(self.server.words)))

    def _logprobs(self, asked: dict[str, Any], numbers: Iterable[int]) -> dict[str, Any]:
        """Of words by their numbers, as vLLM tells them."""
        if not asked.get("logprobs") or self.server.logprobs is None:
            return {}
        words, logprobs = self.server.words, self.server.logprobs
        told = [
            {"token": words[each], "logprob": logprobs[each], "bytes": list(words[each].encode())}
            for each in numbers
        ]
        return {"logprobs": {"content": told}}

    def _piece(self, word: str, last: str | None) -> dict[str, Any]:
        if not self._chats:
            return {"index": 0, "text": word, "logprobs": None, "finish_reason": last}
        return {"index": 0, "delta": {"content": word}, "finish_reason": last}

    def _stream(self, asked: dict[str, Any], usage: Any, behaviour: str) -> bool:
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"x-upstream-secret: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for index, part in enumerate(_tool_deltas(self.server.arguments) if "tools" in asked else ()):
            last = "tool_calls" if index == 2 else None
            self._event(asked, [{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": last}])
        for number, word in enumerate(() if "tools" in asked else self.server.words):
            if behaviour in ("cut", "no-done", "error-event") and number == 3:
                break
            if behaviour == "slow" and number:
                time.sleep(0.4)
            last = "stop" if number == len(self.server.words) - 1 else None
            running = {"prompt_tokens": 7, "completion_tokens": number + 1}
            continuous = asked.get("stream_options", {}).get("continuous_usage_stats")
            choices = [self._piece(word, last) | self._logprobs(asked, [number])]
            self._event(asked, choices, running if continuous else None)
            self.server.words_sent.set()
        if behaviour == "cut":
            return False
        if behaviour in ("endless", "flood"):
            text = "." if behaviour == "endless" else "word " * 20_000
            try:
                while True:
                    time.sleep(0.05)
                    self._event(asked, [{"index": 0, "delta": {"content": text}, "finish_reason": None}])
            except OSError:
                self.server.cancelled.set()
                return False
        if behaviour == "error-event":
            self._chunk(b'data: {"error": {"message": "engine dead at 10.1.2.3"}}\n\ndata: [DONE]\n\n')
        elif behaviour != "no-done":
            if asked.get("stream_options", {}).get("include_usage"):
                self._event(asked, [], usage)
            self._chunk(b"data: [DONE]\n\n")
        if behaviour == "linger":
            self._wait_for_the_end()
            return False
        self.request.sendall(b"0\r\n\r\n")
        return True

    def _event(self, asked: dict[str, Any], choices: list[Any], usage: Any = None) -> None:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk" if self._chats else "text_completion",
            "created": 1,
            "model": asked["model"],
            "choices": choices,
            "usage": usage,
        }
        self._chunk(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.request.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        head = (
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nx-upstream-secret: 1\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.request.sendall(head.encode() + body)

    def _wait_for_the_end(self) -> None:
        self.request.settimeout(15)
        try:
            if self.request.recv(1) == b"":
                self.server.cancelled.set()
        except ConnectionError:
            self.server.cancelled.set()


def _tool_deltas(arguments: str) -> list[dict[str, Any]]:
    """A call as it comes in pieces: its name, and then its arguments."""
    first, rest = arguments[:9], arguments[9:]
    named = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "rate", "arguments": ""}}
    return [named, *({"index": 0, "function": {"arguments": part}} for part in (first, rest))]
