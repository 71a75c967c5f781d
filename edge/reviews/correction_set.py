"""Corrected answers as a data set: what was asked, what the model answered, and what people made of it.

Each line names the sealed record of its correction, so that it can be traced back. Only corrections are taken that
enough people have approved, with valid seals, and that are the ones on record. No line has a person's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.audit.records import canonical, digest
from edge.classes import CLASS_DEMANDS
from edge.config import DataClass
from edge.database import Database
from edge.reviews.corrections import texts_of
from edge.reviews.envelope import Envelopes, Erased, correction_name
from edge.reviews.held_store import CASE
from edge.reviews.votes import VOTES, votes_of

_CORRECTED = f"""
SELECT h.id, h.edition, h.subject, h.content, h.corrected, h.decided_at, {VOTES}
FROM isthmus.held h
WHERE (h.class, h.site, h.workload) = ($1, $2, $3) AND h.state = 'approved' AND h.corrected IS NOT NULL
    AND h.task <> $4 AND NOT h.planted AND h.delete_at > isthmus.now() AND h.id > $5
ORDER BY h.id LIMIT 200
"""  # noqa: S608 (constants)
_ASKED = ("messages", "prompt", "tools", "response_format")
"""Fields of a request that are part of what was asked. `user`, `metadata` and others may name a person."""
_MESSAGE = ("role", "content", "tool_calls", "tool_call_id")


@dataclass(frozen=True)
class RecordedCorrection:
    """The sealed records of a corrected answer."""

    model: str | None
    model_digest: str | None
    reason: str
    at: str
    """Time of the correction."""
    lineage: dict[str, Any]
    """Digests of its records and seals."""


@dataclass
class CorrectionRecords:
    """Collects the records of a workload's corrections, in any order."""

    workload: str
    _outcomes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    """By id: what ran, and the reference to the record."""
    _corrections: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    """By id and digest of the encrypted correction: the act, and the reference to the record."""

    def add(self, record: Mapping[str, Any], seal: tuple[int, str]) -> None:
        """Add a sealed record. `seal`: number and hash of the seal that has it."""
        if record["kind"] not in ("outcome", "review") or record["who"].get("workload") != self.workload:
            return
        if record["kind"] == "outcome" and record.get("held"):
            self._outcomes[record["id"]] = record["ran"] or {}, _reference(record, seal)
        elif record["kind"] == "review" and record["act"] == "correct":
            act = {"reason": record["reason"], "time": record["time"]}
            self._corrections[(record["id"], record["sha256"])] = act, _reference(record, seal)

    def of(self, held_id: str, corrected: bytes) -> RecordedCorrection | None:
        """What is on record of exactly this encrypted correction. None: nothing, or it is not sealed yet."""
        outcome = self._outcomes.get(held_id)
        correction = self._corrections.get((held_id, digest(corrected)))
        if outcome is None or correction is None:
            return None
        (ran, outcome_reference), (act, correction_reference) = outcome, correction
        lineage = {
            "correction": correction_reference,
            "outcome": outcome_reference,
            "correction_sha256": digest(corrected),
        }
        return RecordedCorrection(ran.get("model"), ran.get("digest"), act["reason"], act["time"], lineage)


def _reference(record: Mapping[str, Any], seal: tuple[int, str]) -> dict[str, Any]:
    """Where a sealed record is, and its digest."""
    return {
        "record": digest(canonical(record)),
        "writer": record["writer"],
        "seq": record["seq"],
        "seal": seal[0],
        "seal_hash": seal[1],
    }


@dataclass
class CorrectionSet:
    """The lines of a data set, and what could not become one."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    erased: int = 0
    """Corrected answers with a destroyed key."""
    unsealed: int = 0
    """Corrected answers without sealed records of exactly this correction."""
    unproven: int = 0
    """Corrected answers without enough valid votes, or altered ones."""


async def collect(
    database: Database,
    envelopes: Envelopes,
    records: CorrectionRecords,
    place: tuple[DataClass, str],
) -> CorrectionSet:
    """Read and decrypt the corrected answers of a workload at a class and site. Raises DatabaseDown, OSError."""
    collected, last = CorrectionSet(), ""
    while rows := await database.fetch(_CORRECTED, *place, records.workload, CASE, last):
        for row in rows:
            await asyncio.to_thread(_take, collected, row, envelopes, records, place)
        last = rows[-1]["id"]
    return collected


def _take(
    collected: CorrectionSet,
    row: Any,
    envelopes: Envelopes,
    records: CorrectionRecords,
    place: tuple[DataClass, str],
) -> None:
    """Add the line of one answer."""
    good = envelopes.votes.good(row["id"], row["edition"], row["corrected"], votes_of(row))
    if len(good) < CLASS_DEMANDS[place[0]].approvers:
        collected.unproven += 1
        return
    recorded = records.of(row["id"], row["corrected"])
    if recorded is None:
        collected.unsealed += 1
        return
    try:
        first = envelopes.open(row["content"], row["id"])
        correction = envelopes.open(row["corrected"], correction_name(row["id"]))
        asked, texts = first["asked"], (texts_of(first["answer"]), texts_of(correction["answer"]))
    except Erased:
        collected.erased += 1
        return
    except (ValueError, KeyError, TypeError):
        collected.unproven += 1
        return
    collected.lines.append(
        {
            "id": row["id"],
            "subject": row["subject"],
            "class": place[0],
            "site": place[1],
            "workload": records.workload,
            "model": recorded.model,
            "model_digest": recorded.model_digest,
            "request": request_without_names(asked),
            "answer": texts[0],
            "correction": texts[1],
            "reason": recorded.reason,
            "corrected_at": recorded.at,
            "decided_at": row["decided_at"].isoformat(timespec="milliseconds"),
            "lineage": recorded.lineage,
        }
    )


def request_without_names(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, without fields that may name a person."""
    request = {name: asked[name] for name in _ASKED if name in asked}
    if (messages := request.pop("messages", None)) is not None and isinstance(messages, list):
        request["messages"] = [
            {name: message[name] for name in _MESSAGE if name in message}
            for message in messages
            if isinstance(message, dict)
        ]
    return request
