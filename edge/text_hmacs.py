"""HMACs of what is asked and answered, under the site's key. Each is bound to its request.

Two requests with the same answer have different HMACs, so that nobody learns from a record who got the same answer.
White space at both ends of a text does not count, because applications remove it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Kind = Literal["question", "answer"]


class TextHmac:
    """The HMAC of a text that comes in parts, not yet bound to a request."""

    def __init__(self, key: bytes) -> None:
        self._hmac = hmac.new(key, b"isthmus text 1\n", hashlib.sha256)
        self._has_begun = False
        self._space = ""

    def add(self, part: str) -> None:
        """Take the next part of the text."""
        text = self._space + part
        stripped = text.rstrip() if self._has_begun else text.strip()
        self._space = text[len(text.rstrip()) :] if stripped or self._has_begun else ""
        if stripped:
            self._has_begun = True
            self._hmac.update(stripped.encode("utf-8", "surrogatepass"))

    def digest(self) -> bytes:
        """The HMAC of the text so far."""
        return self._hmac.digest()


def text_digest(key: bytes, text: str) -> bytes:
    """The HMAC of a whole text, not yet bound to a request."""
    whole = TextHmac(key)
    whole.add(text)
    return whole.digest()


def bound_hmac(key: bytes, kind: Kind, request_id: str, digest: bytes) -> str:
    """The HMAC of a question or an answer of this request, in lower-case hex. `digest` is that of the text."""
    bound = f"isthmus {kind} 1\n{request_id}\n".encode() + digest
    return hmac.digest(key, bound, hashlib.sha256).hex()


class AnswerHmacs:
    """The HMACs of the texts of one answer, which may come in parts."""

    def __init__(self, key: bytes, request_id: str) -> None:
        self._key, self._request_id = key, request_id
        self._texts: dict[int, TextHmac] = {}

    def add(self, part: Mapping[str, Any]) -> None:
        """Take an answer, or an event of its stream, in the form of chat or completions."""
        for choice in part.get("choices") or ():
            message = choice.get("message") or choice.get("delta") or choice
            text = message.get("content", message.get("text"))
            if isinstance(text, str) and text:
                self._texts.setdefault(choice.get("index", 0), TextHmac(self._key)).add(text)

    def values(self) -> list[str]:
        """An HMAC for each choice with a text, in order."""
        return [
            bound_hmac(self._key, "answer", self._request_id, self._texts[index].digest())
            for index in sorted(self._texts)
        ]


def hmacs_of_texts(key: bytes, request_id: str, texts: Iterable[Any]) -> list[str]:
    """The HMACs of the texts of an answer. Choices without a text have none."""
    return [
        bound_hmac(key, "answer", request_id, text_digest(key, text))
        for text in texts
        if isinstance(text, str) and text
    ]


def question_of(request: Mapping[str, Any]) -> str | None:
    """The last text of a person in a request: the last message of role `user`, or the prompt."""
    messages = request.get("messages")
    if not isinstance(messages, list):
        prompt = request.get("prompt")
        return prompt if isinstance(prompt, str) else None
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return _text_of(message.get("content"))
    return None


def _text_of(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return "\n".join(texts) if texts else None
