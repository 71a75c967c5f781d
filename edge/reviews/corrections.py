"""An answer with a person's words in place of the model's, and marked as such."""

from __future__ import annotations

import json
from typing import Any

from edge.openai_api import Refusal, bad, dump


def texts_of(answer: bytes) -> list[Any]:
    """What each choice says: text, or null where it only calls tools."""
    return [_said(choice) for choice in json.loads(answer)["choices"]]


def corrected(answer: bytes, texts: object) -> bytes:
    """The answer with these texts, one for each choice. What belonged to the model's own words goes: log-probabilities,
    calls of tools, refusals. Raises Refusal 400."""
    whole = json.loads(answer)
    choices = whole["choices"]
    if (
        not isinstance(texts, list)
        or len(texts) != len(choices)
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise _wrong(len(choices))
    for choice, text in zip(choices, texts, strict=True):
        choice.pop("logprobs", None)
        choice["finish_reason"] = "stop"
        if "message" in choice:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
    return dump({**whole, "choices": choices, "review": {"status": "corrected"}})


def _said(choice: dict[str, Any]) -> Any:
    return choice["message"].get("content") if isinstance(choice.get("message"), dict) else choice.get("text")


def _wrong(count: int) -> Refusal:
    return bad("invalid_texts", f"The field 'texts' must be a list of {count}: a text for each choice.")
