"""What the gateway serves beside chat: embeddings and reranking, by allow-lists as short as the chat's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.openai_api import CHAT_PATH, bad, check_chat, known

EMBEDDINGS_PATH, RERANK_PATH = "/v1/embeddings", "/v1/rerank"
_EMBEDDING_FIELDS = frozenset(["model", "input", "encoding_format", "dimensions", "user"])
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


def check_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """An embeddings request: a text, several, or tokens."""
    asked = known(body, _EMBEDDING_FIELDS)
    given = asked.get("input")
    if not _text_or_tokens(given) and not (
        isinstance(given, list) and given and all(_text_or_tokens(each) for each in given)
    ):
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


def _text_or_tokens(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


TASKS = {
    "chat": Task(CHAT_PATH, check_chat, "choices", ("id", "object", "created", "choices", "usage")),
    "embedding": Task(
        EMBEDDINGS_PATH, check_embeddings, "data", ("id", "object", "created", "data", "usage")
    ),
    "rerank": Task(RERANK_PATH, check_rerank, "results", ("id", "results", "usage")),
}
"""By the task that a route names."""
