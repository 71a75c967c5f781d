"""Limits of a chat request: number of messages and parts, and schemas that refer only to themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.chat import MOST_MESSAGES, MOST_PARTS, MOST_TOOLS, check_chat
from edge.openai_api import Refusal
from edge.tasks import check_completion

MESSAGE = {"role": "user", "content": "Hallo"}


def content_parts(count: int) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "a"}] * count}


def tools(count: int) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"tool_{number}"}} for number in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [MESSAGE] * (MOST_MESSAGES + 1)},
        {"messages": [content_parts(MOST_PARTS + 1)]},
        {"messages": [content_parts(MOST_PARTS // 2), content_parts(MOST_PARTS // 2 + 1)]},
        {"messages": [MESSAGE], "tools": tools(MOST_TOOLS + 1)},
    ],
    ids=["messages", "parts of one", "parts of all", "tools"],
)
def test_a_request_with_too_many_parts_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        check_chat({"model": "m", **fields})
    assert refused.value.status == 400


def test_a_request_with_the_maximum_of_parts_is_accepted() -> None:
    request = {
        "messages": [MESSAGE] * (MOST_MESSAGES - 1) + [content_parts(MOST_PARTS)],
        "tools": tools(MOST_TOOLS),
    }
    assert len(check_chat({"model": "m", **request})["messages"]) == MOST_MESSAGES


ELSEWHERE = "https://evil.example/schema.json"


def fields_with(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema in each request field that accepts one, with the error code of that field."""
    tool = {"type": "function", "function": {"name": "pay", "parameters": schema}}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return {
        "invalid_tools": {"tools": [{"type": "function", "function": {"name": "first"}}, tool]},
        "invalid_response_format": {"response_format": format_},
        "invalid_structured_outputs": {"structured_outputs": {"json": schema}},
    }


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"$ref": ELSEWHERE}, "$ref"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "properties.a.$ref"),
        ({"properties": {"a": {"$ref": "item.json"}}}, "properties.a.$ref"),
        ({"items": [{"$dynamicRef": ELSEWHERE}]}, "items[0].$dynamicRef"),
        ({"$recursiveRef": ELSEWHERE}, "$recursiveRef"),
        ({"properties": {"default": {"$ref": ELSEWHERE}}}, "properties.default.$ref"),
        ({"$defs": {"$ref": {"not": {"$ref": ELSEWHERE}}}}, "$defs.$ref.not.$ref"),
        ({"anyOf": [{"type": "string"}, {"allOf": [{"$ref": " #/a"}]}]}, "anyOf[1].allOf[0].$ref"),
        ({"additionalProperties": {"x-own": {"$ref": "//evil.example/x#"}}}, "x-own.$ref"),
    ],
)
def test_a_schema_that_refers_to_another_document_is_refused(schema: dict[str, Any], place: str) -> None:
    """A model server that fetches the document would open a path out of the site."""
    for code, fields in fields_with(schema).items():
        with pytest.raises(Refusal) as refused:
            check_chat({"model": "m", "messages": [MESSAGE], **fields})
        assert (refused.value.status, refused.value.code) == (400, code)
        message = refused.value.message
        assert place in message
        assert "'#'" in message, "the message says what is allowed"
        assert "$defs" in message, "the message says how to fix it"
        assert "evil" not in message, "what stands there goes into no log of a client"


def test_a_refused_schema_is_reported_with_tool_and_path() -> None:
    fields = fields_with({"properties": {"a": {"$ref": ELSEWHERE}}})["invalid_tools"]
    with pytest.raises(Refusal) as refused:
        check_chat({"model": "m", "messages": [MESSAGE], **fields})
    assert "'tools[1].function.parameters.properties.a.$ref'" in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"properties": {"a": {"$ref": ELSEWHERE}}}),
        '{"\\u0024ref": "https://evil.example/schema.json"}',
        '{"$ref": "https://evil.example/schema.json", "$ref": "#"}',
        '{"$ref": "#", "$ref": "https://evil.example/schema.json"}',
        '{"$ref": "https://evil.example/schema.json"',
    ],
)
def test_a_schema_given_as_text_is_checked_too(text: str) -> None:
    fields = {"model": "m", "structured_outputs": {"json": text}}
    for check, request in (
        (check_chat, {**fields, "messages": [MESSAGE]}),
        (check_completion, {**fields, "prompt": "a"}),
    ):
        with pytest.raises(Refusal) as refused:
            check(request)
        assert (refused.value.status, refused.value.code) == (400, "invalid_structured_outputs")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"$id": ELSEWHERE, "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"properties": {"$ref": {"type": "string", "description": "a property of that name"}}},
        {"required": ["$ref"], "properties": {"$ref": {"$ref": "#"}}},
        {
            "properties": {
                "a": {"default": {"$ref": "x"}, "examples": [{"$ref": "x"}], "enum": [{"$ref": "x"}]}
            }
        },
        {"dependentRequired": {"a": ["$ref"]}},
        {"properties": {"a": True, "b": {"description": "see $ref: item.json"}}},
    ],
)
def test_a_schema_that_refers_to_its_own_parts_is_accepted_unchanged(schema: dict[str, Any]) -> None:
    for fields in fields_with(schema).values():
        chat = check_chat({"model": "m", "messages": [MESSAGE], **fields})
        assert {name: chat[name] for name in fields} == fields
    fields = {"structured_outputs": {"json": json.dumps(schema)}}
    chat = check_chat({"model": "m", "messages": [MESSAGE], **fields})
    assert chat["structured_outputs"] == fields["structured_outputs"]
