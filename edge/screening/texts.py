"""Every text of a request or an answer, in one order: taken out to be looked at, and put back as it may go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from edge.confidence.listening import FIELD

Put = Callable[[str], str]
_STRUCTURE = """
    model role type id index tool_call_id finish_reason object format detail encoding_format reasoning_effort
    tool_choice name $ref $schema
"""
STRUCTURE = frozenset(_STRUCTURE.split())
"""Fields that hold words of the protocol or names that code goes by, not prose."""
WRITTEN = "arguments"
"""The field whose text is JSON: of a tool's call."""
_LONG_NUMBER = 6


class Opaque(Exception):
    """What is there cannot be looked through: an image, tokens, or depth beyond all measure."""


def texts_of(value: Any) -> list[str]:
    """In order."""
    found: list[str] = []

    def put(text: str) -> str:
        found.append(text)
        return text

    walked(value, put)
    return found


def replaced(value: Any, texts: list[str]) -> Any:
    """The same, with these texts in place of those that `texts_of` gave."""
    left = iter(texts)
    return walked(value, lambda _: next(left))


def walked(value: Any, put: Put, field: str = "") -> Any:
    """A copy in which each text is what `put` makes of it. Raises RecursionError."""
    if isinstance(value, str):
        if field in STRUCTURE:
            return value
        return _written(value, put) if field == WRITTEN else put(value)
    if isinstance(value, list):
        return [walked(each, put, field) for each in value]
    if isinstance(value, dict):
        return {key: walked(each, put, key) for key, each in value.items()}
    return value


def _written(text: str, put: Put) -> str:
    """JSON within a text: of an object its own texts, keys and long numbers; of anything else the text as it stands."""
    try:
        value = json.loads(text)
    except ValueError:
        return put(text)
    if not isinstance(value, dict | list):
        return put(text)
    made = _free(value, put)
    return text if made == value else json.dumps(made, ensure_ascii=False)


def _free(value: Any, put: Put) -> Any:
    if isinstance(value, str):
        return put(value)
    if isinstance(value, list):
        return [_free(each, put) for each in value]
    if isinstance(value, dict):
        return {put(key): _free(each, put) for key, each in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and len(str(value)) >= _LONG_NUMBER:
        said = put(str(value))
        return value if said == str(value) else said
    return value


def without_fields(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice whose score names no field: their names are the model's words."""
    if not isinstance(ours := choice.get(FIELD), dict):
        return choice
    return {**choice, FIELD: {name: value for name, value in ours.items() if name != "fields"}}


def opaque(asked: dict[str, Any]) -> bool:
    """Whether a request holds what no detector reads: images, or tokens in place of text."""
    for message in asked.get("messages", ()):
        content = message.get("content")
        if isinstance(content, list) and any(part.get("type") != "text" for part in content):
            return True
    return any(_tokens(asked.get(field)) for field in ("prompt", "input"))


def _tokens(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, int) or _tokens(each) for each in value)
