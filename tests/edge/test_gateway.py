"""Requests and answers that pass the gateway."""

from __future__ import annotations

import json

import openai
import pytest

from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat, code_of
from tests.edge.fake_model import MODEL, WORDS

TEXT = "".join(WORDS)


def stream_data(text: str) -> list[str]:
    """The data of each event. Split at LF only, because the text may contain other line separators."""
    return [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]


def test_a_known_key_gets_an_answer_with_the_workloads_model_name(chain: Site):
    response = chain.ask(temperature=0, user="anna")
    assert response.status_code == 200
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert answer["model"] == WORKLOAD
    assert answer["usage"]["completion_tokens"] == 5
    assert MODEL not in response.text, "the upstream's model name leaked"
    assert "vllm-host-7" not in response.text, "a field of the upstream leaked"
    assert "x-upstream-secret" not in response.headers
    assert chain.model.last_body() == {**chat(temperature=0, user="anna"), "model": MODEL}


def test_a_stream_passes_gateway_and_sidecar_event_by_event(chain: Site):
    response = chain.ask(stream=True)
    data = stream_data(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert data[-1] == "[DONE]"
    chunks = [json.loads(item) for item in data[:-1]]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == TEXT
    assert {chunk["model"] for chunk in chunks} == {WORKLOAD}
    assert all("usage" not in chunk for chunk in chunks), "the caller did not ask for usage"


def test_an_answer_has_a_unique_id_that_is_in_its_log_line(chain: Site):
    """The model server's own id never passes, because it could be any text."""
    ids = []
    for stream in (False, True, False):
        response = chain.ask(stream=stream)
        heads = [json.loads(item) for item in stream_data(response.text)[:-1]] or [response.json()]
        (id_,) = {head["id"] for head in heads}
        chain.gateway.wait_for_line("request", request_id=id_.removeprefix("chatcmpl-"))
        ids.append(id_)
    assert len({*ids}) == 3
    assert "chatcmpl-1" not in ids, "the id of the model server"


def test_a_stream_contains_usage_on_request(chain: Site):
    data = stream_data(chain.ask(stream=True, stream_options={"include_usage": True}).text)
    assert json.loads(data[-2])["usage"]["total_tokens"] == 12


def test_the_first_token_arrives_before_the_last_is_generated(chain: Site):
    chain.model.reset("slow")
    body = chat(stream=True)
    seen_early = False
    with chain.client.stream("POST", "/v1/chat/completions", json=body, headers=bearer(KEYS[WORKLOAD])) as r:
        for line in r.iter_lines():
            if "Paid" in line:
                seen_early = True
            if "to" in line:
                break
    assert seen_early
    line = chain.gateway.wait_for_line("request", code="ok", stream=True)
    assert line["first_byte_ms"] is not None


def test_an_unmodified_openai_client_works(chain: Site):
    with openai.OpenAI(
        base_url=chain.gateway.url + "/v1",
        api_key=KEYS[WORKLOAD],
        http_client=openai.DefaultHttpxClient(verify=chain.authority.client("app"), trust_env=False),
        max_retries=0,
    ) as client:
        assert [model.id for model in client.models.list()] == [WORKLOAD]
        messages = [{"role": "user", "content": "hello"}]
        answer = client.chat.completions.create(model=WORKLOAD, messages=messages)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == TEXT
        stream = client.chat.completions.create(model=WORKLOAD, messages=messages, stream=True)  # type: ignore[arg-type]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT
        chain.model.reset("cut")
        with pytest.raises(openai.APIError, match="before it was complete"):
            list(client.chat.completions.create(model=WORKLOAD, messages=messages, stream=True))  # type: ignore[arg-type]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-4o", messages=messages)  # type: ignore[arg-type]


def test_a_key_sees_only_its_own_workload(chain: Site):
    listed = chain.client.get("/v1/models", headers=bearer(KEYS["claims"])).json()
    assert [model["id"] for model in listed["data"]] == ["claims"]


@pytest.mark.parametrize("behaviour", ["cut", "no-done", "error-event"])
def test_a_truncated_stream_ends_with_a_visible_error(chain: Site, behaviour: str):
    chain.model.reset(behaviour)
    data = stream_data(chain.ask(stream=True).text)
    assert "[DONE]" not in data
    assert set(json.loads(data[-1])["error"]) == {"message", "type", "code"}
    assert "10.1.2.3" not in data[-1], "the upstream's message leaked"


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        ("status-500", 502, "bad_gateway"),
        ("status-503", 503, "model_unavailable"),
        ("status-401", 502, "bad_gateway"),
        ("status-404", 502, "bad_gateway"),
        ("status-307", 502, "bad_gateway"),
        ("status-429", 429, "model_busy"),
        ("html", 502, "bad_gateway"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_of_a_model_server_is_reported_without_its_internals(
    chain: Site, behaviour: str, status: int, code: str, stream: bool
):
    chain.model.reset(behaviour)
    response = chain.ask(stream=stream)
    assert (response.status_code, code_of(response)) == (status, code)
    assert MODEL not in response.text
    assert "10.1.2.3" not in response.text
    # After a refusal, other replicas are tried, three in all. After an answer, none.
    assert len(chain.model.received) == (3 if status == 503 else 1)


def test_an_error_of_the_caller_is_reported_in_the_gateways_words(chain: Site):
    chain.model.reset("status-400")
    response = chain.ask()
    assert (response.status_code, code_of(response)) == (400, "rejected_by_model")
    assert response.json()["error"]["message"] == "The model server does not accept this request."


def test_a_model_server_that_is_down_is_503(chain: Site):
    response = chain.ask(key=KEYS["down"], model="down")
    assert (response.status_code, code_of(response)) == (503, "model_unavailable")


def test_a_model_server_with_another_name_in_its_certificate_receives_nothing(chain: Site):
    response = chain.ask(key=KEYS["misnamed"], model="misnamed")
    assert (response.status_code, code_of(response)) == (502, "bad_gateway")
    assert chain.model.received == []


def test_a_client_that_disconnects_from_a_stream_ends_the_work_of_the_model(chain: Site):
    chain.model.reset("endless")
    body = chat(stream=True)
    with chain.client.stream("POST", "/v1/chat/completions", json=body, headers=bearer(KEYS[WORKLOAD])) as r:
        next(r.iter_lines())
    assert chain.model.cancelled.wait(5), "the model went on for nobody"


def test_a_client_that_disconnects_before_the_answer_ends_the_work_of_the_model(chain: Site):
    chain.model.reset("stall")
    with pytest.raises(Exception, match="timed out"):
        chain.client.post("/v1/chat/completions", json=chat(), headers=bearer(KEYS[WORKLOAD]), timeout=0.5)
    assert chain.model.cancelled.wait(5), "the model went on for nobody"


def test_a_caller_may_allow_less_time_than_the_gateway_and_the_rest_is_passed_on(chain: Site):
    chain.model.reset("stall")
    headers = {**bearer(KEYS[WORKLOAD]), "x-request-timeout": "1.5"}
    answer = chain.client.post("/v1/chat/completions", json=chat(), headers=headers)
    assert (answer.status_code, code_of(answer)) == (504, "timeout")


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e9", "nan", "", "123456"])
def test_a_time_that_is_no_number_of_seconds_is_refused(chain: Site, seconds: str):
    headers = {**bearer(KEYS[WORKLOAD]), "x-request-timeout": seconds}
    answer = chain.client.post("/v1/chat/completions", json=chat(), headers=headers)
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request_timeout")
    assert chain.model.received == []
