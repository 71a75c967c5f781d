"""Computes the raw measure of an answer from the probabilities of its tokens, before calibration.

The measure is no confidence, and no caller gets it: models differ in how often answers with a measure are right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge.confidence.json_values import NotJson, leaf_spans
from edge.confidence.tokens import NoTokens, Tokens, byte_spans

Kind = Literal["text", "fields"]
MEASURE = "logprobs-1"
"""Name of the measure. Change the number when the results change, because a calibration fits one measure."""
COMPLETE_REASONS = ("stop", "tool_calls")
"""Finish reasons of complete answers. Answers that were cut are not measured."""


class Unmeasured(Exception):
    """An answer cannot be measured. The message is one of a few fixed words, never content."""


@dataclass
class ChoiceContent:
    """One choice of an answer: its text, or the arguments of the tools that it calls."""

    text: str = ""
    arguments: Sequence[str] = ()
    finish: str | None = None


def read_choice(choice: Mapping[str, Any]) -> ChoiceContent:
    """The content of a choice of a whole chat answer. Raises Unmeasured."""
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Unmeasured("unreadable")
    text, calls = message.get("content"), message.get("tool_calls") or []
    try:
        arguments = [call["function"]["arguments"] for call in calls]
    except (TypeError, KeyError, LookupError):
        raise Unmeasured("unreadable") from None
    if not all(isinstance(part, str) for part in (text or "", *arguments)):
        raise Unmeasured("unreadable")
    return ChoiceContent(text or "", arguments, choice.get("finish_reason"))


def measure_answer(answer: ChoiceContent, tokens: Tokens, *, structured: bool) -> dict[str, float]:
    """The natural logarithms of the raw measures, each at most 0, by the field's JSON pointer. A text has the
    pointer "". Raises Unmeasured.

    The measure of a field is the probability of its whole value: one doubtful digit makes an account number
    doubtful, however certain the others are. The measure of a text is the mean of its tokens, so that length does
    not lower it.
    """
    if answer.finish not in COMPLETE_REASONS:
        raise Unmeasured("cut")
    try:
        if answer.arguments:
            return _measure_calls(answer.arguments, tokens)
        if structured:
            return _measure_fields(answer.text, tokens, tokens.place(answer.text))
        start = tokens.place(answer.text)
        logprobs = tokens.of(start, start + len(answer.text.encode()))
        return {"": math.fsum(logprobs) / len(logprobs)}
    except NoTokens:
        raise Unmeasured("not of these tokens") from None
    except NotJson:
        raise Unmeasured("no JSON") from None
    except ValueError:  # lone surrogates
        raise Unmeasured("unreadable") from None


def _measure_calls(arguments: Sequence[str], tokens: Tokens) -> dict[str, float]:
    measures: dict[str, float] = {}
    before: int | None = None
    for number, text in reversed(list(enumerate(arguments))):
        before = tokens.place(text, before)
        fields = _measure_fields(text, tokens, before)
        measures |= {f"/tool_calls/{number}{pointer}": value for pointer, value in fields.items()}
    return dict(sorted(measures.items()))


def _measure_fields(text: str, tokens: Tokens, at: int) -> dict[str, float]:
    spans = leaf_spans(text)
    in_utf8 = byte_spans(text, list(spans.values()))
    return {
        pointer: math.fsum(tokens.of(at + start, at + end))
        for pointer, (start, end) in zip(spans, in_utf8, strict=True)
    }
