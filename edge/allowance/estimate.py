"""How many tokens a request may take, before it is asked: so that a budget is not passed by what runs at once."""

from __future__ import annotations

from typing import Any

BYTES_A_TOKEN = 4
"""Of text in Latin letters, about. What it comes to is counted when it is known."""
TOKENS_AN_IMAGE = 1000
ANSWER_TOKENS = 512
"""Reserved where the request does not say how long its answer may be."""
_ANSWERED_AT_LENGTH = ("messages", "prompt")


def estimate(asked: dict[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt and of the answer; the second is 0 for tasks that answer no text."""
    prompt = 1 + sum(_size(value) for key, value in asked.items() if key != "model")
    if not any(field in asked for field in _ANSWERED_AT_LENGTH):
        return prompt, 0
    most = asked.get("max_completion_tokens", asked.get("max_tokens", ANSWER_TOKENS))
    times = max(asked.get("n", 1), asked.get("best_of", 1))
    return prompt, most * times


def _size(value: Any) -> int:
    if isinstance(value, str):
        return (
            TOKENS_AN_IMAGE
            if value.startswith("data:image/")
            else -(-len(value.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)
        )
    if isinstance(value, dict):
        return sum(_size(each) for each in value.values())
    if isinstance(value, list):
        return sum(1 if type(each) is int else _size(each) for each in value)
    return 0
