"""Batches and files of one gateway, by OpenAI's unmodified client."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.edge.batches.batching import (
    SECRET,
    Batched,
    jsonl,
    let_requests_wait,
    line,
    results,
    submit,
    wait,
    wait_for_end,
)
from tests.edge.conftest import code_of

pytestmark = pytest.mark.service
TABLES = ("files", "file_pieces", "batches", "batch_lines", "repeatable_answers")
CHAT_BODY: Any = {"model": "narratives", "messages": [{"role": "user", "content": "hello there"}]}


@pytest.fixture
def client(site: Batched, key: str) -> Iterator[openai.OpenAI]:
    with site.client(key) as client:
        yield client


def _lines(count: int, **changes: Any) -> bytes:
    return jsonl(line(number, **changes) for number in range(count))


def _texts(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {
        result["custom_id"]: result["response"]["body"]["choices"][0]["message"]["content"].split("\u2028")[0]
        for result in lines
    }


def test_a_bad_line_is_reported_by_its_number_and_the_others_are_answered(
    client: openai.OpenAI, site: Batched
):
    bad = {
        2: (b"{not json", "malformed_json"),
        4: (line(0), "duplicate_custom_id"),
        5: (line(5, url="/v1/embeddings"), "invalid_url"),
        6: (line(6, method="GET"), "invalid_method"),
        7: (line(7, body={**CHAT_BODY, "stream": True}), "stream_not_allowed"),
        8: (line(8, model="vectors"), "model_not_found"),
        9: (line(9, body={**CHAT_BODY, "cache_salt": "x"}), "unknown_field"),
        11: (line(11, custom_id=""), "invalid_custom_id"),
        12: (line(12, priority=0), "unknown_field"),
    }
    good = {1: line(0), 3: line(3), 10: line(10)}
    content = jsonl(good.get(number) or bad[number][0] for number in range(1, 13)) + b"\n"
    batch = wait(client, submit(client, content, metadata={"night": "1"}).id)
    assert (batch.status, batch.metadata) == ("completed", {"night": "1"})
    assert batch.request_counts.to_dict() == {"total": 12, "completed": 3, "failed": 9}
    errors = results(client, batch.error_file_id)
    assert {result["error"]["line"]: result["error"]["code"] for result in errors} == {
        number: code for number, (_, code) in bad.items()
    }
    assert all(result["response"] is None for result in errors)
    answers = results(client, batch.output_file_id)
    assert _texts(answers) == {f"request-{number}": f"word-{number}" for number in (0, 3, 10)}
    assert site.model.asked == {"word-0": 1, "word-3": 1, "word-10": 1}


def test_lines_pass_what_every_request_passes_at_a_lower_priority(client: openai.OpenAI, site: Batched):
    batch = wait(client, submit(client, _lines(20)).id)
    request_ids = {result["response"]["request_id"] for result in results(client, batch.output_file_id)}
    journal = [entry for entry in site.gateways[0].lines("request") if entry.get("batch") == batch.id]
    assert {entry["request_id"] for entry in journal} == request_ids
    assert {(entry["workload"], entry["path"], entry["status"]) for entry in journal} == {
        ("narratives", "/v1/chat/completions", 200)
    }
    assert site.model.priorities == [1] * 20
    client.chat.completions.create(**CHAT_BODY)
    assert site.model.priorities[-1] is None


def test_a_caller_cannot_set_the_priority(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError, match="priority"):
        client.chat.completions.create(**CHAT_BODY, extra_body={"priority": -1})


def test_embeddings_come_as_batches_too(site: Batched):
    with site.client(site.issue("vectors")) as client:
        body = {"model": "vectors", "input": "hello"}
        lines = jsonl(line(number, url="/v1/embeddings", body=body) for number in range(3))
        batch = wait(client, submit(client, lines, "/v1/embeddings").id)
        assert batch.request_counts.completed == 3


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/responses", {"model": "narratives", "input": "say rent"}),
        (
            "/v1/messages",
            {"model": "narratives", "max_tokens": 9, "messages": [{"role": "user", "content": "say rent"}]},
        ),
    ],
)
def test_lines_speak_the_workloads_other_interfaces_too(
    client: openai.OpenAI, endpoint: str, body: dict[str, Any]
):
    content = jsonl([line(1, url=endpoint, body=body), line(2, url=endpoint, body={**body, "nonsense": 1})])
    batch = wait(client, submit(client, content, endpoint).id)
    (answer,) = results(client, batch.output_file_id)
    assert "rent" in str(answer["response"]["body"])
    assert answer["response"]["body"]["id"].startswith(("resp_", "msg_"))
    assert [result["error"]["line"] for result in results(client, batch.error_file_id)] == [2]


def test_counting_tokens_is_no_endpoint_of_batches(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError, match="must be one of"):
        submit(client, jsonl([line(1, url="/tokenize")]), "/tokenize")


def test_the_database_never_sees_plain_text(client: openai.OpenAI, site: Batched):
    site.model.seconds = 0.3
    file = client.files.create(file=("muster-gmbh.jsonl", io.BytesIO(_lines(20))), purpose="batch")
    assert client.files.retrieve(file.id).filename == "muster-gmbh.jsonl"
    submit(client, _lines(20), metadata={"about": "muster-gmbh"})
    client.chat.completions.create(**CHAT_BODY, extra_headers={"Idempotency-Key": "muster-gmbh"})
    seen: set[str] = set()
    for _ in range(20):
        for table in TABLES:
            rows = str([dict(row) for row in site.ask_database(f"SELECT * FROM isthmus.{table}")])  # noqa: S608
            seen |= {table} if len(rows) > 2 else set()
            for text in (SECRET, "word-", "request-1", "muster"):
                assert text not in rows, table
        time.sleep(0.05)
    assert seen == set(TABLES)


def test_an_input_is_deleted_when_its_lines_are_taken(client: openai.OpenAI):
    batch = wait(client, submit(client, _lines(1)).id)
    with pytest.raises(openai.NotFoundError, match="You have no file with this id"):
        client.files.retrieve(batch.input_file_id)


def test_a_result_is_gone_when_it_was_fetched(client: openai.OpenAI):
    batch = wait(client, submit(client, _lines(2)).id)
    listed = client.files.list(purpose="batch_output")
    assert [file.id for file in listed] == [batch.output_file_id]
    assert len(results(client, batch.output_file_id)) == 2
    with pytest.raises(openai.NotFoundError):
        client.files.content(batch.output_file_id)


def test_a_broken_download_can_be_repeated(client: openai.OpenAI, site: Batched, key: str):
    site.model.tail = "x" * 400_000
    batch = wait(client, submit(client, _lines(40)).id)
    path = f"/v1/files/{batch.output_file_id}/content"
    with (
        httpx.Client(
            base_url=site.gateways[0].url, verify=site.authority.client("app"), trust_env=False
        ) as raw,
        raw.stream("GET", path, headers={"authorization": f"Bearer {key}"}) as response,
    ):
        assert int(response.headers["content-length"]) > 16_000_000
        next(response.iter_raw())
    site.gateways[0].wait_for_line("request", path="/v1/files/{id}/content", code="client_closed_request")
    assert len(_texts(results(client, batch.output_file_id))) == 40


def test_another_caller_of_the_same_workload_sees_nothing(client: openai.OpenAI, site: Batched):
    site.model.seconds = 0.2
    file = client.files.create(file=("input.jsonl", io.BytesIO(_lines(1))), purpose="batch")
    batch = submit(client, _lines(10))
    with site.client(site.issue("narratives")) as other:
        assert (list(other.files.list()), list(other.batches.list())) == ([], [])
        attempts = [
            lambda: other.files.retrieve(file.id),
            lambda: other.files.content(file.id),
            lambda: other.files.delete(file.id),
            lambda: submit_file(other, file.id),
            lambda: other.batches.retrieve(batch.id),
            lambda: other.batches.cancel(batch.id),
        ]
        for attempt in attempts:
            with pytest.raises(openai.NotFoundError):
                attempt()
    assert client.files.retrieve(file.id).status == "processed"
    assert wait(client, batch.id).status == "completed"


def submit_file(client: openai.OpenAI, file_id: str) -> Any:
    return client.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
    )


def test_a_workload_without_batches_has_no_such_paths(site: Batched):
    with site.client(site.issue("plain")) as client:
        with pytest.raises(openai.NotFoundError, match="not served"):
            client.files.list()
        with pytest.raises(openai.NotFoundError, match="not served"):
            client.batches.list()


def test_a_cancelled_batch_keeps_the_answers_that_it_has(client: openai.OpenAI, site: Batched):
    site.model.seconds = 0.1
    batch = submit(client, _lines(200))
    while len(site.model.asked) < 8:
        time.sleep(0.05)
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = wait(client, batch.id)
    assert (done.status, done.request_counts.total) == ("cancelled", 200)
    assert done.request_counts.completed + done.request_counts.failed == 200
    assert len(results(client, done.output_file_id)) == done.request_counts.completed == len(site.model.asked)
    codes = {result["error"]["code"] for result in results(client, done.error_file_id)}
    assert codes == {"batch_cancelled"}


def test_a_caller_whose_key_is_revoked_gets_no_more_answers(client: openai.OpenAI, site: Batched, key: str):
    site.model.seconds = 0.1
    batch = submit(client, _lines(400))
    wait(client, batch.id, "in_progress")
    key_id = site.ask_database("SELECT id FROM isthmus.keys ORDER BY issued_at DESC LIMIT 1")[0]["id"]
    site.keys("revoke", key_id)
    with pytest.raises(openai.AuthenticationError):
        wait(client, batch.id)
    row = wait_for_end(site, batch.id)
    assert row["status"] == "failed"
    assert row["reason"].startswith("revoked_api_key")
    assert row["total"] - row["failed"] == len(site.model.asked) < 400


def test_lines_wait_while_interactive_requests_wait(client: openai.OpenAI, site: Batched):
    let_requests_wait(site)
    batch = submit(client, _lines(5))
    wait(client, batch.id, "in_progress")
    client.chat.completions.create(**CHAT_BODY)
    time.sleep(1.5)
    assert site.model.asked == {"there": 1}
    site.model.reset()
    assert wait(client, batch.id).request_counts.completed == 5


def test_a_batch_ends_with_its_window(client: openai.OpenAI, site: Batched):
    let_requests_wait(site)
    batch = submit(client, _lines(5))
    wait(client, batch.id, "in_progress")
    site.ask_database(f"UPDATE isthmus.batches SET expires_at = now() WHERE id = '{batch.id}'")  # noqa: S608
    site.start().wait_until_up()  # a new copy sweeps at once
    try:
        done = wait(client, batch.id)
        assert done.status == "expired"
        assert {result["error"]["code"] for result in results(client, done.error_file_id)} == {
            "batch_expired"
        }
    finally:
        edge = site.gateways.pop()
        edge.process.kill()
        edge.process.wait(10)


def test_an_input_without_a_valid_line_fails_with_its_errors(client: openai.OpenAI):
    batch = wait(client, submit(client, b"nonsense\n").id)
    assert batch.status == "failed"
    assert [error.code for error in batch.errors.data] == ["no_valid_line"]
    assert [result["error"]["line"] for result in results(client, batch.error_file_id)] == [1]


def test_too_many_lines_fail_the_batch(client: openai.OpenAI):
    batch = wait(client, submit(client, _lines(501)).id)
    assert (batch.status, batch.errors.data[0].code) == ("failed", "too_many_lines")


def test_sizes_and_numbers_are_limited_for_each_caller(client: openai.OpenAI, site: Batched):
    with pytest.raises(openai.APIStatusError, match="larger than 1000000 bytes") as refused:
        client.files.create(file=("large.jsonl", io.BytesIO(b"x" * 1_000_001)), purpose="batch")
    assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
    files = [client.files.create(file=("a.jsonl", io.BytesIO(_lines(1))), purpose="batch") for _ in range(12)]
    with pytest.raises(openai.RateLimitError, match="may have 12 files"):
        client.files.create(file=("a.jsonl", io.BytesIO(_lines(1))), purpose="batch")
    assert client.files.delete(files[0].id).deleted
    let_requests_wait(site)
    begun = [submit_file(client, file.id) for file in files[1:3]]
    with pytest.raises(openai.RateLimitError, match="2 batches that have not ended"):
        submit_file(client, files[3].id)
    for batch in begun:
        client.batches.cancel(batch.id)


def test_lists_come_in_pages(client: openai.OpenAI):
    names = [f"{number}.jsonl" for number in range(5)]
    for name in names:
        client.files.create(file=(name, io.BytesIO(_lines(1))), purpose="batch")
    page = client.files.list(limit=2)
    assert page.has_next_page()
    assert [file.filename for file in page] == names[::-1]  # the client fetches the other pages


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint": "/v1/images"}, "invalid_endpoint"),
        ({"completion_window": "1h"}, "invalid_completion_window"),
        ({"input_file_id": "file-none"}, "file_not_found"),
        ({"metadata": {"a": 1}}, "invalid_metadata"),
        ({"priority": 0}, "unknown_field"),
    ],
)
def test_a_wrong_batch_is_refused(site: Batched, key: str, changes: dict[str, Any], code: str):
    body = {"input_file_id": "file-none", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    answer = site.post(0, "/v1/batches", {**body, **changes}, {"authorization": f"Bearer {key}"})
    assert code_of(answer) == code


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"purpose": "fine-tune"}, 400, "invalid_purpose"),
        ({"purpose": "batch", "fallbacks": "x"}, 400, "unknown_field"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at"}, 400, "invalid_expires_after"),
        ({}, 400, "invalid_purpose"),
    ],
)
def test_a_wrong_upload_is_refused_and_leaves_nothing(
    site: Batched, client: openai.OpenAI, key: str, fields: dict[str, str], status: int, code: str
):
    with httpx.Client(verify=site.authority.client("app"), trust_env=False) as raw:
        answer = raw.post(
            site.gateways[0].url + "/v1/files",
            data=fields,
            files={"file": ("a.jsonl", _lines(1))},
            headers={"authorization": f"Bearer {key}"},
        )
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert list(client.files.list()) == []
