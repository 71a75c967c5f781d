"""Replaces the model's texts in an answer by a reviewer's, and marks the answer as corrected."""

from __future__ import annotations

import json
from typing import Any

from edge.openai_api import Refusal, bad_request, dump


def texts_of(answer: bytes) -> list[Any]:
    """The text of each choice; None for a choice that only calls tools."""
    return [_text_of_choice(choice) for choice in json.loads(answer)["choices"]]


def apply_correction(answer: bytes, texts: object) -> bytes:
    """Return the answer with these texts, one for each choice. Raises Refusal 400.

    Parts that belong to the model's own text are removed: log-probabilities, tool calls, refusals.
    """
    document = json.loads(answer)
    choices = document["choices"]
    if (
        not isinstance(texts, list)
        or len(texts) != len(choices)
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise _invalid_texts(len(choices))
    for choice, text in zip(choices, texts, strict=True):
        choice.pop("logprobs", None)
        choice["finish_reason"] = "stop"
        if "message" in choice:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
    return dump({**document, "choices": choices, "review": {"status": "corrected"}})


def _text_of_choice(choice: dict[str, Any]) -> Any:
    return choice["message"].get("content") if isinstance(choice.get("message"), dict) else choice.get("text")


def _invalid_texts(count: int) -> Refusal:
    return bad_request(
        "invalid_texts", f"The field 'texts' must be a list of {count}: a text for each choice."
    )
