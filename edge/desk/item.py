"""What the page of an item shows, made of the row of a held answer and of its content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge.answer_models import CONFIDENCE
from edge.desk.differences import Part, differences
from edge.desk.fields import Field, fields_of, with_values
from edge.desk.pieces import MOST_TEXT, Piece, text_pieces
from edge.desk.sources import Source, mark_citations, missing_sources, sources_of
from edge.openai_api import bad_request
from edge.reviews.corrections import texts_of
from edge.reviews.decisions import Content
from edge.reviews.held_store import CASE

LOW_FIELD = 0.5
"""Score below which a field is marked."""


@dataclass(frozen=True)
class Message:
    """A message of the conversation."""

    role: str
    pieces: list[Piece]
    more: str = ""
    """Parts that are no text, as JSON."""
    mark: str = ""
    """Whether the record of the person's requests has the text, in a case (`edge.conversation_check`)."""


@dataclass(frozen=True)
class Choice:
    """One choice of the answer."""

    number: int
    text: str | None
    """None: it only calls tools."""
    pieces: list[Piece]
    fields: list[Field] | None
    """The fields of a structured answer."""
    scores: dict[str, int]
    """Percent of the scored fields, by JSON pointer; empty while the score is hidden."""
    more: str
    """Tool calls and the like, as JSON."""
    changes: list[Part] | None
    """Differences from the model's own answer, if an earlier reviewer corrected it."""


@dataclass(frozen=True)
class Item:
    """An item as its reviewer sees it."""

    question: str
    """What a person asks about the answer, if it is a case."""
    messages: list[Message]
    settings: str
    """Further fields of the request, as JSON."""
    choices: list[Choice]
    verdicts: list[str]
    model: str
    sha256: str
    texts: list[Any] = field(default_factory=list)
    legal_basis: str = ""
    """Of a case, on which basis it may be read. Empty: none is stated."""
    decision: dict[str, str] = field(default_factory=dict)
    """Of an appeal, the decision against which it is: `status`, `reason`, and `note` if there is one."""
    sources: list[Source] = field(default_factory=list)
    """What the application gave the model to answer from."""
    missing: list[int] = field(default_factory=list)
    """Numbers of sources that the answer cites and that are not there. Empty where there are no sources at all."""

    @property
    def has_differing_turns(self) -> bool:
        """Whether the record has other texts than the conversation of a case."""
        return any(message.mark == "differs" for message in self.messages)

    @property
    def can_correct(self) -> bool:
        """Whether every choice has a text that a reviewer can replace."""
        return bool(self.texts) and all(isinstance(text, str) for text in self.texts)


def build_item(row: Any, content: Content, *, hides_score: bool) -> Item:
    """The item of a claimed answer. `hides_score`: the reviewer has not judged yet."""
    asked, answer = content.asked, json.loads(content.answer)
    is_case = row["task"] == CASE
    unsure = {} if hides_score else dict(content.about.get("unsure", []))
    texts, first = texts_of(content.answer), texts_of(content.first)
    corrected = row["corrected"] is not None
    sources = sources_of(content.about)
    choices = [
        _choice(number, choice, text, unsure, hides_score, first[number] if corrected else None)
        for number, (choice, text) in enumerate(zip(answer["choices"], texts, strict=True))
    ]
    if sources:
        choices = [replace(choice, pieces=mark_citations(choice.pieces, len(sources))) for choice in choices]
    known = ("messages", "prompt", "question", "request", "model")
    settings = {key: value for key, value in asked.items() if key not in known}
    return Item(
        str(asked.get("question", "")) if is_case else "",
        _messages(asked, content.about.get("turns", [])),
        _json(settings) if settings else "",
        choices,
        [str(verdict) for verdict in content.about.get("verdicts", [])],
        str(answer.get("model", "")),
        content.sha256,
        texts,
        str(content.about.get("legal_basis", "")),
        dict(content.about.get("decision", {})),
        sources,
        missing_sources(texts, len(sources)) if sources else [],
    )


def corrected_texts(item: Item, form: Mapping[str, str]) -> list[str]:
    """The texts of a correction: as typed, or with the values of its fields. Raises Refusal 400."""
    texts: list[str] = []
    for choice in item.choices:
        typed = form.get(f"text-{choice.number}")
        before = choice.text or ""
        if typed is None and choice.fields is not None:
            texts.append(with_values(before, choice.number, form))
        elif typed is None or typed == before.replace("\r\n", "\n"):
            texts.append(before)
        else:
            texts.append(typed)
    if texts == item.texts and not item.decision:  # an appeal may release the answer as it was
        raise bad_request("nothing_changed", "You chose to correct, and changed nothing.")
    return texts


def _choice(
    number: int,
    choice: dict[str, Any],
    text: Any,
    unsure: Mapping[str, list[Any]],
    hides_score: bool,
    first: Any,
) -> Choice:
    confidence = choice.get(CONFIDENCE)
    scores = confidence.get("fields", {}) if isinstance(confidence, dict) and not hides_score else {}
    message = choice.get("message")
    left = (
        {key: value for key, value in message.items() if value and key not in ("role", "content")}
        if isinstance(message, dict)
        else {}
    )
    return Choice(
        number,
        text if isinstance(text, str) else None,
        text_pieces(text, unsure.get(text)) if isinstance(text, str) else [],
        fields_of(text, number),
        {pointer: round(100 * score) for pointer, score in scores.items()},
        _json(left) if left else "",
        differences(first, text) if isinstance(first, str) and isinstance(text, str) else None,
    )


def _messages(asked: Mapping[str, Any], marks: Sequence[str]) -> list[Message]:
    messages = asked.get("messages")
    if not isinstance(messages, list):
        prompt = asked.get("prompt", "")
        return [Message("user", text_pieces(prompt if isinstance(prompt, str) else _json(prompt)))]
    shown = [_message(message) for message in messages if isinstance(message, dict)]
    return (
        [replace(message, mark=mark) for message, mark in zip(shown, marks, strict=True)] if marks else shown
    )


def _message(message: Mapping[str, Any]) -> Message:
    content, others = message.get("content"), []
    texts = [content] if isinstance(content, str) else []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            others.append(part)
    left = {key: value for key, value in message.items() if value and key not in ("role", "content")}
    more = [*others, *([left] if left else [])]
    return Message(str(message.get("role", "")), text_pieces("\n".join(texts)), _json(more) if more else "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)[:MOST_TEXT]
