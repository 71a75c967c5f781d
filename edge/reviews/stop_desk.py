"""Stops and restarts workloads for the people of the review service. Every act has a row and an audit record."""

from __future__ import annotations

import re
from typing import Any

from edge.audit.auditor import Auditor
from edge.config import ReviewsConfig
from edge.database import Database, DatabaseDown
from edge.journal import write_line
from edge.openai_api import Refusal, bad_request, is_reason
from edge.reviews.reviewers import Person
from edge.stops import MOST_MESSAGE, acts, is_message
from edge.stops.acts import Done, Who

_ID = re.compile(r"[0-9a-f]{32}")
_ACTS = {"stopped": "stop", "already": "stop", "asked": "ask-restart", "restarted": "restart"}
"""Act of the audit record, by outcome."""


class StopDesk:
    """Stops of one class at one site. Only seniors stop and restart."""

    def __init__(self, config: ReviewsConfig, database: Database, auditor: Auditor) -> None:
        self._place: tuple[str, str] = config.data_class, config.site
        self._database, self._auditor = database, auditor

    async def listed(self, person: Person, *, ended: bool) -> list[dict[str, Any]]:
        """The stops of this person's workloads. `ended`: also those that are over. Raises Refusal 503."""
        try:
            stops = await self._database.transaction(
                lambda connection: acts.listed(connection, *self._place, None, ended=ended)
            )
        except DatabaseDown:
            raise _unavailable() from None
        return [stop for stop in stops if person.may_see(stop["workload"], None)]

    async def stop(self, person: Person, workload: object, reason: object, message: object) -> dict[str, Any]:
        """Stop a workload. It is stopped also if no record can be written: its row stands. Raises Refusal."""
        if not isinstance(workload, str) or not 0 < len(workload) <= 253 or not workload.isprintable():
            raise bad_request("invalid_workload", "The field 'workload' must be a workload's name.")
        if not is_message(message):
            raise bad_request(
                "invalid_message",
                f"The field 'message' must be one line of at most {MOST_MESSAGE} characters.",
            )
        reason = checked_reason(reason)
        _require_senior(person, workload)

        async def stop_and_record(connection: Any) -> tuple[str, Done]:
            done = await acts.stop(connection, self._place, workload, reason, message, _who(person))
            try:
                await self._record(person, workload, done, reason)
            except Refusal as refusal:
                write_line("stop_unrecorded", id=done.id, workload=workload, by=person.name, why=refusal.code)
            return workload, done

        return await self._act(stop_and_record)

    async def restart(self, person: Person, stop_id: str, reason: object) -> dict[str, Any]:
        """Ask for a restart. It is effective when a second person asks. Raises Refusal."""
        reason = checked_reason(reason)
        if _ID.fullmatch(stop_id) is None:  # PostgreSQL rejects some of them (NUL)
            raise _not_found()

        async def restart_and_record(connection: Any) -> tuple[str, Done]:
            workload = await acts.workload_of(connection, self._place, stop_id)
            if workload is None or not person.may_see(workload, None):
                raise _not_found()
            _require_senior(person, workload)
            done = await acts.restart(connection, stop_id, reason, _who(person))
            await self._record(person, workload, done, reason)
            return workload, done

        return await self._act(restart_and_record)

    async def _act(self, work: Any) -> dict[str, Any]:
        try:
            workload, done = await self._database.transaction(work)
        except DatabaseDown:
            raise _unavailable() from None
        return {"id": done.id, "object": "stop", "workload": workload, "outcome": done.outcome}

    async def _record(self, person: Person, workload: str, done: Done, reason: str) -> None:
        """Record an act durably, before its commit. Raises Refusal 503."""
        who = {"workload": workload, "people": [person.name], "way": "reviews", "identity": person.identity}
        await self._auditor.stop({"id": done.id, "act": _ACTS[done.outcome], "who": who, "reason": reason})


def checked_reason(value: object) -> str:
    """The reason of an act, a word for the record. Raises Refusal 400."""
    if not is_reason(value) or not value:
        raise bad_request(
            "invalid_reason", "The field 'reason' must be a word such as wrong-amount: a-z, 0-9 and -."
        )
    return value


def _who(person: Person) -> Who:
    return Who(person.name, person.identity)


def _require_senior(person: Person, workload: str) -> None:
    if not person.may_see(workload, None):
        raise Refusal(403, "wrong_workload", f"You review other workloads than {workload[:80]!r}.")
    if not person.is_senior(workload, None):
        raise Refusal(403, "not_senior", "Only a senior reviewer may stop or restart a workload.")


def _not_found() -> Refusal:
    return Refusal(
        404, "stop_not_found", "There is no stop with this id. GET /v1/stops lists those in effect."
    )


def _unavailable() -> Refusal:
    return Refusal(
        503,
        "stops_unavailable",
        "The database does not answer now, so nothing may have changed. Look at GET /v1/stops in a moment.",
    )
