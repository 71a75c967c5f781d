"""Failures of keys and limits in PostgreSQL, tried at every class's gateway that uses a database."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from edge.callers.postgres import CACHE_S
from edge.callers.store import digest_of, id_of
from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.lanes import CLASSES, Lane, MatrixSetup

LATE_S = 0.5
"""Seconds beyond the cache time of a key, for the request and its answer."""
AGAIN_S = 20.0
TURN_S = 5.0
"""Seconds to use up and test a limit within one minute of the database's clock, which is this machine's clock."""


def down(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """A valid key, one of another class and an unknown one, while the database is down; whole answers and streams."""
    other_class = next(class_ for class_ in CLASSES if class_ != lane.data_class)
    shown = [lane.issue("free"), lane.issue("free", other_class), "isk_" + "A" * 43]
    with _without_database(setup):
        for stream in (False, True):
            yield from (ask(lane, chat(lane, marker, "free", stream=stream), key=key) for key in shown)


def down_after_use(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield from _forgotten(lane, setup, marker, lane.issue("free"), _without_database(setup))


def other_class(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for class_ in CLASSES:
        if class_ != lane.data_class:
            yield ask(lane, chat(lane, marker, "free"), key=lane.issue("free", class_))


def revoked(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    key = lane.issue("free")
    with _revoked(setup, key):
        yield ask(lane, chat(lane, marker, "free"), key=key)


def revoked_after_use(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    key = lane.issue("free")
    yield from _forgotten(lane, setup, marker, key, _revoked(setup, key))


def rate(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    if (left := 60 - time.time() % 60) < TURN_S:
        time.sleep(left)
    yield from _used_up(lane, setup, marker, "rate")


def budget(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield from _used_up(lane, setup, marker, "budget")


def too_much(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, chat(lane, marker, "rate", max_tokens=100_000), key=lane.issue("rate"))


def _used_up(lane: Lane, setup: MatrixSetup, marker: str, kind: str) -> Iterator[Answer]:
    """One request is accepted. Then all requests with this key and with another key of the workload are refused."""
    keys = [lane.issue(kind) for _ in range(2)]
    before = ask(lane, chat(lane, "before", kind, max_tokens=5), key=keys[0])
    if before.says != "200 ok":
        yield Answer(f"{before.says} with room left")
    setup.clear()
    for key in keys:
        for stream in (False, True):
            yield ask(lane, chat(lane, marker, kind, max_tokens=5, stream=stream), key=key)


def _forgotten(
    lane: Lane,
    setup: MatrixSetup,
    marker: str,
    key: str,
    happening: contextlib.AbstractContextManager[None],
) -> Iterator[Answer]:
    """Use a key that the gateway has just cached, after an event and after the cache time."""

    def let_in(prompt: str) -> bool:
        return ask(lane, chat(lane, prompt, "free"), key=key).says == "200 ok"

    if not let_in("before"):
        yield Answer("not let in before")
    learnt = time.monotonic()
    with happening:
        while let_in("meanwhile") and time.monotonic() - learnt < CACHE_S + LATE_S:
            time.sleep(0.1)
        setup.clear()
        yield ask(lane, chat(lane, marker, "free"), key=key)


@contextlib.contextmanager
def _without_database(setup: MatrixSetup) -> Iterator[None]:
    """Stop the database during the context. Afterwards wait until every gateway uses it again: a request on a
    connection to the old server is refused.
    """
    with setup.without_database():
        yield
    for lane in (lane.beside["counted"] for lane in setup.lanes.values()):
        key, until = lane.issue("free"), time.monotonic() + AGAIN_S
        before = len(lane.model.received)
        while (result := ask(lane, chat(lane, "again", "free"), key=key).says) != "200 ok":
            assert time.monotonic() < until, (
                f"{lane.data_class}: {result}, {AGAIN_S} s after its database is back"
            )
            time.sleep(0.1)
        del lane.model.received[before:]  # remove the requests of this loop; earlier ones belong to the case


@contextlib.contextmanager
def _revoked(setup: MatrixSetup, key: str) -> Iterator[None]:
    setup.database.keys("revoke", id_of(digest_of(key)))
    yield
