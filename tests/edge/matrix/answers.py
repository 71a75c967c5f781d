"""One request of the matrix, and its answer in the short form of a cell."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.edge.conftest import bearer
from tests.edge.matrix.lanes import CHAT_PATH, Lane

EVENT = "data: "
LAST_EVENTS = ("response.completed", "message_stop")
"""The ends of complete streams of other interfaces."""


@dataclass(frozen=True)
class Answer:
    """The answer that a caller gets. `says`: status and error code, or what happened to the connection."""

    says: str
    message: str = ""
    request_id: str | None = None
    """None: there was no HTTP response."""
    retry_after: str = ""
    text: str = ""
    """The whole response."""
    expected: str = ""
    """What it must say, if not what the case requires: an answer from before the failure."""

    @property
    def status(self) -> int:
        return int(self.says.split()[0])

    @property
    def code(self) -> str:
        return self.says.split()[1]


def chat(lane: Lane, marker: str, kind: str = "chat", **fields: Any) -> dict[str, Any]:
    """A request body with the marker as the prompt."""
    return {"model": lane.workload(kind), "messages": [{"role": "user", "content": marker}], **fields}


def asked_otherwise(
    lane: Lane, marker: str, kind: str = "chat", **fields: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of the same request at each interface beside chat."""
    model = lane.workload(kind)
    yield "/v1/responses", {"model": model, "input": marker, **fields}
    turns = [{"role": "user", "content": marker}]
    yield "/v1/messages", {"model": model, "max_tokens": 50, "messages": turns, **fields}


def ask(
    lane: Lane,
    body: Any,
    *,
    kind: str = "chat",
    key: str | None = "",
    path: str = CHAT_PATH,
    headers: dict[str, str] | None = None,
    client: httpx.Client | None = None,
    begun: threading.Event | None = None,
) -> Answer:
    """Send a body with the key of the lane's workload `kind`, or with `key` (None: no key). Bytes are sent
    unchanged. `begun` is set when the answer begins.
    """
    sent = {
        "content-type": "application/json",
        **bearer(lane.key(kind) if key == "" else key),
        **(headers or {}),
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with (client or lane.client).stream("POST", path, content=content, headers=sent) as response:
            if begun is not None:
                begun.set()
            response.read()
    except httpx.TransportError:
        return Answer("no connection")
    return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    request_id = response.headers.get("x-request-id")
    error: dict[str, str] | None = None
    if response.headers["content-type"].startswith("text/event-stream"):
        events = [line.removeprefix(EVENT) for line in response.text.split("\n") if line.startswith(EVENT)]
        if events[-1] != "[DONE]" and json.loads(events[-1]).get("type") not in LAST_EVENTS:
            error = json.loads(events[-1]).get("error", {"code": "ended-without-a-word", "message": ""})
    elif response.status_code != 200:
        with contextlib.suppress(ValueError):
            error = response.json()["error"]
        error = error or {"code": "not-an-error-of-ours", "message": response.text}
    if error is None:
        return Answer(f"{response.status_code} ok", "", request_id, text=response.text)
    after = response.headers.get("retry-after", "")
    return Answer(
        f"{response.status_code} {error['code']}", error["message"], request_id, after, response.text
    )
