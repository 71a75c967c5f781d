"""Translates a model server's 400 or 422 into an error for the caller.

A model server repeats parts of prompts, host names and file names in its messages. These are not screened, so the
caller never gets them: known messages are recognised and replaced, and only numbers pass.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edge.chat import ChatRequest
from edge.openai_api import Refusal

_MOST_BYTES = 64 * 1024
_CONTEXT = re.compile(
    r"maximum context length (?:is|of) (?:only )?([0-9]{1,9}) tokens|longer than the model's context"
)
_FIELD = re.compile(r"(?:field|parameter|argument) ['\"`]?([a-z_]{1,40})\b")
_FIELDS = frozenset(
    [*ChatRequest.__annotations__, "prompt", "input", "dimensions", "best_of", "echo", "suffix"]
)
_NO_PARSER = re.compile(r"--tool-call-parser|--enable-auto-tool-choice")
_NO_TEMPLATE = re.compile(r"chat template", re.IGNORECASE)


def translate_rejection(body: bytes) -> Refusal:
    """The error for the caller, from the body of a model server's 400 or 422."""
    message, field = _message_and_field(body)
    if (match := _CONTEXT.search(message)) is not None:
        limit = f" of {match[1]} tokens" if match[1] else ""
        return Refusal(
            400,
            "context_length_exceeded",
            f"The request is longer than the model's context{limit}. Shorten it, or set a lower max_tokens.",
        )
    if _NO_PARSER.search(message):
        return Refusal(
            400,
            "unsupported_parameter",
            "This model is served without a parser of tool calls, so it takes no 'tools' that it chooses itself. Ask"
            " its operators for --enable-auto-tool-choice and --tool-call-parser.",
        )
    if _NO_TEMPLATE.search(message):
        return Refusal(
            400,
            "rejected_by_model",
            "The model's chat template does not accept these messages in this order.",
        )
    if field not in _FIELDS and (match := _FIELD.search(message)) is not None:
        field = match[1]
    if field in _FIELDS:
        return Refusal(
            400,
            "rejected_by_model",
            f"The model server does not accept the value of the field {field!r}, or the field.",
        )
    return Refusal(400, "rejected_by_model", "The model server does not accept this request.")


def _message_and_field(body: bytes) -> tuple[str, str]:
    """The message and the field that it names. Empty strings if the body has none."""
    try:
        document: Any = json.loads(body[:_MOST_BYTES])
        inner = document.get("error", document)
        message, field = inner.get("message"), inner.get("param")
    except (ValueError, AttributeError, RecursionError):
        return "", ""
    return message if isinstance(message, str) else "", field if isinstance(field, str) else ""
