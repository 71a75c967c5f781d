"""Restarting takes two people; only seniors and operators may act; every act has a row and a record."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import asyncpg
import pytest
from ruamel.yaml import YAML

from edge.stops import __main__ as commands
from tests.edge.conftest import code_of
from tests.edge.stops.stopping import Stopping

pytestmark = pytest.mark.service


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def acts(stopping: Stopping, stop_id: str) -> list[tuple[str, str, str]]:
    rows = stopping.site.sql(
        f"SELECT act, by, through FROM isthmus.stop_acts WHERE stop = '{stop_id}' ORDER BY number"  # noqa: S608
    )
    return [tuple(row) for row in rows]


def test_one_person_alone_does_not_restart_and_the_second_does(stopping: Stopping):
    stop = stopping.stop()
    stopping.wait("claims", 503)
    asked = stopping.restart(stop["id"], "anna")
    assert (asked.status_code, asked.json()["outcome"]) == (200, "asked")
    again = stopping.restart(stop["id"], "anna")
    assert (again.status_code, code_of(again)) == (409, "second_person_needed")
    time.sleep(2.5)
    assert code_of(stopping.post(stopping.site.gateway, "claims")) == "workload_stopped"
    second = stopping.restart(stop["id"], "bert")
    assert (second.status_code, second.json()["outcome"]) == (200, "restarted")
    stopping.wait("claims", 200)
    assert acts(stopping, stop["id"]) == [
        ("stop", "anna@bank", "reviews"),
        ("ask-restart", "anna@bank", "reviews"),
        ("restart", "bert@bank", "reviews"),
    ]
    late = stopping.restart(stop["id"], "anna")
    assert (late.status_code, code_of(late)) == (409, "already_restarted")
    assert stopping.desk("kim", "GET", "").json()["data"] == []
    assert stop["id"] in [row["id"] for row in stopping.desk("kim", "GET", "?ended=true").json()["data"]]


def test_another_stop_takes_the_question_for_a_restart_back(stopping: Stopping):
    stop = stopping.stop()
    assert stopping.restart(stop["id"], "anna").json()["outcome"] == "asked"
    repeated = stopping.stop(person="bert")
    assert (repeated["id"], repeated["outcome"]) == (stop["id"], "already")
    assert stopping.restart(stop["id"], "bert").json()["outcome"] == "asked", "anna's question is gone"


def test_a_question_for_a_restart_counts_for_four_hours(stopping: Stopping):
    stop = stopping.stop()
    stopping.restart(stop["id"], "anna")
    stopping.site.sql("UPDATE isthmus.stop_acts SET at = at - interval '4 hours 1 minute'")
    assert stopping.restart(stop["id"], "bert").json()["outcome"] == "asked"
    assert stopping.restart(stop["id"], "anna").json()["outcome"] == "restarted"


def test_only_seniors_of_the_workload_stop_and_restart(stopping: Stopping):
    body = {"workload": "claims", "reason": "wrong-answers"}
    junior = stopping.desk("kim", "POST", "", **body)
    assert (junior.status_code, code_of(junior)) == (403, "not_senior")
    narrow = stopping.desk("narrow", "POST", "", **body)
    assert (narrow.status_code, code_of(narrow)) == (403, "wrong_workload")
    stop = stopping.stop()
    assert code_of(stopping.restart(stop["id"], "kim")) == "not_senior"
    assert stopping.restart(stop["id"], "narrow").status_code == 404, "it sees stops of its workloads only"
    assert stopping.desk("narrow", "GET", "").json()["data"] == []
    assert stopping.restart("0" * 32, "anna").status_code == 404
    key = {"authorization": f"Bearer {stopping.site.key('claims')}"}
    caller = stopping.site.client(stopping.site.desk).post("/v1/stops", json=body, headers=key)
    assert caller.status_code == 401, "an application's key is no reviewer's"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "fire"}, "invalid_workload"),
        ({"workload": "claims"}, "invalid_reason"),
        ({"workload": "claims", "reason": "It burns!"}, "invalid_reason"),
        ({"workload": "claims", "reason": "fire", "message": "two\nlines"}, "invalid_message"),
        ({"workload": "claims", "reason": "fire", "message": "x" * 501}, "invalid_message"),
        ({"workload": "claims", "reason": "fire", "who": "erika"}, "unknown_field"),
    ],
)
def test_a_malformed_stop_is_refused_with_its_field(stopping: Stopping, body: dict[str, Any], code: str):
    answer = stopping.desk("anna", "POST", "", **body)
    assert (answer.status_code, code_of(answer)) == (400, code)


def test_the_gateways_user_reads_stops_and_can_neither_make_nor_end_one(stopping: Stopping):
    site = stopping.site
    stop = stopping.stop()
    assert site.as_user("gateway", "SELECT workload FROM isthmus.stops WHERE id = $1", stop["id"])
    for statement in (
        "UPDATE isthmus.stops SET ended_at = now()",
        "DELETE FROM isthmus.stop_acts",
        "INSERT INTO isthmus.stops (class, site, workload, message) VALUES ('restricted', 'fra1', 'x', '')",
        "SELECT isthmus.stop_by_reviewer('restricted', 'fra1', 'x', 'eve', 'key:1', 'fire', '')",
        f"SELECT isthmus.restart_by_operator('{stop['id']}', 'fixed')",
        f"SELECT isthmus.stop_restart('{stop['id']}', 'eve', 'key:1', 'reviews', 'fixed')",
    ):
        with pytest.raises(Exception, match="InsufficientPrivilege"):
            site.as_user("gateway", statement)
    for statement in (
        "UPDATE isthmus.stops SET ended_at = now()",
        f"SELECT isthmus.restart_by_operator('{stop['id']}', 'fixed')",
        f"SELECT isthmus.stop_restart('{stop['id']}', 'eve', NULL, 'database', 'fixed')",
    ):
        with pytest.raises(Exception, match="InsufficientPrivilege"):
            site.as_user("reviews", statement)


@pytest.fixture(scope="module")
def operators(running: Stopping) -> list[str]:
    """Two people's users of the database."""
    made = running.site.made
    made.postgres.ask("CREATE ROLE stopped_operators")
    for name in ("otto", "olga"):
        made.postgres.ask(f"CREATE ROLE {name} LOGIN PASSWORD '{name}-s3cret' IN ROLE stopped_operators")
    made.keys("migrate", "--operators-user", "stopped_operators")
    return ["otto", "olga"]


def command(stopping: Stopping, user: str, *arguments: str) -> tuple[int, str]:
    """Run `python -m edge.stops` as a user of the database. Returns the exit code and what it printed."""
    site = stopping.site
    password, file = site.folder / f"{user}-password", site.folder / f"{user}.yaml"
    password.write_text(f"{user}-s3cret")
    place = {**site.made.postgres.administrator(site.made.database), "user": user, "password": str(password)}
    YAML().dump(place, file)
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = commands.main(["--database", str(file), *arguments])
    return code, out.getvalue()


def test_operators_stop_in_the_database_and_two_of_them_restart(stopping: Stopping, operators: list[str]):
    otto, olga = operators
    place = ("--workload", "claims", "--class", "restricted", "--site", "fra1")
    assert command(stopping, otto, "stop", *place, "--reason", "fire")[0] == 0
    stopping.wait("claims", 503)
    code, text = command(stopping, olga, "list")
    assert code == 0
    stop_id = stopping.desk("kim", "GET", "").json()["data"][0]["id"]
    assert stop_id in text
    assert command(stopping, otto, "restart", stop_id)[0] == 0
    code, text = command(stopping, otto, "restart", stop_id)
    assert (code, "Another person must ask" in text) == (1, True)
    assert stopping.restart(stop_id, "anna").json()["outcome"] == "asked", "one person may have both accesses"
    assert command(stopping, olga, "restart", stop_id)[1].strip() == "restarted"
    stopping.wait("claims", 200)
    assert ("stop", "otto", "database") in acts(stopping, stop_id)


def test_a_stop_and_a_restart_at_the_same_moment_leave_the_workload_stopped(stopping: Stopping):
    """A stop that waits for a restart to commit must not be lost in it."""
    stop = stopping.stop()
    stopping.restart(stop["id"], "anna")
    made = stopping.site.made
    place = made.postgres.administrator(made.database)

    async def race() -> Any:
        async def connect() -> Any:
            return await asyncpg.connect(
                host="127.0.0.1",
                port=place["port"],
                user=place["user"],
                password="admin-s3cret",
                database=made.database,
            )

        first, second = await connect(), await connect()
        try:
            restarting = first.transaction()
            await restarting.start()
            done = await first.fetchrow(
                "SELECT * FROM isthmus.restart_by_reviewer($1, 'bert@bank', 'key:1', 'fixed')", stop["id"]
            )
            assert done is not None
            assert done["outcome"] == "restarted"
            stopping_again = asyncio.create_task(
                second.fetchrow(
                    "SELECT * FROM isthmus.stop_by_reviewer("
                    "'restricted', 'fra1', 'claims', 'anna@bank', 'key:2', 'fire', '')"
                )
            )
            await asyncio.sleep(0.5)
            assert not stopping_again.done(), "it waits for the restart"
            await restarting.commit()
            return await stopping_again
        finally:
            await first.close()
            await second.close()

    again = asyncio.run(race())
    assert again["outcome"] == "stopped"
    assert again["id"] != stop["id"]
    stopping.wait("claims", 503)


def test_every_act_and_every_gateway_is_on_record_in_a_chain_that_verifies(stopping: Stopping):
    stop = stopping.stop(message="Ask Berta Beispiel")
    stopping.wait("claims", 503)
    stopping.restart(stop["id"], "anna")
    stopping.restart(stop["id"], "bert")
    stopping.wait("claims", 200)

    def records() -> list[dict[str, Any]]:
        return stopping.site.records("stop", stop["id"])

    until(lambda: [r["act"] for r in records()].count("end") == 2, "both copies record the end")
    by_act = {record["act"]: record for record in records()}
    assert sorted(record["act"] for record in records()) == sorted(
        ["stop", "begin", "begin", "ask-restart", "restart", "end", "end"]
    )
    assert by_act["stop"]["who"]["people"] == ["anna@bank"]
    assert by_act["stop"]["who"]["identity"].startswith("key:")
    assert by_act["restart"]["who"]["people"] == ["bert@bank"]
    assert by_act["begin"]["who"] == {"workload": "claims", "people": ["anna@bank"], "way": "reviews"}
    assert by_act["end"]["who"]["people"] == ["anna@bank", "bert@bank"]
    assert all(record["reason"] in ("wrong-answers", "restart") for record in records())
    assert "Beispiel" not in str(records()), "free text of a person is in no record"
    outcomes = [r for r in stopping.site.records("outcome") if r["code"] == "workload_stopped"]
    assert any(record["ran"] is None for record in outcomes), (
        "a refused request has an outcome, and went nowhere"
    )
    until(
        lambda: all(sealed(stopping, record) for record in records()),
        "the sealer has sealed the records",
    )
    assert stopping.site.audit_site.verify().findings == []


def sealed(stopping: Stopping, record: dict[str, Any]) -> bool:
    heard: list[bool] = []

    def look(entry: dict[str, Any], seal: Any) -> None:
        if (entry["writer"], entry["seq"]) == (record["writer"], record["seq"]):
            heard.append(seal is not None)

    stopping.site.audit_site.verify(on_record=look)
    return any(heard)
