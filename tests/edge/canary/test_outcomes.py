"""Outcomes of a release: sums of what was sent, at two copies and while the database is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge.canary.outcomes import MOST_UNITS, Counted, Outcomes, Sums, outcome_of, unit_hash
from edge.canary.share import Share
from edge.canary.stops import CanaryName
from edge.database import DatabaseDown
from edge.exchange import Exchange
from tests.edge.canary.released import SOON_S, WORKLOAD, Released, all_requests, released
from tests.edge.postgres import Postgres

NAME = CanaryName(WORKLOAD, WORKLOAD, "v2")


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    with released(tmp_path_factory.mktemp("outcomes"), postgres, "outcomes") as site:
        yield site


class FakeDatabase:
    """Takes batches, or fails before or after it has taken one."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, ...]] = []
        self.failure = ""

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        if self.failure != "before":
            self.batches.append(values)
        if self.failure:
            raise DatabaseDown(self.failure)
        return []


@pytest.fixture
def dropped() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def counting(database: FakeDatabase, dropped: list[tuple[str, str]]) -> Outcomes:
    metrics = SimpleNamespace(drop_outcome=lambda *names: dropped.append(names))
    return Outcomes(database, "internal", "fra1", b"k" * 32, metrics)  # type: ignore[arg-type]


def counted(number: int = 0) -> Counted:
    return Counted(NAME, "canary", number.to_bytes(8, "big"))


def ended(code: str = "ok", **facts: Any) -> Sums | None:
    exchange = Exchange("POST", code=code)
    for name, value in facts.items():
        setattr(exchange, name, value)
    return outcome_of(exchange, 0.25)


def test_an_answer_adds_its_times_tokens_and_score():
    sums = ended(first_token_s=0.1, completion_tokens=5, confidence={"score": 0.75})
    assert sums == Sums(
        requests=1, latency_ms=250, streams=1, first_token_ms=100, output_tokens=5, scored=1, score=0.75
    )


@pytest.mark.parametrize("code", ["bad_gateway", "model_unavailable", "stream_cut", "timeout"])
def test_a_failure_of_the_model_counts_as_failed_and_adds_no_time(code: str):
    assert ended(code, completion_tokens=5) == Sums(requests=1, failed=1)


def test_an_answer_of_another_model_counts_as_a_failure_of_the_own_one():
    assert ended(fallback="model_unavailable") == Sums(requests=1, failed=1)


def test_an_answer_that_a_guard_refuses_is_counted_apart():
    assert ended("content_blocked") == Sums(requests=1, guard_refused=1)


@pytest.mark.parametrize("code", ["unknown_field", "model_busy", "client_closed_request", "workload_stopped"])
def test_what_says_nothing_of_the_model_is_not_counted(code: str):
    assert ended(code) is None


def test_a_unit_has_the_same_name_at_each_copy_and_another_one_in_each_release():
    unit = b"person\nerika"
    assert unit_hash(b"k", "v2", unit) == unit_hash(b"k", "v2", unit)
    names = {unit_hash(b"k", "v2", unit), unit_hash(b"k", "v3", unit), unit_hash(b"l", "v2", unit)}
    assert len(names) == 3


def test_the_name_of_a_unit_does_not_tell_who_is_on_the_canary():
    units = [b"person\n%d" % number for number in range(2000)]
    on_canary = [unit_hash(b"k", "v2", unit) for unit in units if Share(50, b"k", "v2").has(unit)]
    low = sum(name[0] < 128 for name in on_canary)
    assert abs(low / len(on_canary) - 0.5) < 0.06


def test_memory_is_bounded_and_what_is_dropped_is_counted(counting: Outcomes, dropped: list[Any]):
    for number in range(MOST_UNITS + 3):
        counting.add(counted(number), Sums(requests=1))
    counting.add(counted(0), Sums(requests=1))
    assert dropped == [(WORKLOAD, WORKLOAD)] * 3, "a unit that is known already loses nothing"


def test_a_batch_whose_confirmation_was_lost_is_sent_again_under_its_number(
    counting: Outcomes, database: FakeDatabase
):
    async def lose_one() -> None:
        counting.add(counted(), Sums(requests=1))
        database.failure = "after"
        with pytest.raises(DatabaseDown):
            await counting.flush()
        counting.add(counted(), Sums(requests=1))
        database.failure = ""
        await counting.flush()

    asyncio.run(lose_one())
    numbers = [batch[1] for batch in database.batches]
    assert numbers == [1, 1, 2]
    assert database.batches[0] == database.batches[1], (
        "the database knows it by its number, so nothing may be added"
    )


@pytest.mark.service
def test_the_sums_equal_what_two_copies_were_sent(site: Released):
    first, second = site.start("sums"), site.start("sums")
    answered = site.ask(first, 15) + site.ask(second, 15, stream=True)
    site.say("the same question", first)
    site.say("the same question", second)
    site.canary.reset("status-500")
    failed = site.ask(first, 3).count(502)
    site.canary.reset()
    assert answered == [200] * 30
    sums = site.wait_for("sums", lambda sums: all_requests(sums) >= 35)
    assert all_requests(sums) == 35
    assert (sums["canary"].failed, sums["in-use"].failed) == (failed, 0)
    assert sum(variant.streams for variant in sums.values()) == 15
    assert sum(variant.output_tokens for variant in sums.values()) == 5 * (35 - failed)
    rows = site.rows("sums")
    assert len(rows) == 34, "one for each conversation; the one at both copies is one unit"
    assert max(row.sums.requests for row in rows) == 2
    assert all(sums["canary"].latency_ms > 0 for _ in sums)


@pytest.mark.service
def test_requests_of_evaluations_and_errors_of_callers_are_not_counted(site: Released):
    gateway = site.start("apart")
    assert site.ask(gateway, 4, site.evaluation_key) == [200] * 4
    assert site.ask(gateway, 2, temperature=9) == [400] * 2
    assert site.ask(gateway, 2) == [200] * 2
    sums = site.wait_for("apart", lambda sums: all_requests(sums) >= 2)
    assert all_requests(sums) == 2


@pytest.mark.service
def test_the_version_in_use_is_counted_before_the_canary_has_a_share(site: Released):
    gateway = site.start("no-share", {"percent": 0.0})
    site.ask(gateway, 3)
    site.made.gateways[gateway].stop()
    assert {name: sums.requests for name, sums in site.sums("no-share").items()} == {"in-use": 3}


@pytest.mark.service
def test_nothing_is_counted_while_a_copy_does_not_know_whether_the_canary_is_stopped(site: Released):
    gateway = site.start("unread")
    site.made.ask_database("ALTER TABLE isthmus.canary_stops RENAME TO hidden_stops")
    try:
        time.sleep(6)
        assert site.ask(gateway, 6) == [200] * 6, (
            "those in the canary's share are served, and would count in use"
        )
    finally:
        site.made.ask_database("ALTER TABLE isthmus.hidden_stops RENAME TO canary_stops")
    site.made.gateways[gateway].stop()
    assert site.rows("unread") == []


@pytest.mark.service
def test_what_was_counted_while_the_database_was_away_is_added_when_it_is_back(site: Released):
    gateway = site.start("away")
    site.ask(gateway, 6)
    site.made.ask_database("ALTER FUNCTION isthmus.release_outcomes_add RENAME TO hidden_add")
    try:
        site.made.gateways[gateway].wait_for_line("release_outcomes_failed", SOON_S)
        site.ask(gateway, 6)
        assert site.rows("away") == []
    finally:
        site.made.ask_database("ALTER FUNCTION isthmus.hidden_add RENAME TO release_outcomes_add")
    sums = site.wait_for("away", lambda sums: all_requests(sums) >= 12)
    assert all_requests(sums) == 12


@pytest.mark.service
def test_an_orderly_stop_loses_nothing_and_a_kill_at_most_what_was_not_added(site: Released):
    stopped, killed = site.start("ends"), site.start("ends")
    site.ask(stopped, 5)
    site.ask(killed, 5)
    site.wait_for("ends", lambda sums: all_requests(sums) == 10)
    site.ask(stopped, 3)
    site.ask(killed, 3)
    site.made.gateways[killed].process.kill()
    site.made.gateways[stopped].stop()
    assert 13 <= all_requests(site.sums("ends")) <= 16


@pytest.mark.service
def test_a_gateway_can_neither_read_nor_change_the_sums(site: Released):
    rights = site.made.ask_database(
        "SELECT privilege_type FROM information_schema.role_table_grants "
        "WHERE table_name LIKE 'release_outcome%' AND grantee = 'outcomes_gateway'"
    )
    assert rights == []


@pytest.mark.service
def test_rows_are_removed_after_ninety_days_and_no_sum_goes_down(site: Released):
    site.ask(site.start("old"), 2)
    site.wait_for("old", lambda sums: all_requests(sums) == 2)
    site.made.ask_database(
        "UPDATE isthmus.release_outcomes SET day = day - 91 WHERE release = 'old' "
        "AND unit = (SELECT unit FROM isthmus.release_outcomes WHERE release = 'old' LIMIT 1)"
    )
    site.start("old")  # a gateway looks when it starts, and every hour
    end = time.monotonic() + SOON_S
    while len(site.rows("old")) > 1:
        assert time.monotonic() < end
        time.sleep(0.1)
    site.made.ask_database(
        "INSERT INTO isthmus.release_outcomes SELECT o.class, o.site, o.workload, o.model, 'ancient', o.variant, "
        "int8send(n), current_date - 200, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 "
        "FROM (SELECT * FROM isthmus.release_outcomes LIMIT 1) o, generate_series(1, 5) n"
    )
    deleted = [
        site.made.ask_database("SELECT isthmus.release_outcomes_sweep(2) AS n")[0]["n"] for _ in range(4)
    ]
    assert deleted == [2, 2, 1, 0], "few rows a statement"
    batches = (
        "ARRAY['w'], ARRAY['m'], ARRAY['r'], ARRAY['canary'], ARRAY['\\x0000000000000000'::bytea], ARRAY[-1]"
    )
    zeros = ", ".join(
        ["ARRAY[0]::bigint[]"] * 7 + ["ARRAY[0]::float[]", "ARRAY[0]::bigint[]", "ARRAY[0]::float[]"]
    )
    with pytest.raises(Exception, match="check constraint"):
        site.made.ask_database(
            "SELECT isthmus.release_outcomes_add(gen_random_uuid(), 1, 'internal', 'fra1', "
            f"{batches}::bigint[], {zeros})"
        )
