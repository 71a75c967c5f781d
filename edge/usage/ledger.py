"""The usage ledger in PostgreSQL, and one in memory for a store that is read once.

A seal's rows, the sums by day that they change, and the seal's number are written in one transaction. So a loader
that is killed at any point has loaded a seal wholly or not at all, and goes on with the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from edge.audit.seal_format import Seal
from edge.database import Database
from edge.usage.rows import (
    NOTHING,
    ROW_DAYS,
    DayKey,
    HourKey,
    NamesPeople,
    Row,
    Sums,
    changes,
    fold,
    hour_changes,
    storable,
)

TIMEOUT_S = 60.0
"""For a statement. A seal has up to 64 MiB of records."""
_ROW = tuple(field.name for field in fields(Row))
_ROW_TYPES = {
    "at": "timestamptz",
    **dict.fromkeys(("attempt", "prompt_tokens", "cached_tokens", "completion_tokens"), "bigint"),
    **dict.fromkeys(("gpu_seconds", "usd"), "numeric"),
}
_KEY_TYPES = ("date", *["text"] * 6)
_SUM_TYPES = (*["bigint"] * 6, "numeric", "numeric", "bigint", "bigint")
_OPEN = f"""
SELECT {", ".join(_ROW)} FROM isthmus.usage_requests WHERE (class, site) = ($1, $2) AND outcome = 'open'
"""  # noqa: S608 (constants)
# A look-up of the primary key for each id. For `id = ANY ($3)` a planner without statistics reads the whole class.
_KNOWN = f"""
SELECT r.* FROM unnest($3::text[]) AS asked (id) CROSS JOIN LATERAL (
    SELECT {", ".join(_ROW)} FROM isthmus.usage_requests WHERE (class, site, id) = ($1, $2, asked.id) OFFSET 0
) AS r
"""  # noqa: S608 (constants)
_WRITE = f"""
INSERT INTO isthmus.usage_requests (class, site, {", ".join(_ROW)})
SELECT $1, $2, u.* FROM unnest({
    ", ".join(f"${number}::{_ROW_TYPES.get(name, 'text')}[]" for number, name in enumerate(_ROW, 3))
}) AS u
ON CONFLICT (class, site, id) DO UPDATE SET {
    ", ".join(f"{name} = excluded.{name}" for name in _ROW if name != "id")
}
"""  # noqa: S608 (constants)
_DAY_TYPES = _KEY_TYPES + _SUM_TYPES
_UNNEST_DAYS = f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(_DAY_TYPES, 3))})"
_KEY, _SUMS = ", ".join(DayKey._fields), ", ".join(Sums._fields)
# Sums that only grow. A difference below zero would break the checks of the row that is proposed.
_ADD_DAYS = f"""
INSERT INTO isthmus.usage_days AS d (class, site, {_KEY}, {_SUMS})
SELECT $1, $2, u.* FROM {_UNNEST_DAYS} AS u ({_KEY}, {_SUMS})
ON CONFLICT (class, site, {_KEY}) DO UPDATE SET
    {", ".join(f"{name} = d.{name} + excluded.{name}" for name in Sums._fields)}
"""  # noqa: S608 (constants)
_CHANGE_DAY = f"""
UPDATE isthmus.usage_days SET
    {", ".join(f"{name} = {name} + ${number}" for number, name in enumerate(Sums._fields, 10))}
WHERE (class, site, {_KEY}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""  # noqa: S608 (constants)
_UNNEST_HOURS = "unnest($3::timestamptz[], $4::text[], $5::bigint[]) AS u (hour, workload, requests)"
_ADD_HOURS = f"""
INSERT INTO isthmus.usage_hours AS h SELECT $1, $2, u.hour, u.workload, u.requests FROM {_UNNEST_HOURS}
ON CONFLICT (class, site, hour, workload) DO UPDATE SET requests = h.requests + excluded.requests
"""  # noqa: S608 (constants)
_CHANGE_HOUR = """
UPDATE isthmus.usage_hours SET requests = requests + $5 WHERE (class, site, hour, workload) = ($1, $2, $3, $4)
"""
_HOURS = """
SELECT class, site, hour, workload, requests FROM isthmus.usage_hours
WHERE hour >= coalesce($1::timestamptz, '-infinity') AND hour < coalesce($2::timestamptz, 'infinity') AND requests > 0
"""
_DROP_EMPTY_DAYS = """
DELETE FROM isthmus.usage_days WHERE (class, site) = ($1, $2) AND day = ANY ($3::date[]) AND requests = 0
"""
_FIRST = (
    "INSERT INTO isthmus.usage_seals (class, site, seal, hash) VALUES ($1, $2, 0, '') ON CONFLICT DO NOTHING"
)
_SEAL = "SELECT seal, hash, sealed_at FROM isthmus.usage_seals WHERE (class, site) = ($1, $2)"
_SEALED = """
UPDATE isthmus.usage_seals SET seal = $3, hash = $4, sealed_at = $5, loaded_at = now() WHERE (class, site) = ($1, $2)
"""
_EXPIRE_HOURS = "DELETE FROM isthmus.usage_hours WHERE (class, site) = ($1, $2) AND hour < $3"
_EXPIRE = """
DELETE FROM isthmus.usage_requests WHERE (class, site) = ($1, $2) AND at < $3 AND outcome <> 'open'
"""
_IN_PERIOD = "day >= coalesce($1::date, '-infinity') AND day < coalesce($2::date, 'infinity')"
_DAYS = f"SELECT class, site, {_KEY}, {_SUMS} FROM isthmus.usage_days WHERE {_IN_PERIOD}"  # noqa: S608 (constants)
_DAYS_OF_ALL = f"""
SELECT class, site, {", ".join("''::text AS person" if name == "person" else name for name in DayKey._fields)},
    {", ".join(f"sum({name})::{kind} AS {name}" for name, kind in zip(Sums._fields, _SUM_TYPES, strict=True))}
FROM isthmus.usage_days WHERE {_IN_PERIOD}
GROUP BY class, site, {", ".join(name for name in DayKey._fields if name != "person")}
"""  # noqa: S608 (constants)
_CLOSE = """
INSERT INTO isthmus.usage_closed (class, site, month, seal, digest, figures) VALUES ($1, $2, $3, $4, $5, $6)
"""
_CLOSED = """
SELECT class, site, month, seal, digest, figures, closed_at FROM isthmus.usage_closed ORDER BY month, class, site
"""


_AMOUNTS = ("gpu_seconds", "usd")
_LOAD = "Load the ledger first (`isthmus usage load`)"


class LedgerError(Exception):
    """The ledger cannot do it. The text says why, and `fix` what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class Place(NamedTuple):
    """A class at a site."""

    data_class: str
    site: str


class Day(NamedTuple):
    """Sums of one class, site, day and set of names."""

    place: Place
    key: DayKey
    sums: Sums


class Hour(NamedTuple):
    """Answered requests of a workload in an hour."""

    place: Place
    key: HourKey
    requests: int


@dataclass(frozen=True)
class Loaded:
    """The last seal that the ledger has of a class at a site."""

    place: Place
    seal: int
    hash: str
    sealed_at: datetime


@dataclass(frozen=True)
class Closed:
    """A closed month of a class at a site."""

    place: Place
    month: date
    seal: int
    """The last seal that its figures have."""
    digest: str
    figures: tuple[Day, ...]
    closed_at: datetime


def without_people(days: Iterable[Day]) -> list[Day]:
    """Sums of all people together, in order."""
    totals: dict[tuple[Place, DayKey], Sums] = {}
    for day in days:
        key = (day.place, day.key._replace(person=""))
        totals[key] = totals.get(key, NOTHING).plus(day.sums)
    return sorted(Day(*key, sums) for key, sums in totals.items())


class Ledger:
    """A ledger in PostgreSQL. Its methods raise DatabaseDown."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def loaded(self) -> list[Loaded]:
        """The last seal of each class and site."""
        rows = await self._database.fetch(
            "SELECT class, site, seal, hash, sealed_at FROM isthmus.usage_seals WHERE seal > 0 ORDER BY class, site"
        )
        return [
            Loaded(Place(row["class"], row["site"]), row["seal"], row["hash"], row["sealed_at"])
            for row in rows
        ]

    async def take(self, seal: Seal, records: Sequence[Mapping[str, Any]], names_people: NamesPeople) -> bool:
        """Load one seal. Returns whether it was new. Raises LedgerError if seals before it are missing."""
        place = place_of(seal)

        async def load(connection: Any) -> bool:
            await connection.execute(_FIRST, *place)
            at = await connection.fetchrow(f"{_SEAL} FOR UPDATE", *place)
            if at["seal"] >= seal.number:
                return False
            if at["seal"] not in (0, seal.number - 1):
                raise LedgerError(
                    f"the ledger ends at seal {at['seal']}, and seal {seal.number} came next", "Load it again"
                )
            ids = sorted({record["id"] for record in records if record["kind"] in ("intent", "outcome")})
            # Two statements, because each has an index.
            rows = await connection.fetch(_OPEN, *place)
            rows += await connection.fetch(_KNOWN, *place, _storable(ids))
            known = {row["id"]: Row(*row.values()) for row in rows}
            changed = fold(known, seal, records, names_people)
            await _write(connection, place, changed, changes(known, changed))
            await _write_hours(connection, place, hour_changes(known, changed))
            await connection.execute(_SEALED, *place, seal.number, seal.hash, sealed_at(seal))
            return True

        return await self._database.transaction(load)

    async def expire(self, now: datetime) -> None:
        """Delete rows and hours that are older than their class keeps them. Sums by day stay."""
        for loaded in await self.loaded():
            days = ROW_DAYS[loaded.place.data_class]
            for statement in (_EXPIRE, _EXPIRE_HOURS):
                await self._database.fetch(statement, *loaded.place, now - timedelta(days=days))

    async def days(
        self, begin: date | None = None, end: date | None = None, *, by_person: bool = True
    ) -> list[Day]:
        """Sums by day, from `begin` on and before `end`, in order. `by_person` false: of all people together."""
        rows = await self._database.fetch(_DAYS if by_person else _DAYS_OF_ALL, begin, end)
        return sorted(map(_day, rows))

    async def hours(self, begin: datetime | None = None, end: datetime | None = None) -> list[Hour]:
        """Answered requests by hour, from `begin` on and before `end`, in order."""
        rows = await self._database.fetch(_HOURS, begin, end)
        return sorted(
            Hour(Place(row["class"], row["site"]), HourKey(row["hour"], row["workload"]), row["requests"])
            for row in rows
        )

    async def closed(self, *, by_person: bool = True) -> list[Closed]:
        """All closed months. `by_person` false: their figures are of all people together."""
        months = [_closed(row) for row in await self._database.fetch(_CLOSED)]
        if by_person:
            return months
        return [replace(month, figures=tuple(without_people(month.figures))) for month in months]

    async def close(self, month: date) -> list[Closed]:
        """Freeze a month of every class and site. Raises LedgerError if it is closed, or records of it may be missing.

        `month`: its first day.
        """
        end = next_month(month)

        async def freeze(connection: Any) -> None:
            # A loader waits meanwhile, so that no figure changes between reading and freezing.
            seals = await connection.fetch(
                "SELECT class, site, seal, sealed_at FROM isthmus.usage_seals WHERE seal > 0 "
                "ORDER BY class, site FOR UPDATE"
            )
            if not seals:
                raise LedgerError("the ledger is empty", _LOAD)
            rows = sorted(map(_day, await connection.fetch(_DAYS, month, end)))
            for row in seals:
                place = Place(row["class"], row["site"])
                if row["sealed_at"] < datetime(end.year, end.month, end.day, tzinfo=UTC):
                    until = f"{row['sealed_at']:%Y-%m-%d %H:%M} UTC"
                    raise LedgerError(
                        f"class {place.data_class} at {place.site} is loaded until {until}", _LOAD
                    )
                figures = _dump(place, month, row["seal"], [day for day in rows if day.place == place])
                inserted = await connection.fetch(
                    f"{_CLOSE} ON CONFLICT DO NOTHING RETURNING 1",
                    *(*place, month, row["seal"], digest_of(figures), figures),
                )
                if not inserted:
                    raise LedgerError(
                        f"{month:%Y-%m} is closed already", "Nothing: its later lines are adjustments"
                    )

        await self._database.transaction(freeze)
        return [closed for closed in await self.closed() if closed.month == month]


class MemoryLedger:
    """A ledger of one class at one site that is read from its store whenever it is needed."""

    def __init__(self, names_people: NamesPeople) -> None:
        self._names_people = names_people
        self._open: dict[str, Row] = {}
        self.rows: dict[str, Row] = {}
        self.sums: dict[DayKey, Sums] = {}
        self.last: Loaded | None = None

    def take(self, seal: Seal, records: Iterable[Mapping[str, Any]]) -> None:
        """Load one seal. Raises ValueError for a record whose time is none."""
        records = list(records)
        ids = {record["id"] for record in records if record["kind"] in ("intent", "outcome")}
        known = {**self._open, **{id_: self.rows[id_] for id_ in _storable(ids) if id_ in self.rows}}
        changed = fold(known, seal, records, self._names_people)
        for key, sums in changes(known, changed).items():
            total = self.sums.get(key, NOTHING).plus(sums)
            self.sums[key] = total
            if total == NOTHING:
                del self.sums[key]
        self.rows |= changed
        for id_, row in changed.items():
            self._open.pop(id_, None)
            if row.outcome == "open":
                self._open[id_] = row
        self.last = Loaded(place_of(seal), seal.number, seal.hash, sealed_at(seal))

    def days(self) -> list[Day]:
        """Sums by day, in order."""
        assert self.last is not None, "a store that was read has a seal"
        return [Day(self.last.place, key, self.sums[key]) for key in sorted(self.sums)]

    def hours(self) -> list[Hour]:
        """Answered requests by hour, in order."""
        assert self.last is not None, "a store that was read has a seal"
        counts = hour_changes({}, self.rows)
        return [Hour(self.last.place, key, counts[key]) for key in sorted(counts)]


def place_of(seal: Seal) -> Place:
    """Class and site of a seal."""
    return Place(seal.body["class"], seal.body["site"])


def sealed_at(seal: Seal) -> datetime:
    """Time of a seal."""
    return datetime.fromisoformat(seal.body["time"])


def next_month(month: date) -> date:
    """First day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def digest_of(figures: str) -> str:
    """SHA-256 of a closed month's figures."""
    return hashlib.sha256(figures.encode()).hexdigest()


def _storable(ids: Iterable[str]) -> list[str]:
    return [storable(id_) for id_ in ids]


async def _write(connection: Any, place: Place, rows: Mapping[str, Row], sums: Mapping[DayKey, Sums]) -> None:
    if rows:
        await connection.execute(_WRITE, *place, *_columns([attrgetter(*_ROW)(row) for row in rows.values()]))
    growing = [(*key, *change) for key, change in sums.items() if min(change) >= 0]
    falling = [(*place, *key, *change) for key, change in sums.items() if min(change) < 0]
    if growing:
        await connection.execute(_ADD_DAYS, *place, *_columns(growing))
    if falling:
        await connection.executemany(_CHANGE_DAY, falling)
        await connection.execute(_DROP_EMPTY_DAYS, *place, sorted({key.day for key in sums}))


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def _write_hours(connection: Any, place: Place, counts: Mapping[HourKey, int]) -> None:
    growing = [(*key, count) for key, count in counts.items() if count > 0]
    falling = [(*place, *key, count) for key, count in counts.items() if count < 0]
    if growing:
        await connection.execute(_ADD_HOURS, *place, *_columns(growing))
    if falling:
        await connection.executemany(_CHANGE_HOUR, falling)


def _day(row: Any) -> Day:
    place, key = Place(row["class"], row["site"]), DayKey(*(row[name] for name in DayKey._fields))
    return Day(place, key, Sums(*(row[name] for name in Sums._fields)))


def _dump(place: Place, month: date, seal: int, days: Iterable[Day]) -> str:
    """Figures as canonical JSON. Amounts are texts, so that they stay exact."""
    values = [
        {**day.key._asdict(), **day.sums._asdict(), "day": day.key.day.isoformat()}
        | {name: format(getattr(day.sums, name).normalize(), "f") for name in _AMOUNTS}
        for day in days
    ]
    head = {"class": place.data_class, "site": place.site, "month": month.isoformat(), "seal": seal}
    return json.dumps({**head, "days": values}, sort_keys=True, separators=(",", ":"))


def _closed(row: Any) -> Closed:
    """A closed month as it is stored. Raises LedgerError if its figures were changed."""
    place = Place(row["class"], row["site"])
    if digest_of(row["figures"]) != row["digest"]:
        raise LedgerError(
            f"the figures of {row['month']:%Y-%m} of class {place.data_class} were changed",
            "Restore the ledger from a backup, and find out who may write to it",
        )
    figures = []
    for value in json.loads(row["figures"])["days"]:
        value |= {"day": date.fromisoformat(value["day"])}
        value |= {name: Decimal(value[name]) for name in _AMOUNTS}
        key = DayKey(**{name: value[name] for name in DayKey._fields if name in value})
        if "full_price_cached_tokens" not in value:  # closed when gateways had no price of cached tokens
            value["full_price_cached_tokens"] = 0 if value["gpu_seconds"] else value["cached_tokens"]
        figures.append(Day(place, key, Sums(*(value[name] for name in Sums._fields))))
    return Closed(place, row["month"], row["seal"], row["digest"], tuple(figures), row["closed_at"])
