"""Failures of one of a model's two replicas: it dies, reports false metrics, or is slow.

Each case lets the gateway send a request to the second replica, by letting the first one report that it is unhealthy.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from edge.deadlines import TIMEOUT
from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.configurations import PROBE_S
from tests.edge.matrix.lanes import Lane, MatrixSetup

IMPOSSIBLE, FALSE = ("-1", "NaN", "1e20"), "50000"
"""Numbers of running and waiting requests that a replica reports. The gateway ignores impossible ones."""
SEEN_S = 3 * PROBE_S
"""Seconds after which a gateway has seen a model's metrics."""
LIMIT_S = 1.0
"""The caller's time limit, for replicas that do not answer."""
LONGEST_S = 30.0


def dies_before_its_answer(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The second replica is killed while its model works on a request. The other one answers."""
    lane.second.model.behaviour = "stall"
    with _second_preferred(lane), _asking(lane, marker, stream=False) as answers:
        _wait(lambda: lane.second.model.received, "the second replica gets no request")
        lane.model.behaviour = "ok"
        lane.second.sidecar.process.kill()
    _restart_second(lane)
    yield from answers


def dies_within_a_whole_answer(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    lane.second.model.behaviour = "half"
    with _second_preferred(lane):
        yield ask(lane, chat(lane, marker, "replicas"), kind="replicas")


def dies_within_a_stream(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The second replica is killed when the caller has the beginning of its answer."""
    lane.second.model.behaviour = "endless"
    begun = threading.Event()
    with _second_preferred(lane), _asking(lane, marker, stream=True, begun=begun) as answers:
        assert begun.wait(LONGEST_S)
        lane.second.sidecar.process.kill()
    _restart_second(lane)
    yield from answers


def false_metrics(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """Reports that are ignored change neither replica's turn. The gateway still sees health afterwards."""
    second = lane.second.model
    for number in (*IMPOSSIBLE, FALSE):
        second.metrics = f"vllm:num_requests_running {number}\nvllm:num_requests_waiting {number}\n"
        time.sleep(SEEN_S)
        before = len(lane.model.received), len(second.received)
        for stream in (False, True):
            yield ask(lane, chat(lane, marker, "replicas", stream=stream), kind="replicas")
        turns = len(lane.model.received) - before[0], len(second.received) - before[1]
        if number in IMPOSSIBLE and turns != (1, 1):
            yield Answer(f"the replicas got {turns} requests after the report {number}")
    second.behaviour = "ill"
    _wait_for_states(lane, good=1, bad=1)


def full_without_saying(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The second replica refuses requests, and reports that none waits and that it is healthy."""
    second = lane.second.model
    second.behaviour = "full"
    second.metrics = "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
    with _second_preferred(lane):
        for stream in (False, True):
            yield ask(lane, chat(lane, marker, "replicas", stream=stream), kind="replicas")
    if len(second.received) != 2:
        yield Answer(f"the full replica was asked {len(second.received)} times")


def slow(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """Requests beside one at the slow replica go to the other one, and do not wait."""
    second = lane.second.model
    second.behaviour = "held"
    with contextlib.ExitStack() as stack:
        stack.callback(second.released.set)
        with _second_preferred(lane):
            asking = stack.enter_context(_asking(lane, marker, stream=True))
            _wait(second.words_sent.is_set, "the second replica gets no request")
        _wait_for_states(lane, good=2)
        for stream in (False, True):
            yield ask(lane, chat(lane, marker, "replicas", stream=stream), kind="replicas")
        if asking or len(second.received) > 1:
            yield Answer("a request waited for the slow replica")
        second.released.set()
    yield from asking


def slower_than_the_limit(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    lane.model.behaviour = lane.second.model.behaviour = "stall"
    limit = {TIMEOUT: str(LIMIT_S)}
    with (
        _asking(lane, marker, stream=False, headers=limit) as whole,
        _asking(lane, marker, stream=True, headers=limit) as stream,
    ):
        pass
    yield from (*whole, *stream)


@contextlib.contextmanager
def _second_preferred(lane: Lane) -> Iterator[None]:
    """The first replica reports that it is unhealthy, though it answers."""
    lane.model.behaviour = "ill"
    _wait_for_states(lane, good=1, bad=1)
    yield
    lane.model.behaviour = "ok"


@contextlib.contextmanager
def _asking(lane: Lane, marker: str, *, stream: bool, **options: Any) -> Iterator[list[Answer]]:
    """A request that runs meanwhile. Its answer is in the list as soon as it is there, at the end in any case."""
    answers: list[Answer] = []
    body = chat(lane, marker, "replicas", stream=stream)
    thread = threading.Thread(target=lambda: answers.append(ask(lane, body, kind="replicas", **options)))
    thread.start()
    yield answers
    thread.join(LONGEST_S)


def _restart_second(lane: Lane) -> None:
    """Start the second replica's sidecar again, after it was killed."""
    lane.second.sidecar.process.wait(LONGEST_S)
    lane.second.restart()
    _wait_for_states(lane, good=2)


def _wait_for_states(lane: Lane, **expected: float) -> None:
    """Wait until the gateway reports these replicas by state."""

    def states() -> dict[str, float]:
        return {state: lane.gateway.metric("isthmus_endpoint_replicas", state=state) for state in expected}

    _wait(lambda: states() == expected, f"the gateway does not see {expected} of its replicas")


def _wait(until: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + LONGEST_S
    while not until():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)
