"""Which texts of requests and answers are screened: every place where a caller or a model can put text."""

from __future__ import annotations

import json
import re
from typing import Any, get_type_hints

import pytest

from edge.chat import ChatRequest
from edge.request_fields import HARMLESS
from edge.screening.texts import (
    answer_texts,
    find_unreadable,
    replace_answer,
    replace_request,
    request_texts,
    walk_arguments,
)
from edge.tasks import CompletionRequest, EmbeddingRequest, RerankRequest

SECRET = "ghp_" + "a1B2" * 9
ESCAPED = "\\u0067" + SECRET[1:]
CARD = "4111111111111111"


def texts_of(**request: Any) -> list[str]:
    return [text for text, _ in request_texts({"model": "m", **request})]


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "rate", "parameters": {"type": "object", **parameters}}}


def call(arguments: str, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments, **fields}}


def hidden(arguments: str) -> str:
    """The arguments with each secret and card number replaced, as screening does it."""
    return walk_arguments(
        arguments, lambda text, _kind: text.replace(SECRET, "<SECRET>").replace(CARD, "<CARD>")
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"examples": [SECRET]},
        {"properties": {"a": {"default": SECRET}}},
        {"properties": {"a": {"enum": ["x", SECRET]}}},
        {"properties": {"a": {"const": SECRET}}},
        {"properties": {"a": {"title": SECRET}}},
        {"properties": {"a": {"description": f"such as {SECRET}"}}},
        {"properties": {"a": {"format": SECRET}}},
        {"properties": {"a": {"type": SECRET}}},
        {"properties": {"a": {"pattern": SECRET}}},
        {"properties": {SECRET: {"type": "string"}}},
        {"properties": {"a": {"properties": {"id": {"default": {"name": {"model": SECRET}}}}}}},
        {"properties": {"a": {"x-note": SECRET}}},
        {"properties": {"a": {SECRET: "x"}}},
        {"$defs": {SECRET: {}}},
        {"$id": SECRET},
        {"$ref": f"#/$defs/{SECRET}"},
        {"required": [SECRET]},
        {"anyOf": [{"allOf": [{"items": {"examples": [{"type": SECRET}]}}]}]},
    ],
)
def test_a_tool_schema_is_screened_at_every_depth(schema: dict[str, Any]):
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert any(SECRET in text for text in texts_of(tools=[tool(**schema)]))
    assert any(SECRET in text for text in texts_of(response_format=format_))
    assert any(SECRET in text for text in texts_of(structured_outputs={"json": schema}))


@pytest.mark.parametrize(
    "number", ["4111111111111111", "4111111111111111.0", "4111111111111111e0", "4.111111111111111e15"]
)
def test_a_number_is_screened_by_its_digits_in_every_place(number: str):
    value = json.loads(number)
    for place in (
        {"default": value},
        {"properties": {"a": {"examples": [{"b": value}]}}},
        {"maximum": value},
    ):
        assert CARD in texts_of(tools=[tool(**place)]), place
    arguments = f'{{"a": [{number}]}}'
    assert CARD in texts_of(messages=[{"role": "assistant", "tool_calls": [call(arguments)]}])
    assert json.loads(hidden(arguments)) == {"a": ["<CARD>"]}


def test_names_and_ids_in_messages_are_screened():
    message = {"role": "assistant", "name": "erika", "tool_calls": [{**call("{}"), "id": "call-7"}]}
    tool_message = {"role": "tool", "tool_call_id": "call-8", "content": "x"}
    choice = {"type": "function", "function": {"name": "chosen"}}
    texts = texts_of(messages=[message, tool_message], tools=[tool()], tool_choice=choice, user="anna")
    assert {"erika", "call-7", "call-8", "pay", "rate", "chosen", "anna"} <= {*texts}


@pytest.mark.parametrize(
    "request_",
    [
        {"stop": [SECRET]},
        {"suffix": SECRET},
        {"prompt": [SECRET]},
        {"input": SECRET},
        {"query": SECRET},
        {"documents": [SECRET]},
        {"bad_words": [SECRET]},
        {"structured_outputs": {"choice": [SECRET]}},
        {"structured_outputs": {"regex": SECRET}},
        {"structured_outputs": {"json": json.dumps({"const": SECRET})}},
    ],
)
def test_every_field_that_holds_text_is_screened(request_: dict[str, Any]):
    assert SECRET in texts_of(**request_)


def test_a_long_seed_is_screened():
    assert CARD in texts_of(seed=int(CARD))
    assert texts_of(seed=42) == []


SAMPLING = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)


@pytest.mark.parametrize("field", SAMPLING)
@pytest.mark.parametrize(
    ("number", "leaves"),
    [
        (0.4111111111111111, 0.4111),
        (0.7000000001, 0.7),
        (0.7, 0.7),
        (1, 1),
        (0, 0),
        (1.0, 1.0),
        (4.111111111111111e-7, 0.0001),
        (4.111111111111111e-300, 0.0001),
    ],
)
def test_sampling_parameters_are_rounded_to_four_decimals(field: str, number: float, leaves: float):
    """The number is rounded, not refused. It never becomes 0 unless it was 0, because some bounds exclude 0."""
    replaced = replace_request({"model": "m", field: number}, ["m"])[field]
    assert (replaced, type(replaced)) == (leaves, type(leaves))
    assert texts_of(**{field: number}) == []


def test_a_negative_penalty_and_a_bias_are_rounded_too():
    request = {
        "presence_penalty": -1.4111111111111111,
        "frequency_penalty": -4.1e-9,
        "logit_bias": {"17": -41.11111111111111, "18": 5, "19": 4.1e-9},
    }
    assert replace_request(request, []) == {
        "presence_penalty": -1.4111,
        "frequency_penalty": -0.0001,
        "logit_bias": {"17": -41.111, "18": 5, "19": 0.001},
    }


def test_every_decimal_field_of_a_request_is_rounded():
    """A new field of this kind must be rounded too, or be listed in this test."""
    for adapter in (ChatRequest, CompletionRequest, EmbeddingRequest, RerankRequest):
        for name, hint in get_type_hints(adapter, include_extras=True).items():
            decimal = re.search(r"\bfloat\b(?!')", str(hint))  # and not the word 'float'
            assert not decimal or name in (*SAMPLING, "logit_bias", *HARMLESS), name


@pytest.mark.parametrize(
    "arguments",
    [
        f'{{"a": "{SECRET}", "a": "x"}}',
        f'{{"a": {{"b": "{SECRET}", "b": 1}}}}',
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        f'{{"a": "{ESCAPED}"}}',
        json.dumps({"a": json.dumps({"b": "@"}).replace("@", ESCAPED)}),
        json.dumps({"a": json.dumps({"b": SECRET})}),
        f'{{"a": "{ESCAPED}',
        f'{{"a": "{SECRET}"',
        json.dumps(SECRET),
        SECRET,
    ],
)
def test_texts_in_tool_arguments_are_found_in_any_notation(arguments: str):
    replaced = hidden(arguments)
    assert SECRET not in replaced
    assert ESCAPED not in replaced
    assert "<SECRET>" in replaced


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a":  1.50, "b": [1e3, true, null, "\\u00e9"], "a": 12345678}',
        "{}",
        "[]",
        "",
        "3",
        "null",
        "{",
        "[" * 3000,
    ],
)
def test_tool_arguments_without_a_finding_stay_byte_identical(arguments: str):
    assert hidden(arguments) == arguments


def test_redacted_values_are_restored_in_their_place():
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        "tools": [tool(properties={"b": {"default": 1234567}}, required=["b"])],
        "seed": 1234567,
    }
    texts = [text for text, _ in request_texts(request)]
    assert replace_request(request, texts) == request
    replaced = replace_request(request, [f"<{text}>" for text in texts])
    assert replaced["messages"][0]["content"] == [{"type": "text", "text": "<a>"}]
    assert replaced["tools"][0]["function"]["parameters"]["required"] == ["<b>"]
    assert replaced["tools"][0]["function"]["parameters"]["properties"] == {"<b>": {"default": "<1234567>"}}


def test_the_texts_of_an_answer_are_content_reasoning_and_tool_calls():
    message = {
        "role": "assistant",
        "content": "a",
        "reasoning": "b",
        "refusal": None,
        "tool_calls": [call('{"d": "e"}')],
    }
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}, {"index": 1, "text": "f"}]
    assert answer_texts(choices) == ["a", "b", "c", "pay", "d", "e", "f"]
    assert replace_answer(choices, answer_texts(choices)) == choices


def test_unreadable_content_is_reported_by_its_kind():
    image = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}
    ]
    assert find_unreadable({"messages": image}) == "images"
    assert find_unreadable({"prompt": [1, 2]}) == "tokens"
    assert find_unreadable({"input": [[1], [2]]}) == "tokens"
    assert find_unreadable({"prompt": "x", "messages": []}) is None
