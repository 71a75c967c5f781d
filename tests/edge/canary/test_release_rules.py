"""Rules of releases at real gateways and in a real PostgreSQL: a second person, and freezes."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.audit.records import find_shape_error
from edge.canary.stops import CanaryName
from tests.edge.canary.releasing import PLACE, STEPS, WORKLOAD, Person, Site, code_of, person, released_site
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service
_releases = itertools.count()


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with released_site(postgres, tmp_path_factory.mktemp("rules"), "rules") as made:
        yield made


@pytest.fixture(scope="module")
def bob(site: Site, postgres: Postgres) -> Person:
    return person(site.made, postgres, "bob")


@pytest.fixture
def release(site: Site) -> Iterator[str]:
    """The name of a release that no other test has; it is aborted at the end."""
    name = f"release-{next(_releases)}"
    yield name
    if site.ann.moves().under_way:
        site.ann.move("abort", name)
    for gateway in site.made.gateways:
        gateway.stop()


def wait_until_stated(site: Site, release: str) -> None:
    """Wait until a gateway has told the database the rules of a release."""
    end = time.monotonic() + 15
    while not site.made.ask_database(f"SELECT 1 FROM isthmus.release_rules WHERE release = '{release}'"):  # noqa: S608
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_move_of_two_people_counts_when_the_second_has_approved_it(site: Site, bob: Person, release: str):
    copy = site.start(release, second=bob)
    wait_until_stated(site, release)
    assert code_of(lambda: site.ann.move("start", release)) == "needs_approval"
    move = site.ann.propose("start", release)
    assert (site.ann.moves().of(CanaryName(WORKLOAD, WORKLOAD, release)), site.percent(copy)) == ([], 0)
    assert code_of(lambda: site.ann.approve(move)) == "same_person"
    bob.approve(move)
    site.wait_for(10, copy)
    [made] = site.ann.moves().of(CanaryName(WORKLOAD, WORKLOAD, release))
    assert (made.move.by, made.approved_by) == (site.ann.user, bob.user)
    end = time.monotonic() + 10
    while not (records := [record for record in site.records() if record["release"] == release]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (records[0]["approved_by"], find_shape_error(records[0])) == (bob.user, None)
    assert code_of(lambda: bob.approve(move)) == "not_proposed"
    site.ann.move("abort", release)
    site.wait_for(0, copy)


def test_a_proposal_counts_only_as_it_was_signed_and_only_while_it_is_new(
    site: Site, bob: Person, release: str
):
    site.start(release, second=bob)
    wait_until_stated(site, release)
    move = site.ann.propose("start", release)
    site.made.ask_database("UPDATE isthmus.release_proposals SET at = at - interval '25 hours'")
    assert (old := site.ann.moves().proposal) is not None
    assert old.expired
    assert code_of(lambda: bob.approve(move)) == "proposal_old"
    again = site.ann.propose("start", release)
    assert (new := site.ann.moves().proposal) is not None
    assert not new.expired
    site.ann.move("abort", release)
    assert code_of(lambda: bob.approve(again)) == "moved_meanwhile", "an abort came between"
    assert site.ann.moves().proposal is None


def test_a_proposal_that_is_no_move_keeps_nobody_from_the_release(site: Site):
    workload = "malformed"
    name = CanaryName(workload, workload, "malformed")
    move = site.ann.moves(workload).following(name, "start", STEPS, "test")
    fields = json.loads(move.text())
    without_steps = {key: value for key, value in fields.items() if key != "steps"}
    texts = [
        json.dumps(without_steps),
        json.dumps({**fields, "more": 1}),
        json.dumps({**fields, "number": "1"}),
    ]
    texts += [json.dumps({**fields, "from": "none"}), json.dumps({**fields, "to": 10**400}), "[1]", "no JSON"]
    propose = "SELECT outcome FROM isthmus.release_propose($1, 'x')"
    for text in texts[:3]:
        outcome = site.ann.run(lambda connection: connection.fetchval(propose, text))  # noqa: B023
        assert outcome == "proposed", "the database's function takes it"
        assert site.ann.moves(workload).proposal is None, text
    for text in texts:
        site.made.ask_database(
            f"UPDATE isthmus.release_proposals SET signed = '{text}' WHERE workload = '{workload}'"  # noqa: S608
        )
        assert site.ann.moves(workload).proposal is None, text
    site.ann.run(lambda connection: connection.fetchval(propose, move.text()))
    assert (proposal := site.ann.moves(workload).proposal) is not None
    assert proposal.move == move


def test_a_proposal_and_an_approval_at_the_same_time_do_not_deadlock(site: Site, bob: Person, release: str):
    move = site.ann.propose("start", release)
    is_held, may_go = threading.Event(), threading.Event()

    async def hold(connection: Any) -> None:
        lock = "SELECT pg_advisory_xact_lock(4715924, hashtext($1))"
        await connection.fetchval(lock, "/".join((*PLACE, WORKLOAD)))
        is_held.set()
        while not may_go.is_set():
            await asyncio.sleep(0.05)

    def wait_for_waiting(number: int) -> None:
        waiting = "SELECT count(*)::int AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        end = time.monotonic() + 15
        while site.made.ask_database(waiting)[0]["waiting"] < number:
            assert time.monotonic() < end
            time.sleep(0.05)

    with ThreadPoolExecutor(3) as pool:
        try:
            holder = pool.submit(site.ann.run, hold)
            assert is_held.wait(15)
            proposing = pool.submit(site.ann.propose, "start", release)
            wait_for_waiting(1)
            approving = pool.submit(bob.approve, move)
            wait_for_waiting(2)
        finally:
            may_go.set()
        for future in (holder, proposing, approving):
            future.result(15)
    [made] = site.ann.moves().of(CanaryName(WORKLOAD, WORKLOAD, release))
    assert made.approved_by == bob.user


def test_without_a_second_signature_a_row_in_the_database_counts_as_none(
    site: Site, bob: Person, release: str
):
    copy = site.start(release, second=bob)
    wait_until_stated(site, release)
    bob.approve(site.ann.propose("start", release))
    site.wait_for(10, copy)
    stranger = Person(site.made, bob.user)
    move = site.ann.propose("next", release)
    stranger.approve(move)
    line = site.made.gateways[copy].wait_for_line("release_move_invalid", release=release)
    assert line["why"] == "its approval does not count: nobody else who may release gave it"
    assert site.percent(copy) == 10
    site.change(release, "approval = signature")
    time.sleep(2)
    assert site.percent(copy) == 0, "the first person's own signature approves nothing"


def test_in_a_freeze_nothing_moves_on_and_an_abort_does(site: Site, bob: Person, release: str):
    now = datetime.now(UTC)
    freeze = {"begin": (now + timedelta(hours=1)).isoformat(), "end": (now + timedelta(days=9)).isoformat()}
    copy = site.start(release, release_freezes=[freeze])
    wait_until_stated(site, release)
    site.ann.move("start", release)
    site.wait_for(10, copy)
    site.made.gateways[copy].stop()
    frozen = site.start(
        release, release_freezes=[{**freeze, "begin": (now - timedelta(hours=1)).isoformat()}]
    )
    site.wait_for(10, frozen)
    assert code_of(lambda: site.ann.move("next", release)) == "frozen"
    assert site.percent(frozen) == 10, "what is in force stays"
    site.ann.move("abort", release)
    site.wait_for(0, frozen)


def test_people_may_change_no_rule_and_make_no_move_past_the_functions(site: Site):
    for user in ("rules_gateway", site.ann.user):
        tables = (
            "information_schema.role_table_grants WHERE table_name IN ('release_rules', 'release_proposals')"
        )
        rows = site.made.ask_database(f"SELECT privilege_type FROM {tables} AND grantee = '{user}'")  # noqa: S608
        assert {row["privilege_type"] for row in rows} <= {"SELECT"}
        may_try = site.made.ask_database(
            f"SELECT has_function_privilege('{user}', p.oid, 'execute') AS may FROM pg_proc p "  # noqa: S608
            "WHERE p.proname = 'release_try'"
        )
        assert may_try[0]["may"] is False
