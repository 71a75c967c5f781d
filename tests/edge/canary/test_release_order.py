"""The order of moves: the database, which enforces it, and the gateway, which checks it, agree on every sequence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.canary import release_acts
from edge.canary.move import Act, Move
from edge.openai_api import Refusal
from tests.edge.canary.releasing import Person, person
from tests.edge.certificates import Authority
from tests.edge.counted import start_database
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service

RELEASES, PERCENTS = ("one", "two"), (0.0, 1.0, 5.0, 100.0)
_workloads = itertools.count()


@dataclass(frozen=True)
class Try:
    """What somebody tries to do to one of two releases."""

    act: Act
    release: str
    steps: tuple[float, ...]
    in_order: bool
    """Whether the shares are those that the act would lead to, or else the following ones."""
    from_percent: float
    to_percent: float
    late: bool
    """Whether another move came between."""


TRIES = st.lists(
    st.builds(
        Try,
        act=st.sampled_from(("start", "next", "next", "abort")),
        release=st.sampled_from(RELEASES),
        steps=st.sampled_from(((1.0, 5.0, 100.0), (1.0, 5.0, 100.0), (1.0, 5.0))),
        in_order=st.sampled_from((True, True, True, False)),
        from_percent=st.sampled_from(PERCENTS),
        to_percent=st.sampled_from(PERCENTS),
        late=st.sampled_from((False, False, False, False, True)),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def ann(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("order")
    with start_database(folder, postgres, "release_order", Authority(folder)) as database:
        yield person(database, postgres, "ann")


@given(TRIES)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_database_takes_is_what_may_follow(ann: Person, tries: list[Try]) -> None:
    workload = f"workload-{next(_workloads)}"

    async def all_of_them(connection: Any) -> None:
        last: dict[str, Move] = {}
        number = 0
        for attempt in tries:
            move = _move(ann.user, workload, attempt, last.get(attempt.release), number + 1)
            expected = not attempt.late and _may_be_made(move, last)
            try:
                await release_acts.make(connection, move, "not looked at")
            except Refusal:
                assert not expected, (move, last)
            else:
                assert expected, (move, last)
                last[move.release], number = move, number + 1
        moves = await release_acts.read(connection, ("public", "fra1"), workload)
        assert moves.under_way == next((name for name, move in last.items() if _is_under_way(move)), None)

    ann.run(all_of_them)


def _move(user: str, workload: str, attempt: Try, last: Move | None, number: int) -> Move:
    before = 0.0 if last is None else last.to_percent
    following = [step for step in attempt.steps if step > before] or [before]
    shares = (before, 0.0 if attempt.act == "abort" else following[0])
    return Move(
        "public",
        "fra1",
        workload,
        "chat",
        attempt.release,
        number + attempt.late,
        attempt.act,
        *(shares if attempt.in_order else (attempt.from_percent, attempt.to_percent)),
        attempt.steps,
        user,
        "test",
    )


def _is_under_way(move: Move) -> bool:
    return move.act != "abort" and move.to_percent < 100


def _may_be_made(move: Move, last: dict[str, Move]) -> bool:
    """The rules of the page docs/release.md, without the database."""
    others = [other for name, other in last.items() if name != move.release]
    if move.act == "start" and any(_is_under_way(other) for other in others):
        return False
    before = last.get(move.release)
    if move.act == "abort":  # for a gateway an abort counts whatever was before it
        share, is_over = (before.to_percent, before.act == "abort") if before else (0.0, False)
        return not is_over and (move.from_percent, move.to_percent) == (share, 0.0)
    return move.problem_after(before) == ""
