"""Makes a planted answer look like a real one: the request and the answer that reviewers read. No I/O but randomness.

A real answer of the same workload lends everything that reviewers would compare: the application's own messages, the
settings, the model, verdicts, and the form of ids and numbers.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.answer_models import CONFIDENCE
from edge.config.desk import PlantedAnswer
from edge.openai_api import dump
from edge.reviews.trigger import BY_SCORE

_APPLICATIONS = ("system", "developer")
"""Roles of the messages that an application sends with each request."""
_ODD = ("logprobs", "tool_calls", "function_call", "refusal", "audio")
"""Parts of a choice that belong to the model's own words. An answer that has one lends nothing."""
_DIGITS = re.compile(r"[0-9a-f]")
_WORD = re.compile(r"\w{3,}")
_CHARACTERS_OF_A_TOKEN = 4
_random = random.SystemRandom()


@dataclass(frozen=True)
class Disguised:
    """A planted answer as the database and the envelope get it."""

    request: dict[str, Any]
    answer: bytes
    about: dict[str, Any]
    score: float | None


def disguise(
    planted: PlantedAnswer, real: dict[str, Any], why: list[str], score: float | None
) -> Disguised | None:
    """The planted answer in the clothes of a real one; None if that is not possible.

    `real`: `asked`, `answer` and `about` of a real answer's envelope. `why`, `score`: of its row.
    """
    asked, answer = copy.deepcopy(real["asked"]), json.loads(real["answer"])
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not _replace_text(choices[0], planted.answer):
        return None
    if not _replace_request(asked, planted.request):
        return None
    shown = None if score is None else _score(planted, why, score)
    if isinstance(confidence := choices[0].get(CONFIDENCE), dict) and not _replace_scores(
        confidence, planted.answer, shown
    ):
        return None
    _renew(answer)
    _count_tokens(answer.get("usage"), len(planted.answer))
    return Disguised(asked, dump(answer), _about(real.get("about", {}), planted.answer), shown)


def again(real: dict[str, Any]) -> Disguised:
    """A real answer as one that has just arrived. `real`: `asked`, `answer` and `about` of its envelope."""
    answer = json.loads(real["answer"])
    _renew(answer)
    return Disguised(real["asked"], dump(answer), real.get("about", {}), None)


def _replace_text(choice: dict[str, Any], text: str) -> bool:
    message = choice.get("message", choice)
    if any(part.get(name) for part in (choice, message) for name in _ODD):
        return False
    key = "content" if "message" in choice else "text"
    if not isinstance(message.get(key), str):
        return False
    message[key] = text
    return True


def _replace_request(asked: dict[str, Any], text: str) -> bool:
    """Put the person's words in place of the real ones. What the application says before them remains."""
    messages = asked.get("messages")
    if isinstance(messages, list):
        before = [message for message in messages if message.get("role") in _APPLICATIONS]
        asked["messages"] = [*before, {"role": "user", "content": text}]
        return messages[-1].get("role") == "user"
    if isinstance(asked.get("prompt"), str):
        asked["prompt"] = text
        return True
    return False


def _score(planted: PlantedAnswer, why: list[str], real: float) -> float:
    """A score with as many digits as real ones: about the real one, or higher where that is no reason to look."""
    is_reason = not set(BY_SCORE).isdisjoint(why)
    if planted.score is None or is_reason or planted.score <= real:
        return round(max(real - _random.uniform(0.0001, 0.01), 0.0), 4)
    return round(max(planted.score - _random.uniform(0.0001, 0.01), real), 4)


def _replace_scores(confidence: dict[str, Any], text: str, shown: float | None) -> bool:
    """Put scores in place of the real ones: of the answer, and of each field of a structured one."""
    if (confidence.get("score") is None) != (shown is None):
        return False
    confidence["score"] = shown
    fields = confidence.get("fields")
    if shown is None or not isinstance(fields, dict):
        return True
    try:
        pointers = set(_pointers(json.loads(text)))
    except (ValueError, RecursionError):
        return False
    if not pointers or pointers != set(fields):
        return False
    for pointer in fields:
        fields[pointer] = round(_random.uniform(shown, 1.0), 4)
    fields[_random.choice(sorted(fields))] = shown
    return True


def _pointers(value: Any, at: str = "") -> Iterator[str]:
    """JSON pointers of the values that are no containers."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _pointers(part, f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _pointers(part, f"{at}/{index}")
    else:
        yield at


def _renew(answer: dict[str, Any]) -> None:
    """Give an answer another id and the time of now."""
    if isinstance(answer.get("id"), str):
        answer["id"] = _other_id(answer["id"])
    if isinstance(answer.get("created"), int):
        answer["created"] = int(time.time())


def _other_id(identifier: str) -> str:
    """An id of the same form: the part after the last dash gets other digits."""
    head, dash, tail = identifier.rpartition("-")
    return head + dash + _DIGITS.sub(lambda _: _random.choice("0123456789abcdef"), tail)


def _count_tokens(usage: Any, characters: int) -> None:
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        return
    completion = max(1, characters // _CHARACTERS_OF_A_TOKEN)
    usage["completion_tokens"], usage["total_tokens"] = completion, usage["prompt_tokens"] + completion


def _about(real: dict[str, Any], text: str) -> dict[str, Any]:
    """Verdicts of the real answer, and as many words that the model was unsure of, elsewhere."""
    unsure = [part for _, parts in real.get("unsure", []) for part in parts]
    words = [match.span() for match in _WORD.finditer(text)]
    chosen = sorted(_random.sample(words, min(len(unsure), len(words))))
    marked = [[*span, probability] for span, (_, _, probability) in zip(chosen, unsure, strict=False)]
    return {**real, "unsure": [[text, marked]] if marked else []} if real else {}
