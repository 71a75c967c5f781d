"""What becomes of a line by the gateway's answer: a result, another try, or the end of its batch."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from edge.batches.calling import Answer
from edge.batches.store import LeasedLine, Outcomes
from edge.batches.worker import BatchWorker, Work
from edge.callers import StoredIdentity
from edge.openai_api import Refusal, dump


class FakeStore:
    """Keeps what the worker would write."""

    def __init__(self) -> None:
        self.outcomes: list[Outcomes] = []
        self.ends: list[tuple[str, str]] = []
        self.accounted = False

    async def store(self, outcomes: Outcomes) -> None:
        assert self.accounted, "usage is written first"
        self.outcomes.append(outcomes)

    async def end(self, batch: Any, ending: str, code: str, message: str) -> None:
        self.ends.append((ending, code))


def decide(answer: Answer | None, attempts: int = 1) -> tuple[FakeStore, dict[str, int]]:
    """The outcome of one line."""
    store, counts = FakeStore(), {}

    async def account() -> None:
        store.accounted = True

    async def nothing() -> None:
        return None

    def count(result: str, number: int) -> None:
        counts[result] = number

    async def run() -> None:
        work = Work(lambda: None, lambda model: 1, account, lambda: False, count, nothing)
        worker = BatchWorker(store, None, work, 8, 60)  # type: ignore[arg-type]
        batch: Any = SimpleNamespace(id="batch_1", endpoint="/v1/chat/completions")
        line = LeasedLine(batch, StoredIdentity("key:a"), 7, "w w", "case-1", b"{}", attempts)
        await worker._try_to_store([(line, answer)])

    asyncio.run(run())
    return store, counts


def refused(status: int, code: str, **headers: str) -> Answer:
    body = bytearray(dump(Refusal(status, code, "no").body()))
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Answer(status, {b"x-request-id": b"r1", **named}, body, code)


def result_of(store: FakeStore) -> tuple[dict[str, Any], bool]:
    ((_, number, text, succeeded),) = store.outcomes[0].results
    assert (number, store.outcomes[0].releases) == (7, [])
    return json.loads(text), succeeded


@pytest.mark.parametrize(("status", "succeeded"), [(200, True), (202, True), (400, False), (422, False)])
def test_an_answer_or_a_refusal_of_the_line_itself_is_its_result(status: int, succeeded: bool):
    answer = Answer(status, {b"x-request-id": b"r1"}, bytearray(b'{"id": "a"}'), "ok")
    store, counts = decide(answer)
    result, good = result_of(store)
    assert result["response"] == {"status_code": status, "request_id": "r1", "body": {"id": "a"}}
    assert (result["custom_id"], result["error"], good) == ("case-1", None, succeeded)
    assert counts == {"sent_again": 0, "succeeded": int(succeeded), "failed": int(not succeeded)}
    assert store.ends == []


@pytest.mark.parametrize("code", ["rate_limited", "model_busy", "model_unavailable", "audit_unsealed"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_line_waits_for_what_will_pass_however_often(status: int, code: str):
    store, _ = decide(refused(status, code, retry_after="9"), attempts=9)
    assert [release[1:] for release in store.outcomes[0].releases] == [(7, 9.0, False)]
    assert (store.outcomes[0].results, store.ends) == ([], [])


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_model_server_that_fails_on_a_line_gets_it_three_times(status: int):
    for attempts in (1, 2):
        store, _ = decide(refused(status, "bad_gateway"), attempts)
        assert [release[3] for release in store.outcomes[0].releases] == [True]
    result, succeeded = result_of(decide(refused(status, "bad_gateway"), 3)[0])
    assert (result["response"]["status_code"], succeeded) == (status, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "revoked_api_key"), (402, "budget_exhausted"), (403, "wrong_client"), (404, "model_not_found")],
)
def test_a_caller_without_the_right_ends_the_batch(status: int, code: str):
    store, _ = decide(refused(status, code))
    assert store.ends == [("failed", code)]
    assert store.outcomes[0].results == []


def test_a_line_of_a_person_waits_for_a_new_token():
    store, _ = decide(refused(401, "expired_token"))
    assert (len(store.outcomes[0].releases), store.ends) == (1, [])


def test_a_line_that_was_lost_with_too_many_copies_is_given_up():
    result, succeeded = result_of(decide(None, 11)[0])
    assert (result["error"]["code"], result["error"]["line"], succeeded) == ("line_lost", 7, False)
