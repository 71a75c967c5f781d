"""The whole answer from a stream's events equals what the same model gives without a stream."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge.stream_assembly import Assembly


def assembled(*chunks: dict[str, Any]) -> dict[str, Any]:
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk)
    return assembly.answer()


def part(delta: dict[str, Any], index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": index, "delta": delta, "finish_reason": None, **more}],
    }


@given(st.lists(st.text(max_size=5), max_size=8), st.integers(1, 3))
def test_texts_are_joined_in_order_for_each_choice(words: list[str], choices: int):
    chunks = [part({"content": word}, index) for word in words for index in range(choices)]
    ends = [part({}, index, finish_reason="stop") for index in range(choices)]
    answer = assembled(*chunks, *ends)
    assert [choice["index"] for choice in answer["choices"]] == list(range(choices))
    for choice in answer["choices"]:
        assert choice["message"]["content"] == ("".join(words) if words else None)
        assert choice["finish_reason"] == "stop"


def test_a_chat_answer_has_its_object_role_usage_and_confidence():
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    answer = assembled(
        part({"role": "assistant", "content": "Good "}),
        part({"content": "day"}),
        part({}, finish_reason="stop", confidence={"score": 0.9}),
        {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage},
    )
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == usage
    assert answer["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Good day"},
            "confidence": {"score": 0.9},
        }
    ]


def test_the_arguments_of_tool_calls_are_joined_by_their_index():
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "book", "arguments": ""}}
    answer = assembled(
        part({"role": "assistant", "content": None, "tool_calls": [call]}),
        part({"tool_calls": [{"index": 0, "function": {"arguments": '{"day"'}}]}),
        part({"tool_calls": [{"index": 1, "id": "call_2", "function": {"name": "pay"}}]}),
        part({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    )
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"day": 1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "pay", "arguments": ""}},
    ]


def test_log_probabilities_are_those_of_all_events():
    answer = assembled(
        part({"content": "a"}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        part({"content": "b"}, logprobs={"content": [{"token": "b"}], "refusal": None}),
    )
    assert answer["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def test_the_text_of_a_completion_is_joined_too():
    chunks = [
        {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}
        for text, finish in (("Good ", None), ("day", "length"))
    ]
    answer = assembled(*chunks)
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "finish_reason": "length", "text": "Good day"}]
