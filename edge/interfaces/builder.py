"""What the writers of other interfaces share: they take a chat answer part by part, whole or as a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from edge.answer_models import CONFIDENCE
from edge.interfaces.parts import HELD, CallPart, answer_parts, held_text
from edge.interfaces.writer import Head


class AnswerBuilder(ABC):
    """Builds one answer. Of several choices only the first counts where an answer is whole."""

    def __init__(self, body: dict[str, Any], head: Head) -> None:
        """`body`: of the request."""
        self._body, self._head = body, head
        self._events: list[bytes] = []
        self._streams = True
        self._finish = ""
        self._usage: dict[str, Any] | None = None
        self._extra: dict[str, Any] = {}
        """Fields of our own: the answer's confidence, or the notice of a review."""

    def whole(self, answer: dict[str, Any]) -> bytes:
        self._streams = False
        self._usage = answer.get("usage")
        for choice in answer["choices"][:1]:
            self._take(choice, choice["message"])
        return self._answer()

    def whole_held(self, notice: dict[str, Any]) -> bytes:
        self._streams = False
        self._hold(notice)
        return self._answer()

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        self._begin()
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            self._take(choice, choice["delta"])
        return self._written()

    def held(self, notice: dict[str, Any]) -> bytes:
        self._begin()
        self._hold(notice)
        return self._written()

    def end(self) -> bytes:
        self._begin()
        self._end()
        return self._written()

    @abstractmethod
    def _begin(self) -> None:
        """Write the first events of a stream, once."""

    @abstractmethod
    def _add(self, part: tuple[str, str] | CallPart, choice: dict[str, Any]) -> None:
        """Add a part of the answer."""

    @abstractmethod
    def _end(self) -> None:
        """Write the last events of a stream."""

    @abstractmethod
    def _answer(self) -> bytes:
        """The whole answer."""

    def _notice_field(self) -> str:
        """Field of a chat message in which a notice stands."""
        return "content"

    def _hold(self, notice: dict[str, Any]) -> None:
        """Take a notice in place of the answer."""
        self._take({"finish_reason": HELD}, {self._notice_field(): held_text(notice)})
        self._extra["review"] = notice

    def _take(self, choice: dict[str, Any], spoken: dict[str, Any]) -> None:
        for part in answer_parts(spoken):
            self._add(part, choice)
        self._finish = choice.get("finish_reason") or self._finish
        if CONFIDENCE in choice:
            self._extra[CONFIDENCE] = choice[CONFIDENCE]

    def _written(self) -> bytes:
        written, self._events = b"".join(self._events), []
        return written
