"""The desk's pages and acts: lists, items, decisions, and the next item.

Reading a page changes nothing. Each change is a form, whose sender `edge.desk.forms` checks. A form whose person is
not signed on any more, or whose answer is another reviewer's by now, comes back with everything that was typed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.callers.session import HEADER
from edge.config import ReviewsConfig
from edge.config.desk import Desk, Language, ReasonCode
from edge.deadlines import Deadline
from edge.desk.board import PATH as BOARD
from edge.desk.board import PATHS as BOARD_PATHS
from edge.desk.board import BoardPages
from edge.desk.differences import differences
from edge.desk.filters import KEYS, list_of, parse_after, query_of
from edge.desk.forms import TOKEN, FormGuard
from edge.desk.guidelines import render_guidelines
from edge.desk.item import LOW_FIELD, Item, build_item, corrected_texts
from edge.desk.pages import HEADERS, LANGUAGE, LANGUAGES, SCRIPT, STYLE, Pages, known_text, language_of
from edge.desk.pieces import text_pieces
from edge.desk.sign_on import DeskSignOn
from edge.desk.stops import PATH as STOPS
from edge.desk.stops import StopPages
from edge.desk.visit import FILTER, Visit
from edge.forms import read_form
from edge.openai_api import Refusal, bad_request, is_reason
from edge.reviews.appeals import APPEAL
from edge.reviews.decisions import DECISIONS, JUDGEMENTS, MOST_NOTE, ReviewDesk
from edge.reviews.figures import FiguresOf
from edge.reviews.held_store import CASE
from edge.reviews.identity import ID
from edge.reviews.queue import PAGE, WAITING, Filter, Queue, position_of
from edge.reviews.reviewers import Person
from edge.reviews.stop_desk import StopDesk
from edge.reviews.trigger import BY_SCORE
from edge.service import State, application

SIGN_ON_AGAIN = "/oauth2/start"
"""Path of the sign-on's proxy that begins a sign-on. It comes back to the path `rd`."""
SIGN_OUT = "/oauth2/sign_out?rd=%2F"
_ANSWERED = 303
_TAKEN = (
    "claimed",
    "not_claimed",
    "changed",
    "overdue",
    "already_decided",
    "not_senior",
    "own_request",
    "own_appeal",
)
"""Refusals after which the item is read again, and what was typed is kept."""
_REASONS = ("impact", "low-score", "no-score", "sampled", "asked", APPEAL)


Work = Callable[[Visit], Awaitable[Response]]


class DeskApplication:
    """The pages of one desk. Raises ConfigError."""

    def __init__(
        self,
        config: ReviewsConfig,
        state: State,
        acts: ReviewDesk,
        queue: Queue,
        stops: StopDesk,
        figures: FiguresOf,
    ) -> None:
        assert config.desk is not None, "there is a desk"
        assert config.tokens is not None, "they come with the desk"
        self._config, self._state, self._acts, self._queue = config, state, acts, queue
        self._desk: Desk = config.desk
        self._sign_on = DeskSignOn(config.tokens, config.desk, acts.pseudonym)
        self._guard = FormGuard(acts.form_key, config.desk.url)
        self._guidelines = render_guidelines(config.desk.guidelines)
        self._pages = Pages()
        self._claiming_next = asyncio.Lock()
        self._stops = StopPages(stops, queue, self._page, self._go)
        self._board = BoardPages(figures, acts.people, self._page, self._go)
        self._files = {"/desk.js": (SCRIPT.read_bytes(), "text/javascript")}
        self._files["/desk.css"] = (STYLE.read_bytes(), "text/css")

    def routes(self) -> list[Route]:
        """The routes of the desk."""
        pages: list[tuple[str, Work]] = [("/", self.show_list), ("/items/{id}", self.show_item)]
        pages.append((STOPS, self._stops.show))
        board = (self._board.show, self._board.csv, self._board.json)
        pages += zip(BOARD_PATHS, board, strict=True)
        forms: list[tuple[str, Work]] = [
            ("/next", self.claim_next),
            ("/items/{id}/claim", self.claim),
            ("/items/{id}/release", self.release),
            ("/items/{id}/judge", self.judge),
            ("/items/{id}/decide", self.decide),
            (STOPS, self._stops.stop),
            (f"{STOPS}/{{stop}}/restart", self._stops.restart),
            (f"{BOARD}/people", self._board.ask),
            (f"{BOARD}/people/{{question}}/confirm", self._board.confirm),
        ]
        return [
            *(Route(path, self._file(path), methods=["GET"]) for path in self._files),
            *(Route(path, self._of(path, work), methods=["GET"]) for path, work in pages),
            *(Route(path, self._of(path, work, is_form=True), methods=["POST"]) for path, work in forms),
        ]

    def application(self) -> Any:
        """The desk as an application."""
        return application(self.routes())

    async def show_list(self, visit: Visit) -> Response:
        """A page of waiting, delivered or decided answers."""
        person, wanted = visit.reviewer, visit.wanted
        after = parse_after(visit.request.query_params.get("after", ""))
        rows = await self._queue.page(person, self._acts.names_of(person), wanted, after)
        last = None
        if len(rows) == PAGE:
            at = rows[-1]["decided_at" if wanted.decided else "decide_by"]
            last = query_of(wanted, after=position_of(at, rows[-1]["id"]))
        claims = [] if wanted.decided or after else await self._queue.claims(person)
        values = {
            "rows": [self._listed(visit, row) for row in rows],
            "claims": [self._listed(visit, row) for row in claims],
            "wanted": wanted,
            "next": last,
            "known_reasons": _REASONS,
            "may_decide": any(scope.role != "auditor" for scope in person.scopes),
            "nothing_left": visit.request.query_params.get("left") == "none",
        }
        return self._page(visit, "list.html", values)

    async def show_item(self, visit: Visit) -> Response:
        """The page of one item: its content while this person's claim lasts, and where it stands otherwise."""
        return await self._item_page(visit, {})

    async def claim(self, visit: Visit) -> Response:
        """Claim an item and show it. What was typed before the claim ended is still there."""
        await self._acts.reserve(visit.reviewer, visit.held_id)
        if any(name.startswith(("text-", "field-", "note")) for name in visit.form):
            return await self._item_page(visit, visit.typed)
        return self._go(visit, self._path(visit, visit.held_id))

    async def release(self, visit: Visit) -> Response:
        """Release a claimed item."""
        await self._acts.release(visit.reviewer, visit.held_id, _version(visit.form))
        return self._go(visit, "/" + query_of(visit.wanted))

    async def judge(self, visit: Visit) -> Response:
        """Take a quick judgement: it decides a delivered answer, and precedes the decision on a held one."""
        form = visit.form
        judgement = form.get("judgement", "")
        if judgement not in JUDGEMENTS:
            raise bad_request("invalid_judgement", "Choose one of the judgements.")
        decided = await self._acts.judge(
            visit.reviewer,
            visit.held_id,
            version=_version(form),
            sha256=form.get("sha256", ""),
            judgement=judgement,
            note=_note(form),
        )
        if decided["status"] in WAITING:
            return self._go(visit, self._path(visit, visit.held_id))
        return await self._go_on(visit, decided)

    async def decide(self, visit: Visit) -> Response:
        """Approve, correct, reject or escalate, or show the differences of a correction."""
        form = visit.form
        act = form.get("act", "")
        if "preview" in form:
            return await self._item_page(visit, visit.typed, shows_changes=True)
        if act not in DECISIONS:
            raise bad_request("invalid_act", "Choose what you decide.")
        row, content = await self._acts.claimed(visit.reviewer, visit.held_id)
        if content is None:
            raise self._acts.why_not_claimed(row)
        texts = None
        if act == "correct":
            texts = corrected_texts(build_item(row, content, hides_score=False), form)
        decided = await self._acts.decide(
            visit.reviewer,
            visit.held_id,
            act,
            version=_version(form),
            sha256=form.get("sha256", ""),
            reason=self._reason(row, act, form),
            note=_note(form),
            texts=texts,
        )
        return await self._go_on(visit, decided)

    async def claim_next(self, visit: Visit) -> Response:
        """Claim the next item of the list, and show it."""
        return await self._go_on(visit)

    async def _go_on(self, visit: Visit, decided: Mapping[str, Any] | None = None) -> Response:
        """Go to the next item, or to the list if the person wants that or nothing is left.

        After the decision on a planted answer, its page says so.
        """
        done = str(decided["status"]) if decided is not None else None
        if decided is not None and not {"planted", "second_look"}.isdisjoint(decided):
            return self._go(visit, self._path(visit, visit.held_id))
        leaves = visit.request.path_params.get("id") or visit.form.get("leaves", "")
        if "stop" in visit.form:
            return self._go(visit, "/" + query_of(visit.wanted), done)
        held_id = await self._next(visit, leaves)
        if held_id is None:
            return self._go(visit, "/" + query_of(visit.wanted, left="none"), done)
        return self._go(visit, self._path(visit, held_id), done)

    async def _next(self, visit: Visit, leaves: str) -> str | None:
        """The next item that this person has claimed or can claim now. `leaves`: not this one."""
        person, wanted = visit.reviewer, visit.wanted
        for row in await self._queue.claims(person):
            if row["id"] != leaves and row["delivered"] == wanted.delivered:
                return row["id"]
        # One person after the other. Otherwise all of them try the same few answers, and most get none.
        async with self._claiming_next:
            for held_id in await self._queue.candidates(person, self._acts.names_of(person), wanted):
                if held_id == leaves:
                    continue
                try:
                    await self._acts.reserve(person, held_id)
                except Refusal as refusal:
                    if refusal.status == 503:
                        raise
                    continue  # another copy of the service was faster
                return held_id
        return None

    async def _item_page(
        self, visit: Visit, typed: Mapping[str, str], *, shows_changes: bool = False, problem: str = ""
    ) -> Response:
        person = visit.reviewer
        row, content = await self._acts.claimed(person, visit.held_id)
        hides = self._hides_score(person, row)
        item = build_item(row, content, hides_score=hides) if content is not None else None
        if item is None and typed:
            raise self._acts.why_not_claimed(row)
        (acts, notes), similar = await asyncio.gather(
            self._acts.history(visit.held_id, reads_notes=item is not None), self._queue.similar(row)
        )
        changes = None
        if shows_changes and item is not None:
            changes = await asyncio.to_thread(_changes, item, typed)
        values = {
            "row": self._listed(visit, row),
            "item": item,
            "notes": notes,
            "acts": acts,
            "similar": similar,
            "typed": {"act": "", "reason": "", "note": "", **typed},
            "changes": changes,
            "problem": problem,
            "hides_score": hides,
            "guideline": self._guidelines.get(row["workload"]),
            "reasons": (reasons := self._reasons(row, visit.language)),
            "reason_labels": dict(reasons),
            "judgements": JUDGEMENTS,
            "as_text": visit.request.query_params.get("as") == "text" or "text-0" in typed,
            "may_claim": self._may_claim(person, row),
            "is_own": not set(row["not_by"]).isdisjoint(self._acts.names_of(person)),
            "low_field": round(100 * LOW_FIELD),
            "is_case": row["task"] == CASE,
            "pieces": text_pieces,
            "notice": self._acts.notice(person, row),
            "may_decide": person.may_decide(row["workload"], row["domain"]),
            "most_note": MOST_NOTE,
        }
        return self._page(visit, "item.html", values, 400 if problem else 200)

    def _listed(self, visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as lists and items show it, without what tells of a hidden score."""
        shown: dict[str, Any] = {**row, "path": self._path(visit, row["id"])}
        shown["notice"] = self._acts.notice(visit.reviewer, row)
        labels = dict(self._reasons(row, visit.language))
        shown["reason_text"] = labels.get(row.get("reason") or "", row.get("reason"))
        if self._hides_score(visit.reviewer, row):
            shown["score"] = None
            shown["why"] = sorted({"score" if reason in BY_SCORE else reason for reason in row["why"]})
        return shown

    def _hides_score(self, person: Person, row: Mapping[str, Any]) -> bool:
        """Whether this person may not see the model's score yet."""
        if row["domain"] not in self._desk.score_after_first_judgement or row["state"] not in WAITING:
            return False
        return "judged_by" not in row or person.name not in row["judged_by"]

    def _may_claim(self, person: Person, row: Mapping[str, Any]) -> bool:
        senior = person.is_senior(row["workload"], row["domain"])
        may = senior if row["state"] == "escalated" else person.may_decide(row["workload"], row["domain"])
        return may and row["state"] in WAITING and row["claim_of"] in (None, person.name)

    def _reasons(self, row: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
        codes: list[ReasonCode] = self._desk.reasons.get(row["domain"] or "", [])
        return [(code.code, code.text(language)) for code in codes]

    def _reason(self, row: Mapping[str, Any], act: str, form: Mapping[str, str]) -> str:
        """The reason of an act. Raises Refusal 400."""
        reason = form.get("reason", "").strip() or ("good" if act == "approve" else "")
        codes = [code.code for code in self._desk.reasons.get(row["domain"] or "", [])]
        if not reason or not is_reason(reason):
            raise bad_request("invalid_reason", "Give a reason: a word of a-z, 0-9 and -.")
        if codes and reason not in codes and not (act == "approve" and reason == "good"):
            raise bad_request("invalid_reason", "Choose one of the reasons of this domain.")
        return reason

    def _path(self, visit: Visit, held_id: str) -> str:
        """The path of an item, with the filter of the list."""
        return f"/items/{held_id}{query_of(visit.wanted)}"

    def _go(self, visit: Visit, path: str, done: str | None = None) -> Response:
        """Send the browser to a page of the desk: `path` is made here, never taken from a request.

        `done`: the state after a decision, which the page confirms.
        """
        if visit.wants_json:
            confirmed = {} if done is None else {"done": known_text(visit.language, "done", done)}
            return JSONResponse({"location": path, **confirmed}, headers=HEADERS)
        if done is not None:
            path += f"{'&' if '?' in path else '?'}done={done}"
        return RedirectResponse(path, _ANSWERED, HEADERS)

    def _page(self, visit: Visit, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
        person = visit.person
        shared = {
            "data_class": self._config.data_class,
            "person": person.name if person else "",
            "reads_lists": person is not None and not person.reads_board_only,
            "reads_board": person is not None and person.reads_board,
            "token": self._guard.token(visit.session, person.identity) if person else "",
            "token_name": TOKEN,
            "sign_out": SIGN_OUT,
            "filter_name": FILTER,
            "filter": query_of(visit.wanted).removeprefix("?"),
            "filter_values": {key: _shown_filter(visit.wanted, key) for key in KEYS},
            "list_name": list_of(visit.wanted),
            "decided": visit.request.query_params.get("done", ""),
            "switches": [
                (language, query_of(visit.wanted, lang=language))
                for language in LANGUAGES
                if language != visit.language and visit.request.method == "GET"
            ],
        }
        return self._pages.response(name, visit.language, {**shared, **values}, status)

    def _of(
        self, path: str, work: Work, *, is_form: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint: identifies the person, checks a form's sender, and answers every refusal with a page."""

        async def answer(request: Request) -> Response:
            request.state.exchange.path = path
            visit = Visit(request, language_of(request), self._guard.session_of(request))
            deadline = Deadline(self._config.limits.request_timeout_s, self._state.running)
            try:
                response = await self._answer(visit, work, deadline, is_form=is_form)
            except TimeoutError:
                raise deadline.refusal() from None
            finally:
                deadline.done()
            self._guard.keep(request, visit.session, response)
            if request.query_params.get("lang") in LANGUAGES:
                response.set_cookie(LANGUAGE, visit.language, 31536000, secure=True, samesite="lax", path="/")
            return response

        return answer

    async def _answer(self, visit: Visit, work: Work, deadline: Deadline, *, is_form: bool) -> Response:
        request = visit.request
        try:
            if is_form:
                # Before anything of the form is read: a page of another site learns and shows nothing.
                self._guard.check_origin(request)
                visit.form = await deadline.wait(read_form(request, self._config.limits.max_body_bytes))
            token = request.headers.get(HEADER, "")
            person = visit.person = await deadline.wait(self._sign_on.visitor(token))
            request.state.exchange.identity = person.identity
            if person.reads_board_only and request.state.exchange.path not in BOARD_PATHS:
                if request.url.path == "/":
                    return self._go(visit, BOARD)
                raise Refusal(403, "board_only", "Your role reads the board, and nothing else here.")
            if is_form:
                self._guard.check_token(visit.session, person.identity, visit.form)
            return await deadline.wait(work(visit))
        except Refusal as refusal:
            request.state.exchange.code = refusal.code
            return await self._refused(visit, refusal, deadline)

    async def _refused(self, visit: Visit, refusal: Refusal, deadline: Deadline) -> Response:
        """The page of a refusal. It keeps what was typed."""
        is_decision = visit.request.url.path.endswith(("/decide", "/judge"))
        if refusal.status == 400 and visit.person is not None and is_decision:
            try:
                problem = known_text(visit.language, "problem", refusal.code)
                problem = refusal.message if problem == refusal.code else problem
                return await deadline.wait(self._item_page(visit, visit.typed, problem=problem))
            except Refusal as other:
                refusal = other
        held_id = visit.request.path_params.get("id", "")
        path = f"/items/{held_id}" if ID.fullmatch(held_id) else "/"
        try:
            _ = visit.wanted
        except Refusal:
            visit.wanted = Filter()
        text = known_text(visit.language, "refusal", refusal.code)
        keeps = bool(visit.form) and refusal.status in (401, 403, 409, 503)
        values = {
            "refusal": refusal,
            "text": refusal.message if text == refusal.code else text,
            "sign_on": f"{SIGN_ON_AGAIN}?rd={quote(path, safe='')}" if refusal.status == 401 else "",
            "typed": visit.typed if keeps else {},
            # Without a person there is no new token; the form's own is checked when it is sent again.
            "token": visit.form.get(TOKEN, ""),
            "back": path,
            "again": visit.request.url.path if refusal.status in (401, 403, 503) and path != "/" else "",
            "claim_again": refusal.code in _TAKEN and path != "/",
        }
        return self._page(visit, "refusal.html", values, refusal.status)

    def _file(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        content, kind = self._files[path]

        async def answer(request: Request) -> Response:
            request.state.exchange.path = path
            headers = {**HEADERS, "cache-control": "no-cache"}
            return Response(content, headers=headers, media_type=kind)

        return answer


def _changes(item: Item, typed: Mapping[str, str]) -> list[Any]:
    """The differences of each choice from what is typed. Raises Refusal 400."""
    texts = corrected_texts(item, typed)
    return [differences(before, after) for before, after in zip(item.texts, texts, strict=True)]


def _shown_filter(wanted: Filter, key: str) -> str:
    value = getattr(wanted, {"older": "older_h", "due": "due_h"}.get(key, key))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else value


def _version(form: Mapping[str, str]) -> int:
    value = form.get("version", "")
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise bad_request("invalid_version", "The form is not as the page made it. Open the page again.")
    return int(value)


def _note(form: Mapping[str, str]) -> str:
    note = form.get("note", "").strip()
    if len(note) > MOST_NOTE:
        raise bad_request("invalid_note", f"The comment has more than {MOST_NOTE} characters.")
    return note
