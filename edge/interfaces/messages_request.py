"""Requests of Anthropic's `POST /v1/messages`: their models, and their conversion to a chat request."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import Discriminator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from edge.chat import MOST_MESSAGES, MOST_PARTS, MOST_TOOLS, FunctionName, check_chat
from edge.interfaces.parts import Ignored, ItemId, refuse_types, unsupported
from edge.openai_api import bad_request, dump
from edge.request_fields import STRICT, Model, Share, Text, Tokens, parsed


@with_config(STRICT)
class TextBlock(TypedDict):
    """A text."""

    type: Literal["text"]
    text: str
    cache_control: NotRequired[Ignored]
    citations: NotRequired[Ignored]


@with_config(STRICT)
class Base64Source(TypedDict):
    """An image inside the request. Addresses and stored files are refused, as in chat."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]


@with_config(STRICT)
class ImageBlock(TypedDict):
    """An image."""

    type: Literal["image"]
    source: Base64Source
    cache_control: NotRequired[Ignored]


@with_config(STRICT)
class ToolUseBlock(TypedDict):
    """A tool call of an earlier answer."""

    type: Literal["tool_use"]
    id: ItemId
    name: ItemId
    input: dict[str, Any]
    cache_control: NotRequired[Ignored]
    caller: NotRequired[Ignored]


ResultContent = Annotated[
    list[Annotated[TextBlock | ImageBlock, Discriminator("type")]], Field(max_length=MOST_PARTS)
]


@with_config(STRICT)
class ToolResultBlock(TypedDict):
    """What a tool returned."""

    type: Literal["tool_result"]
    tool_use_id: ItemId
    content: NotRequired[str | ResultContent | None]
    is_error: NotRequired[bool | None]
    cache_control: NotRequired[Ignored]


@with_config(STRICT)
class ThinkingBlock(TypedDict):
    """The reasoning of an earlier answer. It is dropped, as in chat."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: NotRequired[Ignored]
    signature: NotRequired[Ignored]
    data: NotRequired[Ignored]
    cache_control: NotRequired[Ignored]


Block = Annotated[
    TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock, Discriminator("type")
]


@with_config(STRICT)
class Turn(TypedDict):
    """A message of the conversation."""

    role: Literal["user", "assistant"]
    content: str | Annotated[list[Block], Field(max_length=MOST_PARTS)]


@with_config(STRICT)
class CustomTool(TypedDict):
    """A tool that the caller runs, the only kind that is served."""

    type: NotRequired[Literal["custom"] | None]
    name: FunctionName
    description: NotRequired[str | None]
    input_schema: dict[str, Any]
    strict: NotRequired[bool | None]
    cache_control: NotRequired[Ignored]
    eager_input_streaming: NotRequired[Ignored]
    input_examples: NotRequired[Ignored]


@with_config(STRICT)
class ToolChoice(TypedDict):
    """Whether the model may, must or must not call a tool."""

    type: Literal["auto", "any", "none", "tool"]
    name: NotRequired[FunctionName | None]
    disable_parallel_tool_use: NotRequired[bool | None]


@with_config(STRICT)
class Thinking(TypedDict):
    """Whether the model reasons, and how much."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: NotRequired[Annotated[int, Field(ge=1), Tokens] | None]
    display: NotRequired[Ignored]


@with_config(STRICT)
class SchemaFormat(TypedDict):
    """JSON that matches a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


@with_config(STRICT)
class OutputConfig(TypedDict, total=False):
    """The form of the answer, and how much the model reasons."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None
    format: SchemaFormat | None


@with_config(STRICT)
class Metadata(TypedDict, total=False):
    """Who asked."""

    user_id: Annotated[str, Field(max_length=512)] | None


@with_config(STRICT)
class CountRequest(TypedDict, total=False):
    """Body of `POST /v1/messages/count_tokens`."""

    model: Required[Model]
    messages: Required[Annotated[list[Turn], Field(min_length=1, max_length=MOST_MESSAGES)]]
    system: str | Annotated[list[TextBlock], Field(max_length=MOST_PARTS)] | None
    tools: Annotated[list[CustomTool], Field(max_length=MOST_TOOLS)] | None
    tool_choice: ToolChoice | None
    thinking: Thinking | None
    output_config: OutputConfig | None
    output_format: SchemaFormat | None
    cache_control: Ignored


@with_config(STRICT)
class MessagesRequest(CountRequest, total=False):
    """Body of `POST /v1/messages`."""

    max_tokens: Required[Annotated[int, Field(ge=1), Tokens]]
    stream: bool | None
    temperature: Share | None
    top_p: Share | None
    top_k: Annotated[int, Field(ge=-1, le=10_000_000)] | None
    stop_sequences: Annotated[list[Text], Field(max_length=64)] | None
    metadata: Metadata | None
    # Accepted and dropped, because clients send them by themselves.
    service_tier: Ignored
    inference_geo: Ignored


_REQUEST: TypeAdapter[Any] = TypeAdapter(MessagesRequest)
_COUNT: TypeAdapter[Any] = TypeAdapter(CountRequest)
_UNSERVED = {
    "container": "no code runs here. Offer a tool of your own, and run it in your application.",
    "mcp_servers": "tools run in your application. Offer the server's tools in 'tools'.",
    "context_management": "the gateway keeps no conversations. Shorten 'messages' yourself.",
}
_TOOLS: dict[str, str] = dict.fromkeys(
    """
    advisor_ bash_ code_execution_ computer_ mcp_ memory_ text_editor_ tool_search_ web_fetch_ web_search_
    """.split(),  # noqa: SIM905  a list would take a line for each
    "is a tool that is not served. Offer a tool with 'input_schema', and run it in your application.",
)
_BLOCKS = {
    "document": "is not read here. Send the document's text as a block of type 'text'.",
    "search_result": "is not served. Send its text as a block of type 'text'.",
    "container_upload": "is not served: no code runs here.",
    "server_tool_use": "is of a tool that is not served. Remove it.",
    **dict.fromkeys(_TOOLS, "is of a tool that is not served. Remove it."),
}
_HINTS = {
    "content": (
        "Content is text, or blocks of type text, image, tool_use, tool_result and thinking; an image has a source of"
        " type base64, because a model server that fetches addresses would be a way out of the site"
    ),
    "tools": "A tool is {'name', 'description', 'input_schema'}",
    "tool_choice": "It is {'type': 'auto'}, any, none, or a tool by its name",
}
_EFFORTS = ((2048, "low"), (8192, "medium"))


def check_messages(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request of a request to `/v1/messages`. Raises Refusal 400."""
    request = _parsed(_REQUEST, body)
    if request["messages"][-1]["role"] == "assistant":
        raise bad_request(
            "invalid_messages",
            "The last of 'messages' must be of role user: the model server does not continue an answer that you began.",
        )
    same = ("model", "stream", "temperature", "top_p", "top_k", "max_tokens")
    chat: dict[str, Any] = {field: request[field] for field in same if field in request}
    if "stop_sequences" in request:
        chat["stop"] = request["stop_sequences"]
    if (user := request.get("metadata", {}).get("user_id")) is not None:
        chat["user"] = user
    effort = request.get("output_config", {}).get("effort") or _effort(request.get("thinking"))
    if effort is not None:
        chat["reasoning_effort"] = effort
    form = request.get("output_config", {}).get("format") or request.get("output_format")
    if form is not None:
        schema = {"name": "answer", "schema": form["schema"], "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return check_chat({**chat, **_conversation(request), **_choice(request)})


def check_count(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request of which tokens are counted. Raises Refusal 400."""
    request = _parsed(_COUNT, body)
    return check_chat({"model": request["model"], **_conversation(request)})


def _parsed(adapter: TypeAdapter[Any], body: dict[str, Any]) -> dict[str, Any]:
    for field, why in _UNSERVED.items():
        if body.get(field):
            raise unsupported(field, why)
    refuse_types(body.get("tools"), "tools", _TOOLS)
    for number, turn in enumerate(body["messages"] if isinstance(body.get("messages"), list) else ()):
        if isinstance(turn, dict):
            refuse_types(turn.get("content"), f"messages[{number}].content", _BLOCKS)
    accepted = {field: value for field, value in body.items() if field not in _UNSERVED}
    return parsed(adapter, accepted, _HINTS)


def _effort(thinking: dict[str, Any] | None) -> str | None:
    """`reasoning_effort` of chat by the budget of thinking, which chat does not have."""
    if thinking is None or thinking["type"] == "adaptive":
        return None
    if thinking["type"] == "disabled":
        return "none"
    budget = thinking.get("budget_tokens") or 0
    return next((effort for most, effort in _EFFORTS if budget <= most), "high")


def _choice(request: dict[str, Any]) -> dict[str, Any]:
    choice = request.get("tool_choice")
    if choice is None or not request.get("tools"):  # a model server refuses a choice among no tools
        return {}
    kind = choice["type"]
    if kind == "tool" and not choice.get("name"):
        raise bad_request("invalid_tool_choice", "The field 'tool_choice.name' is required.")
    named = {"type": "function", "function": {"name": choice.get("name")}}
    chosen: dict[str, Any] = {"tool_choice": {"any": "required", "tool": named}.get(kind, kind)}
    if choice.get("disable_parallel_tool_use"):
        chosen["parallel_tool_calls"] = False
    return chosen


def _conversation(request: dict[str, Any]) -> dict[str, Any]:
    """Messages and tools of chat."""
    messages: list[dict[str, Any]] = []
    if system := request.get("system"):
        messages.append({"role": "system", "content": _content(system)})
    for turn in request["messages"]:
        messages += _of_assistant(turn) if turn["role"] == "assistant" else _of_user(turn)
    tools = [{"type": "function", "function": _function(tool)} for tool in request.get("tools", ())]
    return {"messages": messages, **({"tools": tools} if tools else {})}


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {key: tool[key] for key in ("name", "description", "strict") if tool.get(key) is not None}
    return {**function, "parameters": tool["input_schema"]}


def _of_user(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of tools, each a message of its own, and then what else the user sent."""
    if isinstance(turn["content"], str):
        return [turn]
    messages, rest = [], []
    for block in turn["content"]:
        if block["type"] == "tool_result":
            content = _content(block.get("content") or "")
            if block.get("is_error"):
                content = f"Error: {content}" if isinstance(content, str) else [_as_text("Error:"), *content]
            messages.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content})
        elif block["type"] in ("text", "image"):
            rest.append(block)
    return [*messages, *([{"role": "user", "content": _content(rest)}] if rest or not messages else [])]


def _of_assistant(turn: dict[str, Any]) -> list[dict[str, Any]]:
    if isinstance(turn["content"], str):
        return [turn]
    texts = [block for block in turn["content"] if block["type"] == "text"]
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": dump(block["input"]).decode()},
        }
        for block in turn["content"]
        if block["type"] == "tool_use"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": _content(texts) if texts else None}
    return [{**message, "tool_calls": calls} if calls else message]


def _content(content: str | list[dict[str, Any]]) -> Any:
    """Text as text, also if it comes in one block: some chat templates read no parts."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and content[0]["type"] == "text":
        return content[0]["text"]
    return [_image(block) if block["type"] == "image" else _as_text(block["text"]) for block in content]


def _as_text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(block: dict[str, Any]) -> dict[str, Any]:
    source = block["source"]
    return {"type": "image_url", "image_url": {"url": f"data:{source['media_type']};base64,{source['data']}"}}
