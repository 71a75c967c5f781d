"""Writes one line of JSON for each request, without content and keys."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.exchange import Exchange
from edge.metrics import Metrics

QUIET = frozenset(("/health", "/metrics"))
"""Paths that probes and monitoring request every few seconds. They are not written to the journal."""


def write_line(event: str, **fields: Any) -> None:
    """Write one line of JSON to standard output."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class JsonFormatter(logging.Formatter):
    """Formats log messages of libraries as JSON lines, with the type of an error but without its text and
    traceback.
    """

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
    """Write warnings and errors of libraries as JSON lines. Drops lower levels, and httpx's line for each request."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


_OPTIONAL_FIELDS = (
    "variant",
    "team",
    "identity",
    "model",
    "endpoint",
    "replica",
    "attempts",
    "queued_s",
    "fallback",
    "trace_id",
    "batch",
    "cached_tokens",
    "gpu_seconds",
    "usd",
    "confidence",
)


class Journal:
    """ASGI middleware: creates the Exchange of each request, counts its bytes, and writes its line.

    The line is written before the last byte leaves. So an answer that a client has received is always in the
    journal, even if the process is killed.
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
        if scope["path"] in self._paths:  # any other path is text of the client
            exchange.path = scope["path"]
        scope.setdefault("state", {})["exchange"] = exchange
        written = False

        def write() -> None:
            nonlocal written
            if not written:
                written = True
                try:
                    exchange.settle()
                finally:  # even if counting fails, the request is in the journal
                    self._write(exchange)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", exchange.request_id.encode()),
                    *exchange.headers,
                ]
            elif message["type"] == "http.response.body":
                exchange.bytes_out += len(message.get("body", b""))
                # A stream's comments tell that somebody still works, and are no part of the answer.
                if exchange.first_byte_s is None and message.get("body", b"")[:1] not in (b"", b":"):
                    exchange.first_byte_s = time.perf_counter() - exchange.started
                if exchange.ended or not message.get("more_body"):
                    write()
            await send(message)

        if scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        self._metrics.entered()
        try:
            await self._app(scope, receive, counted)
        finally:
            if (
                not written and exchange.code == "ok"
            ):  # no last byte: the client disconnected, or the process ends
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
        for note in exchange.end_notes:
            note()
