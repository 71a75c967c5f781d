"""The facts about one request that the journal and the metrics report."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """The facts about one request. Handlers fill them in, and the journal writes them."""

    method: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.perf_counter)
    path: str = "other"
    workload: str = ""
    team: str = ""
    identity: str = ""
    """Id of the caller's key or certificate, never the key itself."""
    person: str = ""
    """Name of the person who signed on. It is in no log and no record; records have pseudonyms."""
    model: str = ""
    """The model's name in the request."""
    endpoint: str = ""
    """Upstream that answered: the name in its certificate, and the port."""
    attempts: int | None = None
    """Number of endpoints that the request was offered to, including those that did not accept it."""
    trace_id: str = ""
    variant: str = ""
    """`canary` if the workload's canary served the request. Metrics count these requests separately."""
    status: int = 0
    code: str = "ok"
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    pieces: int = 0
    """Approximate number of tokens generated so far. Used if the model server reports no count."""
    verdicts: list[str] = field(default_factory=list)
    """Results of the checks of request and answer: names of the checks, never the text that they checked."""
    reviewing: list[str] = field(default_factory=list)
    """Guards that require a human review of the answer."""
    gpu_seconds: float | None = None
    usd: float | None = None
    confidence: dict[str, Any] | None = None
    """The answer's score and calibration, or the reason why there is no score. None: the workload does not ask for
    scores."""
    ended: bool = False
    """Whether the client's last bytes come next (`[DONE]` or an error). The journal's line is written before them."""
    settle: Callable[[], None] = lambda: None
    """Computes the tokens and the cost of the request, once, before its line is written."""

    def note_usage(self, usage: Any) -> bool:
        """Take the token counts of an OpenAI `usage` object. Returns whether they are plausible.

        If a count is outside 0 to `MOST_TOKENS`, no count is taken, because it would falsify sums and bills.
        """
        if usage is None:
            return True
        if not isinstance(usage, dict):
            return False
        # Reranking reports the prompt's tokens as `total_tokens`.
        prompt = usage.get("prompt_tokens", usage.get("total_tokens"))
        completion = usage.get("completion_tokens")
        if not all(count is None or is_count(count) for count in (prompt, completion)):
            return False
        self.prompt_tokens = self.prompt_tokens if prompt is None else prompt
        self.completion_tokens = self.completion_tokens if completion is None else completion
        return True


def is_count(value: Any) -> bool:
    """Whether a value is a possible token count of one request."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


MOST_TOKENS = 10_000_000
"""Maximum token count of one prompt or answer, above the context length of any model."""
