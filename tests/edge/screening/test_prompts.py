"""Screening of prompts: what leaves the site is redacted, what stays is not, and what cannot be redacted is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.edge.screening.standing import IBAN, Screened, choices_of, code_in, shows_the_account, text_of

TEXT = f"Bitte schreiben Sie an Käthe Groß bei der Nordbank, dass die Zahlung von {IBAN} offen ist."
GONE = "Bitte schreiben Sie an <PERSON_1> bei der <ORGANIZATION_1>, dass die Zahlung von <IBAN_CODE_1> offen ist."


def test_prompts_that_leave_the_site_are_redacted(screened: Screened):
    answer = screened.ask("cloud", TEXT)
    assert answer.status_code == 200
    assert screened.cloud.last_body()["messages"][0]["content"] == GONE
    assert not shows_the_account(b"".join(screened.cloud.received).decode(errors="replace"))
    (verdict,) = [verdict for verdict in screened.verdicts(answer) if verdict.startswith("redaction@rules-")]
    assert verdict.endswith(": redacted IBAN_CODE=1,ORGANIZATION=1,PERSON=1")


def test_prompts_to_a_model_at_the_same_site_are_not_redacted(screened: Screened):
    assert screened.ask("own", TEXT).status_code == 200
    assert screened.own.last_body()["messages"][0]["content"] == TEXT


@pytest.mark.parametrize("stream", [False, True])
def test_redacted_values_are_restored_in_the_answer(screened: Screened, stream: bool):
    screened.cloud.words = ["Dear <PER", "SON_", "1>, <IBAN_CODE", "_1> and <IBAN_CODE_9", "> <", "done"]
    assert (
        text_of(screened.ask("cloud", TEXT, stream=stream))
        == f"Dear Käthe Groß, {IBAN} and <IBAN_CODE_9> <done"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_redacted_values_are_restored_in_tool_arguments_as_json(screened: Screened, stream: bool):
    screened.cloud.arguments = '{"to": "<PERSON_1>", "iban": "<IBAN_CODE_1>"}'
    tool = {"type": "function", "function": {"name": "rate", "parameters": {"type": "object"}}}
    answer = screened.ask("cloud", TEXT, stream=stream, tools=[tool])
    assert _arguments(answer) == {"to": "Käthe Groß", "iban": IBAN}


def test_every_part_of_a_request_is_redacted(screened: Screened):
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "pay", "arguments": json.dumps({"n": 4111111111111111})},
    }
    messages = [
        {"role": "system", "content": f"Der Kunde hat das Konto {IBAN}."},
        {"role": "user", "name": "kaethe", "content": [{"type": "text", "text": "Schreib Käthe Groß."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": f'{{"iban": "{IBAN}"}}'},
    ]
    schema = {"type": "object", "properties": {"iban": {"type": "string", "description": f"wie {IBAN}"}}}
    tool = {
        "type": "function",
        "function": {"name": "pay", "description": "für Käthe Groß", "parameters": schema},
    }
    answer = screened.ask("cloud", messages=messages, tools=[tool], stop=["Käthe Groß"], user="anna")
    assert answer.status_code == 200, answer.text
    sent = json.dumps(screened.cloud.last_body(), ensure_ascii=False)
    for value in ("3704", "Groß", "kaethe", "4111", "anna"):
        assert value not in sent, value
    assert '\\"iban\\": \\"<IBAN_CODE_1>\\"' in sent
    assert screened.cloud.last_body()["messages"][2]["tool_calls"][0]["function"]["name"] == "pay"


ENGLISH = (
    "Please write to our customer about the payment that has been open since the beginning of last month."
)


def test_a_prompt_in_a_language_without_a_model_may_not_leave(screened: Screened):
    answer = screened.ask("cloud", ENGLISH)
    assert (answer.status_code, code_in(answer)) == (422, "may_not_leave")
    assert screened.cloud.received == []
    assert any(verdict.endswith(": patterns only en") for verdict in screened.verdicts(answer))


def test_a_prompt_that_may_not_leave_is_served_by_the_sites_own_model(screened: Screened):
    assert screened.ask("both", ENGLISH).status_code == 200
    screened.own.reset("status-503")
    answer = screened.ask("both", ENGLISH)
    assert (answer.status_code, code_in(answer)) == (422, "may_not_leave")
    assert screened.cloud.received == []


def test_an_endpoint_without_a_stated_site_counts_as_outside(screened: Screened):
    screened.own.reset("status-503")
    assert screened.ask("both", TEXT).status_code == 200
    assert screened.cloud.last_body()["messages"][0]["content"] == GONE


def test_a_prompt_with_an_image_may_not_leave(screened: Screened):
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    answer = screened.ask("cloud", messages=[{"role": "user", "content": content}])
    assert (answer.status_code, code_in(answer)) == (422, "may_not_leave")
    assert screened.cloud.received == []


def test_the_schema_of_a_tool_is_redacted_and_its_names_are_restored(screened: Screened):
    account = IBAN.replace(" ", "")
    schema = {
        "type": "object",
        "properties": {
            account: {"type": "string", "format": "uuid", "examples": [IBAN, {"type": IBAN}]},
            "to": {"type": "string", "enum": ["Käthe Groß"], "default": {"id": 4111111111111111.0}},
        },
        "required": [account],
    }
    function = {"name": f"pay-{account}", "parameters": schema}
    screened.cloud.function = "pay-IBAN_CODE_1"
    screened.cloud.arguments = '{"IBAN_CODE_1": "<IBAN_CODE_1>", "to": "<PERSON_1>"}'
    for stream in (False, True):
        answer = screened.ask(
            "cloud", TEXT, tools=[{"type": "function", "function": function}], stream=stream
        )
        assert answer.status_code == 200, answer.text
        sent = screened.cloud.last_body()["tools"][0]["function"]
        assert sent == {
            "name": "pay-IBAN_CODE_1",
            "parameters": {
                "type": "object",
                "properties": {
                    "IBAN_CODE_1": {
                        "type": "string",
                        "format": "uuid",
                        "examples": ["<IBAN_CODE_1>", {"type": "<IBAN_CODE_1>"}],
                    },
                    "to": {
                        "type": "string",
                        "enum": ["<PERSON_1>"],
                        "default": {"id": "<CREDIT_CARD_1>"},
                    },
                },
                "required": ["IBAN_CODE_1"],
            },
        }
        assert _arguments(answer, function["name"]) == {account: IBAN, "to": "Käthe Groß"}


def test_tool_arguments_are_redacted_in_any_notation(screened: Screened):
    for arguments in (
        '{"a": "Käthe Groß", "a": "x"}',
        '{"n": 4111111111111111.0}',
        '{"n": 4.111111111111111e15}',
        '{"a": "K\\u00e4the Groß"',
        json.dumps({"a": json.dumps({"b": "Käthe Groß"})}),
    ):
        call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments}}
        messages = [
            {"role": "user", "content": "Hallo"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "gut"},
        ]
        assert screened.ask("cloud", messages=messages).status_code == 200
        sent = json.dumps(screened.cloud.last_body(), ensure_ascii=False)
        for value in ("Groß", "4111", "4.111"):
            assert value not in sent, arguments


def test_a_schema_of_maximum_depth_is_redacted(screened: Screened):
    schema: dict[str, Any] = {"examples": ["Käthe Groß"]}
    for _ in range(94):
        schema = {"properties": {"a": schema}}
    tool = {"type": "function", "function": {"name": "deep", "parameters": schema}}
    answer = screened.ask("cloud", TEXT, tools=[tool])
    assert answer.status_code == 200, answer.text
    assert "Groß" not in json.dumps(screened.cloud.last_body(), ensure_ascii=False)
    for _ in range(4):
        schema = {"properties": {"a": schema}}
    tool["function"] = {"name": "deeper", "parameters": schema}
    answer = screened.ask("cloud", TEXT, tools=[tool])
    assert (answer.status_code, code_in(answer)) == (400, "malformed_json")


def test_a_seed_that_is_a_card_number_may_not_leave(screened: Screened):
    answer = screened.ask("cloud", TEXT, seed=4111111111111111)
    assert (answer.status_code, code_in(answer)) == (422, "may_not_leave")
    assert screened.ask("cloud", TEXT, seed=42).status_code == 200


def test_sampling_parameters_cannot_carry_an_identifier_out(screened: Screened):
    digits = {
        "temperature": 0.4111111111111111,
        "top_p": 0.5500000000000004,
        "frequency_penalty": -1.8937040044,
    }
    assert screened.ask("cloud", TEXT, **digits).status_code == 200
    sent = screened.cloud.last_body()
    assert {name: sent[name] for name in digits} == {
        "temperature": 0.4111,
        "top_p": 0.55,
        "frequency_penalty": -1.8937,
    }
    assert screened.ask("own", TEXT, **digits).status_code == 200
    assert {name: screened.own.last_body()[name] for name in digits} == digits, "on the site it stays exact"


@pytest.mark.parametrize("stream", [False, True])
def test_values_are_restored_in_a_json_answer_as_json(screened: Screened, stream: bool):
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"
    screened.cloud.words = ['{"key": "<SEC', 'RET_1>", "to": "<PERSON_1>"}']
    response_format = {"type": "json_object"}
    answer = screened.ask("cloud", f"An Käthe Groß: {key}", response_format=response_format, stream=stream)
    assert json.loads(text_of(answer)) == {"key": key, "to": "Käthe Groß"}


def test_a_prompt_with_a_high_placeholder_number_gets_its_values_back(screened: Screened):
    screened.cloud.words = ["<IBAN_CODE_1>"]
    assert text_of(screened.ask("cloud", f"<PERSON_999999> {IBAN}")) == IBAN


def test_ranked_documents_are_returned_unredacted(screened: Screened):
    documents = [f"Konto {IBAN}", "Schreib Käthe Groß."]
    answer = screened.post("ranked", "/v1/rerank", query="Wer?", documents=documents)
    assert answer.status_code == 200, answer.text
    assert screened.cloud.last_body()["documents"] == ["Konto <IBAN_CODE_1>", "Schreib <PERSON_1>."]
    assert [result["document"]["text"] for result in answer.json()["results"]] == documents


def test_no_redacted_value_is_in_the_log(screened: Screened):
    screened.ask("cloud", TEXT)
    output = screened.gateway.output() + screened.detector.output()
    assert "Groß" not in output
    assert not shows_the_account(output)


def _arguments(answer: Any, name: str = "rate") -> dict[str, str]:
    if answer.headers["content-type"].startswith("application/json"):
        (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == name
        return json.loads(call["function"]["arguments"])
    calls = [call for choice in choices_of(answer) for call in choice["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == name
    return json.loads("".join(call["function"].get("arguments", "") for call in calls))
