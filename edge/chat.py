"""A chat request held against its allow-list: messages, tools, and what shape an answer is to have."""

from __future__ import annotations

from typing import Any

from edge.openai_api import bad, check_stream, known

CHAT_FIELDS = frozenset(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "n",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "seed",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning_effort",
        "user",
    ]
)
MESSAGE_FIELDS = frozenset(["role", "content", "name", "tool_calls", "tool_call_id", "refusal"])
ROLES = frozenset(["system", "developer", "user", "assistant", "tool"])
_FUNCTION_FIELDS = frozenset(["name", "description", "parameters", "strict"])
_FORMATS = {
    "text": frozenset(["type"]),
    "json_object": frozenset(["type"]),
    "json_schema": frozenset(["type", "json_schema"]),
}
_SCHEMA_FIELDS = frozenset(["name", "description", "schema", "strict"])
_CHOICES = ("none", "auto", "required")


def check_chat(body: dict[str, Any]) -> dict[str, Any]:
    """A chat request held against the allow-list, without its null fields; raises Refusal 400.

    Besides names it refuses what makes a server fetch something: an image by address, a tool that
    is not a function.
    """
    chat = known(body, CHAT_FIELDS)
    check_stream(chat)
    messages = chat.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad("invalid_messages", "The field 'messages' must be a list that is not empty.")
    for number, message in enumerate(messages):
        _check_message(number, message)
    _check_tools(chat)
    _check_format(chat)
    return chat


def _check_message(number: int, message: Any) -> None:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise bad("invalid_messages", f"messages[{number}] must be an object with a known 'role'.")
    for field in message:
        if field not in MESSAGE_FIELDS:
            raise bad("unknown_field", f"The field {field[:80]!r} of messages[{number}] is not accepted.")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(_is_call(call) for call in calls)):
        raise bad("invalid_messages", f"messages[{number}].tool_calls must be a list of calls of functions.")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise bad("invalid_messages", f"messages[{number}].content must be text or a list of parts.")
    for part in content:
        kind = part.get("type")
        if kind == "text" and set(part) <= {"type", "text"} and isinstance(part.get("text"), str):
            continue
        if (
            kind == "image_url"
            and set(part) <= {"type", "image_url"}
            and _inline_image(part.get("image_url"))
        ):
            continue
        # A server that fetches addresses would be a way out, and a way into the site.
        raise bad("invalid_content", f"messages[{number}].content takes text and images as data: URLs only.")


def _inline_image(value: Any) -> bool:
    url = value.get("url") if isinstance(value, dict) else None
    return isinstance(url, str) and url.startswith("data:image/") and set(value) <= {"url", "detail"}


def _check_tools(chat: dict[str, Any]) -> None:
    tools = chat.get("tools", [])
    if not isinstance(tools, list) or not all(_is_function(tool, _FUNCTION_FIELDS) for tool in tools):
        raise bad("invalid_tools", "The field 'tools' must be a list of tools of type 'function'.")
    choice = chat.get("tool_choice", "auto")
    if choice not in _CHOICES and not _is_function(choice, frozenset(["name"])):
        raise bad(
            "invalid_tool_choice", "The field 'tool_choice' must be none, auto, required or a function."
        )


def _check_format(chat: dict[str, Any]) -> None:
    wanted = chat.get("response_format", {"type": "text"})
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    schema = wanted.get("json_schema", {}) if isinstance(wanted, dict) else None
    if (
        not isinstance(kind, str)
        or not set(wanted) <= _FORMATS.get(kind, frozenset())
        or not isinstance(schema, dict)
        or not set(schema) <= _SCHEMA_FIELDS
    ):
        raise bad("invalid_response_format", "The field 'response_format' takes text, JSON or a JSON schema.")


def _is_function(value: Any, fields: frozenset[str]) -> bool:
    """An object of type `function`, of a named function and these fields only."""
    if not isinstance(value, dict) or value.get("type") != "function" or set(value) != {"type", "function"}:
        return False
    function = value["function"]
    return isinstance(function, dict) and isinstance(function.get("name"), str) and set(function) <= fields


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"id", "type", "function", "index"}:
        return False
    function = value.get("function")
    return (
        value.get("type", "function") == "function"
        and isinstance(function, dict)
        and set(function) <= {"name", "arguments"}
        and all(isinstance(part, str) for part in function.values())
    )
