"""Real gateways that stop a failing canary by themselves, for all copies and for good."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service

WORKLOAD = "claims"
SOON_S = 3.0
"""Seconds until every copy knows: one reading each second, and time for a busy machine."""
_questions = itertools.count()


class Site:
    """Two models, of which the second is the canary of half of the conversations."""

    def __init__(self, made: Counted) -> None:
        self.made, self.key = made, made.issue(WORKLOAD)
        self.in_use, self.canary = made.models

    def start(self, release: str) -> int:
        """Start one more copy of the gateway. Returns its number."""
        canary = {**self.made.place(1, "llama-v2"), "percent": 50.0, "release": release}
        route = {**self.made.place(0), "workload": WORKLOAD, "canary": canary}
        self.made.start(routes=[route]).wait_until_up().wait_until_well()
        return len(self.made.gateways) - 1

    def ask(self, gateway: int, times: int) -> list[int]:
        """Begin so many conversations. Returns the statuses."""
        return [
            self.made.chat(
                self.key, WORKLOAD, gateway, messages=[{"role": "user", "content": f"{next(_questions)}"}]
            ).status_code
            for _ in range(times)
        ]

    def asked_of_canary(self, gateway: int, times: int) -> int:
        """How many of so many conversations the canary got."""
        before = len(self.canary.received)
        self.ask(gateway, times)
        return len(self.canary.received) - before

    def wait_until_stopped(self, gateway: int) -> None:
        self.made.gateways[gateway].wait_for_line("canary_stopped", SOON_S + 10)


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    models = [FakeModel(), FakeModel()]
    with counted(tmp_path_factory.mktemp("canary"), postgres, "canary", models) as made:
        yield Site(made)


@pytest.fixture(autouse=True)
def well(site: Site) -> None:
    site.canary.reset()


def statuses(statuses: list[int]) -> dict[int, int]:
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def test_a_failing_canary_is_stopped_within_five_requests_for_every_copy_and_stays_stopped(site: Site):
    first, second = site.start("one"), site.start("one")
    assert site.asked_of_canary(second, 40) >= 8, "it is served while it is well"
    site.canary.reset("status-500")
    seen = statuses(site.ask(first, 60))
    assert 1 <= seen[502] <= 5, seen
    assert seen[200] == 60 - seen[502]
    site.wait_until_stopped(second)
    site.canary.reset()
    assert (site.asked_of_canary(first, 40), site.asked_of_canary(second, 40)) == (0, 0)
    third = site.start("one")
    assert site.asked_of_canary(third, 40) == 0, "a new copy begins with what is stopped"
    stopped = site.made.gateways[third].metric("isthmus_canary_stopped", workload=WORKLOAD, model=WORKLOAD)
    assert stopped == 1
    [row] = site.made.ask_database("SELECT * FROM isthmus.canary_stops WHERE release = 'one'")
    assert (row["workload"], row["model"], row["failed"]) == (WORKLOAD, WORKLOAD, seen[502])
    again = site.start("two")
    assert site.asked_of_canary(again, 40) >= 8, "another release is another attempt"


def test_a_copy_that_cannot_read_the_stops_sends_the_canary_nothing(site: Site):
    gateway = site.start("unread")
    assert site.asked_of_canary(gateway, 40) >= 8
    site.made.ask_database("ALTER TABLE isthmus.canary_stops RENAME TO hidden_stops")
    try:
        time.sleep(6)
        assert site.asked_of_canary(gateway, 40) == 0
    finally:
        site.made.ask_database("ALTER TABLE isthmus.hidden_stops RENAME TO canary_stops")
    time.sleep(2.5)
    assert site.asked_of_canary(gateway, 40) >= 8, "it reads them again"


def test_a_gateway_may_not_lift_a_stop(site: Site):
    rights = site.made.ask_database(
        "SELECT privilege_type FROM information_schema.role_table_grants "
        "WHERE table_name = 'canary_stops' AND grantee = 'canary_gateway'"
    )
    assert {row["privilege_type"] for row in rights} == {"SELECT"}, "INSERT is granted by column"


def test_a_conversation_stays_with_one_version(site: Site):
    gateway = site.start("turns")
    messages: list[dict[str, Any]] = [{"role": "user", "content": "the first question of many"}]
    before = len(site.canary.received)
    for turn in range(8):
        assert site.made.chat(site.key, WORKLOAD, gateway, messages=messages).status_code == 200
        messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": f"turn {turn}"}]
    assert len(site.canary.received) - before in (0, 8)
