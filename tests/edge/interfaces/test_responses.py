"""OpenAI's `/v1/responses`: what the model server gets, and what the caller gets, whole and as a stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.conftest import code_of
from tests.edge.fake_model import ARGUMENTS, WORDS
from tests.edge.interfaces.conftest import Offered, events

PATH = "/v1/responses"
TEXT = "".join(WORDS)
TOOL = {"type": "function", "name": "rate", "parameters": {"type": "object"}, "strict": False}
PIXEL = "data:image/png;base64,AAAA"


def test_a_text_becomes_a_chat_and_its_answer_a_response(offered: Offered) -> None:
    answer = offered.post(PATH, input="hello", instructions="Be kind.", max_output_tokens=50, store=True)
    assert answer.status_code == 200, answer.text
    response = answer.json()
    assert response["id"] == "resp_" + answer.headers["x-request-id"]
    assert (response["object"], response["status"], response["store"]) == ("response", "completed", False)
    (message,) = response["output"]
    assert [part["text"] for part in message["content"]] == [TEXT]
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (7, 5)
    sent = offered.sent()
    assert sent["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
    ]
    assert sent["max_tokens"] == 50
    assert "store" not in sent
    line = offered.line(answer)
    assert (line["path"], line["prompt_tokens"], line["completion_tokens"]) == (PATH, 7, 5)
    assert line["usd"] > 0


def test_items_of_a_conversation_become_messages(offered: Offered) -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "rate", "arguments": "{}"}
    spoken = {"type": "output_text", "text": "I look.", "annotations": []}
    image = {"type": "input_image", "image_url": PIXEL, "detail": "low"}
    items: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "input_text", "text": "see"}, image]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [spoken], "status": "completed"},
        call,
        {**call, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "0.97"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "0.98"}]},
    ]
    answer = offered.post(PATH, input=items, tools=[TOOL])
    assert answer.status_code == 200, answer.text
    calls = [
        {"id": name, "type": "function", "function": {"name": "rate", "arguments": "{}"}}
        for name in ("c1", "c2")
    ]
    sent_image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}
    assert offered.sent()["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "see"}, sent_image]},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "0.97"},
        {"role": "tool", "tool_call_id": "c2", "content": "0.98"},
    ]


def test_options_become_those_of_chat(offered: Offered) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    answer = offered.post(
        PATH,
        input="where?",
        temperature=0.5,
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "place", "schema": schema, "strict": True}},
        include=["message.output_text.logprobs"],
        tools=[TOOL, {**TOOL, "name": "other"}],
        tool_choice={
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "rate"}],
        },
    )
    assert answer.status_code == 200, answer.text
    sent = offered.sent()
    described = {"name": "place", "schema": schema, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": described}
    assert (sent["temperature"], sent["reasoning_effort"], sent["logprobs"]) == (0.5, "low", True)
    assert (sent["parallel_tool_calls"], sent["tool_choice"]) == (False, "auto")
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["rate"]


def test_a_stream_has_the_events_of_the_api_in_their_order(offered: Offered) -> None:
    answer = offered.post(PATH, input="hello", stream=True)
    sent = events(answer)
    assert [name for name, _ in sent] == [
        *("response.created", "response.in_progress", "response.output_item.added"),
        "response.content_part.added",
        *["response.output_text.delta"] * len(WORDS),
        *("response.output_text.done", "response.content_part.done", "response.output_item.done"),
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in sent] == list(range(len(sent)))
    assert all(data["type"] == name for name, data in sent)
    assert [data["delta"] for name, data in sent if name.endswith(".delta")] == WORDS
    response = sent[-1][1]["response"]
    assert response["output"][0]["content"][0]["text"] == TEXT
    assert response["usage"]["total_tokens"] == 12
    assert response["id"] == sent[0][1]["response"]["id"] == "resp_" + answer.headers["x-request-id"]
    assert offered.line(answer)["code"] == "ok"


def test_a_streamed_call_comes_as_an_item_with_its_arguments(offered: Offered) -> None:
    sent = events(offered.post(PATH, input="rate?", stream=True, tools=[TOOL]))
    deltas = [data["delta"] for name, data in sent if name == "response.function_call_arguments.delta"]
    assert "".join(deltas) == ARGUMENTS
    (done,) = [data for name, data in sent if name == "response.function_call_arguments.done"]
    assert done["arguments"] == ARGUMENTS
    (item,) = sent[-1][1]["response"]["output"]
    assert (item["type"], item["call_id"], item["name"], item["arguments"]) == (
        *("function_call", "call-1", "rate"),
        ARGUMENTS,
    )


def test_reasoning_comes_as_an_item_of_its_own(offered: Offered) -> None:
    message = {"role": "assistant", "content": "4", "reasoning": "2 and 2"}
    offered.model.changes = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}
    response = offered.post(PATH, input="2+2").json()
    reasoning, spoken = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "2 and 2"}]
    assert spoken["content"][0]["text"] == "4"
    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )


@pytest.mark.parametrize("behaviour", ["cut", "error-event"])
def test_a_stream_that_breaks_ends_in_an_error_and_never_completes(offered: Offered, behaviour: str) -> None:
    offered.model.reset(behaviour)
    answer = offered.post(PATH, input="hello", stream=True)
    name, data = events(answer)[-1]
    assert (name, data["type"]) == ("error", "error")
    assert data["code"] == data["error"]["code"] in ("stream_cut", "stream_failed")
    assert "response.completed" not in answer.text
    assert "10.1.2.3" not in answer.text
    assert offered.line(answer)["code"] == data["code"]


@pytest.mark.parametrize(
    ("fields", "code", "hint"),
    [
        ({"previous_response_id": "resp_1"}, "unsupported_parameter", "keeps no conversations"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "keeps no conversations"),
        ({"background": True}, "unsupported_parameter", "on the connection of its request"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "'instructions'"),
        ({"tools": [{"type": "web_search"}]}, "unsupported_parameter", "'web_search' would run outside"),
        ({"tools": [{"type": "file_search"}]}, "unsupported_parameter", "'file_search' would run outside"),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "unsupported_parameter", "'mcp' would run"),
        ({"tools": [{"type": "computer_use_preview"}]}, "unsupported_parameter", "'computer' would run"),
        (
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            "unsupported_parameter",
            "Send the item itself",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "unsupported_parameter",
            "'input_file' is not read here",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]},
            "invalid_input",
            "data: URL",
        ),
        ({"cache_salt": "x"}, "unknown_field", "cache_salt"),
        ({"input": []}, "invalid_input", "input"),
        ({"input": [{"role": "root", "content": "x"}]}, "invalid_input", "input[0].role"),
        ({"max_output_tokens": 0}, "invalid_max_output_tokens", "max_output_tokens"),
        (
            {"tools": [{**TOOL, "parameters": {"$ref": "https://x/s.json"}}]},
            "invalid_tools",
            "refers to another document",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    offered: Offered, fields: dict[str, Any], code: str, hint: str
) -> None:
    answer = offered.post(PATH, **{"input": "hello", **fields})
    assert (answer.status_code, code_of(answer)) == (400, code)
    assert hint in answer.json()["error"]["message"]
    assert offered.model.received == []


def test_empty_values_of_what_is_not_served_pass(offered: Offered) -> None:
    nothing = {"previous_response_id": None, "conversation": None, "background": False, "tools": []}
    assert offered.post(PATH, input="hello", metadata={"a": "b"}, **nothing).status_code == 200


def test_a_model_without_the_interface_names_its_paths(offered: Offered) -> None:
    answer = offered.post(PATH, model="plain", input="hello")
    assert (answer.status_code, code_of(answer)) == (404, "wrong_task")
    assert "/v1/chat/completions" in answer.json()["error"]["message"]
