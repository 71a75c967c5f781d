"""`Idempotency-Key`: the stored answer, conflicts, and what is not stored."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from tests.edge.batches.batching import Batched
from tests.edge.conftest import code_of

pytestmark = pytest.mark.service


def _ask(
    site: Batched, key: str, repeat: str, word: str = "rent", model: str = "narratives", **fields: Any
) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": word}], **fields}
    headers = {"authorization": f"Bearer {key}", "idempotency-key": repeat}
    return site.post(0, "/v1/chat/completions", body, headers)


def test_the_same_request_gets_the_same_answer_and_the_model_is_asked_once(site: Batched, key: str):
    first, second = _ask(site, key, "a"), _ask(site, key, "a")
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert site.model.asked == {"rent": 1}
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    line = site.gateways[0].lines("request")[-1]
    assert (line["verdicts"], line["completion_tokens"]) == (["idempotent-replay"], None)


def test_another_request_with_the_key_is_refused(site: Batched, key: str):
    _ask(site, key, "b")
    other = _ask(site, key, "b", "salary")
    assert (other.status_code, code_of(other)) == (422, "idempotency_key_reused")
    assert site.model.asked == {"rent": 1}


def test_the_key_is_the_callers_own(site: Batched, key: str):
    _ask(site, key, "c")
    other = _ask(site, site.issue("narratives"), "c", "salary")
    assert other.status_code == 200
    assert site.model.asked == {"rent": 1, "salary": 1}


def test_a_request_that_still_runs_is_told_to_wait(site: Batched, key: str):
    site.model.seconds = 1.0
    answers: list[httpx.Response] = []

    def first() -> None:
        with httpx.Client(verify=site.authority.client("app"), trust_env=False, timeout=20) as client:
            body = {"model": "narratives", "messages": [{"role": "user", "content": "slow"}]}
            headers = {"authorization": f"Bearer {key}", "idempotency-key": "d"}
            answers.append(
                client.post(site.gateways[0].url + "/v1/chat/completions", json=body, headers=headers)
            )

    thread = threading.Thread(target=first)
    thread.start()
    while not site.model.asked:
        pass
    running = _ask(site, key, "d", "slow")
    assert (running.status_code, code_of(running)) == (409, "request_running")
    assert int(running.headers["retry-after"]) > 0
    thread.join()
    assert _ask(site, key, "d", "slow").content == answers[0].content


def test_an_error_is_not_stored(site: Batched, key: str):
    site.model.behaviour = "status-500"
    assert _ask(site, key, "e").status_code == 502
    site.model.behaviour = "ok"
    assert _ask(site, key, "e").status_code == 200


def test_a_stream_cannot_have_a_key(site: Batched, key: str):
    answer = _ask(site, key, "f", stream=True)
    assert (answer.status_code, code_of(answer)) == (400, "stream_not_repeatable")


def test_a_workload_that_does_not_ask_for_it_ignores_the_key(site: Batched):
    plain = site.issue("plain")
    for _ in range(2):
        assert _ask(site, plain, "g", model="plain").status_code == 200
    assert site.model.asked == {"rent": 2}
