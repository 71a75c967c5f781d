"""One line of JSON a request, and the counters behind `/metrics`: never content, never keys."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


@dataclass
class Exchange:
    """What is known of one request; handlers fill it in, the journal writes it."""

    method: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.perf_counter)
    path: str = "other"
    workload: str = ""
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

    def note_usage(self, usage: Any) -> None:
        """Take the token counts of an OpenAI `usage` object, where they are numbers."""
        if isinstance(usage, dict):
            prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
            self.prompt_tokens = prompt if isinstance(prompt, int) else self.prompt_tokens
            self.completion_tokens = completion if isinstance(completion, int) else self.completion_tokens


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


_Who = tuple[str, str]
"""A workload, and `canary` where that is meant."""


class Metrics:
    """Prometheus text, kept by hand: three families need no client library in the image."""

    def __init__(self, data_class: str) -> None:
        self._class = data_class
        self.in_flight = 0
        self.refused_clients = 0
        self._requests: dict[tuple[_Who, int], int] = defaultdict(int)
        self._tokens: dict[tuple[_Who, str], int] = defaultdict(int)
        self._buckets: dict[_Who, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self._seconds: dict[_Who, float] = defaultdict(float)

    def add(self, exchange: Exchange, seconds: float) -> None:
        """Count a finished request."""
        who = (exchange.workload, exchange.variant)
        self._requests[(who, exchange.status)] += 1
        for kind, count in (("prompt", exchange.prompt_tokens), ("completion", exchange.completion_tokens)):
            if count is not None:
                self._tokens[(who, kind)] += count
        slot = next((i for i, bound in enumerate(BUCKETS_S) if seconds <= bound), len(BUCKETS_S))
        self._buckets[who][slot] += 1
        self._seconds[who] += seconds

    def text(self) -> str:
        """The exposition format, version 0.0.4."""
        lines = ["# TYPE isthmus_requests_total counter"]
        for (who, status), count in sorted(self._requests.items()):
            lines.append(f"isthmus_requests_total{self._labels(who, status=str(status))} {count}")
        lines.append("# TYPE isthmus_tokens_total counter")
        for (who, kind), count in sorted(self._tokens.items()):
            lines.append(f"isthmus_tokens_total{self._labels(who, kind=kind)} {count}")
        lines.append("# TYPE isthmus_request_duration_seconds histogram")
        for who, slots in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], slots, strict=True):
                total += count
                labels = self._labels(who, le=bound)
                lines.append(f"isthmus_request_duration_seconds_bucket{labels} {total}")
            labels = self._labels(who)
            lines.append(f"isthmus_request_duration_seconds_sum{labels} {self._seconds[who]:.6f}")
            lines.append(f"isthmus_request_duration_seconds_count{labels} {total}")
        lines.append("# TYPE isthmus_requests_in_flight gauge")
        lines.append(f'isthmus_requests_in_flight{{class="{self._class}"}} {self.in_flight}')
        lines.append("# TYPE isthmus_clients_refused_total counter")
        lines.append(f'isthmus_clients_refused_total{{class="{self._class}"}} {self.refused_clients}')
        return "\n".join(lines) + "\n"

    def _labels(self, who: _Who, **more: str) -> str:
        workload, variant = who
        pairs = {
            "class": self._class,
            "workload": workload,
            **({"variant": variant} if variant else {}),
            **more,
        }
        return "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs.items()) + "}"


class Journal:
    """ASGI middleware: gives each request its Exchange, counts its bytes, writes its line at the end."""

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
            await send(message)

        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self._metrics.in_flight -= 1
            self._write(exchange)

    def _write(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        self._metrics.add(exchange, seconds)
        first = exchange.first_byte_s
        write_line(
            "request",
            **self._fixed,
            request_id=exchange.request_id,
            workload=exchange.workload,
            **({"variant": exchange.variant} if exchange.variant else {}),
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
        )
