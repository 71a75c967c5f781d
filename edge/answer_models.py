"""Models of the answers that pass from an upstream to the caller. Fields that are not listed here are dropped.

The types are pydantic's TypedDicts: validation returns a plain dictionary without unlisted fields. This drops names
of models and servers, token ids, transfer parameters, and a `confidence` that is not the gateway's own. `id` and
`created` of a model server could hold any text or number, so the gateway sets its own (`edge.answers`).
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    with_config,
)
from typing_extensions import TypedDict

from edge.exchange import MOST_TOKENS

CONFIDENCE = "confidence"
"""Field of a choice with the gateway's own score of it."""
_NAMED_ONLY = ConfigDict(extra="ignore", strict=True)


def _or_null(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """The value, or null if it has the wrong type, because the answer is usable without it."""
    try:
        return validate(value)
    except ValidationError:
        return None


_OrNull = WrapValidator(_or_null)
_Number = int | FiniteFloat
_Word = Annotated[str, Field(pattern=r"^[a-z_.]{1,40}$")]
_Index = Annotated[int, Field(ge=0, le=1_000_000)]
_Count = Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None
_CallId = Annotated[str, Field(max_length=256)]


@with_config(_NAMED_ONLY)
class PromptDetails(TypedDict):
    """Details of `prompt_tokens`."""

    cached_tokens: NotRequired[_Count]
    audio_tokens: NotRequired[_Count]


@with_config(_NAMED_ONLY)
class CompletionDetails(TypedDict):
    """Details of `completion_tokens`."""

    reasoning_tokens: NotRequired[_Count]
    audio_tokens: NotRequired[_Count]
    accepted_prediction_tokens: NotRequired[_Count]
    rejected_prediction_tokens: NotRequired[_Count]


@with_config(_NAMED_ONLY)
class Usage(TypedDict):
    """Token counts of a request. No other field passes."""

    prompt_tokens: NotRequired[_Count]
    completion_tokens: NotRequired[_Count]
    total_tokens: NotRequired[_Count]
    prompt_tokens_details: NotRequired[PromptDetails | None]
    completion_tokens_details: NotRequired[CompletionDetails | None]


_Usage = Annotated[Usage | None, _OrNull]


@with_config(_NAMED_ONLY)
class _Head(TypedDict):
    object: NotRequired[_Word]
    usage: NotRequired[_Usage]


@with_config(_NAMED_ONLY)
class TokenProbability(TypedDict):
    """An alternative token and its log-probability."""

    token: str
    logprob: _Number
    bytes: NotRequired[list[Annotated[int, Field(ge=0, le=255)]] | None]


@with_config(_NAMED_ONLY)
class WrittenToken(TokenProbability):
    """A generated token, its log-probability and its alternatives."""

    top_logprobs: NotRequired[list[TokenProbability] | None]


@with_config(_NAMED_ONLY)
class ChatLogprobs(TypedDict):
    """`logprobs` of a chat choice."""

    content: NotRequired[list[WrittenToken] | None]
    refusal: NotRequired[list[WrittenToken] | None]


@with_config(_NAMED_ONLY)
class CompletionLogprobs(TypedDict):
    """`logprobs` of a completion choice."""

    text_offset: NotRequired[list[int] | None]
    token_logprobs: NotRequired[list[_Number | None] | None]
    tokens: NotRequired[list[str] | None]
    top_logprobs: NotRequired[list[dict[str, _Number] | None] | None]


@with_config(_NAMED_ONLY)
class Function(TypedDict):
    """The function of a tool call."""

    name: str
    arguments: str


@with_config(_NAMED_ONLY)
class Call(TypedDict):
    """A tool call."""

    id: NotRequired[_CallId | None]
    type: NotRequired[_Word | None]
    function: Function


@with_config(_NAMED_ONLY)
class _Texts(TypedDict):
    role: NotRequired[_Word | None]
    content: NotRequired[str | None]
    refusal: NotRequired[str | None]
    reasoning: NotRequired[str | None]
    reasoning_content: NotRequired[str | None]


@with_config(_NAMED_ONLY)
class Message(_Texts):
    """The message of a choice."""

    tool_calls: NotRequired[list[Call] | None]


@with_config(_NAMED_ONLY)
class FunctionDelta(TypedDict):
    """A part of a tool call's function, in a stream."""

    name: NotRequired[str | None]
    arguments: NotRequired[str | None]


@with_config(_NAMED_ONLY)
class CallDelta(TypedDict):
    """A part of a tool call, in a stream."""

    index: NotRequired[_Index]
    id: NotRequired[_CallId | None]
    type: NotRequired[_Word | None]
    function: NotRequired[FunctionDelta | None]


@with_config(_NAMED_ONLY)
class Delta(_Texts):
    """A part of a message, in a stream."""

    tool_calls: NotRequired[list[CallDelta] | None]


@with_config(_NAMED_ONLY)
class _Choice(TypedDict):
    index: NotRequired[_Index]
    finish_reason: NotRequired[_Word | None]


@with_config(_NAMED_ONLY)
class _ChatPart(_Choice):
    logprobs: NotRequired[Annotated[ChatLogprobs | None, _OrNull]]


@with_config(_NAMED_ONLY)
class ChatChoice(_ChatPart):
    """One choice of a chat answer."""

    message: Message


@with_config(_NAMED_ONLY)
class ChatChunkChoice(_ChatPart):
    """One choice of a stream event."""

    delta: Delta


@with_config(_NAMED_ONLY)
class CompletionChoice(_Choice):
    """One choice of a completion, or a part of it in a stream event."""

    text: str
    logprobs: NotRequired[Annotated[CompletionLogprobs | None, _OrNull]]


@with_config(_NAMED_ONLY)
class ChatAnswer(_Head):
    """Answer of `POST /v1/chat/completions`."""

    choices: list[ChatChoice]


@with_config(_NAMED_ONLY)
class ChatChunk(_Head):
    """Stream event of `POST /v1/chat/completions`."""

    choices: list[ChatChunkChoice]


@with_config(_NAMED_ONLY)
class CompletionAnswer(_Head):
    """Answer of `POST /v1/completions`, and its stream event."""

    choices: list[CompletionChoice]


@with_config(_NAMED_ONLY)
class Vector(TypedDict):
    """One embedding: a list of numbers, or their bytes in Base64."""

    object: NotRequired[_Word]
    index: NotRequired[_Index]
    embedding: list[FiniteFloat] | Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]


@with_config(_NAMED_ONLY)
class EmbeddingAnswer(_Head):
    """Answer of `POST /v1/embeddings`."""

    data: list[Vector]


@with_config(_NAMED_ONLY)
class RankedDocument(TypedDict):
    """A ranked document, as the request contained it."""

    text: NotRequired[str | None]


@with_config(_NAMED_ONLY)
class Rank(TypedDict):
    """Position and relevance score of one document."""

    index: _Index
    relevance_score: _Number
    document: NotRequired[Annotated[RankedDocument | None, _OrNull]]


@with_config(_NAMED_ONLY)
class RerankAnswer(TypedDict):
    """Answer of `POST /v1/rerank`."""

    results: list[Rank]
    usage: NotRequired[_Usage]


CHAT_ANSWER: TypeAdapter[Any] = TypeAdapter(ChatAnswer)
CHAT_CHUNK: TypeAdapter[Any] = TypeAdapter(ChatChunk)
COMPLETION_ANSWER: TypeAdapter[Any] = TypeAdapter(CompletionAnswer)
EMBEDDING_ANSWER: TypeAdapter[Any] = TypeAdapter(EmbeddingAnswer)
RERANK_ANSWER: TypeAdapter[Any] = TypeAdapter(RerankAnswer)
