"""Requests of OpenAI's `POST /v1/responses`: their models, and their conversion to a chat request."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import Discriminator, Field, Tag, TypeAdapter, with_config
from typing_extensions import TypedDict

from edge.chat import MOST_MESSAGES, MOST_PARTS, MOST_TOOLS, FunctionName, check_chat
from edge.interfaces.parts import Ignored, ItemId, refuse_types, unsupported
from edge.request_fields import STRICT, Model, Name, Number, Share, Tokens, parsed


@with_config(STRICT)
class TextPart(TypedDict):
    """A text of the caller, or of an earlier answer."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: NotRequired[Ignored]
    logprobs: NotRequired[Ignored]


@with_config(STRICT)
class RefusalPart(TypedDict):
    """A refusal of an earlier answer."""

    type: Literal["refusal"]
    refusal: str


@with_config(STRICT)
class ImagePart(TypedDict):
    """An image inside the request. Addresses and stored files are refused, as in chat."""

    type: Literal["input_image"]
    image_url: Annotated[str, Field(pattern=r"^data:image/")]
    detail: NotRequired[Literal["auto", "low", "high"] | None]
    file_id: NotRequired[None]


Parts = Annotated[
    list[Annotated[TextPart | RefusalPart | ImagePart, Discriminator("type")]], Field(max_length=MOST_PARTS)
]


@with_config(STRICT)
class MessageItem(TypedDict):
    """A message of any role."""

    type: NotRequired[Literal["message"]]
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Parts
    id: NotRequired[ItemId | None]
    status: NotRequired[Ignored]
    phase: NotRequired[Ignored]


@with_config(STRICT)
class CallItem(TypedDict):
    """A function call of an earlier answer."""

    type: Literal["function_call"]
    call_id: ItemId
    name: ItemId
    arguments: str
    id: NotRequired[ItemId | None]
    status: NotRequired[Ignored]
    parsed_arguments: NotRequired[Ignored]


@with_config(STRICT)
class CallOutputItem(TypedDict):
    """What a function returned."""

    type: Literal["function_call_output"]
    call_id: ItemId
    output: str | Parts
    id: NotRequired[ItemId | None]
    status: NotRequired[Ignored]


@with_config(STRICT)
class ReasoningItem(TypedDict):
    """The reasoning of an earlier answer. It is dropped, as in chat."""

    type: Literal["reasoning"]
    id: NotRequired[Ignored]
    summary: NotRequired[Ignored]
    content: NotRequired[Ignored]
    encrypted_content: NotRequired[Ignored]
    status: NotRequired[Ignored]


def _item_type(item: Any) -> Any:
    return item.get("type", "message") if isinstance(item, dict) else None


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_item_type),
]


@with_config(STRICT)
class FunctionTool(TypedDict):
    """A function that the model may call, the only kind of tool that the caller runs itself."""

    type: Literal["function"]
    name: FunctionName
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


@with_config(STRICT)
class NamedFunction(TypedDict):
    """A function by its name."""

    type: Literal["function"]
    name: FunctionName


@with_config(STRICT)
class AllowedTools(TypedDict):
    """Some of the functions, from which the model may or must choose."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedFunction], Field(max_length=MOST_TOOLS)]


@with_config(STRICT)
class PlainFormat(TypedDict):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]


@with_config(STRICT)
class SchemaFormat(TypedDict):
    """JSON that matches a schema."""

    type: Literal["json_schema"]
    name: Name
    schema: dict[str, Any]
    strict: NotRequired[bool | None]
    description: NotRequired[str | None]


@with_config(STRICT)
class TextOptions(TypedDict, total=False):
    """The form of the answer's text."""

    format: Annotated[PlainFormat | SchemaFormat, Discriminator("type")] | None
    verbosity: Ignored


@with_config(STRICT)
class Reasoning(TypedDict, total=False):
    """How much the model reasons. Its reasoning is in the answer, so no summary is made."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    summary: Ignored
    generate_summary: Ignored


@with_config(STRICT)
class StreamOptions(TypedDict, total=False):
    """Options of a stream. Events are never padded."""

    include_obfuscation: bool | None


@with_config(STRICT)
class ResponsesRequest(TypedDict, total=False):
    """Body of `POST /v1/responses`."""

    model: Required[Model]
    input: Required[str | Annotated[list[Item], Field(min_length=1, max_length=MOST_MESSAGES)]]
    instructions: str | None
    max_output_tokens: Annotated[int, Field(ge=1), Tokens] | None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None
    top_p: Share | None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None
    stream: bool | None
    stream_options: StreamOptions | None
    tools: Annotated[list[FunctionTool], Field(max_length=MOST_TOOLS)] | None
    tool_choice: (
        Literal["none", "auto", "required"]
        | Annotated[NamedFunction | AllowedTools, Discriminator("type")]
        | None
    )
    parallel_tool_calls: bool | None
    text: TextOptions | None
    reasoning: Reasoning | None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None
    user: Annotated[str, Field(max_length=512)] | None
    truncation: Literal["auto", "disabled"] | None
    # Accepted and dropped, because clients send them by themselves.
    max_tool_calls: Ignored
    metadata: Ignored
    prompt_cache_key: Ignored
    prompt_cache_options: Ignored
    prompt_cache_retention: Ignored
    safety_identifier: Ignored
    service_tier: Ignored
    store: bool | None


_REQUEST: TypeAdapter[Any] = TypeAdapter(ResponsesRequest)
_NO_CONVERSATIONS = "the gateway keeps no conversations. Send the earlier items again in 'input'."
_UNSERVED = {
    "previous_response_id": _NO_CONVERSATIONS,
    "conversation": _NO_CONVERSATIONS,
    "background": "an answer comes on the connection of its request. Remove the field.",
    "prompt": "the gateway keeps no prompt templates. Send the text in 'instructions' and 'input'.",
}
_TOOLS: dict[str, str] = dict.fromkeys(
    """
    apply_patch code_interpreter computer custom file_search image_generation local_shell mcp namespace shell
    tool_search web_search
    """.split(),  # noqa: SIM905  a list would take a line for each
    "would run outside the class. Offer a function in 'tools', and run it in your application.",
)
_ITEMS = {
    "item_reference": "refers to a stored item, and the gateway keeps none. Send the item itself.",
    "compaction": "is an item of OpenAI's own service. Send the earlier items themselves.",
    **dict.fromkeys(_TOOLS, "is an item of a tool that is not served. Remove it."),
}
_PARTS = {
    "input_file": "is not read here. Send the document's text as 'input_text'.",
    "input_audio": "is not served. Send text.",
}
_HINTS = {
    "input": (
        "It is text, or a list of messages, function_call, function_call_output and reasoning items; an image is a"
        " data: URL, because a model server that fetches addresses would be a way out of the site"
    ),
    "tools": "A tool is {'type': 'function', 'name', 'description', 'parameters', 'strict'}",
    "tool_choice": "It is none, auto, required, a function by its name, or allowed_tools",
    "text": "Its 'format' is of type text, json_object or json_schema",
}


def check_responses(body: dict[str, Any]) -> dict[str, Any]:
    """The chat request of a request to `/v1/responses`. Raises Refusal 400."""
    for field, why in _UNSERVED.items():
        if body.get(field):
            raise unsupported(field, why)
    refuse_types(body.get("tools"), "tools", _TOOLS)
    refuse_types(body.get("input"), "input", _ITEMS)
    for number, item in enumerate(body["input"] if isinstance(body.get("input"), list) else ()):
        if isinstance(item, dict):
            refuse_types(item.get("content"), f"input[{number}].content", _PARTS)
    accepted = {field: value for field, value in body.items() if field not in _UNSERVED}
    request = parsed(_REQUEST, accepted, _HINTS)
    same = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "user")
    chat: dict[str, Any] = {field: request[field] for field in same if field in request}
    chat["messages"] = _messages(request)
    if "max_output_tokens" in request:
        chat["max_tokens"] = request["max_output_tokens"]
    if (effort := request.get("reasoning", {}).get("effort")) is not None:
        chat["reasoning_effort"] = effort
    if "message.output_text.logprobs" in request.get("include", ()) or "top_logprobs" in request:
        chat["logprobs"] = True
    if "top_logprobs" in request:
        chat["top_logprobs"] = request["top_logprobs"]
    if (form := request.get("text", {}).get("format")) is not None:
        chat["response_format"] = _response_format(form)
    return check_chat({**chat, **_tools(request)})


def _response_format(form: dict[str, Any]) -> dict[str, Any]:
    if form["type"] != "json_schema":
        return form
    return {"type": "json_schema", "json_schema": {key: form[key] for key in form if key != "type"}}


def _tools(request: dict[str, Any]) -> dict[str, Any]:
    choice, tools = request.get("tool_choice"), request.get("tools", [])
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        allowed = {tool["name"] for tool in choice["tools"]}
        tools, choice = [tool for tool in tools if tool["name"] in allowed], choice["mode"]
    elif isinstance(choice, dict):
        choice = {"type": "function", "function": {"name": choice["name"]}}
    if not tools:  # a model server refuses a choice among no tools
        return {}
    functions = [{key: tool[key] for key in tool if key != "type"} for tool in tools]
    chosen = {} if choice is None else {"tool_choice": choice}
    return {"tools": [{"type": "function", "function": function} for function in functions], **chosen}


def _messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of chat. Calls belong to the assistant's message before them."""
    messages: list[dict[str, Any]] = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    items = request["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        kind = _item_type(item)
        if kind == "message":
            messages.append({"role": item["role"], "content": _content(item["content"])})
        elif kind == "function_call":
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            messages[-1].setdefault("tool_calls", []).append(call)
        elif kind == "function_call_output":
            output = {"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])}
            messages.append(output)
    return messages


def _content(content: str | list[dict[str, Any]]) -> Any:
    """Text as text, also if it comes in one part: some chat templates read no parts."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and content[0]["type"] != "input_image":
        return _text(content[0])
    return [
        _image(part) if part["type"] == "input_image" else {"type": "text", "text": _text(part)}
        for part in content
    ]


def _image(part: dict[str, Any]) -> dict[str, Any]:
    detail = {"detail": part["detail"]} if part.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _text(part: dict[str, Any]) -> str:
    return part["refusal"] if part["type"] == "refusal" else part["text"]
