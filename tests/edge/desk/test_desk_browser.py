"""The desk in a real browser: by keyboard alone, for axe-core, on a phone, with a lost claim and a lost session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.edge.desk.desks import Desk
from tests.graders.browser import Browser, Page

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    started = Browser()
    yield started
    started.close()


def visit(browser: Browser, desk: Desk, name: str, *groups: str, path: str = "/", **more: Any) -> Page:
    headers = {"x-forwarded-access-token": desk.token(name, *groups)}
    settings = {
        "viewport": WIDE,
        "ignoreHTTPSErrors": True,
        "extraHTTPHeaders": headers,
        "locale": "en-GB",
        **more,
    }
    return browser.visit(desk.url + path, **settings)


def until(check: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 20
    while True:
        try:
            if value := check():
                return value
        except AssertionError as error:
            if "context was destroyed" not in str(error):  # the page is being left for another
                raise
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


def path_of(page: Page) -> str:
    return page.js("location.pathname + location.search")


def text(page: Page, selector: str = "main") -> str:
    return page.js(f"document.querySelector({selector!r})?.innerText ?? ''")


def shows(page: Page, words: str) -> None:
    """Wait until the page has these words, and its script runs."""
    until(lambda: words in text(page), words)
    until(lambda: page.js("document.readyState") == "complete", "loading")


def at_item(page: Page, held_id: str) -> None:
    until(lambda: path_of(page).startswith(f"/items/{held_id}"), f"the page of {held_id}")
    until(lambda: page.js("document.readyState") == "complete", "loading")


def loaded_in_advance(page: Page, held_id: str) -> None:
    loaded = "document.querySelector('form.ahead')?.dataset.loaded ?? ''"
    until(lambda: page.js(loaded).startswith(f"/items/{held_id}"), f"the loading of {held_id} in advance")


def is_focused(page: Page, selector: str) -> bool:
    return page.js(f"document.activeElement?.matches({selector!r}) ?? false")


def check_quiet(page: Page, desk: Desk) -> None:
    seen = page.seen()
    assert (seen["dialogs"], seen["errors"]) == ([], [])
    assert [line for line in seen["console"] if "Content Security Policy" in line] == []
    assert [url for url in seen["requests"] if not url.startswith((desk.url, "about:"))] == []


def check_accessible(page: Page) -> None:
    violations = page.axe(resultTypes=["violations"])["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in violations] == []


def test_a_reviewer_works_through_the_list_by_keyboard_alone(browser: Browser, desk: Desk):
    first, second, third = (desk.put(due_s=500 + number, asked=f"Question {number}") for number in range(3))
    page = visit(browser, desk, "anna", "payments")
    page.press("Tab")
    assert is_focused(page, "a.skip")
    page.press("n")
    at_item(page, first)
    assert "Question 0" in text(page)
    loaded_in_advance(page, second)
    page.press("r")
    assert is_focused(page, "[name=reason]")
    page.press("w")  # chooses "Wrong amount" in the list, and is no key of the page
    page.press("Tab")
    page.type("Compare 'a' with the invoice")
    page.press("Control+Enter")
    at_item(page, second)
    assert "Question 1" in text(page)
    assert is_focused(page, "main")
    until(lambda: desk.row(first)["state"] == "rejected", "the decision")
    assert text(page, "#told") == "Your decision is recorded: rejected."
    assert desk.row(first)["reason"] == "wrong-amount"
    loads = [url for url in page.seen()["requests"] if url.endswith(f"/items/{second}")]
    assert len(loads) == 1, "it was loaded in advance, and not again"
    page.press("c")
    until(lambda: is_focused(page, "[name=text-0]"), "the focus on the text")
    page.press("Control+a")
    page.type("Paid 13 EUR to Muster GmbH")
    page.press("Escape")
    page.press("d")
    until(lambda: page.js("document.querySelectorAll('ins').length") == 1, "the changes")
    assert text(page, "ins") == "13"
    page.press("r", "Escape", "c", "Escape")
    page.call("selectOption", "[name=reason]", "other")
    page.press("Escape")
    page.call("focus", "[name=note]")
    page.press("Control+Enter")
    at_item(page, third)
    assert desk.row(second)["corrected"] is not None
    page.press("a")
    assert is_focused(page, "button.first")
    page.press("Enter")
    shows(page, "Nothing is left for you to decide in this list.")
    assert text(page, "#told") == "Your approval is recorded. Another person must approve too."
    assert page.js("document.querySelector('form[action=\"/next\"]')") is None
    check_quiet(page, desk)
    page.close()


def test_two_reviewers_and_a_senior_decide_side_by_side(browser: Browser, desk: Desk):
    held_id = desk.site.hold("credit")
    anna, bert = (
        visit(browser, desk, name, "payments", path=f"/items/{held_id}") for name in ("anna", "bert")
    )
    anna.press("o")
    shows(anna, "Your decision")
    bert.press("o")
    shows(bert, "Another reviewer has claimed")
    anna.press("a", "Enter")
    until(lambda: desk.row(held_id)["claimed_by"] is None, "the first approval")
    bert.call("goto", f"{desk.url}/items/{held_id}")
    bert.press("o")
    shows(bert, "anna@bank.example has approved these words")
    bert.press("e")
    bert.call("selectOption", "[name=reason]", "other")
    bert.call("focus", "[name=note]")
    bert.press("Control+Enter")
    until(lambda: desk.row(held_id)["state"] == "escalated", "the escalation")
    for name, approved in (("head", "held"), ("other-head", "approved")):
        head = visit(browser, desk, name, "payments-heads", path=f"/items/{held_id}")
        head.press("o")
        shows(head, "Your decision")
        head.press("a", "Enter")
        until(lambda: desk.row(held_id)["claimed_by"] is None, "the senior's approval")
        assert desk.row(held_id)["state"] == ("escalated" if approved == "held" else "approved")
        head.close()
    assert desk.site.look(held_id).status_code == 200
    anna.close()
    bert.close()


def test_one_word_with_one_key_judges_a_delivered_answer(browser: Browser, desk: Desk):
    first = desk.put("letters", delivered=True, due_s=400)
    second = desk.put("letters", delivered=True, due_s=500)
    page = visit(browser, desk, "anna", "payments", path="/?list=delivered")
    page.press("n")
    at_item(page, first)
    page.press("4")
    at_item(page, second)
    until(lambda: desk.row(first)["reason"] == "harmful", "the judgement")
    page.press("1")
    shows(page, "Nothing is left")
    assert desk.row(second)["state"] == "approved"
    page.close()


def test_the_score_comes_after_the_first_judgement(browser: Browser, desk: Desk):
    held_id = desk.put("kyc", domain="kyc", score=0.37)
    page = visit(browser, desk, "anna", "kyc", path=f"/items/{held_id}")
    page.press("o")
    shows(page, "Judge for yourself first")
    assert "37 %" not in text(page)
    page.press("2")
    shows(page, "37 %")
    page.close()


def test_a_session_that_expires_during_a_decision_loses_nothing(browser: Browser, desk: Desk):
    held_id = desk.put()
    page = visit(browser, desk, "anna", "payments", path=f"/items/{held_id}")
    page.press("o")
    shows(page, "Your decision")
    page.press("r")
    page.call("selectOption", "[name=reason]", "other")
    page.call("fill", "[name=note]", "A long <comment>\nwith two lines")
    page.call("setExtraHTTPHeaders", {"x-forwarded-access-token": "x"})
    page.press("Control+Enter")
    shows(page, "not signed on any more")
    assert (
        page.js("document.querySelector('#told a').getAttribute('href')")
        == f"/oauth2/start?rd=%2Fitems%2F{held_id}"
    )
    assert page.js("document.querySelector('[name=note]').value") == "A long <comment>\nwith two lines"
    again = {"x-forwarded-access-token": desk.token("anna", "payments")}
    page.call("setExtraHTTPHeaders", again)
    page.call("goto", f"{desk.url}/items/{held_id}")  # as the sign-on sends the browser back
    shows(page, "What you typed before is filled in")
    assert page.js("document.querySelector('[name=note]').value") == "A long <comment>\nwith two lines"
    assert page.js("document.querySelector('[name=act]:checked').value") == "reject"
    page.call("focus", "[name=note]")
    page.press("Control+Enter")
    until(lambda: desk.row(held_id)["state"] == "rejected", "the decision")
    shows(page, "Nothing is left")
    assert page.js("Object.keys(sessionStorage).length") == 0
    page.close()


def test_a_claim_that_ends_says_so_and_loses_nothing(browser: Browser, desk: Desk):
    held_id = desk.put()
    page = visit(browser, desk, "anna", "payments", path=f"/items/{held_id}")
    page.press("o")
    shows(page, "Your decision")
    assert text(page, ".left").startswith("14:")
    page.call("fill", "[name=note]", "typed before")
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    page.press("Escape")
    page.press("r")
    page.call("selectOption", "[name=reason]", "other")
    page.call("focus", "[name=note]")
    page.press("Control+Enter")
    shows(page, "Your claim has ended")
    page.call("click", "button.first")
    shows(page, "Your decision")
    assert page.js("document.querySelector('[name=note]').value") == "typed before"
    page.close()


def test_who_leaves_gives_back_an_item_that_was_only_loaded(browser: Browser, desk: Desk):
    first, second = desk.put(due_s=500), desk.put(due_s=600)
    page = visit(browser, desk, "anna", "payments")
    page.press("n")
    at_item(page, first)
    loaded_in_advance(page, second)
    assert desk.row(second)["claimed_by"] == "anna@bank.example"
    page.press("w")
    # The sign-on's proxy adds the token by its cookie. This browser adds none to what a page sends as it ends.
    until(lambda: '"path": "/items/{id}/release"' in desk.site.desk.output(), "the release")
    page.close()


def test_without_scripts_every_act_works(browser: Browser, desk: Desk):
    held_id, other = desk.put(due_s=500), desk.put(due_s=600)
    page = visit(browser, desk, "anna", "payments", javaScriptEnabled=False)
    page.call("click", "button.first")
    until(lambda: held_id in page.call("url"), "the item")
    page.call("check", "[name=act][value=reject]")
    page.call("selectOption", "[name=reason]", "other")
    page.call("click", "form.decides button.first")
    until(lambda: other in page.call("url"), "the next item")
    assert desk.row(held_id)["state"] == "rejected"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_pages_are_accessible_and_fit_the_screen(
    browser: Browser, desk: Desk, viewport: dict[str, int], scheme: str
):
    answer = '{"payee": "Muster GmbH & Söhne", "amount": 12.5, "paid": true, "note": null}'
    held_id = desk.put(
        answer=answer,
        choice={"confidence": {"score": 0.3, "fields": {"/amount": 0.31}}},
        about={"verdicts": ["attacks@v1: seen"], "unsure": [[answer, [[11, 17, 0.31]]]]},
        asked="x" * 300,
    )
    desk.put("letters", delivered=True)
    anna = visit(browser, desk, "anna", "payments", viewport=viewport, colorScheme=scheme)
    pages = ["/", "/?list=decided&domain=payments", f"/items/{held_id}", "/items/" + "0" * 32]
    for path in pages:
        anna.call("goto", desk.url + path)
        check_accessible(anna)
        assert anna.js("document.documentElement.scrollWidth <= innerWidth"), path
    anna.call("goto", f"{desk.url}/items/{held_id}")
    anna.press("o")
    shows(anna, "Your decision")
    anna.press("c")
    anna.press("Escape")
    anna.js("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    check_accessible(anna)
    assert anna.js("document.documentElement.scrollWidth <= innerWidth")
    for control in ("button.first", "a.item, summary"):
        assert anna.js(f"(document.querySelector({control!r})?.offsetHeight ?? 44) >= 24")
    anna.press("d")
    anna.call("goto", f"{desk.url}/?lang=de")
    check_accessible(anna)
    assert "Wartend" in text(anna)
    anna.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_board_is_accessible_and_fits_the_screen(
    browser: Browser, desk: Desk, viewport: dict[str, int], scheme: str, language: str
):
    fill_board(desk)
    owner = visit(browser, desk, "olga", "owners", viewport=viewport, colorScheme=scheme)
    assert path_of(owner) == "/board"
    owner.call("goto", f"{desk.url}/board?lang={language}")
    owner.js("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    check_accessible(owner)
    assert owner.js("document.documentElement.scrollWidth <= innerWidth")
    assert owner.js(
        "[...document.querySelectorAll('.chart rect')].filter((bar) => bar.getBBox().height > 0).length"
    )
    check_quiet(owner, desk)
    owner.close()


def test_a_senior_reads_the_board_by_keyboard(browser: Browser, desk: Desk):
    fill_board(desk)
    page = visit(browser, desk, "anna", "everything")
    page.press("b")
    until(lambda: path_of(page) == "/board", "the board")
    shows(page, "Backlog")
    page.js("document.querySelector('.scroll').focus()")
    assert is_focused(page, ".scroll"), "a wide table can be scrolled by keys"
    page.press("w")
    until(lambda: path_of(page) == "/", "the list")
    page.close()


def test_what_was_planted_is_told_by_an_accessible_page(browser: Browser, desk: Desk):
    held_id = desk.put(approvers=1)
    desk.sql("UPDATE isthmus.held SET planted = true WHERE id = :id", held_id)
    desk.site.sql(
        "INSERT INTO isthmus.planted (id, class, site, domain, workload, entry, planted_for, planted_at)"  # noqa: S608
        f" VALUES ('{held_id}', 'restricted', 'fra1', 'payments', 'credit', 'e', 'x', now())"
    )
    page = visit(browser, desk, "anna", "payments", viewport=PHONE)
    page.press("n")
    at_item(page, held_id)
    page.press("a")
    page.press("Control+Enter")
    shows(page, "This answer was planted")
    check_accessible(page)
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    check_quiet(page, desk)
    page.close()


def fill_board(desk: Desk) -> None:
    """Answers that wait, decisions and rejections."""
    desk.put()
    for outcome in ("approved", "rejected"):
        desk.site.sql(
            "INSERT INTO isthmus.review_facts SELECT 'restricted', 'fra1', 'payments', 'transaction-narratives',"  # noqa: S608
            f" 'meta-llama/Llama-3.1-8B-Instruct', '{outcome}', 'wrong-amount', false, true, 60 * n,"
            " isthmus.now() - n * interval '2 days' FROM generate_series(1, 20) n"
        )
    desk.site.sql(
        "WITH made AS (INSERT INTO isthmus.planted (id, class, site, domain, workload, entry, planted_for, planted_at)"
        " SELECT md5(n::text), 'restricted', 'fra1', 'payments', 'credit', 'e' || n, 'f' || n, now()"
        " FROM generate_series(1, 20) n RETURNING id)"
        " INSERT INTO isthmus.planted_decisions SELECT id, 2, now(), true, 'reject' FROM made"
    )


def test_a_senior_stops_a_workload_by_keyboard_alone(browser: Browser, desk: Desk):
    page = visit(browser, desk, "anna", "everything", viewport=PHONE)
    shows(page, "Waiting")
    page.press("t")
    shows(page, "Nothing is stopped.")
    check_accessible(page)
    page.js("document.querySelector('[name=workload]').focus()")
    page.type("credit")
    page.press("Tab")
    page.type("wrong-answers")
    page.press("Tab")
    page.type("The credit assistant is off.")
    try:
        page.press("Enter")
        shows(page, "Gateways refuse the workload within 5 seconds.")
        assert "Ask for the restart" in text(page)
        check_accessible(page)
        check_quiet(page, desk)
    finally:
        desk.site.sql("UPDATE isthmus.stops SET ended_at = now() WHERE ended_at IS NULL")
