"""The order of waiting requests: fair between workloads and callers, and never idle while somebody waits."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.admission.fair_queue import FairQueue, Item

Queue = FairQueue[int, str]


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Serves requests from a queue with a number of slots, in simulated time."""

    def __init__(self, slots: int, weights: dict[str, int] | None = None) -> None:
        self.clock = Clock()
        self.queue: Queue = FairQueue(weights or {}, self.clock)
        self.slots, self._numbers = slots, itertools.count()
        self.running: list[tuple[float, Item[int, str], float]] = []
        self.begun: list[tuple[str, str, int]] = []
        self.time_of: defaultdict[str, float] = defaultdict(float)

    def send(self, workload: str, caller: str) -> int:
        number = next(self._numbers)
        self.queue.add(Item(number, workload, caller, ("here",)))
        return number

    def fill(self, seconds: dict[str, float]) -> None:
        while len(self.running) < self.slots and (item := self.queue.take({"here"})) is not None:
            started = self.queue.start(item)
            self.begun.append((item.workload, item.caller, item.entry))
            self.running.append((self.clock.now + seconds.get(item.workload, 1.0), item, started))

    def step(self, seconds: dict[str, float]) -> bool:
        """End the request that ends next, and begin others. Returns whether any ran."""
        self.fill(seconds)
        if not self.running:
            return False
        self.running.sort(key=lambda entry: entry[0])
        at, item, started = self.running.pop(0)
        self.clock.now = max(self.clock.now, at)
        self.time_of[item.workload] += self.clock.now - started
        self.queue.end(item, started)
        self.fill(seconds)
        return True


NAMES = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(NAMES, NAMES), max_size=60), st.integers(1, 5), st.randoms(use_true_random=False))
def test_every_request_is_served_once_and_in_its_callers_order(requests, slots, random):
    server = Server(slots)
    sent: dict[tuple[str, str], list[int]] = defaultdict(list)
    for workload, caller in requests:
        sent[workload, caller].append(server.send(workload, caller))
        if random.random() < 0.3:
            server.step({})
    while server.step({}):
        assert len(server.running) == server.slots or not len(server.queue), (
            "a slot is idle, and somebody waits"
        )
    begun: dict[tuple[str, str], list[int]] = defaultdict(list)
    for workload, caller, number in server.begun:
        begun[workload, caller].append(number)
    assert begun == sent


@given(st.integers(1, 8), st.integers(1, 30))
def test_a_caller_with_many_requests_does_not_delay_a_caller_with_one(slots, many):
    server = Server(slots)
    for _ in range(many + slots):
        server.send("claims", "many")
    server.fill({})
    last = server.send("claims", "single")
    for _ in range(2):
        server.step({})
    assert last in [number for _, _, number in server.begun], "it waits for one request to end at most"


@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("seconds", [{}, {"long": 10.0}])
def test_workloads_share_the_time_of_an_endpoint_by_their_weights(slots, seconds):
    server = Server(slots, {"heavy": 3})
    for workload, callers in (("heavy", 5), ("long", 1), ("short", 40)):
        for number in range(3_000):
            server.send(workload, str(number % callers))
    for _ in range(1200):
        server.step(seconds)
    total = sum(server.time_of.values())
    shares = {workload: server.time_of[workload] / total for workload in ("heavy", "long", "short")}
    assert shares == pytest.approx({"heavy": 0.6, "long": 0.2, "short": 0.2}, abs=0.06)


def test_what_was_used_while_nobody_waited_is_forgotten():
    server = Server(2)
    for _ in range(1000):  # hours in which only one caller came
        server.send("claims", "usual")
        server.step({})
    for _ in range(20):
        server.send("claims", "usual")
    for _ in range(20):
        server.send("claims", "new")
    for _ in range(20):
        server.step({})
    callers = Counter(caller for _, caller, _ in server.begun[-20:])
    assert callers["usual"] >= 8, "who came in quiet hours would have to stand back now"


def test_leaving_and_coming_again_brings_no_larger_share():
    """A caller that always has one request gets as much as one with a backlog, not more."""
    server = Server(1)
    for _ in range(400):
        server.send("claims", "backlog")
    server.send("claims", "again")
    served = 0
    for _ in range(300):
        before = len(server.begun)
        server.step({})
        for _, caller, _ in server.begun[before:]:
            if caller == "again":
                served += 1
                server.send("claims", "again")
    assert 100 <= served <= 155


@given(st.lists(st.tuples(NAMES, st.sampled_from(["here", "there"])), min_size=1, max_size=30))
def test_a_request_for_another_place_does_not_block_the_others(requests):
    queue: Queue = FairQueue({})
    for number, (caller, place) in enumerate(requests):
        queue.add(Item(number, "claims", caller, (place,)))
    here = [number for number, (_, place) in enumerate(requests) if place == "here"]
    taken = []
    while (item := queue.take({"here"})) is not None:
        taken.append(item.entry)
        queue.start(item)
    assert sorted(taken) == here


def test_who_leaves_the_queue_is_not_served():
    queue: Queue = FairQueue({})
    number = queue.add(Item(1, "claims", "a", ("here",)))
    queue.add(Item(2, "claims", "a", ("here",)))
    assert queue.remove(number)
    assert not queue.remove(number)
    item = queue.take({"here"})
    assert item is not None
    assert (item.entry, len(queue)) == (2, 0)
