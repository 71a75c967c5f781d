"""Real gateways whose canary is released in steps, by moves that people sign in a real PostgreSQL."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from edge.audit.records import find_shape_error
from edge.canary.move import Act
from edge.canary.stops import CanaryName
from tests.edge.canary.releasing import STEPS, WORKLOAD, Person, Site, code_of, person, released_site
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service

_releases = itertools.count()


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with released_site(postgres, tmp_path_factory.mktemp("moves"), "moves") as made:
        yield made


@pytest.fixture
def release(site: Site) -> Iterator[str]:
    """The name of a release that no other test has; it is aborted at the end."""
    name = f"release-{next(_releases)}"
    yield name
    site.made.door.open()
    site.made.models[1].reset()
    if site.ann.moves().under_way:
        site.ann.move("abort", name)
    for gateway in site.made.gateways:
        gateway.stop()


def test_each_move_takes_effect_within_seconds_in_every_copy_and_stays_through_restarts(
    site: Site, release: str
):
    first, second = site.start(release), site.start(release)
    assert (site.percent(first), site.asked_of_canary(first)) == (0, 0), "without a move nobody gets it"
    acts: tuple[tuple[Act, int], ...] = (("start", 10), ("next", 50), ("next", 100))
    for act, percent in acts:
        site.ann.move(act, release)
        site.wait_for(percent, first, second)
        site.made.gateways[second].process.kill()
        second = site.start(release)
        site.wait_for(percent, second)
        assert abs(site.asked_of_canary(second) - percent) <= 20, "a new copy has the share in force"
    assert site.asked_of_canary(first) == 100, "the last step serves everybody"
    site.ann.move("abort", release)
    site.wait_for(0, first, second)
    assert (site.asked_of_canary(first), site.asked_of_canary(second)) == (0, 0)
    third = site.start(release)
    assert site.asked_of_canary(third) == 0
    assert site.made.gateways[third].metric("isthmus_canary_stopped", workload=WORKLOAD) == 0, "none failed"


def test_copies_say_what_they_follow_in_database_journal_and_records(site: Site, release: str):
    copies = [site.start(release), site.start(release)]
    site.ann.move("start", release)
    site.wait_for(10, *copies)
    line = site.made.gateways[copies[0]].wait_for_line("release_moved", release=release)
    assert (line["act"], line["percent"], line["by"]) == ("start", 10, site.ann.user)
    end = time.monotonic() + 10
    while len(records := [record for record in site.records() if record["release"] == release]) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert {record["gateway"] for record in records} == {f"gw-{copy}" for copy in copies}
    assert all(find_shape_error(record) is None for record in records)
    assert {record["signature"] for record in records} != {""}
    [made] = site.ann.moves().of(CanaryName(WORKLOAD, WORKLOAD, release))
    assert sorted(made.following) == sorted(f"gw-{copy}" for copy in copies)


def test_a_copy_that_loses_the_database_sends_the_candidate_nothing_within_5_s(site: Site, release: str):
    copy = site.start(release)
    site.ann.move("start", release)
    site.ann.move("next", release)
    site.ann.move("next", release)
    site.wait_for(100, copy)
    over, got = threading.Event(), [0.0]

    def watch() -> None:
        seen = len(site.made.models[1].received)
        while not over.is_set():
            if (count := len(site.made.models[1].received)) != seen:
                seen, got[0] = count, time.monotonic()
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    cut = time.monotonic()
    site.made.door.shut()
    while time.monotonic() < cut + 8:
        site.made.chat(site.key, WORKLOAD, copy)
    over.set()
    thread.join()
    assert got[0] - cut < 5
    site.made.door.open()
    site.made.gateways[copy].wait_until_well()
    site.wait_for(100, copy)


def test_a_copy_that_cannot_read_the_moves_serves_everybody_with_the_version_in_use(site: Site, release: str):
    copy = site.start(release)
    site.ann.move("start", release)
    site.ann.move("next", release)
    site.wait_for(50, copy)
    site.made.ask_database("ALTER TABLE isthmus.release_moves RENAME TO hidden_moves")
    try:
        time.sleep(6)
        assert (site.asked_of_canary(copy), site.percent(copy)) == (0, 0)
    finally:
        site.made.ask_database("ALTER TABLE isthmus.hidden_moves RENAME TO release_moves")
    site.wait_for(50, copy)


def test_a_move_that_nobody_signed_who_may_counts_as_none(site: Site, release: str, postgres: Postgres):
    copy = site.start(release)
    site.ann.move("start", release)
    site.wait_for(10, copy)
    stranger = Person(site.made, site.ann.user)
    stranger.move("next", release)
    line = site.made.gateways[copy].wait_for_line("release_move_invalid", release=release)
    assert line["why"] == "nobody who may release signed it"
    assert site.percent(copy) == 10, "the move before it is in force"
    assert site.made.gateways[copy].metric("isthmus_release_moves_invalid", workload=WORKLOAD) == 1


def test_a_row_that_somebody_changes_in_the_database_counts_as_none(site: Site, release: str):
    copy = site.start(release)
    site.ann.move("start", release)
    site.wait_for(10, copy)
    site.change(release, "to_percent = 100")
    site.wait_for(0, copy)
    line = site.made.gateways[copy].wait_for_line("release_move_invalid", release=release)
    assert line["why"] == "its fields are not those that were signed"
    site.change(release, "to_percent = 10")
    site.wait_for(10, copy)


def test_a_share_that_the_platform_does_not_state_counts_as_0(site: Site, release: str):
    stated, other = site.start(release), site.start(release, (5.0, 100.0))
    site.ann.move("start", release)
    site.wait_for(10, stated)
    site.made.gateways[other].wait_for_line("release_moved", release=release)
    assert (site.percent(other), site.asked_of_canary(other)) == (0, 0)


def test_a_canary_that_failed_stays_stopped_whatever_people_move(site: Site, release: str):
    copy = site.start(release)
    site.ann.move("start", release)
    site.ann.move("next", release)
    site.wait_for(50, copy)
    site.made.models[1].reset("status-500")
    for number in range(60):
        site.made.chat(site.key, WORKLOAD, copy, messages=[{"role": "user", "content": f"fails {number}"}])
    site.made.gateways[copy].wait_for_line("canary_stopped", release=release)
    site.made.models[1].reset()
    end = time.monotonic() + 10
    while (WORKLOAD, release) not in site.ann.moves().stops:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert code_of(lambda: site.ann.move("next", release)) == "stopped"
    fresh = site.start(release)
    assert (site.percent(fresh), site.asked_of_canary(fresh)) == (0, 0)
    site.ann.move("start", f"{release}-again")
    site.ann.move("abort", f"{release}-again")


def test_nobody_may_change_a_move_and_gateways_may_not_make_one(site: Site):
    for user in ("moves_gateway", site.ann.user):
        assert site.table_rights(user) == {"SELECT"}
    allowed = site.made.ask_database(
        "SELECT has_function_privilege('moves_gateway', 'isthmus.release_move(text, text)', 'execute') AS may"
    )
    assert allowed[0]["may"] is False


def test_a_move_in_the_name_of_another_person_is_refused(site: Site, release: str, postgres: Postgres):
    bob = person(site.made, postgres, "bob")
    move = site.ann.moves().following(CanaryName(WORKLOAD, WORKLOAD, release), "start", STEPS, "test")
    assert code_of(lambda: bob.make(move, site.ann.sign(move))) == "another_person"


def test_one_release_of_a_workload_is_under_way_at_a_time(site: Site, release: str):
    site.ann.move("start", release)
    assert site.ann.moves().under_way == release
    assert code_of(lambda: site.ann.move("start", "another")) == "under_way"
    site.ann.move("next", release)
    site.ann.move("next", release)
    assert site.ann.moves().under_way is None, "it serves everybody"
    site.ann.move("start", f"{release}-then")
    site.ann.move("abort", release)
    assert site.ann.moves().under_way == f"{release}-then", "an abort of an earlier release leaves it"
    site.ann.move("abort", f"{release}-then")
    assert site.ann.moves().under_way is None
