"""A request as a row of the usage ledger, and the rules by which audit records make it. No I/O.

The same records give the same row in whatever order they come and however often: a row knows which record settled it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from edge.audit.seal_format import Seal

Outcome = Literal["open", "answered", "failed", "refused", "unfinished"]
EVALUATION, SHADOW, JUDGE = "evaluation", "shadow", "judge"
"""Purposes of requests that do not count as usage: those of evaluations, copies of requests for a canary, and those to
the judge of a release. They are in no team's usage; the ledger has sums of their own for each."""
UNFINISHED_AFTER = timedelta(hours=1)
"""Time after which an intent without an outcome is unfinished, although its gateway still runs."""
ROW_DAYS = {"public": 400, "internal": 400, "confidential": 100, "restricted": 100}
"""Days for which the ledger keeps rows, by class. Sums by day are kept longer: they are never deleted."""
CLOUD = ("sagemaker", "bedrock")
"""Targets that a gateway reaches through its translator, which names the endpoint in `model`."""
_MOST_COUNT = 10**9
_MOST_AMOUNT = Decimal(10**9)
_SECONDS, _USD = Decimal("0.000001"), Decimal("0.0000000001")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_TEXT = 256

NamesPeople = Callable[[str], bool]
"""Whether the ledger keeps a pseudonym of the person, by workload."""


@dataclass(frozen=True)
class Row:
    """One request of a class at a site."""

    id: str
    at: datetime
    """Time of its first record."""
    team: str
    workload: str
    person: str
    """Pseudonym of the person in the month of `at`. Empty: a program, or a class that names no people."""
    model: str
    endpoint: str
    """Endpoint that answered, or of the last try. Empty: no endpoint was asked."""
    outcome: Outcome
    attempt: int = 0
    """Number of the latest try with an intent. 0: no intent was seen."""
    writer: str = ""
    """Writer of that intent."""
    settled_by: str = ""
    """Time, writer and number of the outcome's record. Empty: there is none."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    gpu_seconds: Decimal | None = None
    price: str | None = None
    """Price basis, as JSON: `usd_per_gpu_hour` or `usd_per_million_tokens`."""
    usd: Decimal | None = None
    purpose: str = ""
    """`evaluation`, `shadow`, `judge`, or empty. What has one has neither a team nor a person here."""


class DayKey(NamedTuple):
    """The names that the rows of one sum share."""

    day: date
    team: str
    workload: str
    person: str
    model: str
    endpoint: str
    purpose: str = ""
    """`evaluation`, `shadow`, `judge`, or empty."""


class HourKey(NamedTuple):
    """An hour (UTC) of a workload."""

    hour: datetime
    workload: str


class Sums(NamedTuple):
    """Sums of rows. Subtracting the sums of a row and adding those of its successor keeps a total exact."""

    requests: int = 0
    failed: int = 0
    unfinished: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    gpu_seconds: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)
    unpriced: int = 0
    full_price_cached_tokens: int = 0
    """Part of `cached_tokens` that cost as much as others, because the gateway knew no price of cached tokens."""

    def plus(self, other: Sums) -> Sums:
        return Sums._make(mine + others for mine, others in zip(self, other, strict=True))

    def minus(self, other: Sums) -> Sums:
        return Sums._make(mine - others for mine, others in zip(self, other, strict=True))


NOTHING = Sums()


def take(row: Row | None, record: Mapping[str, Any], names_people: NamesPeople) -> Row:
    """The row after one more record of kind `intent` or `outcome` of its request."""
    at = _time(record["time"])
    if record["kind"] == "intent":
        return _asked(row, record, at, names_people)
    settled_by = f"{record['time']} {record['writer']} {record['seq']:012d}"
    if row is not None and row.settled_by and row.settled_by <= settled_by:
        return _moved(row, record, at, names_people)
    if row is None:
        return _row(record, at, names_people, settled_by=settled_by, **_settled(record))
    tries = {"attempt": row.attempt, "writer": row.writer}
    return _row(record, min(at, row.at), names_people, settled_by=settled_by, **tries, **_settled(record))


def _asked(row: Row | None, record: Mapping[str, Any], at: datetime, names_people: NamesPeople) -> Row:
    """The row after one more intent: a try of the request."""
    attempt, writer = min(max(record["attempt"], 0), _MOST_COUNT), record["writer"]
    if row is None:
        place = endpoint_of(record["to"])
        return _row(record, at, names_people, outcome="open", attempt=attempt, writer=writer, endpoint=place)
    row = _moved(row, record, at, names_people)
    if (attempt, writer) <= (row.attempt, row.writer):
        return row
    place = row.endpoint if row.settled_by else endpoint_of(record["to"])
    return replace(row, attempt=attempt, writer=writer, endpoint=place)


def fold(
    known: Mapping[str, Row], seal: Seal, records: Iterable[Mapping[str, Any]], names_people: NamesPeople
) -> dict[str, Row]:
    """The rows that a seal changes, by id of the request.

    Args:
        known: rows so far of the requests in `records`, and all open rows.
        seal: decides which open rows are unfinished.
        records: of the seal, of any kind.
        names_people: whether a workload's people get a pseudonym.

    Raises ValueError for a record whose time is none.
    """
    rows = dict(known)
    for record in records:
        if record["kind"] in ("intent", "outcome"):
            row = take(rows.get(_text(record["id"])), record, names_people)
            rows[row.id] = row
    for row in list(rows.values()):
        if row.outcome == "open" and _is_unfinished(row, seal):
            rows[row.id] = replace(row, outcome="unfinished")
    return {key: row for key, row in rows.items() if known.get(key) != row}


def changes(before: Mapping[str, Row], after: Mapping[str, Row]) -> dict[DayKey, Sums]:
    """What the sums by day change by when these rows change."""
    result: dict[DayKey, Sums] = {}
    for request_id, row in after.items():
        key, sums = sums_of(row)
        result[key] = result.get(key, NOTHING).plus(sums)
        if (old := before.get(request_id)) is not None:
            key, sums = sums_of(old)
            result[key] = result.get(key, NOTHING).minus(sums)
    return {key: sums for key, sums in result.items() if sums != NOTHING}


def hour_changes(before: Mapping[str, Row], after: Mapping[str, Row]) -> Counter[HourKey]:
    """What the answered requests by hour change by when these rows change. What does not count as usage is left out."""
    result: Counter[HourKey] = Counter()
    for request_id, row in after.items():
        result.update(_answered_in(row))
        result.subtract(_answered_in(before.get(request_id)))
    return Counter({key: count for key, count in result.items() if count})


def _answered_in(row: Row | None) -> list[HourKey]:
    if row is None or row.outcome != "answered" or row.purpose:
        return []
    return [HourKey(row.at.replace(minute=0, second=0, microsecond=0), row.workload)]


def _is_unfinished(row: Row, seal: Seal) -> bool:
    """Whether an open row is unfinished as of a seal: its gateway has ended, or its time has passed."""
    state = seal.writers.get(row.writer, {}).get("state", "ended")
    return state != "open" or row.at <= _time(seal.body["time"]) - UNFINISHED_AFTER


def sums_of(row: Row) -> tuple[DayKey, Sums]:
    """What a row adds to the sums, and to which. An open row adds nothing."""
    key = DayKey(row.at.date(), row.team, row.workload, row.person, row.model, row.endpoint, row.purpose)
    if row.outcome == "open":
        return key, NOTHING
    prompt = row.prompt_tokens or 0
    cached = min(row.cached_tokens or 0, prompt)
    return key, Sums(
        requests=1,
        failed=int(row.outcome in ("failed", "refused")),
        unfinished=int(row.outcome == "unfinished"),
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=row.completion_tokens or 0,
        gpu_seconds=row.gpu_seconds or Decimal(0),
        usd=row.usd or Decimal(0),
        unpriced=int(row.outcome == "answered" and row.usd is None),
        full_price_cached_tokens=cached if _lacks_cached_price(row) else 0,
    )


def _lacks_cached_price(row: Row) -> bool:
    """Whether a row has a price by the token, but none of cached tokens. A migration step has the same rule."""
    price = row.price or ""
    return row.usd is not None and '"usd_per_million_tokens": {' in price and '"cached"' not in price


def endpoint_of(place: Mapping[str, Any] | None) -> str:
    """Id of the plan's endpoint from a place in a record (`to`, `ran`). Empty: the request went nowhere.

    Isthmus names the Service of a model server after its endpoint. A translator is called with `ENDPOINT--WORKLOAD`.
    """
    if not place:
        return ""
    if place.get("target") in CLOUD:
        return _text(place.get("model")).partition("--")[0]
    return _text(place.get("server")).partition(".")[0]


def pseudonym(identity: str, day: date) -> str:
    """A person's name in the ledger for a month. Records have the same name always, and no two months' names agree.

    `identity` is itself an HMAC under the site's key. So only who reads records can link months.
    """
    text = f"isthmus usage person 1\n{day:%Y-%m}\n{identity}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _row(record: Mapping[str, Any], at: datetime, names_people: NamesPeople, **fields: Any) -> Row:
    """A row with the names that each record of a request has."""
    who = record["who"]
    workload = _text(who.get("workload"))
    purpose = _purpose(who)
    return Row(
        id=_text(record["id"]),
        at=at,
        team="" if purpose else _text(who.get("team")),
        workload=workload,
        person=_person(record, at, names_people),
        # Whoever has no key could fill the ledger with names of models.
        model=_text(record.get("model")) if workload else "",
        purpose=purpose,
        **fields,
    )


def _purpose(who: Mapping[str, Any]) -> str:
    purpose = who.get("purpose")
    return purpose if purpose in (EVALUATION, SHADOW, JUDGE) else ""


def _person(record: Mapping[str, Any], at: datetime, names_people: NamesPeople) -> str:
    who = record["who"]
    if _purpose(who):
        return ""
    identity = _text(who.get("identity"))
    is_named = identity.startswith("person:") and names_people(_text(who.get("workload")))
    return pseudonym(identity, at.date()) if is_named else ""


def _moved(row: Row, record: Mapping[str, Any], at: datetime, names_people: NamesPeople) -> Row:
    """The row with the time of an earlier record, whose month decides the person's pseudonym."""
    return row if at >= row.at else replace(row, at=at, person=_person(record, at, names_people))


def _settled(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that its outcome decides."""
    tokens = record["tokens"]
    price = record.get("price")
    return {
        "endpoint": endpoint_of(record["ran"]),
        "outcome": _outcome(record),
        "prompt_tokens": _count(tokens.get("prompt")),
        "cached_tokens": _count(tokens.get("cached")),
        "completion_tokens": _count(tokens.get("completion")),
        "gpu_seconds": _amount(record.get("gpu_seconds"), _SECONDS),
        "price": None if not isinstance(price, dict) else json.dumps(price, sort_keys=True),
        "usd": _amount(record["usd"], _USD),
    }


def _outcome(record: Mapping[str, Any]) -> Outcome:
    if record["ended_well"]:
        return "answered"
    return "refused" if 400 <= record["status"] < 500 else "failed"


def storable(text: str) -> str:
    """A text that PostgreSQL stores. A chain holds whatever its gateway wrote."""
    if text.isascii() and "\x00" not in text:
        return text[:_MOST_TEXT]
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:_MOST_TEXT]


def _text(value: Any) -> str:
    return storable(value) if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return min(max(value, 0), _MOST_COUNT) if type(value) is int else None


def _amount(value: Any, step: Decimal) -> Decimal | None:
    """An amount in whole steps, so that sums are exact in any order."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(min(max(value, 0), _MOST_COUNT))
    return min(max(exact, Decimal(0)), _MOST_AMOUNT).quantize(step)


def _time(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
