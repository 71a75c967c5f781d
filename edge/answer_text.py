"""The text of an answer and of the conversation before it, for a model that judges the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.openai_api import dump

MOST_CHARACTERS = 60_000
"""Of a conversation with its answer. Longer ones are not judged."""


class AnswerText:
    """The text of an answer, as the model wrote it."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self.is_text = True
        """Whether it is text alone. One with a tool call is not."""

    def take(self, choices: Any, key: str) -> None:
        """Take choices of a whole answer (`message`) or of a chunk of a stream (`delta`)."""
        for choice in choices or ():
            message = choice.get(key) or {}
            self.is_text = self.is_text and not (message.get("tool_calls") or message.get("function_call"))
            piece = message.get("content")
            if isinstance(piece, str) and self._size <= MOST_CHARACTERS:
                self._size += len(piece)
                self._pieces.append(piece)

    @property
    def text(self) -> str:
        """What was written so far."""
        return "".join(self._pieces)


def conversation_of(payload: Mapping[str, Any]) -> str | None:
    """A conversation as a judge reads it. None: it has more than text, or no messages."""
    messages = payload.get("messages")
    if not isinstance(messages, list):
        return None
    parts: list[str] = []
    for message in messages:
        text = _text_of(message.get("content"))
        if text is None:
            return None
        calls = message.get("tool_calls")
        parts.append(f"{message['role']}: {text}{dump(calls).decode() if calls else ''}")
    return "\n\n".join(parts)


def _text_of(content: Any) -> str | None:
    """The text of a message. None: it has other parts, for example an image."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [part.get("text") if part.get("type") == "text" else None for part in content]
    return None if None in parts else "\n".join(map(str, parts))
