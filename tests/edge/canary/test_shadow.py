"""The shadow: copies of answered requests go to the canary in the background, and nobody gets their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.canary.shadow import AT_ONCE
from edge.usage.rows import fold
from tests.edge.audit.audited import WRAPPING_KEY
from tests.edge.canary.released import SOON_S, WORKLOAD, Released, released
from tests.edge.postgres import Postgres
from tests.edge.usage.histories import seal

pytestmark = pytest.mark.service
ALL = {"percent": 0.0, "shadow_percent": 100.0}


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    with released(tmp_path_factory.mktemp("shadow"), postgres, "shadow") as site:
        yield site


@pytest.fixture(autouse=True)
def well(site: Released) -> None:
    site.canary.reset()
    site.in_use.reset()


@pytest.fixture(scope="module")
def gateway(site: Released) -> int:
    """A copy of the gateway that mirrors every request."""
    return site.start("mirrored", ALL)


def wait_until(is_so: Callable[[], bool], seconds: float = SOON_S) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def shadows(site: Released, gateway: int, outcome: str) -> float:
    return site.made.gateways[gateway].metric("isthmus_shadow_requests_total", outcome=outcome)


def test_the_canary_gets_what_the_version_in_use_got_and_the_caller_only_the_answer_in_use(
    site: Released, gateway: int
):
    answer = site.made.chat(site.key, WORKLOAD, gateway, temperature=0.5)
    assert answer.status_code == 200
    wait_until(lambda: len(site.canary.received) == 1)
    in_use, copy = site.in_use.last_body(), site.canary.last_body()
    assert copy == {**in_use, "model": "llama-v2"}
    assert len(site.in_use.received) == 1


def test_a_caller_does_not_wait_for_the_canary(site: Released, gateway: int):
    site.canary.reset("stall")
    began = time.monotonic()
    assert site.ask(gateway, 3) == [200] * 3
    assert time.monotonic() - began < 5
    wait_until(lambda: len(site.canary.received) == 3)
    wait_until(lambda: site.made.gateways[gateway].metric("isthmus_endpoint_running") == 0, 20)


def test_the_outcomes_of_both_have_the_same_unit(site: Released):
    gateway = site.start("paired", ALL)
    for number in range(8):
        site.ask(gateway, 1, stream=number % 2 == 1)
        # Few run at once, so on a busy machine a copy might be dropped.
        wait_until(lambda number=number: shadows(site, gateway, "answered") == number + 1)
    sums = site.wait_for(
        "paired", lambda sums: len(sums) == 2 and all(each.requests == 8 for each in sums.values())
    )
    assert (sums["shadow"].output_tokens, sums["shadow"].streams) == (40, 4)
    by_variant: dict[str, set[bytes]] = {"in-use": set(), "shadow": set()}
    for row in site.rows("paired"):
        by_variant[row.variant].add(row.unit)
    assert by_variant["in-use"] == by_variant["shadow"]
    assert len(by_variant["shadow"]) == 8


def test_a_canary_that_fails_in_the_shadow_is_counted_and_disturbs_nobody(site: Released):
    gateway = site.start("failing", ALL)
    site.canary.reset("status-500")
    assert site.ask(gateway, 8) == [200] * 8
    sums = site.wait_for("failing", lambda sums: "shadow" in sums)
    assert sums["shadow"].failed == sums["shadow"].requests > 0
    assert site.made.ask_database("SELECT 1 FROM isthmus.canary_stops WHERE release = 'failing'") == []


def test_it_is_recorded_as_a_shadow_and_the_ledger_counts_it_apart(site: Released, gateway: int):
    answer = site.made.chat(site.key, WORKLOAD, gateway)
    asked = answer.headers["x-request-id"]
    wait_until(lambda: any(record.get("mirrors") == asked for record in site.records("outcome")))
    records = [
        record
        for kind in ("intent", "outcome")
        for record in site.records(kind)
        if record.get("mirrors") == asked
    ]
    assert [record["kind"] for record in records] == ["intent", "outcome"]
    assert {record["who"]["purpose"] for record in records} == {"shadow"}
    assert (records[0]["to"]["model"], records[1]["ran"]["model"]) == ("llama-v2", "llama-v2")
    assert (records[1]["code"], records[1]["answer"], records[1]["content"]) == ("ok", [], None)
    assert records[1]["tokens"]["completion"] == 5
    [row] = fold({}, seal(0), records, lambda _: True).values()
    assert (row.purpose, row.team, row.person, row.outcome) == ("shadow", "", "", "answered")
    [usual] = [record for record in site.records("outcome") if record["id"] == asked]
    assert "mirrors" not in usual
    assert "purpose" not in usual["who"]


def test_where_content_is_kept_a_copy_keeps_none(postgres: Postgres, tmp_path: Path):
    (tmp_path / "content-keys").mkdir()
    (tmp_path / "wrapping.key").write_text(WRAPPING_KEY)
    keys = {"keys": str(tmp_path / "content-keys"), "wrapping_key": str(tmp_path / "wrapping.key")}
    with released(tmp_path, postgres, "kept", "restricted") as site:
        gateway = site.start("kept", ALL, {**keys, "days": {WORKLOAD: 7}})
        asked = site.made.chat(site.key, WORKLOAD, gateway).headers["x-request-id"]
        wait_until(lambda: any(record.get("mirrors") == asked for record in site.records("outcome")))
        outcomes = site.records("outcome")
    ended = [record for record in outcomes if asked in (record["id"], record.get("mirrors"))]
    kept = {record["who"].get("purpose", ""): record["content"] is not None for record in ended}
    assert kept == {"": True, "shadow": False}


def test_it_is_in_no_account_and_in_no_metric_of_requests(site: Released, gateway: int):
    edge = site.made.gateways[gateway]
    time.sleep(2)  # accounts of earlier requests are written each second
    before = edge.metric("isthmus_requests_total"), edge.metric("isthmus_tokens_total")
    answered = shadows(site, gateway, "answered")
    accounts = "SELECT coalesce(sum(requests), 0) AS n FROM isthmus.accounts"
    [accounted] = site.made.ask_database(accounts)
    site.ask(gateway, 3)
    wait_until(lambda: shadows(site, gateway, "answered") == answered + 3)
    time.sleep(2)
    assert edge.metric("isthmus_requests_total") == before[0] + 3
    assert edge.metric("isthmus_tokens_total") == before[1] + 3 * 12
    assert site.made.ask_database(accounts)[0]["n"] == accounted["n"] + 3


def test_evaluations_and_requests_that_were_not_answered_are_not_mirrored(site: Released, gateway: int):
    site.ask(gateway, 2, site.evaluation_key)
    site.ask(gateway, 2, temperature=9)
    site.in_use.reset("status-500")
    assert site.ask(gateway, 2) == [502] * 2
    time.sleep(0.5)
    assert site.canary.received == []


def test_few_copies_run_at_once_and_the_others_are_dropped_and_counted(site: Released, gateway: int):
    dropped = shadows(site, gateway, "dropped")
    site.canary.reset("stall")
    assert site.ask(gateway, AT_ONCE + 3) == [200] * (AT_ONCE + 3)
    wait_until(lambda: len(site.canary.received) == AT_ONCE)
    assert shadows(site, gateway, "dropped") == dropped + 3
    site.canary.behaviour = "ok"
    wait_until(lambda: site.made.gateways[gateway].metric("isthmus_endpoint_running") == 0, 20)


def test_a_canary_at_its_concurrency_gets_no_copies(site: Released):
    gateway = site.start("full", {**ALL, "concurrency": 2})
    site.canary.reset("stall")
    site.ask(gateway, 4)
    wait_until(lambda: shadows(site, gateway, "dropped") == 3)
    assert len(site.canary.received) == 1, "a part of the limit stays free for requests of callers"


def test_a_stopped_release_is_not_mirrored(site: Released):
    site.made.ask_database(
        "INSERT INTO isthmus.canary_stops (class, site, workload, model, release, gateway, answered, failed) "
        "VALUES ('internal', 'fra1', 'claims', 'claims', 'stopped', 'gw', 5, 5)"
    )
    gateway = site.start("stopped", ALL)
    site.made.gateways[gateway].wait_for_line("canary_stopped")
    assert site.ask(gateway, 3) == [200] * 3
    time.sleep(0.5)
    assert site.canary.received == []


def test_the_share_is_of_conversations_and_another_one_than_the_canarys(site: Released):
    gateway = site.start("half", {"percent": 50.0, "shadow_percent": 50.0})
    site.ask(gateway, 60)
    sums = site.wait_for("half", lambda sums: sum(each.requests for each in sums.values()) > 60)
    site.made.gateways[gateway].stop()
    sums = site.sums("half")
    assert sums["in-use"].requests + sums["canary"].requests == 60
    assert 4 <= sums["shadow"].requests < sums["in-use"].requests


def test_a_canary_that_only_the_shadow_reaches_is_probed(site: Released):
    gateway = site.start("probed", ALL, model_probes={"interval_s": 2, "timeout_s": 1})
    probes = "isthmus_model_probes_total"
    wait_until(lambda: site.made.gateways[gateway].metric(probes, served_model="llama-v2") > 0)


def test_a_copy_that_ends_records_the_end_of_its_copies(site: Released):
    gateway = site.start("ending", ALL)
    site.canary.reset("stall")
    site.ask(gateway, 1)
    wait_until(lambda: len(site.canary.received) == 1)
    site.made.gateways[gateway].stop()
    intent = site.records("intent")[-1]
    assert intent["who"].get("purpose") == "shadow"
    ends: list[Any] = [record for record in site.records("outcome") if record["id"] == intent["id"]]
    assert [record["code"] for record in ends] == ["shutting_down"]
