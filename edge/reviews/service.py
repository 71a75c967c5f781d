"""`mode: reviews`: the API for reviewers. It has a listener of its own, because a reviewer is not an application.

This process has no route to a model, and applications have no route to it. Only its database user may decide.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.audit.auditor import EXPIRE_S, Auditor
from edge.config import ReviewsConfig
from edge.database import Database, DatabaseDown
from edge.database.held_answers import WAITING_AGES
from edge.database.migrations import outdated
from edge.database.outbox import STATUS
from edge.deadlines import Deadline
from edge.journal import write_line
from edge.openai_api import Refusal, bad_request, check_fields, parse_object, read_body
from edge.reviews.decisions import DECISIONS, MAX_LISTED, MOST_NOTE, ReviewDesk
from edge.reviews.planting import PLANT_S
from edge.reviews.queue import parse_position, position_of
from edge.reviews.reviewers import Person, Reviewers
from edge.reviews.stop_desk import StopDesk, checked_reason
from edge.service import Service, State, application, metrics_response
from edge.stops.acts import RESTART_REASON

PATH = "/v1/reviews"
STOPS_PATH, RESTART_PATH = "/v1/stops", "/v1/stops/{id}/restart"
TICK_S = 1.0
"""Seconds between two searches for overdue answers. Nothing is decided automatically in between."""
WATCH_S = 30.0
"""Seconds between two looks at how long held answers and notifications wait."""
_FIELDS = frozenset(["version", "sha256", "reason", "note"])


class ReviewsService:
    """The review service of one class at one site. Raises ConfigError."""

    def __init__(self, config: ReviewsConfig, state: State) -> None:
        self._config, self._state = config, state
        self.database = Database(config.database)
        self._auditor = Auditor(config, config.audit, state.metrics)
        self.desk = ReviewDesk(config, self.database, self._auditor)
        self.stop_desk = StopDesk(config, self.database, self._auditor)
        self._reviewers = Reviewers(config, self.database)

    def service(self) -> Service:
        """Return the application, its background tasks and its metrics."""
        item_path = f"{PATH}/{{id}}"
        routes = [
            Route(PATH, self._of(PATH, self.waiting), methods=["GET"]),
            Route(item_path, self._of(item_path, self.one), methods=["GET"]),
            Route(f"{item_path}/claim", self._of(f"{item_path}/claim", self.claim), methods=["POST"]),
            Route(f"{item_path}/release", self._of(f"{item_path}/release", self.release), methods=["POST"]),
            Route(STOPS_PATH, self._of(STOPS_PATH, self.stops), methods=["GET", "POST"]),
            Route(RESTART_PATH, self._of(RESTART_PATH, self.restart), methods=["POST"]),
        ]
        for act in DECISIONS:
            routes.append(
                Route(f"{item_path}/{act}", self._of(f"{item_path}/{act}", self.decide), methods=["POST"])
            )
        return Service(
            app=application(routes),
            paths={PATH, STOPS_PATH},
            problem=self._problem,
            metrics=self._metrics,
            close=self._close,
            background=[self._ticking, self._expiring, self._watching, *self._further()],
        )

    async def waiting(self, request: Request, person: Person) -> Any:
        """Return a page of waiting answers, the oldest first. `next` is the start of the following page."""
        parameters = request.query_params
        if unknown := sorted(parameters.keys() - {"state", "after", "limit"}):
            raise bad_request("unknown_parameter", f"The parameter {unknown[0][:80]!r} is not accepted.")
        state, limit = parameters.get("state", ""), parameters.get("limit", "50")
        if state not in ("", "held", "escalated"):
            raise bad_request("invalid_state", "The parameter 'state' is held or escalated.")
        if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit[:6]) <= MAX_LISTED:
            raise bad_request("invalid_limit", f"The parameter 'limit' is a number from 1 to {MAX_LISTED}.")
        states = [state] if state else ["held", "escalated"]
        rows = await self.desk.waiting(person, states, _parse_after(parameters.get("after", "")), int(limit))
        last = position_of(rows[-1]["held_at"], rows[-1]["id"]) if len(rows) == int(limit) else None
        return {"object": "list", "data": rows, "next": last}

    async def one(self, request: Request, person: Person) -> Any:
        """Return the state of an answer, decided ones included, and the acts on it."""
        return await self.desk.one(person, request.path_params["id"])

    async def claim(self, request: Request, person: Person) -> Any:
        """Claim an answer: returns request and answer, and reserves the decision for a while."""
        return await self.desk.claim(person, request.path_params["id"])

    async def release(self, request: Request, person: Person) -> Any:
        """Release a claimed answer."""
        body = await self._said(request, frozenset(["version"]))
        return await self.desk.release(person, request.path_params["id"], body["version"])

    async def decide(self, request: Request, person: Person) -> Any:
        """Approve, correct, reject or escalate a claimed answer."""
        act = request.scope["path"].rpartition("/")[2]
        body = await self._said(request, _FIELDS | ({"texts"} if act == "correct" else set()))
        note = body.get("note") or ""
        reason = checked_reason(body.get("reason", "good" if act == "approve" else None))
        if not isinstance(note, str) or len(note) > MOST_NOTE:
            raise bad_request(
                "invalid_note", f"The field 'note' must be text of at most {MOST_NOTE} characters."
            )
        if not isinstance(body.get("sha256"), str):
            raise bad_request(
                "invalid_sha256", "The field 'sha256' must be what the claim said of the answer."
            )
        return await self.desk.decide(
            person,
            request.path_params["id"],
            act,
            **{"version": body["version"], "sha256": body["sha256"], "reason": reason, "note": note},
            texts=body.get("texts"),
        )

    async def stops(self, request: Request, person: Person) -> Any:
        """List stops, or stop a workload."""
        if request.method != "POST":
            if unknown := sorted(request.query_params.keys() - {"ended"}):
                raise bad_request("unknown_parameter", f"The parameter {unknown[0][:80]!r} is not accepted.")
            if (ended := request.query_params.get("ended", "false")) not in ("true", "false"):
                raise bad_request("invalid_ended", "The parameter 'ended' is true or false.")
            return {"object": "list", "data": await self.stop_desk.listed(person, ended=ended == "true")}
        body = await self._body(request, frozenset(["workload", "reason", "message"]))
        fields = {name: body.get(name) for name in ("workload", "reason")}
        return await self.stop_desk.stop(person, message=body.get("message") or "", **fields)

    async def restart(self, request: Request, person: Person) -> Any:
        """Ask for the restart of a stopped workload."""
        body = await self._body(request, frozenset(["reason"]))
        reason = body.get("reason", RESTART_REASON)
        return await self.stop_desk.restart(person, request.path_params["id"], reason)

    async def _body(self, request: Request, fields: frozenset[str]) -> dict[str, Any]:
        body = parse_object(await read_body(request, self._config.limits.max_body_bytes))
        check_fields(body, fields)
        return body

    async def _said(self, request: Request, fields: frozenset[str]) -> dict[str, Any]:
        body = await self._body(request, fields)
        if type(body.get("version")) is not int or not 0 <= body["version"] < 2**31:
            raise bad_request("invalid_version", "The field 'version' must be the one that the claim told.")
        return body

    def _of(self, path: str, work: Any) -> Any:
        """Return an endpoint that identifies the reviewer, applies the time limit, and answers with JSON."""

        async def answer(request: Request) -> Response:
            exchange = request.state.exchange
            exchange.path = path
            deadline = Deadline(self._config.limits.request_timeout_s, self._state.running)
            try:
                person = await deadline.wait(self._reviewers.person(request))
                exchange.identity = person.identity
                return _json_response(await deadline.wait(work(request, person)))
            except TimeoutError:
                raise deadline.refusal() from None
            finally:
                deadline.done()

        return answer

    async def _ticking(self) -> None:
        """Announce new answers, remind, escalate or expire overdue answers, and delete old ones, in an endless loop."""
        while True:
            try:
                while await self.desk.announce() == MAX_LISTED:
                    pass
                while await self.desk.remind() == MAX_LISTED:
                    pass
                while (moved := await self.desk.overdue()) == MAX_LISTED:
                    write_line("reviews_overdue", answers=moved)
                if moved:
                    write_line("reviews_overdue", answers=moved)
                if gone := await self.desk.sweep():
                    write_line("reviews_deleted", answers=gone)
            except (DatabaseDown, Refusal, OSError) as error:
                write_line(
                    "reviews_failed", error=type(error).__name__
                )  # it is tried again; nobody decides meanwhile
            await asyncio.sleep(TICK_S)

    def _further(self) -> list[Any]:
        """Background tasks that some settings ask for."""
        return [self._planting] if self.desk.planter.has_work else []

    async def _planting(self) -> None:
        """Plant wrong answers among the real ones, in an endless loop. The log names none of them."""
        while True:
            await asyncio.sleep(PLANT_S)
            try:
                await self.desk.planter.plant()
            except (DatabaseDown, Refusal, OSError) as error:
                write_line("reviews_failed", error=type(error).__name__)

    async def _watching(self) -> None:
        """Export how long held answers wait and, in domains, the oldest notification, also where no notifier runs. An
        endless loop.
        """
        place = (self._config.data_class, self._config.site)
        set_ages = self._state.metrics.held_ages()
        set_oldest = self._state.metrics.outbox_oldest() if self._config.domains else None
        while True:
            try:
                rows = await self.database.fetch(WAITING_AGES, *place)
                set_ages({row["workload"]: (row["oldest_s"], row["overdue_s"] or 0.0) for row in rows})
                if set_oldest is not None:
                    (row,) = await self.database.fetch(STATUS, *place)
                    set_oldest(row["oldest_s"])
            except DatabaseDown as error:
                write_line("reviews_failed", error=type(error).__name__)
            await asyncio.sleep(WATCH_S)

    async def _expiring(self) -> None:
        """Destroy expired keys every hour, in an endless loop."""
        while True:
            try:
                write_line("audit_expired", keys=await self.desk.expire())
                await self.desk.sweep_facts()
            except DatabaseDown as error:
                write_line("reviews_failed", error=type(error).__name__)
            except OSError as error:
                write_line(
                    "audit_failed", error=type(error).__name__, reason=f"keys are not destroyed: {error}"
                )
            await asyncio.sleep(EXPIRE_S)

    async def _problem(self) -> str | None:
        return await outdated(self.database) or self._auditor.log.problem()

    async def _metrics(self) -> Response:
        return metrics_response(self._state.metrics)

    async def _close(self) -> None:
        await self._auditor.log.close()
        await self.database.close()


def _parse_after(after: str) -> tuple[datetime, str] | None:
    try:
        return parse_position(after)
    except ValueError:
        raise bad_request("invalid_after", "The parameter 'after' must be a page's `next`.") from None


def _json_response(value: Any) -> Response:
    def format_time(moment: Any) -> str:
        assert isinstance(moment, datetime)
        return moment.isoformat(timespec="milliseconds")

    return Response(json.dumps(value, default=format_time), media_type="application/json")
