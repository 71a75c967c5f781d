"""The desk's pages: who gets in, what each role sees, and how people decide."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.edge.desk.desks import HMACS, Desk
from tests.edge.desk.many import insert, rows
from tests.edge.issuer import ISSUER


def location(response: httpx.Response) -> str:
    assert response.status_code == 303, f"{response.status_code} {response.text}"
    return response.headers["location"]


# --- Who gets in


@pytest.mark.parametrize(
    ("groups", "claims", "status", "says"),
    [
        (["guests"], {}, 403, "None of your groups has a role"),
        (["payments"], {"auth_time": 1}, 401, "too long ago"),
        (["payments"], {"auth_time": None}, 401, "auth_time"),
        (["payments"], {"iat": 1, "exp": 200}, 401, "has expired"),
        (["payments"], {"aud": "else"}, 401, "audience"),
        (["payments"], {"email": "Ж@bank.example"}, 403, "cannot be used in records"),
    ],
)
def test_whom_the_desk_does_not_know_is_told_why(
    desk: Desk, groups: list[str], claims: dict[str, object], status: int, says: str
):
    held_id = desk.put()
    visitor = desk.visitor("anna", *groups, **claims)
    for path in ("/", f"/items/{held_id}"):
        page = visitor.get(path)
        assert (page.status_code, says in page.text) == (status, True), page.text
        assert held_id not in page.text or path != "/"


def test_a_request_without_a_token_gets_nothing(desk: Desk):
    visitor = desk.visitor("anna", "payments")
    visitor.token = ""
    assert visitor.get("/").status_code == 401
    named = {"x-forwarded-email": "anna@bank.example", "x-forwarded-groups": "payments", "authorization": "x"}
    assert visitor.get("/", **named).status_code == 401


def test_the_api_and_the_desk_have_a_port_each(desk: Desk):
    visitor = desk.visitor("anna", "everything")
    assert visitor.get("/v1/reviews").status_code == 404
    api = desk.site.client(desk.site.desk)
    answer = api.get("/", headers={"x-forwarded-access-token": visitor.token})
    assert answer.status_code == 404
    held_id = desk.put()
    assert (
        api.get(f"/items/{held_id}", headers={"x-forwarded-access-token": visitor.token}).status_code == 404
    )


# --- Lists


def test_a_reviewer_sees_the_items_of_their_domains_and_workloads_alone(desk: Desk):
    payments, insurance = desk.put(), desk.put("claims", domain="insurance")
    kyc, undated = desk.put("kyc", domain="kyc"), desk.put("other", domain=None)
    seen = {
        groups: [
            held_id in desk.visitor("anna", *groups).get("/").text
            for held_id in (payments, insurance, kyc, undated)
        ]
        for groups in [("payments",), ("kyc",), ("payments", "kyc"), ("everything",), ("audit",)]
    }
    assert seen == {
        ("payments",): [True, False, False, False],
        ("kyc",): [False, False, True, False],
        ("payments", "kyc"): [True, False, True, False],
        ("everything",): [True] * 4,
        ("audit",): [True] * 4,
    }
    reviewer = desk.visitor("anna", "payments")
    page = reviewer.get(f"/items/{insurance}")
    assert (page.status_code, "There is no such item" in page.text) == (404, True)


def test_the_next_deadline_comes_first_and_filters_narrow_the_list(desk: Desk):
    late = desk.put(due_s=90000)
    soon = desk.put("claims", domain="insurance", due_s=600, why=["low-score"])
    page = desk.visitor("anna", "everything").get("/").text
    assert page.index(soon) < page.index(late)
    for query, expected in {
        "domain=payments": [late],
        "workload=claims": [soon],
        "reason=low-score": [soon],
        "due=1": [soon],
        "older=1": [],
        "state=escalated": [],
        "state=held": [soon, late],
        "domain=payments&workload=claims": [],
        "list=delivered": [],
        "list=decided": [],
    }.items():
        text = desk.visitor("anna", "everything").get(f"/?{query}").text
        assert [held_id for held_id in (soon, late) if held_id in text] == expected, query
        assert [
            held_id
            for held_id in (soon, late)
            if held_id in desk.visitor("b", "payments").get(f"/?{query}").text
        ] == [held_id for held_id in expected if held_id == late], query


@pytest.mark.parametrize(
    "query",
    ["list=x", "state=approved", "due=x", "due=-1", "due=nan", "older=1e9", "after=x", "domain=" + "x" * 300],
)
def test_a_filter_that_cannot_be_is_refused(desk: Desk, query: str):
    assert desk.visitor("anna", "payments").get(f"/?{query}").status_code == 400


def test_a_long_list_has_pages_that_meet(desk: Desk):
    placed = {desk.put(due_s=1000 + number) for number in range(53)}
    visitor = desk.visitor("anna", "payments")
    first = visitor.get("/").text
    following = re.search(r'<a href="([^"]+)" rel="next"', first)
    assert following
    second = visitor.get(following[1].replace("&amp;", "&")).text
    on_first, on_second = ({held_id for held_id in placed if held_id in text} for text in (first, second))
    assert (len(on_first), len(on_second), on_first | on_second) == (50, 3, placed)


# --- An item


def test_content_is_shown_while_a_claim_lasts_and_the_claim_is_on_record(desk: Desk):
    held_id = desk.put(
        asked="Who got the rent?",
        about={"verdicts": ["attacks@v1: seen"], "unsure": [["Paid 12 EUR to Muster GmbH", [[5, 7, 0.31]]]]},
    )
    anna = desk.visitor("anna", "payments")
    before = anna.get(f"/items/{held_id}").text
    assert "Muster" not in before
    assert desk.site.records("review", held_id) == []
    page = anna.claim(held_id)
    for text in (
        "Who got the rent?",
        "Muster GmbH",
        "attacks@v1: seen",
        'title="31 %">12</mark>',
        "high impact",
        "m-1",
    ):
        assert text in page, text
    (record,) = desk.site.records("review", held_id)
    assert (record["act"], record["who"]["reviewer"]) == ("claim", "anna@bank.example")
    assert record["who"]["identity"].startswith("person:u-")
    bert = desk.visitor("bert", "payments")
    other = bert.get(f"/items/{held_id}").text
    assert "Claimed by anna@bank.example" in other
    assert "Muster" not in other
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    assert "Muster" not in anna.get(f"/items/{held_id}").text


def test_sources_are_quoted_by_number_beside_the_answer_that_cites_them(desk: Desk):
    sources = [
        {
            "title": "Terms <2026>",
            "text": "Rent is due on the 3rd.",
            "url": "https://wiki.bank.example/terms",
        },
        {"title": "Letter", "text": "<b>Paid</b> late."},
    ]
    anna = desk.visitor("anna", "payments")
    page = anna.claim(
        desk.put(answer="Due on the 3rd [1], paid late [2], fee [5].", about={"sources": sources})
    )
    for text in (
        '<a href="#source-1">[1]</a>',
        '<mark class="missing" title="There is no such source">[5]</mark>',
        "The answer cites sources that are not there: 5.",
        '<h3 id="source-1">[1] <a href="https://wiki.bank.example/terms" rel="noopener noreferrer" target="_blank">',
        "Terms &lt;2026&gt;</a></h3>",
        '<h3 id="source-2">[2] Letter</h3>',
        "&lt;b&gt;Paid&lt;/b&gt; late.",
    ):
        assert text in page, text
    plain = anna.claim(desk.put(answer="Item [5]."))
    assert "cites sources" not in plain
    assert 'class="missing"' not in plain


def put_case(desk: Desk, messages: list[dict[str, str]], turns: list[str], **asked: Any) -> str:
    """A person's case, as a gateway puts it away."""
    request = {"question": "Is this right?", "messages": messages, **asked}
    return desk.put(
        answer=messages[-1]["content"],
        **{"why": ["asked"], "task": "case", "approvers": 1, "request": request, "about": {"turns": turns}},
    )


def test_a_case_shows_which_turns_of_its_conversation_differ_from_the_record(desk: Desk):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who got it?"},
        {"role": "assistant", "content": "Everybody."},
    ]
    anna = desk.visitor("anna", "payments")
    page = anna.claim(put_case(desk, messages, ["not-on-record", "matches", "differs"]))
    marks = re.findall(r'<h3>[^<]*</h3>\s*<p class="(\w+)">([^<]*)</p>', page)
    assert marks == [
        *(("soft", "Not on record"), ("soft", "Matches the record"), ("problem", "Differs from the record"))
    ]
    assert "Do not rely on the marked texts" in page
    matching = anna.claim(put_case(desk, messages[1:], ["matches", "matches"]))
    assert "Do not rely on the marked texts" not in matching


def test_an_appeal_shows_the_decision_and_offers_the_answer_for_a_change(desk: Desk):
    decision = {"status": "rejected", "reason": "wrong-amount", "note": "It was <21> EUR."}
    held_id = desk.put(
        **{"why": ["appeal"], "task": "case", "approvers": 1},
        request={"question": "It was 12 EUR.", "request": "0" * 32},
        about={"decision": decision, "legal_basis": "consent"},
    )
    sara = desk.visitor("sara", "payments-heads")
    page = sara.claim(held_id)
    for text in (
        "The decision that the person appeals against",
        "rejected (wrong-amount)",
        "It was &lt;21&gt; EUR.",
        "It was 12 EUR.",
        "The decision stands",
        "<dd>consent</dd>",
    ):
        assert text in page, text
    form = sara.fields(page, f"/items/{held_id}/decide")
    assert form["text-0"] == "Paid 12 EUR to Muster GmbH"
    changed = sara.decide(held_id, "correct", page, reason="wrong-amount")
    assert changed.status_code == 303, changed.text
    assert desk.row(held_id)["state"] == "approved"


def test_a_guideline_is_shown_without_its_html_scripts_and_images(desk: Desk):
    page = desk.visitor("anna", "payments").claim(desk.put())
    assert "<strong>each amount</strong>" in page
    assert '<a href="https://wiki.bank.example/rules" rel="noopener noreferrer" target="_blank">' in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "<img" not in page


def test_an_auditor_reads_lists_states_and_acts_and_neither_content_nor_decides(desk: Desk):
    held_id = desk.put()
    anna = desk.visitor("anna", "payments")
    anna_page = anna.claim(held_id)
    auditor = desk.visitor("olga", "audit")
    page = auditor.get(f"/items/{held_id}").text
    assert "anna@bank.example" in page
    assert "Muster" not in page
    for act in ("claim", "release", "decide", "judge"):
        path = f"/items/{held_id}/{act}"
        fields = {
            **anna.fields(anna_page, f"/items/{held_id}/release"),
            "act": "approve",
            "judgement": "right",
        }
        refused = auditor.post(path, fields)
        assert refused.status_code == 403, path
    assert desk.row(held_id)["claimed_by"] == "anna@bank.example"


def test_decisions_on_similar_requests_are_counted_without_content_and_people(desk: Desk):
    anna = desk.visitor("anna", "everything")
    for act in ("reject", "reject", "escalate"):
        anna.decide(desk.put(), act)
    other = desk.put(why=["sampled"])
    page = anna.claim(desk.put())
    similar = page[page.index('id="similar"') : page.index('id="acts"')]
    assert "rejected: 2" in similar
    assert "(Wrong amount)" in similar
    assert "anna" not in similar
    assert "None yet" in anna.claim(other)


# --- Deciding


def test_two_people_approve_and_the_application_gets_the_answer(desk: Desk):
    held_id = desk.site.hold("credit")
    anna, bert = desk.visitor("anna", "payments"), desk.visitor("bert", "payments")
    assert location(anna.decide(held_id, "approve", stop="1")) == "/?done=held"
    assert desk.site.look(held_id).status_code == 202
    page = bert.claim(held_id)
    assert "anna@bank.example has approved these words" in page
    assert location(bert.decide(held_id, "approve", page)) == "/?left=none&done=approved"
    answer = desk.site.look(held_id)
    assert (answer.status_code, answer.headers["x-isthmus-review"]) == (200, "approved")
    acts = [record["act"] for record in desk.site.records("review", held_id)]
    assert acts == ["claim", "approve", "claim", "approve", "give"]


def test_nobody_approves_twice_by_another_name_at_the_sign_on_or_by_a_key(desk: Desk):
    held_id = desk.put()
    desk.visitor("anna", "payments").decide(held_id, "approve")
    renamed = desk.visitor("anna", "payments", email="anna.new@bank.example")
    refused = renamed.decide(held_id, "approve")
    assert (refused.status_code, "Another person must be the second" in refused.text) == (409, True)
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    by_key = desk.site.act(desk.site.reviewer("anna@bank.example"), held_id, "approve")
    assert (by_key.status_code, by_key.json()["error"]["code"]) == (409, "already_approved")
    assert desk.row(held_id)["state"] == "held"
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    capital = desk.visitor("other", "payments", email="ANNA@Bank.example")
    assert capital.decide(held_id, "approve").status_code == 409
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    assert (
        location(desk.visitor("bert", "payments").decide(held_id, "approve")) == "/?left=none&done=approved"
    )


@pytest.mark.parametrize(
    "claims", [{}, {"email": "clara.new@bank.example"}, {"email": "CLÁRA@bank.example", "sub": "else"}]
)
def test_nobody_reviews_the_answer_to_their_own_request(desk: Desk, claims: dict[str, str]):
    held_id = desk.put(by="clara@bank.example")
    identity = "person:" + HMACS.subject(f"{ISSUER}#clara")
    asked = "UPDATE isthmus.held SET not_by = array_append(not_by, 'IDENTITY') WHERE id = :id"
    desk.sql(asked.replace("IDENTITY", identity), held_id)
    clara = desk.visitor("clara", "everything", **claims)
    assert held_id not in clara.get("/").text
    page = clara.get(f"/items/{held_id}").text
    assert "the answer to your own request" in page
    assert f"/items/{held_id}/claim" not in page
    refused = clara.post(f"/items/{held_id}/claim", clara.fields(clara.get("/").text, "/next"))
    assert (refused.status_code, "own request" in refused.text) == (403, True)
    assert location(clara.post("/next", clara.fields(clara.get("/").text, "/next"))) == "/?left=none"


def test_a_correction_by_fields_keeps_the_rest_of_the_answer(desk: Desk):
    answer = (
        '{"payee": "Muster",\n  "amount": 12.50, "paid": true, "note": null, "lines": [{"iban": "DE02"}]}'
    )
    held_id = desk.put(
        answer=answer, choice={"confidence": {"score": 0.3, "fields": {"/amount": 0.31, "/payee": 0.99}}}
    )
    anna = desk.visitor("anna", "payments")
    page = anna.claim(held_id)
    assert "/amount (31 %)" in page
    bad = anna.decide(held_id, "correct", page, **{"field-0-/amount": "twelve"})
    assert (bad.status_code, "must be a number" in bad.text, 'value="twelve"' in bad.text) == (
        400,
        True,
        True,
    )
    unchanged = anna.decide(held_id, "correct", page)
    assert (unchanged.status_code, "changed nothing" in unchanged.text) == (400, True)
    typed = {"field-0-/amount": "13.5", "field-0-/lines/0/iban": 'DE"03', "field-0-/paid": "false"}
    preview = anna.decide(held_id, "correct", page, preview="1", **typed)
    assert "<del>12" in preview.text or "<del>50" in preview.text
    assert desk.row(held_id)["corrected"] is None
    anna.decide(held_id, "correct", page, **typed)
    bert = desk.visitor("bert", "payments").claim(held_id)
    assert "An earlier reviewer corrected" in bert
    claimed = desk.site.records("review", held_id)[-1]
    assert claimed["act"] == "claim"
    line = bytes(desk.row(held_id)["corrected"])
    text = desk.envelopes.open(line, f"{held_id}.correction")["answer"].decode()
    assert (
        '13.5, \\"paid\\": false, \\"note\\": null, \\"lines\\": [{\\"iban\\": \\"DE\\\\\\"03\\"}]}' in text
    )


def test_a_corrected_text_reaches_the_application_as_typed(desk: Desk):
    held_id = desk.site.hold("credit")
    anna, bert = desk.visitor("anna", "payments"), desk.visitor("bert", "payments")
    text = '\nLine one\r\nLine <two> & "three"'
    anna.decide(held_id, "correct", **{"text-0": text})
    page = bert.claim(held_id)
    assert "Line &lt;two&gt; &amp; &#34;three&#34;" in page
    bert.decide(held_id, "approve", page)
    answer = desk.site.look(held_id).json()
    assert answer["choices"][0]["message"]["content"] == '\nLine one\nLine <two> & "three"'


def test_escalated_items_are_for_seniors_and_comments_reach_them(desk: Desk):
    held_id = desk.put()
    anna, head = desk.visitor("anna", "payments"), desk.visitor("head", "payments-heads")
    anna.decide(held_id, "escalate", note="I do not know <b>this</b> account")
    again = anna.get(f"/items/{held_id}").text
    assert f"/items/{held_id}/claim" not in again
    refused = anna.post(f"/items/{held_id}/claim", anna.fields(anna.get("/").text, "/next"))
    assert (refused.status_code, "Only a senior reviewer" in refused.text) == (403, True)
    page = head.claim(held_id)
    assert "I do not know &lt;b&gt;this&lt;/b&gt; account" in page
    assert 'value="escalate"' not in page
    assert location(head.decide(held_id, "reject", page)) == "/?left=none&done=rejected"
    assert (desk.row(held_id)["state"], desk.row(held_id)["reason"]) == ("rejected", "wrong-amount")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"act": ""}, "Choose what you decide"),
        ({"act": "reject", "reason": ""}, "Give a reason"),
        ({"act": "reject", "reason": "not-a-code"}, "Give a reason"),
        ({"act": "reject", "reason": "other", "note": "x" * 4001}, "too long"),
        ({"act": "correct", "reason": "other", "text-0": ""}, "is empty"),
        ({"act": "approve", "version": "x"}, "not as the page made it"),
    ],
)
def test_a_form_that_is_not_complete_comes_back_with_what_was_typed(
    desk: Desk, fields: dict[str, str], says: str
):
    held_id = desk.put()
    anna = desk.visitor("anna", "payments")
    page = anna.claim(held_id)
    path = f"/items/{held_id}/decide"
    refused = anna.post(path, {**anna.fields(page, path), "note": "my long comment", **fields})
    assert refused.status_code == 400
    assert says in refused.text
    assert fields.get("note", "my long comment") in refused.text
    assert desk.row(held_id)["version"] == 1


def test_a_claim_that_ended_loses_nothing_that_was_typed(desk: Desk):
    held_id = desk.put()
    anna, bert = desk.visitor("anna", "payments"), desk.visitor("bert", "payments")
    page = anna.claim(held_id)
    desk.sql("UPDATE isthmus.held SET claimed_until = now() WHERE id = :id", held_id)
    lost = anna.decide(held_id, "correct", page, **{"text-0": "Paid <13> EUR", "note": "because"})
    assert (lost.status_code, "Your claim has ended" in lost.text) == (409, True)
    fields = anna.fields(lost.text, f"/items/{held_id}/claim")
    assert (fields["text-0"], fields["note"], fields["act"]) == ("Paid <13> EUR", "because", "correct")
    again = anna.post(f"/items/{held_id}/claim", fields)
    assert again.status_code == 200
    restored = anna.fields(again.text, f"/items/{held_id}/decide")
    assert (restored["text-0"], restored["note"], restored["act"]) == ("Paid <13> EUR", "because", "correct")
    assert location(anna.post(f"/items/{held_id}/decide", restored)) == "/?left=none&done=held"
    assert location(bert.decide(held_id, "approve")) == "/?left=none&done=approved"


def test_a_session_that_expires_during_a_decision_loses_nothing_that_was_typed(desk: Desk):
    held_id = desk.put()
    anna = desk.visitor("anna", "payments")
    page = anna.claim(held_id)
    good = anna.token
    for expired in ("", desk.token("anna", "payments", auth_time=1)):
        anna.token = expired
        refused = anna.decide(held_id, "reject", page, note="Because <of> this")
        assert refused.status_code == 401
        assert f"/oauth2/start?rd=%2Fitems%2F{held_id}" in refused.text
    anna.token = good
    fields = anna.fields(refused.text, f"/items/{held_id}/decide")
    assert location(anna.post(f"/items/{held_id}/decide", fields)) == "/?left=none&done=rejected"
    assert desk.row(held_id)["state"] == "rejected"
    assert "Because" in str(desk.envelopes.open(_note(desk, held_id), f"{held_id}.note.2")["answer"])


def _note(desk: Desk, held_id: str) -> bytes:
    return bytes(
        desk.sql("SELECT note FROM isthmus.review_acts WHERE id = :id AND version = 2", held_id)[0][0]
    )


def test_the_next_item_is_another_one_for_each_reviewer(desk: Desk):
    first, second = desk.put(due_s=500), desk.put(due_s=600)
    anna, bert = desk.visitor("anna", "payments"), desk.visitor("bert", "payments")
    assert location(anna.post("/next", anna.fields(anna.get("/").text, "/next"))) == f"/items/{first}"
    assert location(bert.post("/next", bert.fields(bert.get("/").text, "/next"))) == f"/items/{second}"
    third = desk.put(due_s=700)
    page = anna.get(f"/items/{first}").text
    ahead = anna.post("/next", {**anna.fields(page, "/next"), "leaves": first}, accept="application/json")
    assert ahead.json() == {"location": f"/items/{third}"}
    assert location(anna.decide(first, "reject", page)) == f"/items/{third}?done=rejected"
    assert "Muster" in anna.get(f"/items/{third}").text


def test_people_who_ask_at_the_same_moment_get_the_most_urgent_items_one_each(desk: Desk):
    waiting = rows(desk, 100)
    asyncio.run(insert(desk, waiting))
    people = [desk.visitor(f"r{number}", "everything") for number in range(40)]
    forms = [person.fields(person.get("/").text, "/next") for person in people]
    with ThreadPoolExecutor(len(people)) as threads:
        items = list(threads.map(lambda person, form: location(person.post("/next", form)), people, forms))
    assert sorted(items) == sorted(f"/items/{row[0]}" for row in waiting[:40])


def test_a_filter_goes_with_the_reviewer_from_item_to_item(desk: Desk):
    desk.put(due_s=500)
    wanted = desk.put("claims", domain="insurance", due_s=900)
    anna = desk.visitor("anna", "everything")
    fields = anna.fields(anna.get("/?domain=insurance").text, "/next")
    assert location(anna.post("/next", fields)) == f"/items/{wanted}?domain=insurance"


def test_a_released_item_is_free_for_others(desk: Desk):
    held_id = desk.put()
    anna = desk.visitor("anna", "payments")
    page, path = anna.claim(held_id), f"/items/{held_id}/release"
    assert location(anna.post(path, anna.fields(page, path))) == "/"
    assert "Muster" in desk.visitor("bert", "payments").claim(held_id)


# --- After delivery, and first judgements


def test_a_delivered_answer_gets_one_word_which_is_stored_and_recorded(desk: Desk):
    held_id = desk.put("letters", delivered=True, why=["sampled"])
    anna = desk.visitor("anna", "payments")
    assert held_id not in anna.get("/").text
    page = anna.get("/?list=delivered").text
    assert held_id in page
    assert location(anna.post("/next", anna.fields(page, "/next"))) == f"/items/{held_id}?list=delivered"
    page = anna.get(f"/items/{held_id}?list=delivered").text
    assert f"/items/{held_id}/decide" not in page
    path = f"/items/{held_id}/judge"
    judged = anna.post(path, {**anna.fields(page, path), "judgement": "partly"})
    assert location(judged) == "/?list=delivered&left=none&done=rejected"
    row = desk.row(held_id)
    assert (row["state"], row["reason"]) == ("rejected", "partly")
    judged = desk.sql("SELECT by, judgement FROM isthmus.review_judgements WHERE id = :id", held_id)
    assert [tuple(row) for row in judged] == [("anna@bank.example", "partly")]
    record = desk.site.records("review", held_id)[-1]
    assert (record["act"], record["reason"], record["state"]) == ("reject", "partly", "rejected")


def test_an_application_still_reads_its_delivered_answer_as_judged(desk: Desk):
    answer = desk.site.ask("letters")
    assert answer.status_code == 200
    held_id = answer.headers["x-request-id"]
    anna = desk.visitor("anna", "payments")
    page, path = anna.claim(held_id), f"/items/{held_id}/judge"
    anna.post(path, {**anna.fields(page, path), "judgement": "right"})
    assert desk.site.look(held_id, "letters").json()["status"] == "approved"


def test_the_score_is_hidden_until_the_reviewer_has_judged(desk: Desk):
    held_id = desk.put(
        "kyc",
        domain="kyc",
        why=["impact", "low-score"],
        score=0.37,
        answer='{"name": "Muster"}',
        choice={"confidence": {"score": 0.37, "fields": {"/name": 0.37}}},
        about={"unsure": [['{"name": "Muster"}', [[10, 16, 0.37]]]]},
    )
    anna, bert = desk.visitor("anna", "kyc"), desk.visitor("bert", "kyc")
    assert "37 %" not in anna.get("/").text
    page, path = anna.claim(held_id), f"/items/{held_id}/judge"
    assert "37 %" not in page
    assert "low score" not in page
    assert "Judge for yourself first" in page
    fields = {**anna.fields(page, path), "judgement": "wrong"}
    assert location(anna.post(path, fields)) == f"/items/{held_id}"
    shown = anna.get(f"/items/{held_id}").text
    assert "37 %" in shown
    assert "low score" in shown
    assert "Judge for yourself first" not in shown
    assert location(anna.post(path, fields)) == f"/items/{held_id}"
    (record,) = [record for record in desk.site.records("review", held_id) if record["act"] == "judge"]
    assert (record["reason"], record["state"], record["who"]["reviewer"]) == (
        "wrong",
        "held",
        "anna@bank.example",
    )
    rows = desk.sql("SELECT by, judgement FROM isthmus.review_judgements WHERE id = :id", held_id)
    assert [tuple(row) for row in rows] == [("anna@bank.example", "wrong")]
    anna.decide(held_id, "approve", shown, reason="good")
    assert "37 %" not in bert.claim(held_id)
    assert desk.site.audit_site.verify(records=desk.site.audit_site.records).findings == []


# --- Language


def test_pages_are_english_or_german_as_the_browser_prefers_or_the_person_chose(desk: Desk):
    anna = desk.visitor("anna", "payments")
    held_id = desk.put()
    assert '<html lang="en">' in anna.get("/").text
    german = anna.get("/", **{"accept-language": "fr, de-AT;q=0.9, en;q=0.4"}).text
    assert '<html lang="de">' in german
    assert "Wartend" in german
    chosen = anna.get("/?lang=de")
    assert "isthmus-desk-language=de" in chosen.headers["set-cookie"]
    page = anna.claim(held_id)
    assert "Ihre Entscheidung" in page
    assert "Falscher Betrag" in page
    assert '<html lang="en">' in anna.get("/?lang=en").text


def test_every_text_is_in_both_languages_with_the_same_values():
    from edge.desk.texts import TEXTS

    for key, (english, german) in TEXTS.items():
        assert english, key
        assert german, key
        assert re.findall(r"\{\w*\}", english) == re.findall(r"\{\w*\}", german), key
