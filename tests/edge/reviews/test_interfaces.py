"""Held and scored answers of `/v1/responses` and `/v1/messages`, in a form that their clients can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.edge.confidence.making import HALF, written
from tests.edge.fake_model import WORDS
from tests.edge.interfaces.conftest import events
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import SAID, Reviewed, reviewed

NOTICE = "This answer waits for a person's review. It will be at GET /v1/reviews/{}."
BODIES: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "Hello"},
    "/v1/messages": {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]},
}
PATHS = list(BODIES)
OFFERED = ["responses", "messages"]


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    folder = tmp_path_factory.mktemp("interfaces")
    rule = {"below_confidence": 0.7, "domain": "payments"}
    scored = {"domain": "payments", "calibrations": [str(written(folder, "text", "llama"))]}
    workloads: list[dict[str, Any]] = [
        {"name": "grave", "impact": "high", "review": {"domain": "press"}},
        {"name": "scored", "impact": "material", "review": rule, "confidence": scored},
        {"name": "marked", "impact": "low", "review": rule, "confidence": scored},
    ]
    with reviewed(folder, postgres, "interfaced", workloads, data_class="public", interfaces=OFFERED) as site:
        yield site


def ask(site: Reviewed, path: str, workload: str, **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {site.key(workload)}"}
    return site.client(site.gateway).post(
        path, json={"model": workload, **BODIES[path], **fields}, headers=headers
    )


def text_of(answer: dict[str, Any]) -> str:
    """The text of an answer of either interface."""
    blocks = answer["output"][0]["content"] if "output" in answer else answer["content"]
    return "".join(block["text"] for block in blocks)


@pytest.mark.parametrize("path", PATHS)
def test_a_held_answer_is_a_notice_until_it_is_approved(site: Reviewed, path: str):
    key = site.reviewer(f"eva-{path[4:]}@bank", data_class="public")
    held = ask(site, path, "grave")
    answer_id = held.headers["x-request-id"]
    assert (held.status_code, held.headers["location"]) == (202, f"/v1/reviews/{answer_id}")
    assert text_of(held.json()) == NOTICE.format(answer_id)
    assert (held.json()["review"]["status"], held.json()["review"]["id"]) == ("held", answer_id)
    assert SAID not in held.text
    (outcome,) = site.records("outcome", answer_id)
    assert (outcome["path"], outcome["status"], outcome["held"]["why"]) == (path, 202, ["impact"])
    claimed = site.claim(key, answer_id)
    assert claimed["texts"][0].startswith(SAID)
    assert site.act(key, answer_id, "approve", claimed).json()["status"] == "approved"
    approved = site.look(answer_id, "grave")
    assert text_of(approved.json()).startswith(SAID)
    assert approved.json()["id"] == held.json()["id"]
    assert approved.headers["x-isthmus-review"] == "approved"


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_of_which_every_answer_is_held_is_refused(site: Reviewed, path: str):
    refused = ask(site, path, "grave", stream=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "stream_not_reviewable")


@pytest.mark.parametrize("path", PATHS)
def test_a_held_stream_beats_and_ends_with_the_notice_in_the_events_of_the_api(site: Reviewed, path: str):
    stream = ask(site, path, "scored", stream=True)
    answer_id = stream.headers["x-request-id"]
    assert stream.text.startswith(": being checked\n\n")
    streamed = events(stream)
    assert NOTICE.format(answer_id) in stream.text
    assert SAID not in stream.text
    if path == "/v1/responses":
        assert streamed[-1][0] == "response.completed"
        assert streamed[-1][1]["response"]["review"]["status"] == "held"
    else:
        assert [name for name, _ in streamed[-2:]] == ["message_delta", "message_stop"]
        assert streamed[-2][1]["review"]["status"] == "held"
        assert streamed[-2][1]["delta"]["stop_reason"] == "refusal"
    (outcome,) = site.records("outcome", answer_id)
    assert (outcome["status"], outcome["held"]["why"]) == (202, ["no-score"])


def test_a_notice_in_place_of_json_is_a_refusal(site: Reviewed):
    held = ask(site, "/v1/responses", "grave", text={"format": {"type": "json_object"}}).json()
    assert [part["type"] for part in held["output"][0]["content"]] == ["refusal"]


@pytest.mark.parametrize("path", PATHS)
def test_scores_are_in_whole_answers_and_in_the_end_of_streams(site: Reviewed, path: str):
    site.made.models[0].logprobs = [HALF] * len(WORDS)
    try:
        whole, stream = ask(site, path, "marked"), ask(site, path, "marked", stream=True)
    finally:
        site.made.models[0].reset()
    streamed = events(stream)
    last = streamed[-1][1]["response"] if path == "/v1/responses" else streamed[-2][1]
    assert whole.json()["confidence"] == last["confidence"] == {"score": 0.5, "low": True}
    (outcome,) = site.records("outcome", stream.headers["x-request-id"])
    assert (outcome["ended_well"], outcome["tokens"]) == (
        True,
        {"prompt": 7, "cached": None, "completion": 5},
    )
