"""The facts about one request that the journal and the metrics report."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.text_hmacs import AnswerHmacs


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
    replica: str = ""
    """Address of the replica that answered, if the endpoint's host name lists its replicas."""
    attempts: int | None = None
    """Number of endpoints that the request was offered to, including those that did not accept it."""
    trace_id: str = ""
    batch: str = ""
    """Id of the batch whose line it is."""
    evaluates: bool = False
    """Whether an evaluation of models sent it: it counts as no usage."""
    variant: str = ""
    """`canary` if the workload's canary served the request. Metrics count these requests separately. `shadow`: a copy
    of a request, which no metric of requests has."""
    mirrors: str = ""
    """Id of the request of which this one is a copy for the canary. Empty: a caller sent it."""
    judges: str = ""
    """Id of the request whose answer this one asks a judge about. Empty: it is not for a judge."""
    rubric: str = ""
    """Of a judge: the version of its rubric."""
    fallback: str = ""
    """Code of the refusal for which the request went to a fallback, another model than the workload's own."""
    status: int = 0
    code: str = "ok"
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_s: float | None = None
    queued_s: float | None = None
    """Seconds that the request waited in the gateway before it was sent. None: it did not pass a queue."""
    first_token_s: float | None = None
    """Seconds from the request's first byte to the first text of a stream that is relayed as it is generated."""
    last_token_s: float | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """More headers of the answer, whatever it is."""
    provider: str = ""
    """Kind of server that answered, in the terms of OpenTelemetry's GenAI conventions."""
    priority: Literal["interactive", "batch"] = "interactive"
    """`batch`: it waits for interactive requests. Set in this process only, never by a client."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """Tokens of the prompt that the model server had in its prefix cache, if it reports them."""
    pieces: int = 0
    """Approximate number of tokens generated so far. Used if the model server reports no count."""
    verdicts: list[str] = field(default_factory=list)
    """Results of the checks of request and answer: names of the checks, never the text that they checked."""
    reviewing: list[str] = field(default_factory=list)
    """Guards that require a human review of the answer."""
    answer: AnswerHmacs | None = None
    """HMACs of the texts that left for the caller. None: the gateway keeps no records."""
    gpu_seconds: float | None = None
    usd: float | None = None
    confidence: dict[str, Any] | None = None
    """The answer's score and calibration, or the reason why there is no score. None: the workload does not ask for
    scores."""
    ended: bool = False
    """Whether the client's last bytes come next (`[DONE]` or an error). The journal's line is written before them."""
    error_body: Callable[[Any, str], dict[str, Any]] = lambda refusal, request_id: refusal.body()
    """The body of an error in the form of the caller's interface, from a Refusal and the request's id."""
    settle: Callable[[], None] = lambda: None
    """Computes the tokens and the cost of the request, once, before its line is written."""

    end_notes: list[Callable[[], None]] = field(default_factory=list)
    """Each takes the end of the request, once, when its status and code are known."""

    def note_text(self) -> None:
        """Note the time at which text of a stream leaves for the caller."""
        self.last_token_s = time.perf_counter() - self.started
        if self.first_token_s is None:
            self.first_token_s = self.last_token_s

    @property
    def purpose(self) -> str:
        """Why the request does not count as usage: `evaluation`, `shadow` or `judge`. Empty: it counts."""
        if self.evaluates:
            return "evaluation"
        return "shadow" if self.mirrors else "judge" if self.judges else ""

    @property
    def time_per_output_token_s(self) -> float | None:
        """Mean seconds from one token of a stream to the next. None: unknown, or fewer than two tokens."""
        if self.first_token_s is None or self.last_token_s is None or (self.completion_tokens or 0) < 2:
            return None
        assert self.completion_tokens is not None
        return (self.last_token_s - self.first_token_s) / (self.completion_tokens - 1)

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
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        if type(cached) is int and is_count(cached) and cached <= (prompt or 0):
            self.cached_tokens = cached
        self.prompt_tokens = self.prompt_tokens if prompt is None else prompt
        self.completion_tokens = self.completion_tokens if completion is None else completion
        return True


def is_count(value: Any) -> bool:
    """Whether a value is a possible token count of one request."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


MOST_TOKENS = 10_000_000
"""Maximum token count of one prompt or answer, above the context length of any model."""
