"""What the journal and the metrics know of one request."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """What is known of one request; handlers fill it in, the journal writes it."""

    method: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.perf_counter)
    path: str = "other"
    workload: str = ""
    team: str = ""
    identity: str = ""
    """By which key or certificate the caller was known: its id, never itself."""
    model: str = ""
    """As the caller names it."""
    endpoint: str = ""
    """Who answered: the name in its certificate, and the port."""
    attempts: int | None = None
    """Endpoints that the request was offered to."""
    trace_id: str = ""
    variant: str = ""
    """`canary` where a workload's canary was asked; such requests are counted apart."""
    status: int = 0
    code: str = "ok"
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    pieces: int = 0
    """Tokens of the text that was seen of the answer, about: they count where the model server tells no number."""
    verdicts: list[str] = field(default_factory=list)
    reviewing: list[str] = field(default_factory=list)
    """Guards that want people to look at the answer."""
    """What checks said of the request and its answer: their names, never what they saw."""
    gpu_seconds: float | None = None
    usd: float | None = None
    confidence: dict[str, Any] | None = None
    """The answer's score and its calibration, or why it has none; None: the workload wants none."""
    ended: bool = False
    """Whether what leaves next is the last that a client waits for, `[DONE]` or an error: the line goes first."""
    settle: Callable[[], None] = lambda: None
    """Reckons what the request came to, once, before its line is written."""

    def note_usage(self, usage: Any) -> bool:
        """Take the token counts of an OpenAI `usage` object; whether they can be true.

        Of a usage that holds another count than 0 to `MOST_TOKENS` nothing is taken: it would spoil sums and bills.
        """
        if usage is None:
            return True
        if not isinstance(usage, dict):
            return False
        # Reranking counts its prompt as the whole.
        prompt = usage.get("prompt_tokens", usage.get("total_tokens"))
        completion = usage.get("completion_tokens")
        if not all(count is None or is_count(count) for count in (prompt, completion)):
            return False
        self.prompt_tokens = self.prompt_tokens if prompt is None else prompt
        self.completion_tokens = self.completion_tokens if completion is None else completion
        return True


def is_count(value: Any) -> bool:
    """Whether a value can be the number of one request's tokens."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


MOST_TOKENS = 10_000_000
"""Of one prompt or answer: more than any model's context."""
