"""Estimates the tokens of a request before it is sent, and of an answer that the model server did not count."""

from __future__ import annotations

from typing import Any

BYTES_A_TOKEN = 4
"""Approximate value for Latin text. The real count replaces the estimate when it is known."""
TOKENS_AN_IMAGE = 1000
ANSWER_TOKENS = 512
"""Expected length of an answer if the request sets no maximum and no limit applies."""
TOKENS_A_SECOND = 100
"""Approximate maximum speed of one answer, to estimate what was generated before a client left."""
_FIELDS_OF_TEXT_TASKS = ("messages", "prompt")
_NO_TEXT = frozenset(["role", "id", "index", "type", "finish_reason", "stop_reason", "logprobs", "usage"])


def states_maximum(request: dict[str, Any]) -> bool:
    """Whether the request sets a maximum length of its answer."""
    return "max_completion_tokens" in request or "max_tokens" in request


def answers_with_text(request: dict[str, Any]) -> bool:
    """Whether the answer is generated text."""
    return any(field in request for field in _FIELDS_OF_TEXT_TASKS)


def estimate(request: dict[str, Any], default_answer_tokens: int = ANSWER_TOKENS) -> tuple[int, int]:
    """Tokens of the prompt and of all answers. Tasks without generated text have 0 answer tokens.

    `default_answer_tokens` is the length of each answer if the request sets no maximum.
    """
    prompt = prompt_tokens(request)
    if not answers_with_text(request):
        return prompt, 0
    max_tokens = request.get("max_completion_tokens", request.get("max_tokens", default_answer_tokens))
    return prompt, max_tokens * count_answers(request)


def prompt_tokens(request: dict[str, Any]) -> int:
    """Tokens of everything that the model reads."""
    return 1 + sum(_size(value) for key, value in request.items() if key != "model")


def count_answers(request: dict[str, Any]) -> int:
    """Number of answers that the model generates."""
    return max(request.get("n", 1), request.get("best_of", 1))


def tokens_of_choices(choices: Any) -> int:
    """Tokens of the text in an answer's choices, or in one event of a stream: by log-probabilities, else by bytes."""
    if not isinstance(choices, list):
        return 0
    return sum(_tokens_of_choice(choice) for choice in choices if isinstance(choice, dict))


def _tokens_of_choice(choice: dict[str, Any]) -> int:
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    by_bytes = -(-_text_bytes(choice) // BYTES_A_TOKEN)
    return max(len(tokens), by_bytes) if isinstance(tokens, list) else by_bytes


def _text_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_text_bytes(part) for key, part in value.items() if key not in _NO_TEXT)
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    return 0


def _size(value: Any) -> int:
    if isinstance(value, str):
        return (
            TOKENS_AN_IMAGE
            if value.startswith("data:image/")
            else -(-len(value.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)
        )
    if isinstance(value, dict):
        return sum(_size(part) for part in value.values())
    if isinstance(value, list):
        return sum(1 if type(part) is int else _size(part) for part in value)
    return 0
