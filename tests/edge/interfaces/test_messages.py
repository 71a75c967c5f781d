"""Anthropic's `/v1/messages`: what the model server gets, and what the caller gets, whole and as a stream."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.edge.fake_model import ARGUMENTS, WORDS
from tests.edge.interfaces.conftest import Offered, events

PATH = "/v1/messages"
TEXT = "".join(WORDS)
HELLO: dict[str, Any] = {"max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
TOOL = {"name": "rate", "description": "The rate.", "input_schema": {"type": "object"}}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of a response in Anthropic's format."""
    body = answer.json()
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["x-request-id"]
    return body["error"]


def test_a_message_becomes_a_chat_and_its_answer_a_message(offered: Offered) -> None:
    answer = offered.post(
        PATH,
        **HELLO,
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
        top_k=5,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert answer.status_code == 200, answer.text
    usage = {"input_tokens": 7, "output_tokens": 5}
    assert answer.json() == {
        "id": "msg_" + answer.headers["x-request-id"],
        **{"type": "message", "role": "assistant", "model": "fast"},
        "content": [{"type": "text", "text": TEXT}],
        **{"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {**usage, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    }
    sent = offered.sent()
    assert sent["messages"] == [{"role": "system", "content": "Be kind."}, *HELLO["messages"]]
    assert (sent["max_tokens"], sent["stop"], sent["user"], sent["top_k"]) == (50, ["END"], "u-1", 5)
    assert sent["reasoning_effort"] == "low"
    assert offered.line(answer)["path"] == PATH


def test_blocks_of_a_conversation_become_messages(offered: Offered) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    use = {"type": "tool_use", "id": "t1", "name": "rate", "input": {"city": "Bern"}}
    result = {"type": "tool_result", "tool_use_id": "t1"}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "see"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                use,
            ],
        },
        {
            "role": "user",
            "content": [
                {**result, "content": "no such city", "is_error": True},
                {"type": "text", "text": "?"},
            ],
        },
    ]
    answer = offered.post(PATH, max_tokens=50, messages=turns, tools=[TOOL], tool_choice={"type": "any"})
    assert answer.status_code == 200, answer.text
    sent = offered.sent()
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "see"},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "rate", "arguments": '{"city":"Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "Error: no such city"},
        {"role": "user", "content": "?"},
    ]
    assert sent["tool_choice"] == "required"
    assert sent["tools"][0]["function"]["parameters"] == {"type": "object"}


def test_a_call_comes_as_a_block_with_its_input(offered: Offered) -> None:
    answer = offered.post(PATH, **HELLO, tools=[TOOL]).json()
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"] == [
        {"type": "tool_use", "id": "call-1", "name": "rate", "input": {"city": "Bern"}}
    ]


def test_a_stream_has_the_events_of_the_api_in_their_order(offered: Offered) -> None:
    answer = offered.post(PATH, **HELLO, stream=True)
    sent = events(answer)
    assert [name for name, _ in sent] == [
        *("message_start", "ping", "content_block_start"),
        *["content_block_delta"] * len(WORDS),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert sent[0][1]["message"]["id"] == "msg_" + answer.headers["x-request-id"]
    assert [data["delta"]["text"] for name, data in sent if name == "content_block_delta"] == WORDS
    assert sent[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert sent[-2][1]["usage"]["output_tokens"] == 5
    assert offered.line(answer)["completion_tokens"] == 5


def test_blocks_of_a_stream_come_one_after_the_other(offered: Offered) -> None:
    def delta(**fields: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}

    def call(index: int, arguments: str, **head: str) -> dict[str, Any]:
        return delta(
            tool_calls=[{"index": index, **head, "function": {"name": "rate", "arguments": arguments}}]
        )

    from edge.interfaces.messages_answer import MessagesWriter
    from edge.interfaces.writer import Head

    writer = MessagesWriter({}, Head("msg_1", 1, "fast"))
    chunks = [
        delta(reasoning="hm"),
        delta(content="I look."),
        call(0, "", id="t0"),
        call(1, "", id="t1"),
        call(0, '{"a": 1}'),
        call(1, '{"b": 2}'),
    ]
    written = b"".join([*(writer.chunk(chunk) for chunk in chunks), writer.end()])
    sent = [json.loads(line[6:]) for line in written.split(b"\n") if line.startswith(b"data: ")]
    blocks = [(data["type"], data["index"]) for data in sent if "index" in data]
    assert [index for _, index in blocks] == sorted(index for _, index in blocks)
    assert [data["content_block"]["type"] for data in sent if data["type"] == "content_block_start"] == [
        *("thinking", "text", "tool_use", "tool_use")
    ]
    inputs = [data["delta"]["partial_json"] for data in sent if "partial_json" in data.get("delta", {})]
    assert inputs == ['{"a": 1}', '{"b": 2}']


def test_a_streamed_call_comes_with_its_input(offered: Offered) -> None:
    sent = events(offered.post(PATH, **HELLO, stream=True, tools=[TOOL]))
    pieces = [data["delta"]["partial_json"] for name, data in sent if name == "content_block_delta"]
    assert "".join(pieces) == ARGUMENTS
    assert sent[-2][1]["delta"]["stop_reason"] == "tool_use"


def test_a_schema_becomes_that_of_chat(offered: Offered) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    format_ = {"format": {"type": "json_schema", "schema": schema}, "effort": "high"}
    assert offered.post(PATH, **HELLO, output_config=format_).json()["content"][0]["text"] == ARGUMENTS
    sent = offered.sent()
    assert sent["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": True}
    assert sent["reasoning_effort"] == "high"


@pytest.mark.parametrize("path", [PATH, "/v1/responses"])
def test_a_caller_is_not_told_what_was_cached(offered: Offered, path: str) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    offered.model.changes = {
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, **details}
    }
    usage = offered.post(path, **(HELLO if path == PATH else {"input": "hello"})).json()["usage"]
    cached = (
        usage["cache_read_input_tokens"] if path == PATH else usage["input_tokens_details"]["cached_tokens"]
    )
    assert (usage["input_tokens"], cached) == (7, 0)


@pytest.mark.parametrize("behaviour", ["cut", "error-event"])
def test_a_stream_that_breaks_ends_in_an_error_and_never_stops(offered: Offered, behaviour: str) -> None:
    offered.model.reset(behaviour)
    answer = offered.post(PATH, **HELLO, stream=True)
    name, data = events(answer)[-1]
    assert (name, data["error"]["type"]) == ("error", "api_error")
    assert "message_stop" not in answer.text
    assert offered.line(answer)["code"] == data["error"]["code"]


def test_a_key_may_come_as_x_api_key(offered: Offered) -> None:
    body = {"model": "fast", **HELLO}
    for headers, status in (
        ({"x-api-key": offered.key}, 200),
        ({"x-api-key": "isk_wrong"}, 401),
        ({}, 401),
        ({"x-api-key": offered.key, "authorization": "Bearer isk_wrong"}, 401),
    ):
        answer = offered.site.post(0, PATH, body, headers, None)
        assert answer.status_code == status
        if status == 401:
            error = error_of(answer)
            assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    twice = httpx.Headers([("x-api-key", offered.key), ("x-api-key", offered.key)])
    assert offered.site.post(0, PATH, body, twice, None).status_code == 401  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "code", "hint"),
    [
        ({"mcp_servers": [{"url": "https://x"}]}, "unsupported_parameter", "'mcp_servers' is not served"),
        ({"container": "c"}, "unsupported_parameter", "no code runs here"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "unsupported_parameter", "'web_search'"),
        ({"tools": [{"type": "computer_20250124", "name": "c"}]}, "unsupported_parameter", "'computer'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
            *("unsupported_parameter", "Send the document's text"),
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}],
                    }
                ]
            },
            *("invalid_content", "base64"),
        ),
        (
            {"messages": [*HELLO["messages"], {"role": "assistant", "content": "{"}]},
            "invalid_messages",
            "last of",
        ),
        ({"cache_salt": "x"}, "unknown_field", "cache_salt"),
        ({"max_tokens": None}, "invalid_max_tokens", "max_tokens"),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    offered: Offered, fields: dict[str, Any], code: str, hint: str
) -> None:
    answer = offered.post(PATH, **{**HELLO, **fields})
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", code)
    assert hint in error["message"]
    assert offered.model.received == []
