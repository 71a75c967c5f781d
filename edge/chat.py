"""Models of a chat request: messages, tools and response format, with their checks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import Discriminator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from edge.openai_api import bad_request
from edge.request_fields import STRICT, Harmless, Model, Name, Sampling, Tokens, VllmFields, validated

FUNCTION_NAME = r"^[A-Za-z0-9_.:/-]{1,128}$"
FunctionName = Annotated[str, Field(pattern=FUNCTION_NAME)]


@with_config(STRICT)
class TextPart(TypedDict):
    """A text part of a message."""

    type: Literal["text"]
    text: str


MOST_MESSAGES = 4096
MOST_TOOLS = 512
MOST_PARTS = 4096
"""Maximum number of content parts in all messages together. The gateway checks parts one by one: 50,000 messages or
80,000 parts in one request delayed other requests by seconds."""


@with_config(STRICT)
class ImageUrl(TypedDict):
    """An image inside the request. Addresses are refused: a server that fetches them would open a path out of the
    site and into it.
    """

    url: Annotated[str, Field(pattern=r"^data:image/")]
    detail: NotRequired[Literal["auto", "low", "high"] | None]


@with_config(STRICT)
class ImagePart(TypedDict):
    """An image part of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


@with_config(STRICT)
class CalledFunction(TypedDict):
    """The function of a tool call that a model generated earlier."""

    name: Annotated[str, Field(max_length=256)]
    arguments: str
    parsed_arguments: NotRequired[Any]
    """The openai library for Python leaves this field in messages. It is not forwarded."""


@with_config(STRICT)
class ToolCall(TypedDict):
    """A tool call from an earlier answer."""

    id: NotRequired[Annotated[str, Field(max_length=256)] | None]
    type: NotRequired[Literal["function"] | None]
    function: CalledFunction
    index: NotRequired[int | None]


@with_config(STRICT)
class Message(TypedDict):
    """One message of any role. Earlier answers come back in the form in which clients received and stored them."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NotRequired[
        str
        | Annotated[
            list[Annotated[TextPart | ImagePart, Discriminator("type")]], Field(max_length=MOST_PARTS)
        ]
        | None
    ]
    name: NotRequired[Name | None]
    tool_calls: NotRequired[list[ToolCall] | None]
    tool_call_id: NotRequired[Annotated[str, Field(max_length=256)] | None]
    refusal: NotRequired[str | None]
    # Fields of earlier answers. They are accepted but not forwarded.
    annotations: NotRequired[list[Any] | None]
    audio: NotRequired[None]
    confidence: NotRequired[dict[str, Any] | None]
    function_call: NotRequired[None]
    images: NotRequired[list[Any] | None]
    parsed: NotRequired[Any]
    provider_specific_fields: NotRequired[Any]
    thinking_blocks: NotRequired[list[Any] | None]
    reasoning: NotRequired[str | None]
    reasoning_content: NotRequired[str | None]


DROPPED = frozenset(
    """
    annotations audio confidence function_call images parsed provider_specific_fields reasoning reasoning_content
    thinking_blocks
    """.split()  # noqa: SIM905  a list would take a line for each
)
"""Fields of messages that are not forwarded: earlier answers contain them, or clients (openai, LiteLLM) add them."""


@with_config(STRICT)
class Function(TypedDict):
    """A function that the model may call."""

    name: FunctionName
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


@with_config(STRICT)
class Tool(TypedDict):
    """A tool of type `function`, the only type that the caller runs itself."""

    type: Literal["function"]
    function: Function


@with_config(STRICT)
class NamedFunction(TypedDict):
    """The name of a function."""

    name: FunctionName


@with_config(STRICT)
class NamedTool(TypedDict):
    """A function that the model must call."""

    type: Literal["function"]
    function: NamedFunction


@with_config(STRICT)
class PlainFormat(TypedDict):
    """Response format `text`, or `json_object` (any JSON object)."""

    type: Literal["text", "json_object"]


@with_config(STRICT)
class JsonSchema(TypedDict, total=False):
    """A named JSON Schema."""

    name: Name
    description: str | None
    schema: dict[str, Any] | None
    strict: bool | None


@with_config(STRICT)
class SchemaFormat(TypedDict):
    """Response format `json_schema`: the answer must match the schema."""

    type: Literal["json_schema"]
    json_schema: NotRequired[JsonSchema]


@with_config(STRICT)
class TemplateOptions(TypedDict, total=False):
    """Options of chat templates that switch thinking on or off. Other options are refused, because they could
    replace text of the template.
    """

    enable_thinking: bool | None
    thinking: bool | None


@with_config(STRICT)
class Source(TypedDict):
    """A text from which the model was to answer. Reviewers see it beside the answer; no model gets it."""

    title: Annotated[str, Field(min_length=1, max_length=300)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    url: NotRequired[Annotated[str, Field(pattern=r"^https://[^\s\"'<>\\\\]+$", max_length=2000)] | None]


MOST_SOURCES = 50


@with_config(STRICT)
class ChatRequest(Sampling, Harmless, VllmFields, total=False):
    """Body of `POST /v1/chat/completions`."""

    model: Required[Model]
    messages: Required[Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]]
    max_completion_tokens: Tokens | None
    logprobs: bool | None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None
    response_format: Annotated[PlainFormat | SchemaFormat, Discriminator("type")] | None
    tools: Annotated[list[Tool], Field(max_length=MOST_TOOLS)] | None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None
    parallel_tool_calls: bool | None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    chat_template_kwargs: TemplateOptions | None
    sources: Annotated[list[Source], Field(max_length=MOST_SOURCES)] | None


_CHAT: TypeAdapter[Any] = TypeAdapter(ChatRequest)


def check_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The request in the form that is forwarded, without null fields and harmless fields. Raises Refusal 400."""
    chat = validated(_CHAT, body)
    chat.pop("sources", None)  # for reviewers (`edge.reviews.gateway_holding`)
    parts = sum(len(text) for message in chat["messages"] if isinstance(text := message.get("content"), list))
    if parts > MOST_PARTS:
        raise bad_request(
            "invalid_messages",
            f"The field 'messages' has {parts} parts of contents; at most {MOST_PARTS} may be.",
        )
    chat["messages"] = [_forwarded(number, message) for number, message in enumerate(chat["messages"])]
    return chat


def _forwarded(number: int, message: dict[str, Any]) -> dict[str, Any]:
    if len(message) == 2 and message.get("content") is not None:  # most messages: a role and a text
        return message
    fields = {name: value for name, value in message.items() if value is not None and name not in DROPPED}
    if calls := fields.pop("tool_calls", None):  # vLLM sends an empty list for no calls
        fields["tool_calls"] = [_forwarded_call(call) for call in calls]
    if "content" not in fields:
        if fields["role"] != "assistant":
            raise bad_request("invalid_messages", f"The field 'messages[{number}].content' is required.")
        fields["content"] = None
    return fields


def _forwarded_call(call: dict[str, Any]) -> dict[str, Any]:
    function = {name: call["function"][name] for name in ("name", "arguments")}
    return {**({"id": call["id"]} if call.get("id") else {}), "type": "function", "function": function}
