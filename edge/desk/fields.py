"""Forms for structured answers: a field for each value of a JSON object, and the text with the values as typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge.confidence.json_values import NotJson, leaf_spans
from edge.openai_api import bad_request

MOST_VALUES = 500
"""Values of an answer that get a field. Answers with more are corrected as text."""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One value of a structured answer."""

    name: str
    """Name in the form."""
    pointer: str
    """JSON pointer, as people read it."""
    kind: Literal["text", "number", "choice", "empty", "fixed"]
    """`choice`: true or false. `empty`: null, which a text may replace. `fixed`: an empty list or object."""
    value: str


def fields_of(text: Any, choice: int) -> list[Field] | None:
    """The fields of a choice's text. None unless it is a JSON object with a few hundred values at most."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return None
    try:
        spans = leaf_spans(text)
    except NotJson:
        return None
    if not 0 < len(spans) <= MOST_VALUES or "" in spans:
        return None
    return [_field(pointer, text[begin:end], text, begin, choice) for pointer, (begin, end) in spans.items()]


def with_values(text: str, choice: int, form: Mapping[str, str]) -> str:
    """The text with the values of a form; all else of it stays. Raises Refusal 400."""
    fields = {field.pointer: field for field in fields_of(text, choice) or []}
    pieces: list[str] = []
    at = 0
    for pointer, (begin, end) in leaf_spans(text).items():
        field = fields[pointer]
        typed = form.get(field.name)
        if typed is None or typed == field.value.replace("\r\n", "\n") or field.kind == "fixed":
            continue
        is_text = text[begin - 1] == '"' and field.kind == "text"
        pieces += [text[at:begin], _written(field, typed, within_quotes=is_text)]
        at = end
    return "".join([*pieces, text[at:]])


def _field(pointer: str, raw: str, text: str, begin: int, choice: int) -> Field:
    name = f"field-{choice}-{pointer}"
    if raw == '""':
        return Field(name, pointer, "text", "")
    if text[begin - 1] == '"':
        return Field(name, pointer, "text", json.loads(f'"{raw}"', strict=False))
    if raw in ("{}", "[]") or raw[0] in "{[":
        return Field(name, pointer, "fixed", raw)
    if raw in ("true", "false"):
        return Field(name, pointer, "choice", raw)
    return Field(name, pointer, "empty", "") if raw == "null" else Field(name, pointer, "number", raw)


def _written(field: Field, typed: str, *, within_quotes: bool) -> str:
    """A typed value as JSON. Raises Refusal 400."""
    if field.kind == "number" and not _NUMBER.fullmatch(typed.strip()):
        raise bad_request("invalid_number", f"The field {field.pointer} must be a number, such as 12 or 3.5.")
    if field.kind == "choice" and typed not in ("true", "false"):
        raise bad_request("invalid_choice", f"The field {field.pointer} must be true or false.")
    if field.kind in ("number", "choice"):
        return typed.strip()
    quoted = json.dumps(typed, ensure_ascii=False)
    return quoted[1:-1] if within_quotes else quoted
