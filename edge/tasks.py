"""The tasks of the gateway (chat, embeddings, reranking) and its interfaces: request checks, answers and their form."""

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
from edge.exchange import Exchange
from edge.interface_names import Interface
from edge.interfaces.messages_answer import MessagesWriter, messages_error
from edge.interfaces.messages_request import check_count, check_messages
from edge.interfaces.responses_answer import ResponsesWriter
from edge.interfaces.responses_request import check_responses
from edge.interfaces.tokenizer import (
    TOKENS_ANSWER,
    CountWriter,
    TokensWriter,
    check_tokenize,
)
from edge.interfaces.writer import OpenAiWriter, WriterOf, openai_error
from edge.openai_api import CHAT_PATH, COMPLETIONS_PATH, MESSAGES_PATH, TOKENIZE_PATH, Refusal
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
    operation: str
    """Name of the operation in traces, from OpenTelemetry's GenAI conventions where these have one."""
    answer: TypeAdapter[Any]
    """Model of a whole answer. Other fields are dropped."""
    chunk: TypeAdapter[Any] | None = None
    """Model of a stream event. None: the task has no streams."""
    writer: WriterOf = OpenAiWriter
    """Writes its answers for the caller."""
    error_body: Callable[[Refusal, str], dict[str, Any]] = openai_error
    """The body of an error, from the refusal and the request's id."""
    request_id_header: str = ""
    """Another header with the request's id, which the clients of the interface read."""
    upstream_path: str | None = None
    """Path at the model server. None: the same."""
    always_counts: bool = False
    """Whether the caller's form has token counts in every stream."""
    is_charged: bool = True
    """Whether its tokens count in limits and cost."""

    def begin(self, exchange: Exchange) -> None:
        """Set the form of errors and the headers of the answer, before the request is read."""
        exchange.error_body = self.error_body
        if self.request_id_header:
            exchange.headers.append((self.request_id_header.encode(), exchange.request_id.encode()))

    @property
    def sent_to(self) -> str:
        """Path at the model server."""
        return self.upstream_path or self.path


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
    "chat": Task(CHAT_PATH, check_chat, "choices", "chatcmpl-", "chat", CHAT_ANSWER, CHAT_CHUNK),
    "embedding": Task(EMBEDDINGS_PATH, check_embeddings, "data", "embd-", "embeddings", EMBEDDING_ANSWER),
    "rerank": Task(RERANK_PATH, check_rerank, "results", "rerank-", "rerank", RERANK_ANSWER),
}
"""Tasks by the `task` of a route."""
_CONVERTED: dict[str, Any] = {
    **{"holds": "choices", "operation": "chat", "answer": CHAT_ANSWER, "chunk": CHAT_CHUNK},
    **{"upstream_path": CHAT_PATH, "always_counts": True},
}
_COUNTED: dict[str, Any] = {
    **{"holds": "count", "id_prefix": "tokens-", "operation": "tokenize", "answer": TOKENS_ANSWER},
    **{"upstream_path": TOKENIZE_PATH, "is_charged": False},
}
_ANTHROPIC: dict[str, Any] = {"error_body": messages_error, "request_id_header": "request-id"}
INTERFACES: dict[Interface, list[Task]] = {
    "completions": [
        Task(
            *(COMPLETIONS_PATH, check_completion, "choices", "cmpl-", "text_completion"),
            *(COMPLETION_ANSWER, COMPLETION_ANSWER),
        )
    ],
    "responses": [
        Task("/v1/responses", check_responses, id_prefix="resp_", writer=ResponsesWriter, **_CONVERTED)
    ],
    "messages": [
        Task(
            MESSAGES_PATH, check_messages, id_prefix="msg_", writer=MessagesWriter, **_CONVERTED, **_ANTHROPIC
        ),
        Task(f"{MESSAGES_PATH}/count_tokens", check_count, writer=CountWriter, **_COUNTED, **_ANTHROPIC),
    ],
    "tokenize": [Task(TOKENIZE_PATH, check_tokenize, writer=TokensWriter, **_COUNTED)],
}
"""Tasks by the interface of a route that offers them beside its own."""


def tasks_of(route: Route) -> list[Task]:
    """The tasks of a route: its own first."""
    return [
        TASKS[route.task],
        *(task for interface in route.interfaces for task in INTERFACES.get(interface, ())),
    ]


_WRITERS = {task.path: task.writer for tasks in (TASKS.values(), *INTERFACES.values()) for task in tasks}


def writer_of(path: str) -> WriterOf:
    """How answers of the task at this path are written."""
    return _WRITERS.get(path, OpenAiWriter)
