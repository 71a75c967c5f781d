"""Writes an answer for the caller: the form of OpenAI's own chat, and what every other form must offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from edge import sse
from edge.exchange import Exchange
from edge.openai_api import Refusal, dump


@dataclass(frozen=True)
class Held:
    """An answer waits for a person, and the caller gets `notice` in its place."""

    notice: dict[str, Any]


class Mark(Enum):
    """Parts of a stream without content."""

    BEAT = "beat"
    """Somebody still works on the answer. It becomes a comment, which clients skip."""
    END = "end"
    """The answer is complete, counted and recorded."""


StreamPart = dict[str, Any] | Held | Mark
"""A part of a streamed answer: a chunk in the form of chat, or one of the marks."""


@dataclass(frozen=True)
class Head:
    """The gateway's own facts about an answer: its id, its time in seconds since 1970, the caller's model name."""

    id: str
    created: int
    model: str
    exchange: Exchange | None = None
    """Token counts so far. None: the answer was completed earlier."""

    @property
    def request_id(self) -> str:
        """The id without the prefix that tells its kind."""
        return self.id.replace("-", "_").rpartition("_")[2]

    def on(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, or a chunk of it, with these facts. What the model server said about them is replaced."""
        created = {"created": self.created} if "choices" in answer else {}
        return {"id": self.id, **created, **answer, "model": self.model}


class AnswerWriter(Protocol):
    """Writes one answer. Every result is what leaves; it may be empty."""

    def whole(self, answer: dict[str, Any]) -> bytes:
        """A whole answer in the form of chat."""
        ...

    def whole_held(self, notice: dict[str, Any]) -> bytes:
        """The notice in place of a held answer."""
        ...

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """A chunk of a streamed answer in the form of chat."""
        ...

    def held(self, notice: dict[str, Any]) -> bytes:
        """The notice in place of a streamed answer. `end` follows."""
        ...

    def end(self) -> bytes:
        """The end of a complete stream."""
        ...

    def error(self, refusal: Refusal) -> bytes:
        """The end of a stream that failed."""
        ...


WriterOf = Callable[[dict[str, Any], Head], AnswerWriter]
"""Makes the writer of one answer, from the body of the request."""


class OpenAiWriter:
    """OpenAI's own form of chat, completions, embeddings and rankings: the answer as it is."""

    def __init__(self, body: dict[str, Any], head: Head) -> None:
        self._head = head

    def whole(self, answer: dict[str, Any]) -> bytes:
        return dump(answer)

    def whole_held(self, notice: dict[str, Any]) -> bytes:
        return dump(notice)

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        return sse.event(chunk)

    def held(self, notice: dict[str, Any]) -> bytes:
        head = {"created": self._head.created, "model": self._head.model, "choices": []}
        return sse.event({**notice, **head}, "review")

    def end(self) -> bytes:
        return sse.DONE

    def error(self, refusal: Refusal) -> bytes:
        return sse.event(refusal.body())


def openai_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body of an error in OpenAI's shape."""
    return refusal.body()
