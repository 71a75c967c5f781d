"""Checks the conversation of a case against what is on record of the person's own requests.

The check compares HMACs with those of this person's requests only, and its result goes to reviewers, not to the person.
So nobody can find out what others asked or got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge.text_hmacs import Kind, bound_hmac, text_digest

Mark = Literal["matches", "differs", "not-on-record"]
"""`matches`: one of the person's requests has this text. `differs`: that request has another text at this place."""


@dataclass(frozen=True)
class RecordedRequest:
    """What is on record of one request of a person."""

    id: str
    question: str | None
    """HMAC of the person's last text. None: it is unknown."""
    answers: Sequence[str]
    """HMACs of the texts of the answer. Empty: none was delivered, or they are unknown."""


def check_conversation(
    key: bytes,
    messages: Sequence[Mapping[str, str]],
    requests: Sequence[RecordedRequest],
    about_id: str,
) -> list[Mark]:
    """A mark for each message.

    `key`: the site's. `requests`: those of the person. `about_id`: the request that the case is about; the last
    question and answer must be its own.
    """
    check = _Check(key, requests)
    marks: list[Mark] = ["not-on-record"] * len(messages)
    about = next((request for request in requests if request.id == about_id), None)
    is_last = True
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] != "assistant":
            continue
        asked_at = at - 1 if at and messages[at - 1]["role"] == "user" else None
        answer, question = (
            messages[at]["content"],
            messages[asked_at]["content"] if asked_at is not None else None,
        )
        marks[at], asked = check.exchange(question, answer, about if is_last else None)
        if asked_at is not None:
            marks[asked_at] = asked
        is_last = False
    for at, message in enumerate(messages):
        # Questions without an answer behind them.
        is_answered = at + 1 < len(messages) and messages[at + 1]["role"] == "assistant"
        if message["role"] == "user" and not is_answered and check.find("question", message["content"]):
            marks[at] = "matches"
    return marks


class _Check:
    """Compares texts with the HMACs of a person's requests."""

    def __init__(self, key: bytes, requests: Sequence[RecordedRequest]) -> None:
        self._key, self._requests = key, requests

    def find(self, kind: Kind, text: str) -> list[RecordedRequest]:
        """The requests that have this text."""
        digest = text_digest(self._key, text)
        return [request for request in self._requests if self._has(request, kind, digest)]

    def exchange(self, question: str | None, answer: str, about: RecordedRequest | None) -> tuple[Mark, Mark]:
        """Marks of an answer, and of the question before it. `about`: the request that they must be of."""
        answered = self.find("answer", answer)
        asked = self.find("question", question) if question is not None else []
        if about is not None:
            answered, asked = _only(answered, about), _only(asked, about)
            # What the request has on record, and is not this text.
            return (
                _mark(bool(answered), bool(about.answers)),
                _mark(bool(asked), about.question is not None),
            )
        return (
            _mark(bool(answered), any(request.answers for request in asked)),
            _mark(bool(asked), any(request.question is not None for request in answered)),
        )

    def _has(self, request: RecordedRequest, kind: Kind, digest: bytes) -> bool:
        known = request.answers if kind == "answer" else [request.question]
        return bound_hmac(self._key, kind, request.id, digest) in known


def _only(requests: list[RecordedRequest], about: RecordedRequest) -> list[RecordedRequest]:
    return [request for request in requests if request.id == about.id]


def _mark(is_found: bool, has_another: bool) -> Mark:
    return "matches" if is_found else "differs" if has_another else "not-on-record"
