"""What an appeal carries: the original request and answer, how people decided, and why the person disagrees. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge.reviews.corrections import texts_of

APPEAL = "appeal"
"""Reason for which an appeal waits for people."""


@dataclass(frozen=True)
class Original:
    """A decided answer, as an appeal carries it."""

    id: str
    workload: str
    asked: dict[str, Any]
    about: dict[str, Any]
    """What the gateway noted of the answer."""
    answer: bytes
    """The answer that people decided on."""
    decision: dict[str, str]
    """`status` (corrected, rejected, expired), `reason`, and `note` if there is one."""
    deciders: list[str]
    """Names of those who approved, corrected or rejected it."""


def asked_of(original: Original, question: str) -> dict[str, Any]:
    """The request of an appeal: the original one, and the person's question."""
    return {**original.asked, "request": original.id, "question": question}


def answer_of(original: Original) -> dict[str, Any]:
    """The answer that the seniors read, in the form of chat. Their words replace it."""
    choices = json.loads(original.answer)["choices"]
    return {
        "object": "case",
        "choices": [
            {"index": index, "message": {"role": "assistant", "content": _text(choice, text)}}
            for index, (choice, text) in enumerate(zip(choices, texts_of(original.answer), strict=True))
        ],
    }


def _text(choice: dict[str, Any], text: Any) -> str:
    """The text of a choice; of one that only calls tools, its calls as JSON."""
    return (
        text if isinstance(text, str) else json.dumps(choice.get("message", {}), ensure_ascii=False, indent=2)
    )
