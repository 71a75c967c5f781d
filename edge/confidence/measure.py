"""The raw measure of an answer: what its tokens' probabilities come to, before any calibration.

It is no confidence, and never leaves the edge: how often an answer of this measure is right differs between models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge.confidence.json_values import NoLeaves, leaves
from edge.confidence.tokens import NoTokens, Tokens, in_bytes

Kind = Literal["text", "fields"]
MEASURE = "logprobs-1"
"""Another number as soon as anything below changes what it gives: a calibration is of one measure."""
WHOLE = ("stop", "tool_calls")
"""Why an answer that is whole ends. One that was cut says another thing than it would have."""


class Unmeasured(Exception):
    """Why there is no measure: one of a few words, never content."""


@dataclass
class Said:
    """One choice of an answer: its text, or the arguments of the tools that it calls."""

    text: str = ""
    arguments: Sequence[str] = ()
    finish: str | None = None


def said(choice: Mapping[str, Any]) -> Said:
    """What a choice of a whole chat answer says; raises Unmeasured."""
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Unmeasured("unreadable")
    text, calls = message.get("content"), message.get("tool_calls") or []
    try:
        arguments = [call["function"]["arguments"] for call in calls]
    except (TypeError, KeyError, LookupError):
        raise Unmeasured("unreadable") from None
    if not all(isinstance(each, str) for each in (text or "", *arguments)):
        raise Unmeasured("unreadable")
    return Said(text or "", arguments, choice.get("finish_reason"))


def measured(answer: Said, tokens: Tokens, *, structured: bool) -> dict[str, float]:
    """Natural logarithms of raw measures, each at most 0: by field's pointer, or under "" of a text. Raises Unmeasured.

    A field counts by the probability of its whole value: one doubtful digit makes an account number doubtful, however
    many sure ones stand around it. A text counts by the mean of its tokens', so that a long one is not worse for that.
    """
    if answer.finish not in WHOLE:
        raise Unmeasured("cut")
    try:
        if answer.arguments:
            return _calls(answer.arguments, tokens)
        if structured:
            return _fields(answer.text, tokens, tokens.place(answer.text))
        start = tokens.place(answer.text)
        found = tokens.of(start, start + len(answer.text.encode()))
        return {"": math.fsum(found) / len(found)}
    except NoTokens:
        raise Unmeasured("not of these tokens") from None
    except NoLeaves:
        raise Unmeasured("no JSON") from None
    except ValueError:  # lone surrogates
        raise Unmeasured("unreadable") from None


def _calls(arguments: Sequence[str], tokens: Tokens) -> dict[str, float]:
    found: dict[str, float] = {}
    before: int | None = None
    for number, text in reversed(list(enumerate(arguments))):
        before = tokens.place(text, before)
        fields = _fields(text, tokens, before)
        found |= {f"/tool_calls/{number}{pointer}": value for pointer, value in fields.items()}
    return dict(sorted(found.items()))


def _fields(text: str, tokens: Tokens, at: int) -> dict[str, float]:
    found = leaves(text)
    spans = in_bytes(text, list(found.values()))
    return {
        pointer: math.fsum(tokens.of(at + start, at + end))
        for pointer, (start, end) in zip(found, spans, strict=True)
    }
