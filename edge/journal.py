"""One line of JSON a request: never content, never keys."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.metrics import Metrics

QUIET = frozenset(("/health", "/metrics"))
"""Asked every few seconds by who watches: they are no requests of anybody, and leave no lines."""


@dataclass
class Exchange:
    """What is known of one request; handlers fill it in, the journal writes it."""

    method: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.perf_counter)
    path: str = "other"
    workload: str = ""
    team: str = ""
    identity: str = ""
    """By which key or certificate the caller was known: its id, never itself."""
    model: str = ""
    """As the caller names it."""
    endpoint: str = ""
    """Who answered: the name in its certificate, and the port."""
    attempts: int | None = None
    """Endpoints that the request was offered to."""
    trace_id: str = ""
    variant: str = ""
    """`canary` where a workload's canary was asked; such requests are counted apart."""
    status: int = 0
    code: str = "ok"
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    pieces: int = 0
    """Tokens of the text that was seen of the answer, about: they count where the model server tells no number."""
    verdicts: list[str] = field(default_factory=list)
    reviewing: list[str] = field(default_factory=list)
    """Guards that want people to look at the answer."""
    """What checks said of the request and its answer: their names, never what they saw."""
    gpu_seconds: float | None = None
    usd: float | None = None
    confidence: dict[str, Any] | None = None
    """The answer's score and its calibration, or why it has none; None: the workload wants none."""
    ended: bool = False
    """Whether what leaves next is the last that a client waits for, `[DONE]` or an error: the line goes first."""
    settle: Callable[[], None] = lambda: None
    """Reckons what the request came to, once, before its line is written."""

    def note_usage(self, usage: Any) -> bool:
        """Take the token counts of an OpenAI `usage` object; whether they can be true.

        Of a usage that holds another count than 0 to `MOST_TOKENS` nothing is taken: it would spoil sums and bills.
        """
        if usage is None:
            return True
        if not isinstance(usage, dict):
            return False
        # Reranking counts its prompt as the whole.
        prompt = usage.get("prompt_tokens", usage.get("total_tokens"))
        completion = usage.get("completion_tokens")
        if not all(count is None or is_count(count) for count in (prompt, completion)):
            return False
        self.prompt_tokens = self.prompt_tokens if prompt is None else prompt
        self.completion_tokens = self.completion_tokens if completion is None else completion
        return True


MOST_TOKENS = 10_000_000
"""Of one prompt or answer: more than any model's context."""


def is_count(value: Any) -> bool:
    """Whether a value can be the number of one request's tokens."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


def write_line(event: str, **fields: Any) -> None:
    """One line of JSON on standard output."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class JsonFormatter(logging.Formatter):
    """Library messages as lines of the same kind: the error's type, never its text or its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


def quiet_libraries() -> None:
    """uvicorn's warnings in our form; everything below, and httpx's line a request, is left out."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


_OPTIONAL_FIELDS = (
    "variant",
    "team",
    "identity",
    "model",
    "endpoint",
    "attempts",
    "trace_id",
    "gpu_seconds",
    "usd",
    "confidence",
)


class Journal:
    """ASGI middleware: gives each request its Exchange, counts its bytes, writes its one line.

    The line is written before the last byte leaves: no kill falls between an answer that was had and its record.
    """

    def __init__(
        self, app: ASGIApp, *, mode: str, data_class: str, metrics: Metrics, paths: set[str]
    ) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths
        self._fixed = {"mode": mode, "class": data_class}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope["method"])
        if scope["path"] in self._paths:  # any other path is the client's own text
            exchange.path = scope["path"]
        scope.setdefault("state", {})["exchange"] = exchange
        written = False

        def write() -> None:
            nonlocal written
            if not written:
                written = True
                try:
                    exchange.settle()
                finally:  # whatever cannot be counted, the request is on record
                    self._write(exchange)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", exchange.request_id.encode()),
                ]
            elif message["type"] == "http.response.body":
                exchange.bytes_out += len(message.get("body", b""))
                if exchange.first_byte_s is None and message.get("body"):
                    exchange.first_byte_s = time.perf_counter() - exchange.started
                if exchange.ended or not message.get("more_body"):
                    write()
            await send(message)

        if scope["path"] in QUIET & self._paths:
            await self._app(scope, receive, send)
            return
        self._metrics.entered()
        try:
            await self._app(scope, receive, counted)
        finally:
            if (
                not written and exchange.code == "ok"
            ):  # no last byte: the client went away, or the process ends
                exchange.code = "client_closed_request"
            write()

    def _write(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        first = exchange.first_byte_s
        write_line(
            "request",
            **self._fixed,
            request_id=exchange.request_id,
            workload=exchange.workload,
            **{
                name: value
                for name in _OPTIONAL_FIELDS
                if (value := getattr(exchange, name)) not in ("", None)
            },
            method=exchange.method if exchange.method in ("GET", "POST", "HEAD", "OPTIONS") else "other",
            path=exchange.path,
            status=exchange.status,
            code=exchange.code,
            stream=exchange.stream,
            duration_ms=round(seconds * 1000, 1),
            first_byte_ms=None if first is None else round(first * 1000, 1),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out,
            prompt_tokens=exchange.prompt_tokens,
            completion_tokens=exchange.completion_tokens,
            **({"verdicts": exchange.verdicts} if exchange.verdicts else {}),
        )
        self._metrics.add(exchange, seconds)
