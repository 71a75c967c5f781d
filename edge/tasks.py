"""What the gateway serves beside chat: completions, embeddings, reranking, by allow-lists as short as the chat's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.chat import check_chat
from edge.config import Route
from edge.openai_api import CHAT_PATH, COMPLETIONS_PATH, bad, check_stream, known

EMBEDDINGS_PATH, RERANK_PATH = "/v1/embeddings", "/v1/rerank"
_EMBEDDING_FIELDS = frozenset(["model", "input", "encoding_format", "dimensions", "user"])
_COMPLETION_FIELDS = frozenset(
    [
        "model",
        "prompt",
        "suffix",
        "echo",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "n",
        "best_of",
        "stop",
        "max_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "seed",
        "user",
    ]
)
_RERANK_FIELDS = frozenset(["model", "query", "documents", "top_n"])


@dataclass(frozen=True)
class Task:
    """A path, what may be asked there, and what of an answer goes on."""

    path: str
    check: Callable[[dict[str, Any]], dict[str, Any]]
    """The request without its null fields; raises Refusal 400."""
    holds: str
    """The field without which an answer is none."""
    answer: tuple[str, ...]
    """Names of models, servers and debugging fields stay behind."""


def check_completion(body: dict[str, Any]) -> dict[str, Any]:
    """A completion: a text to go on with, several, or tokens. Embeddings as a prompt are not taken."""
    asked = known(body, _COMPLETION_FIELDS)
    check_stream(asked)
    if not _one_or_several(asked.get("prompt")):
        raise bad("invalid_prompt", "The field 'prompt' must be text, tokens, or a list of either.")
    return asked


def check_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """An embeddings request: a text, several, or tokens."""
    asked = known(body, _EMBEDDING_FIELDS)
    if not _one_or_several(asked.get("input")):
        raise bad("invalid_input", "The field 'input' must be text, tokens, or a list of either.")
    return asked


def check_rerank(body: dict[str, Any]) -> dict[str, Any]:
    """A rerank request: a question, and texts to put in order."""
    asked = known(body, _RERANK_FIELDS)
    documents = asked.get("documents")
    if not isinstance(asked.get("query"), str) or not asked["query"]:
        raise bad("invalid_query", "The field 'query' must be text.")
    if (
        not isinstance(documents, list)
        or not documents
        or not all(isinstance(each, str) for each in documents)
    ):
        # Other kinds hold addresses, which a server would fetch.
        raise bad("invalid_documents", "The field 'documents' must be a list of texts.")
    return asked


def _one_or_several(value: Any) -> bool:
    if _text_or_tokens(value):
        return True
    return isinstance(value, list) and bool(value) and all(_text_or_tokens(each) for each in value)


def _text_or_tokens(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


_CHOICES = ("id", "object", "created", "choices", "usage")
TASKS = {
    "chat": Task(CHAT_PATH, check_chat, "choices", _CHOICES),
    "completion": Task(COMPLETIONS_PATH, check_completion, "choices", _CHOICES),
    "embedding": Task(
        EMBEDDINGS_PATH, check_embeddings, "data", ("id", "object", "created", "data", "usage")
    ),
    "rerank": Task(RERANK_PATH, check_rerank, "results", ("id", "results", "usage")),
}
"""By the task that a route names; `completion` beside `chat` where the route says so."""


def tasks_of(route: Route) -> list[Task]:
    """What a route is asked for, at one path each."""
    return [TASKS[route.task], *([TASKS["completion"]] if route.completions else [])]
