"""Amazon Bedrock's runtime: Converse and ConverseStream with stand-in answers, because no model of AWS runs here.

An answer repeats what arrived, so that you see what left the site. The model must exist: an application inference
profile of the account, a profile of AWS, or a foundation model of the region. So must the guardrail of the call.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from sandbox.aws.beside.bedrock import get_inference_profile
from sandbox.aws.beside.bedrock_models import find_model
from sandbox.aws.beside.guardrails import get_guardrail
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_PLACEHOLDER = re.compile(r"<([A-Z_]+)_\d+>")
MOST_REPEATED = 400
"""Characters of the last message that an answer repeats."""


def converse(request: ServiceRequest) -> dict[str, Any]:
    text, usage = _answer(request)
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 1},
    }


def converse_stream(request: ServiceRequest) -> list[tuple[str, dict[str, Any]]]:
    text, usage = _answer(request)
    parts = [f"{word} " for word in text.split(" ")]
    deltas = [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}}) for part in parts]
    return [
        ("messageStart", {"role": "assistant"}),
        *deltas,
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]


def _answer(request: ServiceRequest) -> tuple[str, dict[str, int]]:
    """The text of the answer, and its tokens counted as words."""
    model = request.params["modelId"]
    _check_model(request, model)
    guardrail = request.params.get("guardrailConfig")
    if guardrail is not None:
        params = {
            "guardrailIdentifier": guardrail["guardrailIdentifier"],
            "guardrailVersion": guardrail["guardrailVersion"],
        }
        get_guardrail(_with_params(request, params))
    texts = [_text(message) for message in request.params.get("messages") or []]
    asked = texts[-1] if texts else ""
    text = (
        f"This is the sandbox's stand-in for Amazon Bedrock in {request.region}; no model was called. "
        f"What arrived: {asked[:MOST_REPEATED]}{_hidden(asked)}"
    )
    tokens = {
        "inputTokens": max(1, sum(len(asked.split()) for asked in texts)),
        "outputTokens": len(text.split()),
    }
    return text, {**tokens, "totalTokens": sum(tokens.values())}


def _hidden(text: str) -> str:
    """Which placeholders arrived in place of names. The gateway puts the names back into the answer."""
    kinds = Counter(_PLACEHOLDER.findall(text))
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f" (It arrived with placeholders: {listed}.)" if kinds else ""


def _text(message: dict[str, Any]) -> str:
    """The text of a message, that which the guardrail reads included."""
    parts = [part.get("guardContent", {}).get("text", part) for part in message["content"]]
    return " ".join(str(part["text"]) for part in parts if "text" in part)


def _check_model(request: ServiceRequest, model: str) -> None:
    """Raise `Refused` if the region has no such profile or model."""
    try:
        get_inference_profile(_with_params(request, {"inferenceProfileIdentifier": model}))
    except Refused:
        find_model(request, model)


def _with_params(request: ServiceRequest, params: dict[str, Any]) -> ServiceRequest:
    return ServiceRequest(params, request.region, request.account, request.access_key)


OPERATIONS = (
    Operation("bedrock-runtime", "Converse", converse),
    Operation("bedrock-runtime", "ConverseStream", converse_stream),
)
