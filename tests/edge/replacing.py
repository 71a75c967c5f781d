"""Constant load on gateway replicas that are replaced, and what clients saw of every answer."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat
from tests.edge.processes import Edge

WHOLE, STREAMS = 3, 5
"""Number of clients for whole answers and for streams."""
DONE = "data: [DONE]\n\n"


@dataclass
class Answer:
    """What a client saw of an answer whose headers it received."""

    request_id: str
    stream: bool
    status: int
    broken: bool = False
    """Whether the transport failed during the answer."""
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)
    """Time when the answer ended."""

    @property
    def code(self) -> str:
        """The code that the journal must have for a whole answer."""
        text = self.body.decode()
        if not self.stream or self.status != 200:
            document = json.loads(text)
            return document["error"]["code"] if "error" in document else "ok"
        if text.endswith(DONE):
            return "ok"
        last = json.loads(text.rstrip("\n").rpartition("\n\n")[2].removeprefix("data: "))
        return last["error"]["code"]


class Load:
    """Clients that send requests without pause. Each keeps one connection to a replica as long as the replica
    serves.
    """

    def __init__(self, site: Site, first: Edge) -> None:
        self.copy = first
        """The replica for new connections, as a Service would choose it."""
        self.answers: list[Answer] = []
        self.unanswered = 0
        """Requests without any response, which a client may repeat."""
        self._site, self._over = site, threading.Event()
        kinds = [False] * WHOLE + [True] * STREAMS
        self._threads = [threading.Thread(target=self._ask, args=(stream,)) for stream in kinds]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait for this number of further answers."""
        expected_count, end = len(self.answers) + count, time.monotonic() + seconds
        while len(self.answers) < expected_count:
            assert time.monotonic() < end, (
                f"{len(self.answers)} of {expected_count} answers after {seconds} s"
            )
            time.sleep(0.02)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self, stream: bool) -> None:
        context = self._site.authority.client("app")
        with httpx.Client(verify=context, trust_env=False, timeout=45) as client:
            edge = self.copy
            while not self._over.is_set():
                if not self._one(client, edge, stream):
                    edge = self.copy

    def _one(self, client: httpx.Client, edge: Edge, stream: bool) -> bool:
        """Send one request. Returns whether the connection stays usable."""
        answer = None
        pieces: list[bytes] = []
        url, headers = edge.url + "/v1/chat/completions", bearer(KEYS[WORKLOAD])
        try:
            with client.stream("POST", url, json=chat(stream=stream), headers=headers) as response:
                answer = Answer(response.headers["x-request-id"], stream, response.status_code)
                pieces.extend(response.iter_bytes())
                return response.headers.get("connection") != "close"
        except httpx.TransportError:
            if answer is None:
                self.unanswered += 1
                time.sleep(0.02)
            else:
                answer.broken = True
            return False
        finally:
            if answer is not None:
                answer.body, answer.at = b"".join(pieces), time.monotonic()
                self.answers.append(answer)


def hold_to_account(load: Load, copies: list[Edge]) -> None:
    """Check that every whole answer has exactly one journal line, and that the line matches what the client saw."""
    lines = [line for copy in copies for line in copy.lines("request")]
    twice = [
        request_id for request_id, count in Counter(line["request_id"] for line in lines).items() if count > 1
    ]
    assert not twice
    by_id = {line["request_id"]: line for line in lines}
    for answer in load.answers:
        line = by_id.get(answer.request_id)
        if answer.broken:
            # The line is written before an answer's end is sent. So a process that ends between the two has recorded a
            # success whose end the client never got, and nothing but the end: `[DONE]` of a stream, or a whole answer,
            # which is sent in one piece.
            assert DONE.encode() not in answer.body
            if line is not None and line["code"] == "ok":
                end_bytes = len(DONE) if answer.stream else line["bytes_out"]
                assert line["bytes_out"] - len(answer.body) <= end_bytes
            continue
        assert line is not None, f"no line for an answer that was had: {answer}"
        outcome = (answer.status, answer.code, len(answer.body))
        assert (line["status"], line["code"], line["bytes_out"]) == outcome
