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
    """Body of `POST /v1/completions`: one text to continue, several, or tokens. Embeddings as a prompt are refused."""

    model: Required[Model]
    prompt: Required[OneOrSeveral]
    suffix: str | None
    echo: bool | None
    best_of: Answers | None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None


@with_config(STRICT)
class EmbeddingRequest(TypedDict, total=False):
    """Body of `POST /v1/embeddings`: one text, several, or tokens."""

    model: Required[Model]
    input: Required[OneOrSeveral]
    encoding_format: Literal["float", "base64"] | None
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None
    user: Annotated[str, Field(max_length=512)] | None


@with_config(STRICT)
class RerankRequest(TypedDict, total=False):
    """Body of `POST /v1/rerank`: a question, and texts to sort. Documents with addresses are refused, because
    servers would fetch them.
    """

    model: Required[Model]
    query: Required[Text]
    documents: Required[Annotated[list[str], Field(min_length=1)]]
    top_n: Annotated[int, Field(ge=0, le=1_000_000)] | None


_COMPLETION: TypeAdapter[Any] = TypeAdapter(CompletionRequest)
_EMBEDDING: TypeAdapter[Any] = TypeAdapter(EmbeddingRequest)
_RERANK: TypeAdapter[Any] = TypeAdapter(RerankRequest)


@dataclass(frozen=True)
class Task:
    """A task: its path, the check of its requests, and the models of its answers."""

    path: str
    check: Callable[[dict[str, Any]], dict[str, Any]]
    """Returns the request without null fields. Raises Refusal 400."""
    holds: str
    """Field that every answer must contain."""
    id_prefix: str
    """Prefix of answer ids."""
    answer: TypeAdapter[Any]
    """Model of a whole answer. Other fields are dropped."""
    chunk: TypeAdapter[Any] | None = None
    """Model of a stream event. None: the task has no streams."""


def check_completion(body: dict[str, Any]) -> dict[str, Any]:
    """The request in the form that is forwarded. Raises Refusal 400."""
    return validated(_COMPLETION, body)


def check_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """The request in the form that is forwarded. Raises Refusal 400."""
    return validated(_EMBEDDING, body)


def check_rerank(body: dict[str, Any]) -> dict[str, Any]:
    """The request in the form that is forwarded. Raises Refusal 400."""
    return validated(_RERANK, body)


TASKS = {
    "chat": Task(CHAT_PATH, check_chat, "choices", "chatcmpl-", CHAT_ANSWER, CHAT_CHUNK),
    "completion": Task(
        COMPLETIONS_PATH, check_completion, "choices", "cmpl-", COMPLETION_ANSWER, COMPLETION_ANSWER
    ),
    "embedding": Task(EMBEDDINGS_PATH, check_embeddings, "data", "embd-", EMBEDDING_ANSWER),
    "rerank": Task(RERANK_PATH, check_rerank, "results", "rerank-", RERANK_ANSWER),
}
"""Tasks by the `task` of a route. A chat route with `completions` serves `completion` too."""


def tasks_of(route: Route) -> list[Task]:
    """The tasks of a route."""
    return [TASKS[route.task], *([TASKS["completion"]] if route.completions else [])]
