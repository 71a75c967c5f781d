"""Parts that several interfaces share: types of requests, and how they are refused and converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from edge.openai_api import Refusal, bad_request

ItemId = Annotated[str, Field(max_length=256)]
Ignored = Any
"""A value that clients send by themselves. It is dropped."""
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def unsupported(field: str, why: str) -> Refusal:
    """The error for a part of an API that this gateway does not serve, and what to do instead."""
    return bad_request("unsupported_parameter", f"The field {field!r} is not served: {why}")


def refuse_types(values: Any, field: str, reasons: Mapping[str, str]) -> None:
    """Raise Refusal 400 if a value in a list has a `type` that is not served, with the reason of its kind.

    `reasons`: by the beginning of the type.
    """
    for number, value in enumerate(values if isinstance(values, list) else ()):
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            continue
        for beginning, why in reasons.items():
            if kind.startswith(beginning):
                raise unsupported(f"{field}[{number}]", f"{beginning.rstrip('_')!r} {why}")


@dataclass(frozen=True)
class CallPart:
    """A part of a tool call: its number in the answer, and what came of it."""

    index: int
    id: str
    name: str
    arguments: str


def answer_parts(spoken: Mapping[str, Any]) -> Iterator[tuple[str, str] | CallPart]:
    """The parts of a chat message or of its delta, in order: `(kind, text)`, or a part of a call.

    Kinds are `reasoning`, `text` and `refusal`.
    """
    for field in ("reasoning_content", "reasoning"):
        if text := spoken.get(field):
            yield "reasoning", text
            break
    if text := spoken.get("content"):
        yield "text", text
    if text := spoken.get("refusal"):
        yield "refusal", text
    for number, call in enumerate(spoken.get("tool_calls") or ()):
        function = call.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        yield CallPart(call.get("index", number), call.get("id") or "", name, arguments)


def held_text(notice: Mapping[str, Any]) -> str:
    """What a client shows in place of a held answer."""
    return f"This answer waits for a person's review. It will be at GET /v1/reviews/{notice['id']}."


HELD = "review"
"""`finish_reason` of the notice in place of a held answer."""
