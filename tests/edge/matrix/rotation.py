"""Keys of callers and of the issuer of tokens that are replaced or withdrawn while requests run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.edge.conftest import callers_text
from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.lanes import Lane, MatrixSetup, keys, replace_file
from tests.edge.matrix.load import Load

UNKNOWN_KEY, UNKNOWN_TOKEN = "401 invalid_api_key", "401 unknown_token_key"


def key_replaced(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The new key is added, the callers change to it, and the old one is removed. No request is refused."""
    new = hashlib.sha256(marker.encode()).hexdigest()
    lane.issued.append(new)
    both = callers_text(keys(lane.data_class)) + _more({lane.workload(): new})
    new_alone = callers_text({**keys(lane.data_class), lane.workload(): new})
    with Load(lane, marker, lane.key()) as load:
        load.wait_for()
        with lane.callers_changed(both):
            load.wait_for()
            load.replace_key(new)
            with lane.callers_changed(new_alone):
                load.wait_for()
                load.stop()
    yield from load.answers


def key_removed(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    with Load(lane, "before", lane.key()) as load:
        load.wait_for()
        with lane.without(lane.workload()):
            load.wait_for(1, UNKNOWN_KEY)
            load.stop()
            yield from _refused(lane, setup, marker, lane.key(), load.answers)


def key_of_a_stream_removed(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    answers: list[Answer] = []
    lane.model.reset("endless")
    reading = threading.Thread(target=lambda: answers.append(ask(lane, chat(lane, marker, stream=True))))
    reading.start()
    assert lane.model.words_sent.wait(10)
    with lane.without(lane.workload()):
        reading.join(30)
    lane.model.behaviour = "ok"
    yield from answers


def issuer_key_replaced(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """The issuer publishes a new key, signs with it, and withdraws the old one. No request is refused."""
    assert lane.issuer is not None
    with Load(lane, marker, lane.token("free"), "free") as load:
        load.wait_for()
        lane.issuer.rotate()
        replace_file(lane.jwks, lane.issuer.published())
        load.wait_for()
        load.replace_key(lane.token("free"))
        del lane.issuer.keys[:-1]
        replace_file(lane.jwks, lane.issuer.published())
        load.wait_for()
    yield from load.answers


def issuer_key_withdrawn(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    assert lane.issuer is not None
    token = lane.token("free")
    with Load(lane, "before", token, "free") as load:
        load.wait_for()
        lane.issuer.rotate(forget=True)
        replace_file(lane.jwks, lane.issuer.published())
        load.wait_for(1, UNKNOWN_TOKEN)
        load.stop()
        yield from _refused(lane, setup, marker, token, load.answers, "free")


def _refused(
    lane: Lane,
    setup: MatrixSetup,
    marker: str,
    key: str,
    before: Sequence[Answer],
    kind: str = "chat",
) -> Iterator[Answer]:
    """Requests after the change, and those before it, which may have been served."""
    setup.clear()
    for stream in (False, True):
        yield ask(lane, chat(lane, marker, kind, stream=stream), kind=kind, key=key)
    for answer in before:
        yield replace(answer, expected="200 ok") if answer.says == "200 ok" else answer


def _more(keys_by_workload: dict[str, str]) -> str:
    """Further lines of a callers' file."""
    return callers_text(keys_by_workload).removeprefix("callers:\n")
