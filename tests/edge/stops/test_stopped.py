"""A stopped workload: refused within five seconds under load, with a message, by every copy of the gateway."""

from __future__ import annotations

import io
import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from tests.edge.batches.batching import jsonl, line
from tests.edge.conftest import code_of
from tests.edge.stops.stopping import BOUND_S, MESSAGE, Stopping, load, stream

pytestmark = pytest.mark.service


def test_under_load_every_copy_refuses_within_five_seconds_and_streams_end(stopping: Stopping):
    gateways = stopping.site.made.gateways
    stopping.site.made.models[0].behaviour = "endless"  # of streams
    with ExitStack() as callers:
        claims = [callers.enter_context(load(stopping, "claims", gateway)) for gateway in gateways]
        fraud = [callers.enter_context(load(stopping, "fraud", gateway)) for gateway in gateways]
        streams = [callers.enter_context(stream(stopping, "claims", gateway)) for gateway in gateways]
        other = callers.enter_context(stream(stopping, "fraud", gateways[0]))
        time.sleep(1.5)
        assert all(calls.events for calls in (*streams, other)), "the streams have begun"
        stopping.stop()
        stopped_at = time.monotonic()
        time.sleep(BOUND_S + 2)
        for calls in claims:
            assert {(200, "ok")} <= {(status, code) for _, status, code in calls.done}
            assert calls.codes_after(stopped_at + BOUND_S) == {(503, "workload_stopped")}
        for calls in streams:
            assert calls.done, "the stream has ended"
            at, status, code = calls.done[0]
            assert (status, code) == (200, "workload_stopped")
            assert at < stopped_at + BOUND_S
        assert not other.done, "a stream of another workload goes on"
        for calls in fraud:
            assert {(status, code) for _, status, code in calls.done} == {(200, "ok")}
        late = [at - stopped_at for calls in claims for at, status, _ in calls.done if status == 200]
        print(f"last answer {max(late):.2f} s after the stop")
    assert stopping.site.gateway.metric("isthmus_workload_stopped", workload="claims") == 1


def test_the_refusal_has_the_message_for_people_and_is_not_repeated_by_clients(stopping: Stopping):
    stopping.stop()
    stopping.wait("claims", 503)
    model = stopping.site.made.models[0]
    received = len(model.received)
    refused = stopping.post(stopping.site.gateway, "claims")
    assert code_of(refused) == "workload_stopped"
    assert len(model.received) == received, "the model gets nothing of it"
    assert refused.json()["error"]["message"] == MESSAGE
    assert refused.headers["x-should-retry"] == "false"
    stopping.stop(message="")
    assert stopping.post(stopping.site.gateway, "claims").json()["error"]["message"] == MESSAGE, "it stays"


def test_an_answer_that_runs_is_not_delivered_after_the_stop(stopping: Stopping):
    model, answers = stopping.site.made.models[0], []
    model.behaviour = "stall"
    before = len(model.received)
    thread = threading.Thread(
        target=lambda: answers.append(stopping.post(stopping.site.gateway, "claims", n=1))
    )
    thread.start()
    while len(model.received) == before:
        time.sleep(0.05)
    stopping.stop()
    thread.join(BOUND_S)
    assert [code_of(answer) for answer in answers] == ["workload_stopped"]


def test_a_message_for_nobody_in_particular_says_what_to_do(stopping: Stopping):
    stopping.stop(message="")
    stopping.wait("claims", 503)
    message = stopping.post(stopping.site.gateway, "claims").json()["error"]["message"]
    assert message.startswith("People have stopped this service. Your request was not processed.")


def test_lines_of_batches_wait_for_the_restart_and_do_not_fail(stopping: Stopping):
    http = openai.DefaultHttpxClient(verify=stopping.site.made.authority.client("app"), trust_env=False)
    url, key = stopping.site.gateway.url + "/v1", stopping.site.key("claims")
    client = openai.OpenAI(base_url=url, api_key=key, http_client=http, max_retries=0)
    stop = stopping.stop()
    stopping.wait("claims", 503)
    lines = jsonl(line(number, "claims") for number in range(3))
    file = client.files.create(file=("in.jsonl", io.BytesIO(lines)), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    _until(lambda: _attempts(stopping, batch.id) is not None, "its lines are known")
    time.sleep(3)
    waiting = client.batches.retrieve(batch.id)
    assert waiting.request_counts is not None
    assert (waiting.status, waiting.request_counts.completed, waiting.request_counts.failed) == (
        "in_progress",
        0,
        0,
    )
    assert _attempts(stopping, batch.id) == 0, "a stop is no attempt"
    for person in ("anna", "bert"):
        assert stopping.restart(stop["id"], person).status_code == 200
    _until(lambda: client.batches.retrieve(batch.id).status == "completed", "the batch", 90)
    counts = client.batches.retrieve(batch.id).request_counts
    assert counts is not None
    assert (counts.completed, counts.failed) == (3, 0)


def test_a_killed_gateway_comes_back_with_the_stop(stopping: Stopping):
    stopping.stop()
    stopping.wait("claims", 503)
    killed = stopping.site.made.gateways.pop(0)
    killed.process.kill()
    killed.process.wait(10)
    fresh = stopping.site.start_gateway().wait_until_up()
    statuses = set()
    for _ in range(40):
        answer = stopping.post(fresh, "claims")
        statuses.add(answer.status_code)
        time.sleep(0.05)
    assert statuses == {503}, "also while it starts"
    fresh.wait_until_well()
    assert code_of(stopping.post(fresh, "claims")) == "workload_stopped"


def test_while_the_database_is_killed_and_when_it_is_back_the_workload_stays_stopped(stopping: Stopping):
    stopping.stop()
    stopping.wait("claims", 503)
    gateway = stopping.site.gateway
    statuses = set()
    with stopping.site.made.postgres.down():
        end = time.monotonic() + 6
        while time.monotonic() < end:
            statuses.add(stopping.post(gateway, "claims").status_code)
            time.sleep(0.1)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        statuses.add(stopping.post(gateway, "claims").status_code)
        time.sleep(0.1)
    assert statuses == {503}
    stopping.wait("fraud", 200, 15)
    assert code_of(stopping.post(gateway, "claims")) == "workload_stopped"


def test_a_stop_while_the_gateway_reaches_no_database_is_known_before_it_serves_again(stopping: Stopping):
    made = stopping.site.made
    made.door.shut()  # the desk goes through it too, so the stop is written by the administrator
    try:
        stopping.site.sql(
            "SELECT * FROM isthmus.stop_begin('restricted', 'fra1', 'claims', 'dba', NULL, 'database', 'fire', '')"
        )
        stopped_at = time.monotonic()
        while time.monotonic() < stopped_at + BOUND_S:
            stopping.post(stopping.site.gateway, "claims")
            time.sleep(0.1)
        assert stopping.post(stopping.site.gateway, "claims").status_code == 503
    finally:
        made.door.open()
    end = time.monotonic() + 8
    while time.monotonic() < end:
        assert stopping.post(stopping.site.gateway, "claims").status_code == 503
        time.sleep(0.1)
    assert code_of(stopping.post(stopping.site.gateway, "claims")) == "workload_stopped"


def _attempts(stopping: Stopping, batch: str) -> Any:
    statement = f"SELECT max(attempts) AS most FROM isthmus.batch_lines WHERE batch = '{batch}'"  # noqa: S608
    return stopping.site.sql(statement)[0]["most"]


def _until(holds: Any, what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_what_gateways_confirm_is_listed(stopping: Stopping):
    stop = stopping.stop()
    _until(lambda: len(_listed(stopping)[0]["refusing"]) == 2, "both copies say that they refuse")
    (listed,) = _listed(stopping)
    assert (listed["id"], listed["workload"], listed["message"]) == (stop["id"], "claims", MESSAGE)
    assert [(act["act"], act["by"], act["reason"]) for act in listed["acts"]] == [
        ("stop", "anna@bank", "wrong-answers")
    ]
    assert json.dumps(listed)


def _listed(stopping: Stopping) -> list[dict[str, Any]]:
    return stopping.desk("kim", "GET", "").json()["data"]
