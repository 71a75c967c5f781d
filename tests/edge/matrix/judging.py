"""Checks a cell of the matrix: answers, messages, where the prompt went, and its records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from edge.config import Limits
from tests.edge.fake_model import MODEL
from tests.edge.matrix.answers import Answer
from tests.edge.matrix.lanes import (
    CLOUD,
    NOBODY,
    OWN,
    PROFILE,
    REDACTED,
    Lane,
    MatrixSetup,
    model_of,
)
from tests.edge.matrix.ways import FailureCase

RECORDED = (
    "time",
    "request_id",
    "class",
    "workload",
    "path",
    "status",
    "code",
    "duration_ms",
    "bytes_in",
    "bytes_out",
)
"""Fields that the record of every request has."""
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|://|\.svc\b|amazonaws")
LEAST_WORDS = 4
TIMED = ("rate_limited", "budget_exhausted")
"""Error codes whose response has a `Retry-After` header."""
UNKNOWN_CALLER = ("not_found", "callers_unreadable", "wrong_class")
"""Error codes besides 401 that occur before the caller is known."""
ATTEMPTS = Limits().attempts
"""Number of times that a gateway sends a request if the endpoint refuses it with 503."""
PATIENCE_S = 5.0
"""Seconds to wait for a line that the gateway writes after its answer."""


@dataclass(frozen=True)
class Cell:
    """The result of one case in one class."""

    way: FailureCase
    data_class: str
    answers: tuple[Answer, ...]
    wrong: tuple[str, ...]
    """Every error, as a sentence."""
    in_cloud: int
    """Number of requests that a cloud backend received."""

    @property
    def says(self) -> str:
        """The different answers, each once, and the number of requests."""
        all_results = ", ".join(dict.fromkeys(answer.says for answer in self.answers)) or "nothing was asked"
        return all_results + (f" × {len(self.answers)}" if len(self.answers) > 1 else "")


def applies(case: FailureCase, lane: Lane) -> bool:
    """Whether the case applies: cloud cases need a class that has a translator, or that must not have one."""
    if case.on_disk and not lane.own_disk:
        return False
    if case.gateway == "replicated" and case.gateway not in lane.beside:
        return False
    return not case.beyond or lane.translated or lane.data_class in case.but


def tried(case: FailureCase, lane: Lane, setup: MatrixSetup, marker: str) -> Cell:
    """Run the case with this marker and check the result. Clears the places first."""
    lane = lane if case.gateway == "plain" else lane.beside[case.gateway]
    setup.clear()
    earlier = {record["id"] for record in lane.audited.records() if record["kind"] == "intent"}
    answers = tuple(case.tries(lane, setup, marker))
    wrong = (*_wrong(case, lane, setup, answers, marker), *_unaccounted(lane, setup, earlier))
    return Cell(case, lane.data_class, answers, wrong, len(setup.cloud.requests))


def _wrong(
    case: FailureCase, lane: Lane, setup: MatrixSetup, answers: Sequence[Answer], marker: str
) -> Iterator[str]:
    right, reaches = case.expected(lane.data_class)
    if not answers:
        yield "nothing was asked"
    for answer in answers:
        if answer.says != (answer.expected or right):
            yield f"the answer is {answer.says}, not {answer.expected or right}"
        if answer.request_id is not None and not answer.says.endswith(" ok"):
            yield from _unhelpful(answer, lane, marker)
    yield from _astray(reaches, lane, setup, marker)
    # A request is sent once. One that the cloud refuses with 503 is sent again (`limits.attempts`).
    most = sum(ATTEMPTS if answer.says.startswith("503 ") else 1 for answer in answers)
    if reaches == CLOUD and not len(answers) <= len(setup.cloud.requests) <= most:
        yield f"{len(answers)} requests were sent to the cloud {len(setup.cloud.requests)} times"
    yield from _unrecorded(lane, answers, marker)
    yield from _unchained(lane, answers, marker)


def _unhelpful(answer: Answer, lane: Lane, marker: str) -> Iterator[str]:
    """Errors in a message: it must be a sentence, and must not reveal what is behind the gateway."""
    message = answer.message
    if len(message.split()) < LEAST_WORDS or not message.endswith("."):
        yield f"the message {message!r} is no sentence"
    if answer.code in TIMED and not (answer.retry_after.isdecimal() and int(answer.retry_after)):
        yield f"{answer.says} says {answer.retry_after!r} for when to try again"
    secrets = (marker, MODEL, PROFILE, *lane.secrets)
    if ADDRESS.search(message) or any(secret in message for secret in secrets):
        yield f"the message {message!r} tells of what is behind the gateway, or of the prompt"


def _astray(reaches: str, lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[str]:
    own_place = model_of(lane.data_class)
    meant = {NOBODY: set(), OWN: {own_place}, CLOUD: {CLOUD}, REDACTED: set()}[reaches]
    sent = setup.places()
    reached = {place for place, requests in sent.items() if any(marker in request for request in requests)}
    if reached != meant:
        yield f"the prompt is at {sorted(reached) or NOBODY}, not at {sorted(meant) or NOBODY}"
    if reaches == REDACTED and not sent[own_place]:
        yield f"{own_place} was sent nothing"
    for place in sent.keys() - meant - ({own_place} if reaches == REDACTED else set()):
        if sent[place]:
            yield f"{place} was sent something"


def _unrecorded(lane: Lane, answers: Sequence[Answer], marker: str) -> Iterator[str]:
    """Errors in the journal: one whole line for each answered request, without content."""
    lines = {line["request_id"]: line for line in lane.gateway.lines("request")}
    for answer in answers:
        if answer.request_id is None:
            continue
        try:
            line = lines.get(answer.request_id) or lane.gateway.wait_for_line(
                "request", PATIENCE_S, request_id=answer.request_id
            )
        except AssertionError:
            yield f"the request {answer.request_id} has no record"
            continue
        if absent := [name for name in RECORDED if name not in line]:
            yield f"a record lacks {absent}"
        if (line["class"], line["status"], line["code"]) != (lane.data_class, answer.status, answer.code):
            yield f"the record says {line['class']}, {line['status']} {line['code']}, not {answer.says}"
        if answer.status != 401 and answer.code not in UNKNOWN_CALLER and not line["workload"]:
            yield "the record does not say whose request it was"
    output = lane.gateway.output()
    if marker in output or any(key in output for key in lane.secrets):
        yield "a prompt or a key is in the log"


UNCHAINED = ("not_found", "method_not_allowed", "audit_unwritable")
"""Error codes without audit record: requests at other paths, and requests while the disk is full."""


def _unchained(lane: Lane, answers: Sequence[Answer], marker: str) -> Iterator[str]:
    """Errors in the audit chain: one outcome for each answer, equal to it and without the prompt."""
    outcomes: dict[str, list[str]] = {}
    for record in lane.audited.records():
        if record["kind"] == "outcome":
            expected = f"{record['class']}, {record['status']} {record['code']}"
            outcomes.setdefault(record["id"], []).append(expected)
        if marker in str(record):
            yield "a prompt is in the audit record"
    for answer in answers:
        if answer.request_id is None or answer.code in UNCHAINED:
            continue
        right = [f"{lane.data_class}, {answer.status} {answer.code}"]
        if (records := outcomes.get(answer.request_id, [])) != right:
            yield f"the audit record says {records}, not {right}"


def _unaccounted(lane: Lane, setup: MatrixSetup, earlier: Set[str]) -> Iterator[str]:
    """Errors in what was sent: each request at a place has its intent, and each request with an intent its outcome.

    `earlier`: ids of requests before the case.
    """
    intents: list[str] = []
    outcomes: set[str] = set()
    for record in lane.audited.records():
        if record["kind"] == "intent" and record["id"] not in earlier:
            intents.append(record["id"])
        elif record["kind"] == "outcome":
            outcomes.add(record["id"])
    sent = sum(map(len, setup.places().values()))
    if sent > len(intents):
        yield f"{sent} requests were sent, but {len(intents)} are in the audit record"
    if open_requests := set(intents) - outcomes:
        yield f"{len(open_requests)} requests have no outcome in the audit record"
