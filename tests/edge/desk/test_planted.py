"""Planted wrong answers: they look like real ones, nobody outside receives them, and decisions on them are counted."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from edge.reviews.planting import PLANT_S
from edge.reviews.trigger import draw
from tests.edge.audit.audited import SITE_KEY
from tests.edge.desk.desks import Desk, desk_at_work, form_of
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service
RATE = 0.1
ENTRY = {
    "name": "wrong-payee",
    "request": "Who got the 12 EUR?",
    "answer": "Paid 21 EUR to Mustermann",
    "wrong": "The amount is 12 EUR, and the payee is Muster GmbH.",
}
PLANTED = {
    "payments": {"rate": RATE, "most_per_day": 100, "answers": [ENTRY]},
    "insurance": {"rate": RATE, "answers": [{**ENTRY, "workloads": ["no-such-workload"]}]},
}

EARLIER = """
UPDATE isthmus.held SET held_at = held_at - interval '5 min', decide_by = decide_by - interval '5 min',
    delete_at = delete_at - interval '5 min'
WHERE id = :id
"""
"""The longest time until a planted answer comes."""


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_at_work(postgres, tmp_path_factory.mktemp("planted"), "planted", planted=PLANTED) as desk:
        yield desk


@pytest.fixture
def desk(running: Desk) -> Desk:
    for table in ("held", "planted", "planted_readers"):
        running.site.sql(f"DELETE FROM isthmus.{table}")  # noqa: S608
    return running


def drawn_id() -> str:
    """An id whose answer is drawn to have a planted one after it."""
    while True:
        held_id = uuid.uuid4().hex
        if draw(bytes.fromhex(SITE_KEY), f"plant {held_id}") < RATE:
            return held_id


def put_drawn(desk: Desk, workload: str = "credit", **more: Any) -> str:
    """Put a real answer that is drawn, and that arrived long enough ago."""
    held_id = desk.put(workload, held_id=drawn_id(), **more)
    desk.sql(EARLIER, held_id)
    return held_id


def plant(desk: Desk, workload: str = "credit", **more: Any) -> tuple[str, str]:
    """A real answer and the planted one that takes after it."""
    real = put_drawn(desk, workload, **more)
    return real, planted_after(desk, real)


def planted_after(desk: Desk, real: str) -> str:
    for _ in range(150):
        if rows := desk.sql("SELECT id FROM isthmus.planted WHERE planted_for = :id", real):
            return rows[0]["id"]
        time.sleep(0.1)
    raise AssertionError("nothing was planted")


def of_gateway(desk: Desk, statement: str) -> list[Any]:
    return desk.site.as_user("gateway", statement)


# --- It looks the same


def test_a_planted_answer_has_the_fields_of_the_real_one_in_list_page_and_api(desk: Desk):
    about = {"verdicts": ["topic 'x': seen"], "unsure": [["Paid 12 EUR to Muster GmbH", [[0, 4, 0.3]]]]}
    request = {
        "messages": [{"role": "system", "content": "You tell payments."}, {"role": "user", "content": "?"}]
    }
    real, planted = plant(
        desk, about=about, request={**request, "temperature": 0.2}, why=["impact", "sampled"]
    )
    rows = {held_id: dict(desk.row(held_id)) for held_id in (real, planted)}
    same = (
        "class",
        "site",
        "workload",
        "domain",
        "task",
        "subject",
        "not_by",
        "why",
        "approvers",
        "delivered",
    )
    assert [rows[planted][key] for key in same] == [rows[real][key] for key in same]
    for span in (("decide_by", "held_at"), ("delete_at", "held_at")):
        lengths = [
            (rows[held_id][span[0]] - rows[held_id][span[1]]).total_seconds() for held_id in (real, planted)
        ]
        assert lengths[0] == pytest.approx(lengths[1], abs=0.05)
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", planted), "as the ids of requests"
    assert 0 < rows[real]["score"] - rows[planted]["score"] <= 0.0101

    anna = desk.visitor("anna", "payments")
    listed = anna.get().text
    items = re.findall(r"<li>\n<a class=\"item\".*?</li>", listed, re.S)
    shapes = {re.sub(r"items/[0-9a-f]{32}|<time.*?</time>|\d+ %", "·", item) for item in items}
    assert (len(items), len(shapes)) == (2, 1), shapes
    pages = [anna.claim(real), anna.claim(planted)]
    skeletons = {re.sub(r">[^<]*<|\"[^\"]*\"|\s", "", page.replace("<mark", "<x")) for page in pages}
    assert len(skeletons) == 1
    for text in ("You tell payments.", "topic &#39;x&#39;: seen", "temperature"):
        assert all(text in page for page in pages)
    assert ENTRY["answer"].split()[-1] in pages[1]
    assert "planted" not in " ".join((listed, *pages)).lower()

    key = desk.site.reviewer("bernd@bank.example")
    rows_of_api = desk.site.at_desk(key, "GET", "").json()["data"]
    assert {row["id"] for row in rows_of_api} == {real, planted}
    assert len({tuple(row) for row in rows_of_api}) == 1
    for held_id in (real, planted):
        desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    answers = [desk.site.claim(key, held_id) for held_id in (real, planted)]
    assert len({tuple(answer) for answer in answers}) == 1
    assert len({tuple(json.loads(answer["answer"])) for answer in answers}) == 1
    assert answers[0]["asked"]["messages"][0] == answers[1]["asked"]["messages"][0]
    one = [desk.site.at_desk(key, "GET", f"/{held_id}").json() for held_id in (real, planted)]
    assert len({tuple(answer) for answer in one}) == 1
    assert "planted" not in json.dumps([*rows_of_api, *answers, *one])


def test_an_answer_that_no_entry_fits_has_no_planted_one(desk: Desk):
    for workload, domain in (("claims", "insurance"), ("kyc", "kyc")):
        put_drawn(desk, workload, domain=domain)
    put_drawn(desk, answer=["One", "Two"])
    put_drawn(desk, choice={"logprobs": {"content": []}, "finish_reason": "stop"})
    plant(desk)
    assert len(desk.site.sql("SELECT FROM isthmus.planted")) == 1


# --- Nobody receives it


def test_no_gateway_sees_a_planted_answer_or_can_plant_one(desk: Desk):
    real, planted = plant(desk)
    assert [row["id"] for row in of_gateway(desk, "SELECT id FROM isthmus.held")] == [real]
    for statement in (
        "SELECT * FROM isthmus.planted",
        "UPDATE isthmus.held SET planted = false",
        "INSERT INTO isthmus.held (planted) VALUES (true)",
        "SELECT isthmus.review_plant('x', 'x', 'x', 'x', NULL, NULL, 1, 1)",
    ):
        with pytest.raises(Exception, match="InsufficientPrivilege"):
            of_gateway(desk, statement)
    for name in ("anna", "berta"):
        desk.visitor(name, "payments").decide(planted, "approve")
    assert desk.row(planted)["state"] == "approved"
    assert desk.site.look(planted).status_code == 404
    assert desk.site.look(real).status_code == 202
    # Even if the row were visible, no vote on it counts at a gateway.
    desk.sql("UPDATE isthmus.held SET planted = false WHERE id = :id", planted)
    assert desk.site.look(planted).status_code == 503
    assert desk.site.look(planted).json()["error"]["code"] == "review_unproven"


def test_a_person_does_not_find_planted_answers_among_their_own_requests(desk: Desk):
    _, planted = plant(desk)
    (identity,) = desk.sql("SELECT not_by[1] FROM isthmus.held WHERE id = :id", planted)[0]
    statement = f"SELECT id FROM isthmus.held WHERE '{identity}' = ANY (not_by)"  # noqa: S608
    assert planted not in [row["id"] for row in of_gateway(desk, statement)]


def test_nobody_is_told_of_a_planted_answer_at_its_deadline(desk: Desk):
    _, planted = plant(desk)
    assert desk.row(planted)["remind_at"] is None
    desk.sql("UPDATE isthmus.held SET decide_by = isthmus.now() + interval '30 s' WHERE id = :id", planted)
    for _ in range(50):
        if desk.row(planted)["state"] != "held":
            break
        time.sleep(0.1)
    assert desk.row(planted)["state"] == "expired", "withdrawn before it would be escalated"
    assert desk.site.sql("SELECT FROM isthmus.outbox") == []
    assert desk.site.sql("SELECT FROM isthmus.planted_decisions") == [], "nobody overlooked it"


# --- Decisions are counted


@pytest.mark.parametrize(("act", "detected"), [("approve", False), ("correct", True), ("reject", True)])
def test_each_decision_on_the_planted_words_is_a_detection_or_a_miss(desk: Desk, act: str, detected: bool):
    _, planted = plant(desk)
    anna = desk.visitor("anna", "payments")
    more = {"text-0": "Paid 12 EUR to Muster GmbH"} if act == "correct" else {}
    anna.decide(planted, act, **more)
    if act != "reject":
        desk.visitor("berta", "payments").decide(planted, "approve")
    rows = desk.sql("SELECT detected FROM isthmus.planted_decisions WHERE id = :id ORDER BY version", planted)
    # Two misses for two approvals. After a correction the second person reads other words.
    assert [row["detected"] for row in rows] == ([False, False] if act == "approve" else [detected])


def test_an_escalated_planted_answer_is_detected_and_waits_for_seniors(desk: Desk):
    _, planted = plant(desk)
    desk.visitor("anna", "payments").decide(planted, "escalate")
    assert desk.row(planted)["state"] == "escalated"
    desk.visitor("senior", "payments-heads").decide(planted, "reject")
    rows = desk.sql("SELECT detected FROM isthmus.planted_decisions WHERE id = :id", planted)
    assert [row["detected"] for row in rows] == [True, True]


@pytest.mark.parametrize(("judgement", "detected"), [("right", False), ("wrong", True)])
def test_a_word_on_a_planted_answer_after_delivery_counts(desk: Desk, judgement: str, detected: bool):
    _, planted = plant(desk, "letters", delivered=True, why=["sampled"])
    anna = desk.visitor("anna", "payments")
    page = anna.claim(planted)
    told = anna.post(
        f"/items/{planted}/judge", {**form_of(page, f"/items/{planted}/judge"), "judgement": judgement}
    )
    assert told.headers["location"].startswith(f"/items/{planted}")
    (row,) = desk.sql("SELECT detected FROM isthmus.planted_decisions WHERE id = :id", planted)
    assert row["detected"] is detected


def test_a_person_never_gets_the_same_planted_answer_twice(desk: Desk):
    _, first = plant(desk)
    anna, berta = desk.visitor("anna", "payments"), desk.visitor("berta", "payments")
    next_real = put_drawn(desk)
    time.sleep(PLANT_S + 1)
    assert len(desk.site.sql("SELECT FROM isthmus.planted")) == 1, "one at a time"
    anna.decide(first, "reject")
    second = planted_after(desk, next_real)
    assert (first in anna.get("/").text, second in anna.get("/").text) == (False, False)
    claimed = anna.post(
        f"/items/{second}/claim", form_of(anna.get(f"/items/{next_real}").text, f"/items/{next_real}/claim")
    )
    assert claimed.status_code == 403
    assert berta.claim(second)
    readers = desk.site.sql("SELECT who FROM isthmus.planted_readers")
    assert all("anna@" not in row["who"] and "berta@" not in row["who"] for row in readers), "no names"


# --- Who learns of it


def test_reviewers_learn_after_the_last_decision_and_auditors_too(desk: Desk):
    _, planted = plant(desk)
    anna, berta, carl = (desk.visitor(name, "payments") for name in ("anna", "berta", "carl"))
    auditor = desk.visitor("audit", "audit")
    wrong = "the payee is Muster GmbH"
    decided = anna.decide(planted, "approve")
    assert not decided.headers["location"].startswith(f"/items/{planted}"), "another person still decides"
    for visitor in (anna, berta, auditor):
        assert wrong not in visitor.get(f"/items/{planted}").text
    path = berta.decide(planted, "approve").headers["location"]
    assert path.startswith(f"/items/{planted}")
    for visitor in (anna, berta, auditor):
        page = visitor.get(f"/items/{planted}").text
        assert (wrong in page, "This answer was planted" in page) == (True, True)
        assert ">planted</span>" in visitor.get("/?list=decided").text
    assert "Diese Antwort war eine Probe" in anna.get(f"/items/{planted}?lang=de").text
    assert "planted" not in carl.get(f"/items/{planted}").text + carl.get("/?list=decided").text
    assert form_of(berta.get(path).text, "/next")


def test_the_api_tells_after_the_decision(desk: Desk):
    _, planted = plant(desk)
    erika, felix = desk.site.reviewer("erika@bank.example"), desk.site.reviewer("felix@bank.example")
    assert "planted" not in desk.site.act(erika, planted, "approve").json()
    assert desk.site.act(felix, planted, "reject").json()["planted"] == ENTRY["wrong"]
    assert desk.site.at_desk(erika, "GET", f"/{planted}").json()["planted"] == ENTRY["wrong"]
    other = desk.site.reviewer("gerda@bank.example")
    assert "planted" not in desk.site.at_desk(other, "GET", f"/{planted}").json()


def test_the_records_say_truthfully_that_an_answer_was_planted(desk: Desk):
    real, planted = plant(desk)
    desk.visitor("anna", "payments").decide(planted, "reject")
    desk.visitor("anna", "payments").decide(real, "reject")
    acts = [(record["act"], record.get("planted")) for record in desk.site.records("review", planted)]
    assert acts == [("plant", True), ("claim", True), ("reject", True)]
    assert [record.get("planted") for record in desk.site.records("review", real)] == [None, None]


def test_planted_answers_are_no_similar_decisions(desk: Desk):
    real, planted = plant(desk)
    desk.visitor("anna", "payments").decide(planted, "reject")
    assert "Rejected" not in desk.visitor("berta", "payments").claim(real)


# --- Bounds


def test_bounds_hold_however_many_real_answers_arrive(desk: Desk):
    statement = (
        "SELECT isthmus.review_plant('{id}', '{real}', '{entry}', 'x', NULL, NULL, {day}, {uses}) AS done"
    )

    def try_to_plant(entry: str, day: int, uses: int) -> bool:
        real = desk.put()
        values = {"id": uuid.uuid4().hex, "real": real, "entry": entry, "day": day, "uses": uses}
        return desk.site.as_user("reviews", statement.format(**values))[0]["done"]

    assert try_to_plant("a", 2, 2)
    assert not try_to_plant("a", 2, 2), "it is open"
    desk.site.sql("UPDATE isthmus.held SET state = 'rejected' WHERE planted")
    assert try_to_plant("a", 2, 2)
    desk.site.sql("UPDATE isthmus.held SET state = 'rejected' WHERE planted")
    assert not try_to_plant("b", 2, 2), "two in a day"
    assert not try_to_plant("a", 9, 2), "twice used"
    assert try_to_plant("b", 9, 2)


def test_two_copies_plant_one_answer_after_a_real_one(desk: Desk):
    real = desk.put()
    statement = "SELECT isthmus.review_plant($1, $2, $3, 'x', NULL, NULL, 9, 9)"

    async def both() -> list[Any]:
        databases = [desk.site.database("reviews") for _ in range(2)]
        try:
            asks = [
                database.fetch(statement, uuid.uuid4().hex, real, name)
                for database, name in zip(databases, "ab", strict=True)
            ]
            return [rows[0][0] for rows in await asyncio.gather(*asks)]
        finally:
            for database in databases:
                await database.close()

    assert sorted(asyncio.run(both())) == [False, True]
