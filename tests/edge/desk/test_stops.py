"""The desk's page of stops: who may stop and restart, with which words, and that two accounts are needed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.edge.desk.desks import Desk, Visitor
from tests.edge.desk.test_desk import location

SAID = {"workload": "credit", "reason": "wrong-answers", "message": "The credit assistant is off."}


@pytest.fixture
def open_desk(desk: Desk) -> Iterator[Desk]:
    """The desk; its stops end with the test."""
    yield desk
    desk.site.sql("UPDATE isthmus.stops SET ended_at = now() WHERE ended_at IS NULL")


def stop(visitor: Visitor, **fields: str) -> str:
    """Stop a workload by the form. Returns the id of the stop in effect."""
    page = visitor.get("/stops").text
    sent = visitor.post("/stops", {**visitor.fields(page, "/stops"), **SAID, **fields})
    assert location(sent) == "/stops?done=stopped"
    rows = visitor.desk.site.sql("SELECT id FROM isthmus.stops WHERE ended_at IS NULL")
    return rows[0]["id"]


def restart(visitor: Visitor, stop_id: str) -> str:
    """Ask for the restart. Returns where the browser goes, or the page of a refusal."""
    path = f"/stops/{stop_id}/restart"
    sent = visitor.post(path, visitor.fields(visitor.get("/stops").text, path))
    return sent.headers.get("location") or sent.text


def test_a_senior_stops_a_workload_and_gateways_refuse_it_with_the_message(open_desk: Desk):
    site = open_desk.site
    anna = open_desk.visitor("anna", "everything")
    stop(anna)
    page = anna.get("/stops?done=stopped").text
    assert "The credit assistant is off." in page
    assert "stopped by · anna@bank.example · wrong-answers" in page
    body = {"model": "credit", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {site.key('credit')}"}
    site.gateway.wait_for_line("workload_stopped", workload="credit")
    client, until = site.client(site.gateway), time.monotonic() + 20
    while (answer := client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200:
        assert time.monotonic() < until, "the line may be of an earlier stop"
        time.sleep(0.2)
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, SAID["message"])


def test_two_people_restart_it_and_one_with_two_names_does_not(open_desk: Desk):
    anna, bert = (open_desk.visitor(name, "everything") for name in ("anna", "bert"))
    stop_id = stop(anna)
    assert restart(anna, stop_id) == "/stops?done=asked"
    assert "Another person must ask" in restart(anna, stop_id)
    renamed = open_desk.visitor("anna", "everything", email="other@bank.example")
    assert "Another person must ask" in restart(renamed, stop_id)
    assert restart(bert, stop_id) == "/stops?done=restarted"
    assert "Nothing is stopped." in anna.get("/stops").text


@pytest.mark.parametrize("groups", ["payments", "payments-heads", "kyc", "audit"])
def test_whoever_is_no_senior_of_a_workload_has_no_form_and_is_refused(open_desk: Desk, groups: str):
    visitor = open_desk.visitor("carl", groups)
    page = visitor.get("/stops").text
    assert 'action="/stops"' not in page
    token = {"csrf": visitor.fields(visitor.get("/").text, "/next")["csrf"]} if groups != "audit" else {}
    refused = visitor.post("/stops", {**token, **SAID})
    assert refused.status_code == 403
    assert open_desk.site.sql("SELECT id FROM isthmus.stops WHERE ended_at IS NULL") == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"workload": ""}, "Name the workload."),
        ({"reason": "Two words"}, "Give a reason"),
        ({"message": "x" * 501}, "at most 500 characters"),
    ],
)
def test_a_form_with_a_mistake_comes_back_with_what_was_typed(
    open_desk: Desk, fields: dict[str, str], says: str
):
    anna = open_desk.visitor("anna", "everything")
    form = anna.fields(anna.get("/stops").text, "/stops")
    page = anna.post("/stops", {**form, **SAID, **fields})
    assert (page.status_code, says in page.text) == (400, True)
    typed = {**SAID, **fields}
    assert all(f'value="{value}"' in page.text for value in typed.values())


def test_a_form_of_another_site_stops_nothing(open_desk: Desk):
    anna = open_desk.visitor("anna", "everything")
    form = anna.fields(anna.get("/stops").text, "/stops")
    refused = anna.post("/stops", {**form, **SAID}, origin="https://evil.example")
    assert refused.status_code == 403
    stale = anna.post("/stops", {**form, **SAID, "csrf": "0" * 64})
    assert stale.status_code == 403
    assert open_desk.site.sql("SELECT id FROM isthmus.stops WHERE ended_at IS NULL") == []


def test_a_message_is_text_and_never_html(open_desk: Desk):
    anna = open_desk.visitor("anna", "everything")
    stop(anna, message="<img src=x onerror=alert(1)>")
    page = anna.get("/stops").text
    assert "&lt;img src=x" in page
    assert "<img" not in page


def test_the_page_speaks_german(open_desk: Desk):
    anna = open_desk.visitor("anna", "everything")
    stop(anna)
    page = anna.get("/stops?lang=de").text
    assert "Neustart anfragen" in page
    assert "gestoppt von" in page
