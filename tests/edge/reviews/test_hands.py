"""Deadlines, erasure, a database that is down or manipulated: no answer is released without approval."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import httpx
import pytest

from edge.audit.content import Hmacs
from edge.audit.content_acts import record
from edge.audit.keys import erase
from tests.edge.audit.audited import SITE_KEY
from tests.edge.conftest import code_of
from tests.edge.postgres import ADMIN, ADMIN_PASSWORD
from tests.edge.reviews.reviewed import SAID, Reviewed

LATE = "UPDATE isthmus.held SET decide_by = now() WHERE id = '{held}'"
APPROVED = "UPDATE isthmus.held SET state = 'approved' WHERE id = '{held}'"
ONE_APPROVER = "UPDATE isthmus.held SET state = 'approved', approvers = 1 WHERE id = '{held}'"
VOTE = """
INSERT INTO isthmus.review_votes SELECT '{held}', edition, 'eve', sealed FROM isthmus.review_votes WHERE id = '{held}'
"""
OTHERS_CONTENT = """
UPDATE isthmus.held SET state = 'approved', content = (
    SELECT content FROM isthmus.held WHERE state = 'approved' AND corrected IS NULL LIMIT 1
) WHERE id = '{held}'
"""


def overdue(site: Reviewed, answer_id: str) -> None:
    site.sql(LATE.format(held=answer_id))


def until(site: Reviewed, answer_id: str, status: str) -> httpx.Response:
    end = time.monotonic() + 10
    while (answer := site.look(answer_id)).json().get("status") != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)
    return answer


def test_a_missed_deadline_escalates_and_a_second_one_expires_the_answer(
    site: Reviewed, people: dict[str, str]
):
    answer_id = site.hold()
    site.act(people["anna"], answer_id, "approve")
    claimed = site.claim(people["bert"], answer_id)
    overdue(site, answer_id)
    late = site.act(people["bert"], answer_id, "approve", claimed)
    assert code_of(late) in ("overdue", "changed", "not_senior")
    assert until(site, answer_id, "escalated").status_code == 202
    overdue(site, answer_id)
    gone = until(site, answer_id, "expired")
    assert (gone.status_code, gone.json()["reason"]) == (200, "deadline")
    assert SAID not in gone.text
    assert code_of(site.at_desk(people["senior"], "POST", f"/{answer_id}/claim")) == "already_decided"
    by_time = [
        record for record in site.records("review", answer_id) if record["who"]["identity"] == "deadline"
    ]
    assert [(record["act"], record["state"]) for record in by_time] == [
        ("escalate", "escalated"),
        ("expire", "expired"),
    ]


@pytest.mark.parametrize(
    "forgery",
    [[APPROVED], [ONE_APPROVER], [VOTE, APPROVED], [OTHERS_CONTENT]],
    ids=["the state", "one approver", "another's vote", "another's content"],
)
def test_manipulating_the_database_releases_no_answer(
    site: Reviewed, people: dict[str, str], forgery: list[str]
):
    answer_id = site.hold()
    site.act(people["anna"], answer_id, "approve")
    for statement in forgery:
        site.sql(statement.format(held=answer_id))
    refused = site.look(answer_id)
    assert (refused.status_code, code_of(refused)) == (503, "review_unproven")
    assert site.gateway.lines("review_unproven")[-1]["id"] == answer_id
    assert [record for record in site.records("review", answer_id) if record["act"] == "give"] == []


def test_erasing_a_subject_erases_its_held_answers(site: Reviewed, people: dict[str, str]):
    approved_id = site.hold(user="erased@example.org")
    for name in ("anna", "bert"):
        assert site.act(people[name], approved_id, "approve").status_code == 200
    answer_id = site.hold(user="erased@example.org")
    site.act(people["anna"], answer_id, "approve")
    claimed = site.claim(people["bert"], answer_id)
    subject = Hmacs(bytes.fromhex(SITE_KEY)).subject("erased@example.org")
    record(site.audit_site.root, "erase", {"subject": subject, "by": "privacy"})
    assert erase(site.folder / "keys", subject) == 1
    refused = site.at_desk(people["bert"], "POST", f"/{answer_id}/claim")
    assert (refused.status_code, code_of(refused)) == (410, "review_erased")
    unread = site.act(people["bert"], answer_id, "approve", claimed)
    assert (unread.status_code, code_of(unread)) == (410, "review_erased"), "nobody approves what is gone"
    gone = site.look(approved_id)
    assert (gone.status_code, code_of(gone)) == (410, "review_erased")


def test_without_the_database_no_answer_is_released_or_decided(site: Reviewed, people: dict[str, str]):
    answer_id = site.hold()
    claimed = site.claim(people["anna"], answer_id)
    before = site.sql("SELECT count(*) AS n FROM isthmus.held")[0]["n"]
    site.made.door.shut()
    try:
        refused = site.ask()
        assert refused.status_code == 503
        assert SAID not in refused.text
        assert site.look(answer_id).status_code == 503
        assert site.act(people["anna"], answer_id, "approve", claimed).status_code == 503
    finally:
        site.made.door.open()
    assert site.sql("SELECT count(*) AS n FROM isthmus.held")[0]["n"] == before
    site.desk.wait_until_well()
    site.gateway.wait_until_well()
    assert site.act(people["anna"], answer_id, "approve", claimed).status_code == 200


def test_a_database_lost_during_a_request_gives_503_and_a_record_of_the_hold(
    site: Reviewed,
):
    site.ask()  # its key is cached for 5 s, and the database has answered within that time
    site.made.models[0].reset("linger")
    lock = Lock(site)
    lock.take()
    try:
        refused = site.ask()
    finally:
        lock.release()
    assert (refused.status_code, code_of(refused)) == (503, "reviews_unavailable")
    assert SAID not in refused.text
    (outcome,) = site.records("outcome", refused.headers["x-request-id"])
    assert outcome["held"]["kept"] is False
    assert outcome["held"]["why"] == ["impact", "no-score"]
    assert (outcome["code"], outcome["ended_well"]) == ("reviews_unavailable", False)
    end = time.monotonic() + 10
    while (answer := site.ask()).status_code != 202:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)


class Lock:
    """A lock on the table of held answers, so that no answer can be stored."""

    def __init__(self, site: Reviewed) -> None:
        self._site, self._loop = site, asyncio.new_event_loop()
        self._connection: Any = None

    def take(self) -> None:
        async def hold() -> None:
            self._connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self._site.made.postgres.port,
                user=ADMIN,
                password=ADMIN_PASSWORD,
                database=self._site.made.database,
            )
            await self._connection.execute("BEGIN; LOCK TABLE isthmus.held IN ACCESS EXCLUSIVE MODE")

        self._loop.run_until_complete(hold())

    def release(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()
