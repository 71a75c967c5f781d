"""The pages of the chat's proxy: My requests, and why somebody does not get in. Plain HTML without scripts."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edge.config.chat import REQUESTS_PATH, START_PATH, ChatConfig
from edge.openai_api import Refusal

PATH, ONE_PATH = REQUESTS_PATH, REQUESTS_PATH + "/{kind}/{id}"
APPEAL_PATH = REQUESTS_PATH + "/reviews/{id}/appeal"
MOST_QUESTION = 4000
"""Characters of an appeal at most, as the gateway takes them."""
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
SIGN_IN_AGAIN = "/oauth2/sign_out?rd=%2F"
"""Path of the sign-on's proxy that ends its session."""
_STATES = {
    "held": "a person checks it",
    "escalated": "a second person checks it",
    "open": "a person will reply",
    "approved": "approved",
    "answered": "answered",
    "rejected": "not approved",
    "closed": "closed without a reply",
    "expired": "nobody decided in time",
    "corrected": "corrected",
}
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--link:#0550ae}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#3d444d;--paper:#0d1117;--link:#79b8ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1rem 1.25rem 3rem}
a{color:var(--link)} h1{font-size:1.5rem} h2{font-size:1.1rem}
.class{margin:0;padding:.4rem 1.25rem;background:#1b1f24;color:#fff;font-size:.9rem;text-align:center}
ul{list-style:none;padding:0} li{border-top:1px solid var(--line);padding:.8rem 0}
table{border-collapse:collapse} th,td{text-align:left;padding:.3rem 1.2rem .3rem 0} meter{width:8rem}
.incident{border-left:3px solid #cf222e;padding-left:1rem}
.soft{color:var(--soft)} pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;border-left:3px solid var(--line);
padding-left:1rem;margin:.5rem 0}
textarea{display:block;width:100%;min-height:8rem;font:inherit;color:inherit;background:inherit;
border:1px solid var(--soft);padding:.5rem} button{font:inherit;padding:.4rem 1rem;min-height:2.5rem}
"""
SCRIPT_PATH, STYLE_PATH = "/static/loader.js", "/static/custom.css"
"""Files that Open WebUI loads on each of its pages, for whoever runs it to fill."""
STRIP_STYLE = """
#isthmus-class{position:fixed;inset:0 0 auto 0;height:28px;z-index:10000000;background:#1b1f24;color:#fff;
font:14px/28px system-ui,sans-serif;text-align:center}
#isthmus-class a{color:#fff;text-decoration:underline;margin-left:1rem}
body{padding-top:28px}
.h-screen{height:calc(100vh - 28px)!important}
.max-h-\\[100dvh\\]{max-height:calc(100dvh - 28px)!important}
#sidebar,.fixed.top-0{top:28px!important}
"""
_STRIP = """
document.addEventListener("DOMContentLoaded", () => {
  const strip = document.createElement("div");
  strip.id = "isthmus-class";
  strip.setAttribute("role", "note");
  strip.append(TEXT);
  for (const [text, path] of LINKS) {
    const link = document.createElement("a");
    link.href = path;
    link.textContent = text;
    strip.append(link);
  }
  document.body.prepend(strip);
});
"""


def held_text(held: Mapping[str, Any]) -> str:
    """What the chat says in place of a held answer."""
    until = f", by {_day(held['decide_by'])} at the latest" if "decide_by" in held else ""
    return (
        f"A person checks this answer before you get it{until}. Then it is on [My requests]({PATH}). "
        "You can go on here meanwhile."
    )


def strip_script(config: ChatConfig) -> str:
    """The script that Open WebUI loads on each of its pages: it puts the class on top, with links to *Start* and
    *My requests*."""
    links = [["Start", START_PATH], ["My requests", PATH]]
    return _STRIP.replace("TEXT", json.dumps(f"Class {config.data_class}")).replace(
        "LINKS", json.dumps(links)
    )


def requests_page(config: ChatConfig, entries: Sequence[Mapping[str, Any]]) -> str:
    """The page *My requests*."""
    items = "".join(_entry(entry) for entry in entries)
    body = (
        f"<ul>{items}</ul>"
        if items
        else "<p>Nothing is here yet. Answers that a person checks, and your questions to a person, will be.</p>"
    )
    return page(config, "My requests", f"<h1>My requests</h1>{body}")


def appeal_by(shown: Mapping[str, Any]) -> str | None:
    """Until when a person may appeal against the decision on an answer. None: they may not."""
    review = shown.get("review")
    until = review.get("appeal_by") if isinstance(review, dict) else shown.get("appeal_by")
    return until if isinstance(until, str) else None


def in_language(texts: Mapping[str, str], languages: str) -> str:
    """A text in the language that a browser wants first, or the first one that there is. Empty: there is none."""
    return texts.get(languages[:2].lower()) or texts.get("en") or next(iter(texts.values()), "")


def appeal_form(id_: str, until: str, notice: str) -> str:
    """The form by which a person appeals."""
    confirmation = (
        f'<p>{escaped(notice)}</p><p><label><input type="checkbox" name="confirmed" value="yes" required> '
        "I have read this.</label></p>"
        if notice
        else ""
    )
    return (
        f"<h2>Appeal</h2><p>You may appeal once, until {escaped(_day(until))}. A senior reviewer who has not decided "
        "on it reads your request, the answer, the decision, and what you write here.</p>"
        f'<form method="post" action="{escaped(APPEAL_PATH.format(id=id_))}"><p><label>Why do you disagree?'
        f'<textarea name="question" required maxlength="{MOST_QUESTION}"></textarea></label></p>{confirmation}'
        "<p><button>Send the appeal</button></p></form>"
    )


def request_page(config: ChatConfig, shown: Mapping[str, Any], appeal: str = "") -> str:
    """The page of one held answer or question, as the gateway tells it. `appeal`: the form, if they may appeal."""
    parts = []
    if "choices" in shown:
        parts += ["<h1>The answer</h1>", *(_quoted(choice) for choice in shown["choices"])]
        if shown.get("review", {}).get("status") == "corrected":
            parts.append('<p class="soft">A person corrected it.</p>')
    else:
        state = str(shown.get("status", ""))
        title = "Your question" if shown.get("object") == "case" else "Your request"
        title = "Your appeal" if "appeal_of" in shown else title
        parts.append(f"<h1>{title}</h1><p>{escaped(_STATES.get(state, state))}.</p>")
        if "reply" in shown:
            parts += ["<h2>Reply</h2>", f"<pre>{escaped(shown['reply'])}</pre>"]
        if shown.get("confirmed"):
            parts.append("<p>The reviewer says: the answer was right.</p>")
        if shown.get("upheld"):
            parts.append("<p>The reviewer says: the decision stands.</p>")
        if shown.get("reason"):
            parts.append(f"<p>Reason: {escaped(shown['reason'])}</p>")
        if shown.get("note"):
            parts.append(f"<pre>{escaped(shown['note'])}</pre>")
        if state in ("held", "escalated", "open") and "decide_by" in shown:
            parts.append(f'<p class="soft">Decision by {escaped(_day(shown["decide_by"]))}.</p>')
    return page(
        config, "My requests", "".join(parts) + appeal + f'<p><a href="{PATH}">All my requests</a></p>'
    )


def refusal_page(config: ChatConfig, refusal: Refusal) -> str:
    """Why somebody does not get in, and what to do."""
    again = f'<p><a href="{SIGN_IN_AGAIN}">Sign on again</a></p>' if refusal.status in (401, 403) else ""
    title = {401: "Sign on", 403: "You have no access", 404: "Not found"}.get(
        refusal.status, "Not available now"
    )
    return page(config, title, f"<h1>{title}</h1><p>{escaped(refusal.message)}</p>{again}")


def _entry(entry: Mapping[str, Any]) -> str:
    kind = "cases" if entry["object"] == "case" else "reviews"
    title = "Question to a person" if kind == "cases" else "Answer"
    title = "Appeal" if "appeal_of" in entry else title
    state = str(entry["status"])
    state = _STATES.get(state, state)
    link = f"{PATH}/{kind}/{entry['id']}"
    may_appeal = f". You may appeal until {escaped(_day(entry['appeal_by']))}" if "appeal_by" in entry else ""
    return (
        f'<li><a href="{escaped(link)}">{title} · {escaped(entry["workload"])}</a>: {escaped(state)}'
        f'{may_appeal}<br><span class="soft">{escaped(_day(entry["held_at"]))}</span></li>'
    )


def _quoted(choice: Mapping[str, Any]) -> str:
    text = choice.get("message", {}).get("content", choice.get("text"))
    return f"<pre>{escaped(text)}</pre>"


def page(config: ChatConfig, title: str, body: str) -> str:
    """A whole page. `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<p class="class" role="note">Class {config.data_class}</p>'
        f'<main>{body}<p><a href="{START_PATH}">Start</a> · <a href="/">Chat</a></p></main></body></html>'
    )


def escaped(value: object) -> str:
    """A value as text in HTML; nothing for None."""
    return html.escape(str(value if value is not None else ""))


def _day(moment: str) -> str:
    at = datetime.fromisoformat(moment).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
