"""The tasks of the gateway (chat, completions, embeddings, reranking): request checks and answer models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Required

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from edge.answer_models import (
    CHAT_ANSWER,
    CHAT_CHUNK,
    COMPLETION_ANSWER,
    EMBEDDING_ANSWER,
    RERANK_ANSWER,
)
from edge.chat import check_chat
from edge.config import Route
from edge.openai_api import CHAT_PATH, COMPLETIONS_PATH
from edge.request_fields import (
    STRICT,
    Answers,
    Harmless,
    Model,
    Sampling,
    Text,
    TokenId,
    VllmFields,
    validated,
)

EMBEDDINGS_PATH, RERANK_PATH = "/v1/embeddings", "/v1/rerank"
Tokens = Annotated[list[TokenId], Field(min_length=1)]
OneOrSeveral = (
    Text | Tokens | Annotated[list[Text], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)]
)


@with_config(STRICT)
class CompletionRequest(Sampling, Harmless, VllmFields, total=False):
    """`POST /v1/completions`: a text to go on with, several, or tokens. Embeddings as a prompt are not taken."""

    model: Required[Model]
    prompt: Required[OneOrSeveral]
    suffix: str | None
    echo: bool | None
    best_of: Answers | None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None


@with_config(STRICT)
class EmbeddingRequest(TypedDict, total=False):
    """`POST /v1/embeddings`: a text, several, or tokens."""

    model: Required[Model]
    input: Required[OneOrSeveral]
    encoding_format: Literal["float", "base64"] | None
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None
    user: Annotated[str, Field(max_length=512)] | None


@with_config(STRICT)
class RerankRequest(TypedDict, total=False):
    """`POST /v1/rerank`: a question, and texts to put in order. Other documents hold addresses, which servers fetch."""

    model: Required[Model]
    query: Required[Text]
    documents: Required[Annotated[list[str], Field(min_length=1)]]
    top_n: Annotated[int, Field(ge=0, le=1_000_000)] | None


_COMPLETION: TypeAdapter[Any] = TypeAdapter(CompletionRequest)
_EMBEDDING: TypeAdapter[Any] = TypeAdapter(EmbeddingRequest)
_RERANK: TypeAdapter[Any] = TypeAdapter(RerankRequest)


@dataclass(frozen=True)
class Task:
    """A path, what may be asked there, and what of an answer goes on."""

    path: str
    check: Callable[[dict[str, Any]], dict[str, Any]]
    """The request without its null fields; raises Refusal 400."""
    holds: str
    """The field without which an answer is none."""
    id_prefix: str
    """How ids of its answers begin."""
    answer: TypeAdapter[Any]
    """What passes of a whole answer."""
    chunk: TypeAdapter[Any] | None = None
    """What passes of an event of its stream; None: it is not streamed."""


def check_completion(body: dict[str, Any]) -> dict[str, Any]:
    """The request as it may be forwarded; raises Refusal 400."""
    return validated(_COMPLETION, body)


def check_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """The request as it may be forwarded; raises Refusal 400."""
    return validated(_EMBEDDING, body)


def check_rerank(body: dict[str, Any]) -> dict[str, Any]:
    """The request as it may be forwarded; raises Refusal 400."""
    return validated(_RERANK, body)


TASKS = {
    "chat": Task(CHAT_PATH, check_chat, "choices", "chatcmpl-", CHAT_ANSWER, CHAT_CHUNK),
    "completion": Task(
        COMPLETIONS_PATH, check_completion, "choices", "cmpl-", COMPLETION_ANSWER, COMPLETION_ANSWER
    ),
    "embedding": Task(EMBEDDINGS_PATH, check_embeddings, "data", "embd-", EMBEDDING_ANSWER),
    "rerank": Task(RERANK_PATH, check_rerank, "results", "rerank-", RERANK_ANSWER),
}
"""By the task that a route names; `completion` beside `chat` where the route says so."""


def tasks_of(route: Route) -> list[Task]:
    """What a route is asked for, at one path each."""
    return [TASKS[route.task], *([TASKS["completion"]] if route.completions else [])]
