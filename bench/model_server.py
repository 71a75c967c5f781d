"""A fake model server that always gives the same answer at little cost, to measure the systems before it.

    python -m bench.model_server PORT TLS_PORT FOLDER

It supports the HTTP that a load generator, the edge and LiteLLM use: plain on `PORT`, with mutual TLS on `TLS_PORT`
(`model.crt`, `model.key`, `ca.crt` of the folder). It keeps no state.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import uvloop

MODEL = "Qwen/Qwen3-32B"  # For this name LiteLLM does not fetch a tokenizer from a hub.
WORDS, PACE_S = 32, 0.005
"""Number of events in a stream, and seconds between two events."""
ANSWER = "The invoice of 3 March over 1,250.00 EUR was paid to the account named in it, for rent. " * 12
USAGE = {"prompt_tokens": 1000, "completion_tokens": 250, "total_tokens": 1250}
_COMMON = {"id": "chatcmpl-7f3a", "created": 1764115200, "model": MODEL}


def _answer(kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _whole_answer() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    body = {**_COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return _answer("application/json", json.dumps(body).encode())


def _event(choices: list[object], usage: object = None) -> bytes:
    chunk = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return _chunk(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
WHOLE = _whole_answer()
IDLE_METRICS = _answer("text/plain", b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n")
EVENTS = [
    _event([{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]) for _ in range(WORDS - 1)
]
EVENTS.append(_event([{"index": 0, "delta": {"content": "."}, "finish_reason": "stop"}]))
END = _event([], USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Model(asyncio.Protocol):
    """One connection. Its requests come one after the other."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        _, has_length, length_text = head.lower().partition(b"content-length:")
        length = int(length_text.partition(b"\r\n")[0]) if has_length else 0
        if len(body) < length:
            return
        self.buffer = b""
        request = json.loads(body) if length else {}
        if head.startswith(b"GET"):  # A gateway or sidecar polls health and load.
            self.transport.write(IDLE_METRICS)
        elif request.get("stream"):
            self.transport.write(STREAM_HEAD + EVENTS[0])
            asyncio.get_running_loop().call_later(PACE_S, self._next, 1)
        else:
            self.transport.write(WHOLE)

    def _next(self, number: int) -> None:
        if self.transport.is_closing():
            return
        if number == WORDS:
            self.transport.write(END)
            return
        self.transport.write(EVENTS[number])
        asyncio.get_running_loop().call_later(PACE_S, self._next, number + 1)


async def serve(port: int, tls_port: int, folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "model.crt", folder / "model.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(Model, "127.0.0.1", port)
    encrypted = await loop.create_server(Model, "127.0.0.1", tls_port, ssl=context)
    await asyncio.gather(plain.serve_forever(), encrypted.serve_forever())


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
