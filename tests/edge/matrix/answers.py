"""One request of the matrix, and its answer in the short form of a cell."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.edge.conftest import bearer
from tests.edge.matrix.lanes import CHAT_PATH, Lane

EVENT = "data: "


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

    @property
    def status(self) -> int:
        return int(self.says.split()[0])

    @property
    def code(self) -> str:
        return self.says.split()[1]


def chat(lane: Lane, marker: str, kind: str = "chat", **fields: Any) -> dict[str, Any]:
    """A request body with the marker as the prompt."""
    return {"model": lane.workload(kind), "messages": [{"role": "user", "content": marker}], **fields}


def ask(
    lane: Lane,
    body: Any,
    *,
    kind: str = "chat",
    key: str | None = "",
    path: str = CHAT_PATH,
    headers: dict[str, str] | None = None,
    client: httpx.Client | None = None,
) -> Answer:
    """Send a body with the key of the lane's workload `kind`, or with `key` (None: no key). Bytes are sent
    unchanged.
    """
    sent = {
        "content-type": "application/json",
        **bearer(lane.key(kind) if key == "" else key),
        **(headers or {}),
    }
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        response = (client or lane.client).post(path, content=content, headers=sent)
    except httpx.TransportError:
        return Answer("no connection")
    return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    request_id = response.headers.get("x-request-id")
    error: dict[str, str] | None = None
    if response.headers["content-type"].startswith("text/event-stream"):
        events = [line.removeprefix(EVENT) for line in response.text.split("\n") if line.startswith(EVENT)]
        if events[-1] != "[DONE]":
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
