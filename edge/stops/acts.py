"""What people do to stops in PostgreSQL: stop, ask for a restart, list. The database's functions enforce the rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from edge.openai_api import Refusal

RESTART_REASON = "restart"
"""Reason of a restart if the person gives none."""
MOST_LISTED = 200
_STOP = "SELECT * FROM isthmus.stop_by_reviewer($1, $2, $3, $4, $5, $6, $7)"
_RESTART = "SELECT * FROM isthmus.restart_by_reviewer($1, $2, $3, $4)"
_STOP_AS_USER = "SELECT * FROM isthmus.stop_by_operator($1, $2, $3, $4, $5)"
_RESTART_AS_USER = "SELECT * FROM isthmus.restart_by_operator($1, $2)"
_LIST = """
SELECT id, class, site, workload, message, stopped_at, ended_at,
       ARRAY(SELECT jsonb_build_object('act', act, 'by', by, 'through', through, 'reason', reason, 'at', at)::text
             FROM isthmus.stop_acts a WHERE a.stop = s.id ORDER BY number) AS acts,
       ARRAY(SELECT jsonb_build_object('gateway', gateway, 'at', at)::text
             FROM isthmus.stop_refusing r WHERE r.stop = s.id ORDER BY at) AS refusing
FROM isthmus.stops s
WHERE ($1::text IS NULL OR class = $1) AND ($2::text IS NULL OR site = $2)
    AND ($3::text[] IS NULL OR workload = ANY ($3)) AND ($4 OR ended_at IS NULL)
ORDER BY stopped_at DESC LIMIT $5
"""
_WORKLOAD = "SELECT workload FROM isthmus.stops WHERE (id, class, site) = ($1, $2, $3)"
_REFUSALS = {
    "unknown": (404, "stop_not_found", "There is no stop with this id."),
    "ended": (409, "already_restarted", "The workload was restarted already."),
    "second_person": (
        409,
        "second_person_needed",
        "You have asked for the restart already. Another person must ask for it too, within four hours of you.",
    ),
}


class Done(NamedTuple):
    """What an act did."""

    outcome: str
    """`stopped`, `already` (it was stopped before), `asked` (a second person must ask too) or `restarted`."""
    id: str


class Who(NamedTuple):
    """The person of an act at the review service."""

    name: str
    account: str
    """The identity of the review service's records: it stays when a person's name changes."""


async def stop(
    connection: Any, place: tuple[str, str], workload: str, reason: str, message: str, who: Who | None = None
) -> Done:
    """Stop a workload of a class and site. `who` None: the database's user."""
    if who is None:
        return _done(await connection.fetchrow(_STOP_AS_USER, *place, workload, reason, message))
    return _done(await connection.fetchrow(_STOP, *place, workload, *who, reason, message))


async def restart(connection: Any, stop_id: str, reason: str, who: Who | None = None) -> Done:
    """Ask for the restart of a stopped workload; the second person restarts it. Raises Refusal 404 or 409."""
    if who is None:
        return _done(await connection.fetchrow(_RESTART_AS_USER, stop_id, reason))
    return _done(await connection.fetchrow(_RESTART, stop_id, *who, reason))


async def workload_of(connection: Any, place: tuple[str, str], stop_id: str) -> str | None:
    """The workload of a stop, which may be over; None if this class and site have no such stop."""
    return await connection.fetchval(_WORKLOAD, stop_id, *place)


async def listed(
    connection: Any,
    data_class: str | None,
    site: str | None,
    workloads: Sequence[str] | None,
    *,
    ended: bool,
) -> list[dict[str, Any]]:
    """The stops, the latest first, with the acts on each and the gateways that refuse. None: all of them. `ended`:
    also those that are over.
    """
    rows = await connection.fetch(_LIST, data_class, site, workloads, ended, MOST_LISTED)
    return [
        {
            **{key: row[key] for key in ("id", "class", "site", "workload", "message")},
            **{key: row[key] and row[key].isoformat() for key in ("stopped_at", "ended_at")},
            **{key: [json.loads(text) for text in row[key]] for key in ("acts", "refusing")},
        }
        for row in rows
    ]


def _done(row: Any) -> Done:
    if row["outcome"] in _REFUSALS:
        raise Refusal(*_REFUSALS[row["outcome"]])
    return Done(row["outcome"], row["id"])
