"""Batches whose caller keeps the right to call, or loses it before a line is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import openai

from edge.callers.postgres import CACHE_S
from edge.callers.store import digest_of, id_of
from tests.edge.batches.batching import jsonl, line, submit, wait, wait_for_end
from tests.edge.fake_model import HEALTHY
from tests.edge.matrix.answers import Answer, chat
from tests.edge.matrix.lanes import Lane, MatrixSetup

LINES = 3
QUEUE = "vllm:num_requests_running 9\nvllm:num_requests_waiting 3\n"
"""Metrics of a model that has no room for lines of batches."""


def whole(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield from _batch(lane, marker, lane.issue("free"), lambda _: None, completed=LINES)


def group_left(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """A person's newest token names another group."""

    def leave(batch_id: str) -> None:
        _client(lane, lane.token("rate")).batches.retrieve(batch_id)

    yield from _batch(lane, marker, lane.token("free"), leave)


def key_revoked(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The gateway may have cached the key just before it was revoked."""
    key = lane.issue("free")

    def revoke(batch_id: str) -> None:
        setup.database.keys("revoke", id_of(digest_of(key)))
        time.sleep(CACHE_S)

    yield from _batch(lane, marker, key, revoke)


def _batch(
    lane: Lane, marker: str, key: str, change: Callable[[str], None], completed: int = 0
) -> Iterator[Answer]:
    """The gateway's answers to the lines of a batch. `change` happens before any line is sent."""
    assert lane.database is not None
    client = _client(lane, key)
    lane.model.metrics = QUEUE
    while not lane.gateway.metric("isthmus_endpoint_waiting"):
        time.sleep(0.02)
    lines = (line(number, body=chat(lane, f"{marker} {number}", "free")) for number in range(LINES))
    batch = submit(client, jsonl(lines))
    wait(client, batch.id, "in_progress")
    change(batch.id)
    lane.model.metrics = HEALTHY
    row = wait_for_end(lane.database, batch.id)
    message = (row["reason"] or "").partition(" ")[2]
    for sent in lane.gateway.lines("request"):
        if sent.get("batch") == batch.id:
            yield Answer(f"{sent['status']} {sent['code']}", message, sent["request_id"])
    if (row["completed"], row["failed"]) != (completed, LINES - completed):
        yield Answer(f"{row['completed']} lines completed, {row['failed']} failed")


def _client(lane: Lane, key: str) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=lane.tls, trust_env=False)
    return openai.OpenAI(base_url=f"{lane.gateway.url}/v1", api_key=key, http_client=http, max_retries=0)
