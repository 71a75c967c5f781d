"""Token counts by the model's own tokenizer: vLLM's `POST /tokenize` and Anthropic's `/v1/messages/count_tokens`.

The model server answers both. The text passes the guards of prompts, because the server gets it as it gets a prompt.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, Required

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from edge.chat import check_chat
from edge.exchange import MOST_TOKENS
from edge.interfaces.writer import OpenAiWriter
from edge.openai_api import bad_request, dump
from edge.request_fields import STRICT, Model, parsed


@with_config(STRICT)
class _Options(TypedDict, total=False):
    add_special_tokens: bool | None
    return_token_strs: bool | None


@with_config(STRICT)
class TextRequest(_Options, total=False):
    """Body of `POST /tokenize` with a text."""

    model: Required[Model]
    prompt: Required[str]


@with_config(STRICT)
class ChatRequest(_Options, total=False):
    """Body of `POST /tokenize` with messages. Messages and tools are checked as those of chat."""

    model: Required[Model]
    messages: Required[list[Any]]
    tools: list[Any] | None
    chat_template_kwargs: dict[str, Any] | None
    add_generation_prompt: bool | None
    continue_final_message: bool | None


_TEXT: TypeAdapter[Any] = TypeAdapter(TextRequest)
_CHAT: TypeAdapter[Any] = TypeAdapter(ChatRequest)
_OF_CHAT = ("model", "messages", "tools", "chat_template_kwargs")


@with_config(ConfigDict(extra="ignore", strict=True))
class _TokensAnswer(TypedDict):
    count: Annotated[int, Field(ge=0, le=MOST_TOKENS)]
    max_model_len: Annotated[int, Field(ge=0, le=MOST_TOKENS)]
    tokens: list[Annotated[int, Field(ge=0, lt=10_000_000)]]
    token_strs: NotRequired[list[str] | None]


TOKENS_ANSWER: TypeAdapter[Any] = TypeAdapter(_TokensAnswer)


def check_tokenize(body: dict[str, Any]) -> dict[str, Any]:
    """The request in the form that is forwarded. Raises Refusal 400."""
    if ("prompt" in body) == ("messages" in body):
        raise bad_request("invalid_prompt", "Send either the field 'prompt' or the field 'messages'.")
    if "prompt" in body:
        return parsed(_TEXT, body, {})
    request = parsed(_CHAT, body, {})
    return {**request, **check_chat({name: request[name] for name in _OF_CHAT if name in request})}


class TokensWriter(OpenAiWriter):
    """Writes vLLM's own form, which has no id and no model."""

    def whole(self, answer: dict[str, Any]) -> bytes:
        return dump({name: answer[name] for name in _TokensAnswer.__annotations__ if name in answer})


class CountWriter(OpenAiWriter):
    """Writes the answer of `count_tokens`."""

    def whole(self, answer: dict[str, Any]) -> bytes:
        return dump({"input_tokens": answer["count"]})
