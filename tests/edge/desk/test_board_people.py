"""The board's figures of people: nobody's, groups of five or more, or pseudonyms that end with the month."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any

import pytest

from edge.audit.keys import expire
from tests.edge.desk.desks import GROUPS, Desk, Visitor, desk_at_work, form_of
from tests.edge.postgres import Postgres
from tests.graders.browser import Browser

pytestmark = pytest.mark.service
TEAMS = [
    *GROUPS,
    {"groups": ["north"], "domains": ["payments"], "role": "reviewer"},
    {"groups": ["south"], "domains": ["payments"], "role": "reviewer"},
]
TABLES = (
    "held",
    "review_facts",
    "planted",
    "review_person_acts",
    "review_people",
    "review_reidentifications",
)
YESTERDAY = "UPDATE isthmus.review_person_acts SET at = at - 1"


def started(
    postgres: Postgres, factory: pytest.TempPathFactory, setting: str
) -> AbstractContextManager[Desk]:
    folder = factory.mktemp(setting)
    return desk_at_work(postgres, folder, f"people_{setting}", people=setting, groups=TEAMS)


@pytest.fixture(scope="module")
def running_none(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with started(postgres, tmp_path_factory, "none") as desk:
        yield desk


@pytest.fixture(scope="module")
def running_aggregate(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with started(postgres, tmp_path_factory, "aggregate") as desk:
        yield desk


@pytest.fixture(scope="module")
def running_pseudonymous(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with started(postgres, tmp_path_factory, "pseudonymous") as desk:
        yield desk


def cleared(desk: Desk) -> Desk:
    for table in TABLES:
        desk.site.sql(f"DELETE FROM isthmus.{table}")  # noqa: S608
    return desk


@pytest.fixture
def none(running_none: Desk) -> Desk:
    return cleared(running_none)


@pytest.fixture
def aggregate(running_aggregate: Desk) -> Desk:
    return cleared(running_aggregate)


@pytest.fixture
def pseudonymous(running_pseudonymous: Desk) -> Desk:
    return cleared(running_pseudonymous)


def decide(desk: Desk, name: str, group: str, act: str = "approve") -> None:
    desk.visitor(name, group).decide(desk.put(approvers=1), act)


def team(desk: Desk, group: str, people: int, act: str = "approve") -> None:
    """As many people of a group decide on an answer each."""
    for number in range(people):
        decide(desk, f"{group}{number}", group, act)


def of_people(visitor: Visitor) -> dict[tuple[str, str], Any]:
    """The numbers of people by group and name."""
    rows = visitor.get("/board.json").json()["rows"]
    return {(row["group"], row["name"]): row["value"] for row in rows if row["figure"] == "people"}


def senior(desk: Desk, name: str = "sonja") -> Visitor:
    return desk.visitor(name, "everything")


# --- none


def test_with_none_nothing_is_stored_or_shown_by_person(none: Desk):
    decide(none, "anna", "north")
    for table in ("review_person_acts", "review_people"):
        assert none.site.sql(f"SELECT FROM isthmus.{table}") == []
    page = senior(none).get("/board").text
    assert ("stores and shows nothing by person" in page, "Who is it?" in page) == (True, False)
    assert of_people(senior(none)) == {}


def test_with_none_detection_is_of_all_domains_together(none: Desk):
    detected(none, "payments", 12, {})
    detected(none, "insurance", 12, {})
    rows = senior(none).get("/board.json").json()["rows"]
    assert {row["domain"] for row in rows if row["figure"] == "detection"} == {""}


# --- aggregate


def test_a_group_of_five_is_shown_without_names_and_one_of_four_is_not(aggregate: Desk):
    team(aggregate, "north", 5, "reject")
    aggregate.site.sql(YESTERDAY)
    shown = of_people(senior(aggregate))
    assert [shown["north", name] for name in ("people", "decisions", "rejected")] == [5, 5, 5]
    team(aggregate, "south", 4)
    aggregate.site.sql("UPDATE isthmus.review_person_acts SET at = isthmus.now()::date - 1")
    shown = of_people(senior(aggregate))
    # A total minus `north` would be `south`, so both are shown together.
    assert {key[0] for key in shown} == {"other groups together"}
    assert shown["other groups together", "people"] == 9
    team(aggregate, "south", 5)
    aggregate.site.sql("UPDATE isthmus.review_person_acts SET at = isthmus.now()::date - 1")
    assert {key[0] for key in of_people(senior(aggregate))} == {"north", "south"}
    page = senior(aggregate).get("/board").text
    assert "north0" not in page
    assert aggregate.site.sql("SELECT FROM isthmus.review_people") == [], "no name is stored"


def test_fewer_than_five_people_are_shown_nowhere(aggregate: Desk):
    team(aggregate, "north", 4)
    aggregate.site.sql(YESTERDAY)
    assert of_people(senior(aggregate)) == {}
    assert "1 groups are not shown" in senior(aggregate).get("/board").text


def test_a_group_does_not_change_within_a_day(aggregate: Desk):
    team(aggregate, "north", 5)
    assert of_people(senior(aggregate)) == {}, "one act more or less would tell about one person"


def test_nobody_asks_for_names_where_there_are_none(aggregate: Desk):
    decide(aggregate, "anna", "north")
    visitor = senior(aggregate)
    token = form_of(visitor.get("/stops").text, "/stops")
    (row,) = aggregate.site.sql("SELECT month, person FROM isthmus.review_person_acts")
    fields = {**token, "person": f"{row['month']}/{row['person']}", "reason": "x"}
    assert visitor.post("/board/people", fields).status_code == 403


def detected(desk: Desk, domain: str, answers: int, people: dict[str, int]) -> None:
    """Decided planted answers of a domain, by so many people of a group."""
    desk.site.sql(
        "WITH made AS (INSERT INTO isthmus.planted (id, class, site, domain, workload, entry, planted_for, planted_at)"  # noqa: S608
        f" SELECT md5(random()::text), 'restricted', 'fra1', '{domain}', 'credit', 'e', md5(random()::text), now()"
        f" FROM generate_series(1, {answers}) RETURNING id)"
        " INSERT INTO isthmus.planted_decisions SELECT id, 2, now(), true, 'reject' FROM made"
    )
    for group, count in people.items():
        desk.site.sql(
            "INSERT INTO isthmus.review_person_acts SELECT 'restricted', 'fra1', date_trunc('month', now())::date,"  # noqa: S608
            f" now()::date, substr(md5('{domain}{group}' || n), 1, 16), '{group}', '{domain}', 'credit', 'reject',"
            f" true, true, 1 FROM generate_series(1, {count}) n"
        )


def test_detection_of_a_domain_needs_five_people(aggregate: Desk):
    detected(aggregate, "payments", 20, {"north": 5})
    detected(aggregate, "insurance", 20, {"south": 2})
    rows = senior(aggregate).get("/board.json").json()["rows"]
    # `payments` alone would tell, with a total, of the two people of `insurance`.
    assert {row["domain"] for row in rows if row["figure"] == "detection"} == {""}
    detected(aggregate, "insurance", 1, {"east": 3})
    rows = senior(aggregate).get("/board.json").json()["rows"]
    assert {row["domain"] for row in rows if row["figure"] == "detection"} == {"payments", "insurance"}


def test_detection_of_too_few_people_is_not_shown(aggregate: Desk):
    detected(aggregate, "payments", 20, {"north": 4})
    visitor = senior(aggregate)
    assert [row for row in visitor.get("/board.json").json()["rows"] if row["figure"] == "detection"] == []
    assert "1 domains are not shown" in visitor.get("/board").text


# --- pseudonymous


def pseudonym_of(desk: Desk, name: str, group: str = "north") -> tuple[date, str]:
    """Let a person decide, and return month and pseudonym."""
    before = {row["person"] for row in desk.site.sql("SELECT person FROM isthmus.review_person_acts")}
    decide(desk, name, group)
    rows = desk.site.sql("SELECT month, person FROM isthmus.review_person_acts")
    (new,) = {(row["month"], row["person"]) for row in rows if row["person"] not in before}
    return new


def ask(visitor: Visitor, month: date, person: str, reason: str = "works-council") -> Any:
    form = form_of(visitor.get("/board").text, "/board/people")
    return visitor.post("/board/people", {**form, "person": f"{month}/{person}", "reason": reason})


def confirm(visitor: Visitor, desk: Desk) -> Any:
    (row,) = desk.site.sql("SELECT id FROM isthmus.review_reidentifications ORDER BY asked_at DESC LIMIT 1")
    form = form_of(visitor.get("/board").text, "/board/people")
    return visitor.post(f"/board/people/{row['id']}/confirm", form)


def test_each_reviewer_has_a_pseudonym_and_no_name_is_readable(pseudonymous: Desk):
    _, anna = pseudonym_of(pseudonymous, "anna")
    decide(pseudonymous, "anna", "north", "reject")
    _, berta = pseudonym_of(pseudonymous, "berta")
    shown = of_people(pseudonymous.visitor("olga", "owners"))
    assert [shown[anna, name] for name in ("decisions", "approved", "rejected")] == [2, 1, 1]
    assert shown[berta, "decisions"] == 1
    page = pseudonymous.visitor("olga", "owners").get("/board").text
    assert ("anna" in page, anna in page, "Who is it?" in page) == (False, True, False)
    stored = pseudonymous.site.sql("SELECT * FROM isthmus.review_people")
    assert len(stored) == 2
    assert b"anna" not in b"".join(row["name"] for row in stored)


def test_one_person_has_one_pseudonym_by_token_and_key(pseudonymous: Desk):
    pseudonym_of(pseudonymous, "anna")
    key = pseudonymous.site.reviewer("anna@bank.example")
    pseudonymous.site.act(key, pseudonymous.put(approvers=1), "approve")
    rows = pseudonymous.site.sql("SELECT person, team FROM isthmus.review_person_acts ORDER BY team")
    assert (len({row["person"] for row in rows}), [row["team"] for row in rows]) == (
        1,
        ["keys and certificates", "north"],
    )


@pytest.mark.parametrize("first", ["audit", "everything"])
def test_a_name_takes_an_auditor_and_a_senior(pseudonymous: Desk, first: str):
    month, anna = pseudonym_of(pseudonymous, "anna")
    second = {"audit": "everything", "everything": "audit"}[first]
    asker, other = pseudonymous.visitor("paul", first), pseudonymous.visitor("rita", second)
    assert ask(asker, month, anna).headers["location"] == "/board#people"
    for visitor in (asker, other):
        page = visitor.get("/board").text
        assert ("Not confirmed yet" in page, "anna" in page) == (True, False)
    same_role = pseudonymous.visitor("quinn", first)
    for visitor, code in (
        (asker, "Another person must confirm"),
        (same_role, "It takes an auditor and a senior"),
    ):
        refused = confirm(visitor, pseudonymous)
        assert (refused.status_code, code in refused.text) == (403, True), refused.text
    assert confirm(other, pseudonymous).status_code == 303
    for visitor in (asker, other):
        assert "It is anna@bank.example." in visitor.get("/board").text
    stranger = pseudonymous.visitor("quinn", first).get("/board").text
    assert ("It is anna" in stranger, "Confirmed by rita@bank.example" in stranger) == (False, True)
    (question,) = pseudonymous.site.sql("SELECT id FROM isthmus.review_reidentifications")
    records = pseudonymous.site.records("reidentify", question["id"])
    assert [(record["act"], record["who"]["reviewer"]) for record in records] == [
        ("ask", "paul@bank.example"),
        ("confirm", "rita@bank.example"),
    ]
    assert {record["person"] for record in records} == {anna}
    assert {record["month"] for record in records} == {f"{month:%Y-%m}"}


def test_the_person_concerned_cannot_confirm(pseudonymous: Desk):
    month, sonja = pseudonym_of(pseudonymous, "sonja", "everything")
    ask(pseudonymous.visitor("paul", "audit"), month, sonja)
    refused = confirm(senior(pseudonymous), pseudonymous)
    assert (refused.status_code, "person concerned" in refused.text) == (403, True)


@pytest.mark.parametrize("group", ["owners", "north"])
def test_owners_and_reviewers_ask_for_no_names(pseudonymous: Desk, group: str):
    month, anna = pseudonym_of(pseudonymous, "anna")
    visitor = pseudonymous.visitor("olga", group)
    page = visitor.get("/board").text
    assert "/board/people" not in page
    token = form_of(visitor.get("/").text, "/next") if group == "north" else {"csrf": "x"}
    fields = {**token, "person": f"{month}/{anna}", "reason": "curious"}
    assert visitor.post("/board/people", fields).status_code == 403
    assert pseudonymous.site.sql("SELECT FROM isthmus.review_reidentifications") == []


def test_seniors_ask_only_for_reviewers_of_their_domains(pseudonymous: Desk):
    month, anna = pseudonym_of(pseudonymous, "anna")
    head = pseudonymous.visitor("paul", "payments-heads")
    pseudonymous.site.sql("UPDATE isthmus.review_person_acts SET domain = 'insurance'")
    own = form_of(head.get("/").text, "/next")
    asked = head.post("/board/people", {**own, "person": f"{month}/{anna}", "reason": "x"})
    assert asked.status_code == 404
    assert pseudonymous.site.sql("SELECT FROM isthmus.review_reidentifications") == []


def test_after_the_months_end_nobody_can_say_who_it_was(pseudonymous: Desk):
    month, anna = pseudonym_of(pseudonymous, "anna")
    paul, rita = pseudonymous.visitor("paul", "audit"), pseudonymous.visitor("rita", "everything")
    ask(paul, month, anna)
    confirm(rita, pseudonymous)
    assert "It is anna" in rita.get("/board").text
    folder = pseudonymous.envelopes.folder
    last = date(month.year, month.month, calendar.monthrange(month.year, month.month)[1])
    keys = list((folder / month.isoformat()).glob("r-*.key"))
    expire(folder, last)
    assert set(keys) & set((folder / month.isoformat()).glob("r-*.key")), "the month is not over"
    assert expire(folder, last + timedelta(days=1)) >= 1
    page = rita.get("/board").text
    assert ("It is anna" in page, "Nobody can say who it was" in page) == (False, True)
    refused = ask(paul, month, anna)
    assert (refused.status_code, "Nobody can say who it was" in refused.text) == (410, True)
    decide(pseudonymous, "anna", "north")
    again = {row["person"] for row in pseudonymous.site.sql("SELECT person FROM isthmus.review_person_acts")}
    assert len(again) == 2, "another key gives another pseudonym"


def test_pseudonyms_of_two_months_or_classes_differ(pseudonymous: Desk):
    from edge.reviews.people import Pseudonyms

    keys = pseudonymous.envelopes.keys
    ours, other = Pseudonyms(keys, "restricted", "fra1"), Pseudonyms(keys, "confidential", "fra1")
    months = [date(2026, 1, 1), date(2026, 2, 1)]
    assert len({of.pseudonym("anna", month) for of in (ours, other) for month in months}) == 4
    assert ours.pseudonym("anna", months[0]) == ours.pseudonym("anna", months[0])


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_with_pseudonyms_is_accessible_on_a_phone(pseudonymous: Desk, language: str):
    month, anna = pseudonym_of(pseudonymous, "anna")
    ask(pseudonymous.visitor("paul", "audit"), month, anna)
    browser = Browser()
    try:
        headers = {"x-forwarded-access-token": pseudonymous.token("rita", "everything")}
        settings = {"ignoreHTTPSErrors": True, "extraHTTPHeaders": headers}
        page = browser.visit(
            f"{pseudonymous.url}/board?lang={language}", viewport={"width": 360, "height": 740}, **settings
        )
        assert page.axe(resultTypes=["violations"])["violations"] == []
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        assert page.js("document.querySelectorAll('main form').length") == 2
    finally:
        browser.close()


def test_names_are_deleted_with_the_month(pseudonymous: Desk):
    pseudonym_of(pseudonymous, "anna")
    pseudonymous.site.sql("UPDATE isthmus.review_people SET month = month - interval '1 month'")
    pseudonymous.site.as_user("reviews", "SELECT isthmus.review_people_sweep('restricted', 'fra1', 400)")
    assert pseudonymous.site.sql("SELECT FROM isthmus.review_people") == []
    assert len(pseudonymous.site.sql("SELECT FROM isthmus.review_person_acts")) == 1
