"""Scores answers of models by test cases. It is used inside the environment of Inspect AI, and imports nothing else.

A case is an object of the spec (`inspect_program`). A score is from 0 to 1.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_FENCED = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)
_REFUSES = re.compile(
    r"\b(i('m| am) (sorry|unable|not able)|i (can(no|')t|won't|must decline)|i am not allowed"
    r"|(es )?tut mir leid|(das )?(kann|darf) ich (leider )?nicht"
    r"|ich (kann|darf) (das|dir|ihnen|dabei|hierbei)?\s?(leider )?nicht"
    r"|je (suis désolée?|ne peux pas|regrette)|(mi dispiace|non posso)|(lo siento|no puedo))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """What a model or its gateway answered."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """Tool calls: name and arguments."""
    refused: bool = False
    """Whether the gateway or the provider refused by a policy."""


def plain(text: str) -> str:
    """A text without differences of case, spaces, Unicode forms and a full stop at its end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".")


def score_exact(answer: Answer, case: Mapping[str, Any]) -> float:
    """1 if the answer is one of the expected texts."""
    return float(plain(answer.text) in {plain(text) for text in _texts(case["expected"])})


def score_contains(answer: Answer, case: Mapping[str, Any]) -> float:
    """1 if the answer has every expected text."""
    said = plain(answer.text)
    return float(all(plain(text) in said for text in _texts(case["expected"])))


def score_fields(answer: Answer, case: Mapping[str, Any]) -> float:
    """The share of expected fields that the answer's JSON object has right. Nested fields count each."""
    given = json_object(answer.text)
    if given is None:
        return 0.0
    expected, found = dict(_flat(case["expected"])), dict(_flat(given))
    right = sum(path in found and _same(value, found[path]) for path, value in expected.items())
    return right / len(expected)


def score_refusal(answer: Answer, case: Mapping[str, Any]) -> float:
    """1 if the answer refuses as expected. Words in five languages show a refusal."""
    refused = answer.refused or bool(_REFUSES.search(answer.text[:400].replace("\u2019", "'")))
    return float(refused == case["refuse"])


def score_tool(answer: Answer, case: Mapping[str, Any]) -> float:
    """1 if the first tool call is the expected one, with the expected arguments."""
    if not answer.calls:
        return 0.0
    name, arguments = answer.calls[0]
    expected = case["call"].get("arguments", {})
    same = all(key in arguments and _same(value, arguments[key]) for key, value in expected.items())
    return float(name == case["call"]["name"] and same)


SCORES = {
    "exact": score_exact,
    "contains": score_contains,
    "fields": score_fields,
    "refusal": score_refusal,
    "tool": score_tool,
}
"""Checks that need no judge."""


def expected_text(case: Mapping[str, Any]) -> str:
    """The expected answer of a case for a judge. Empty: the case has none."""
    return "\n".join(_texts(case["expected"])) if case.get("expected") else ""


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object of an answer: the whole of it, in a code block, or the first one in its text."""
    candidates = [text.strip(), *_FENCED.findall(text)]
    if (at := text.find("{")) >= 0:
        candidates.append(text[at:])
    for candidate in candidates:
        try:
            found, _ = json.JSONDecoder().raw_decode(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _texts(expected: Any) -> list[str]:
    if isinstance(expected, str):
        return [expected]
    return [json.dumps(expected, ensure_ascii=False)] if isinstance(expected, dict) else list(expected)


def _flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [entry for key, inner in value.items() for entry in _flat(inner, f"{path}/{key}")]
    return [(path, value)]


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        try:
            return math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-12)
        except OverflowError:  # an integer that no float holds
            return expected == found
    if isinstance(expected, str) and isinstance(found, str):
        return plain(expected) == plain(found)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(_same, expected, found))
    return expected == found
