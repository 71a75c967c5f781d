"""People who stop workloads at the review service, and callers whose requests are watched meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.edge.processes import Edge
from tests.edge.reviews.reviewed import SECRET, Reviewed

BOUND_S = 5.0
"""Seconds after a stop in which gateways must refuse."""
MESSAGE = "The claims assistant is switched off. Call 4711."


@dataclass
class Stopping:
    """The gateways, the desk, and the keys of two seniors and a junior."""

    site: Reviewed
    people: dict[str, str]

    def desk(self, person: str, method: str, path: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.people[person]}"}
        http = self.site.client(self.site.desk)
        return http.request(
            method, f"/v1/stops{path}", headers=headers, json=body if method == "POST" else None
        )

    def stop(self, workload: str = "claims", person: str = "anna", **more: Any) -> dict[str, Any]:
        body = {"workload": workload, "reason": "wrong-answers", "message": MESSAGE, **more}
        answer = self.desk(person, "POST", "", **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def restart(self, stop_id: str, person: str) -> httpx.Response:
        return self.desk(person, "POST", f"/{stop_id}/restart")

    def post(self, gateway: Edge, workload: str, **fields: Any) -> httpx.Response:
        body = {"model": workload, "messages": [{"role": "user", "content": SECRET}], **fields}
        headers = {"authorization": f"Bearer {self.site.key(workload)}"}
        return self.site.client(gateway).post("/v1/chat/completions", json=body, headers=headers)

    def wait(self, workload: str, status: int, seconds: float = BOUND_S) -> None:
        """Wait until every gateway answers with this status."""
        end = time.monotonic() + seconds
        for gateway in self.site.made.gateways:
            while gateway.process.poll() is None and self.post(gateway, workload).status_code != status:
                assert time.monotonic() < end, f"no {status} after {seconds} s"
                time.sleep(0.05)

    def reset(self) -> None:
        """End every stop, and wait until everything is served."""
        self.site.sql("UPDATE isthmus.stops SET ended_at = now() WHERE ended_at IS NULL")
        self.site.made.models[0].reset()
        for workload in ("claims", "fraud"):
            self.wait(workload, 200, 15)


@dataclass
class Calls:
    """What became of the requests of one caller."""

    done: list[tuple[float, int, str]] = field(default_factory=list)
    """Time of the answer, status and error code."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """Time and text of each event of a stream."""

    def codes_after(self, at: float) -> set[tuple[int, str]]:
        return {(status, code) for time_, status, code in self.done if time_ > at}


@contextmanager
def load(stopping: Stopping, workload: str, gateway: Edge) -> Iterator[Calls]:
    """A caller that sends one request after the other."""
    calls, over = Calls(), threading.Event()
    key = stopping.site.key(workload)

    def send() -> None:
        body = {"model": workload, "messages": [{"role": "user", "content": SECRET}]}
        with _client(stopping, gateway) as http:
            while not over.is_set():
                answer = http.post(
                    "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
                )
                code = "ok" if answer.status_code == 200 else answer.json()["error"]["code"]
                calls.done.append((time.monotonic(), answer.status_code, code))

    yield from _beside(send, over, calls)


@contextmanager
def stream(stopping: Stopping, workload: str, gateway: Edge) -> Iterator[Calls]:
    """A caller that reads one stream."""
    calls, over = Calls(), threading.Event()
    key = stopping.site.key(workload)

    def read() -> None:
        body = {"model": workload, "messages": [{"role": "user", "content": SECRET}], "stream": True}
        with (
            _client(stopping, gateway) as http,
            http.stream(
                "POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
            ) as answer,
        ):
            for event in answer.iter_lines():
                if event:
                    calls.events.append((time.monotonic(), event))
                if over.is_set():
                    return
        calls.done.append((time.monotonic(), answer.status_code, code_of_last(calls)))

    yield from _beside(read, over, calls)


def code_of_last(calls: Calls) -> str:
    """The error code of a stream's last event."""
    last = calls.events[-1][1].removeprefix("data: ")
    return "ok" if last == "[DONE]" else json.loads(last).get("error", {}).get("code", "")


def _client(stopping: Stopping, gateway: Edge) -> httpx.Client:
    tls = stopping.site.made.authority.client("app")
    return httpx.Client(base_url=gateway.url, verify=tls, trust_env=False, timeout=60)


def _beside(work: Any, over: threading.Event, calls: Calls) -> Iterator[Calls]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield calls
    finally:
        over.set()
        thread.join(20)
