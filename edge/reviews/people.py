"""Figures by reviewer or by group of reviewers, as far as `desk.people` allows, and who may learn a name.

A person has a pseudonym for a month: an HMAC under a key of the class and month, in the folder of the keys of held
answers. The expiry of keys destroys it when the month is over. `none` stores and computes nothing by person.
"""

from __future__ import annotations

import asyncio
import calendar
import hashlib
import hmac
import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from edge.audit.auditor import Auditor
from edge.audit.keys import Keys
from edge.config import ReviewsConfig
from edge.config.desk import People
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal, bad_request, is_reason
from edge.reviews.identity import fold
from edge.reviews.reviewers import BOARD_SCOPE, Person, unavailable

NO_TEAM = "keys and certificates"
"""Group of reviewers of those who did not sign on."""
ROLES = ("auditor", "senior")
"""Re-identification takes one person of each."""
_NOTE = "SELECT isthmus.review_person_act($1, $2, $3, $4, $5, $6)"
_NAME = """
INSERT INTO isthmus.review_people VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""
_FIND_NAME = "SELECT name FROM isthmus.review_people WHERE (class, site, month, person) = ($1, $2, $3, $4)"
_KNOWN = f"""
SELECT EXISTS (
    SELECT FROM isthmus.review_person_acts WHERE {BOARD_SCOPE} AND (month, person) = ($6, $7)
) AS known
"""  # noqa: S608 (constants)
_ASK = """
INSERT INTO isthmus.review_reidentifications
    (id, class, site, month, person, reason, asked_by, asked_identity, asked_role)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_QUESTIONS = """
SELECT id, month, person, reason, asked_by, asked_identity, asked_role, asked_at, confirmed_by, confirmed_identity,
    confirmed_at
FROM isthmus.review_reidentifications WHERE (class, site) = ($1, $2) ORDER BY asked_at DESC LIMIT 50
"""
_QUESTION = """
SELECT month, person FROM isthmus.review_reidentifications WHERE (id, class, site) = ($1, $2, $3)
"""
_CONFIRM = "SELECT isthmus.reidentify_confirm($1, $2, $3, $4, $5, $6) AS outcome"
_REFUSALS = {
    "unknown": (404, "reidentification_not_found", "There is no such question."),
    "confirmed": (409, "already_confirmed", "It was confirmed already."),
    "own": (403, "second_person_needed", "Another person must confirm what you asked for."),
    "same_role": (
        403,
        "other_role_needed",
        "It takes an auditor and a senior. Another role must confirm it.",
    ),
    "concerned": (403, "person_concerned", "The person concerned cannot confirm."),
    "over": (410, "key_destroyed", "The key of that month was destroyed. Nobody can say who it was."),
}


def month_of(at: datetime | date) -> date:
    """The first day of a month."""
    return date(at.year, at.month, 1)


@dataclass(frozen=True)
class Question:
    """A question who a pseudonym is."""

    id: str
    month: date
    person: str
    reason: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str | None
    name: str | None
    """The name, for those two who asked and confirmed. None for others, before the confirmation, and afterwards."""
    is_over: bool
    """The month's key was destroyed."""
    may_confirm: bool


class Pseudonyms:
    """Pseudonyms and encrypted names of one class at one site. It reads and writes files, so call it in a thread."""

    def __init__(self, keys: Keys, data_class: str, site: str) -> None:
        self._keys = keys
        place = hashlib.sha256(f"isthmus review people 1\n{data_class}\n{site}".encode()).hexdigest()
        self._subject = f"r-{place[:32]}"

    def pseudonym(self, name: str, month: date) -> str:
        """The pseudonym of a person in a month. Makes the month's key if there is none. Raises OSError, ValueError."""
        return _pseudonym(self._keys.of(self._key_name(month), month.isoformat()), name)

    def is_person(self, name: str, person: str, month: date) -> bool:
        """Whether a pseudonym is this person's. Raises OSError, ValueError."""
        key = self._keys.find(self._key_name(month), month.isoformat())
        return key is not None and hmac.compare_digest(_pseudonym(key, name), person)

    def seal(self, name: str, person: str, month: date) -> bytes:
        """The encrypted name of a person. Raises OSError, ValueError."""
        key, nonce = self._keys.of(self._key_name(month), month.isoformat()), secrets.token_bytes(12)
        return nonce + _cipher(key).encrypt(nonce, name.encode(), _bound(person, month))

    def open(self, sealed: bytes, person: str, month: date) -> str | None:
        """The name; None if the key was destroyed. Raises OSError; ValueError if it was altered."""
        from cryptography.exceptions import InvalidTag

        key = self._keys.find(self._key_name(month), month.isoformat())
        if key is None:
            return None
        try:
            return _cipher(key).decrypt(sealed[:12], sealed[12:], _bound(person, month)).decode()
        except InvalidTag:
            raise ValueError("the name was altered") from None

    def exists(self, month: date) -> bool:
        """Whether the month's key is there. Raises OSError, ValueError."""
        return self._keys.find(self._key_name(month), month.isoformat()) is not None

    def _key_name(self, month: date) -> str:
        """Its days end with the month: a key is destroyed when it is older than they are."""
        return f"{self._subject}.{calendar.monthrange(month.year, month.month)[1] - 1}d"


class ReviewPeople:
    """What is noted of people who decide, and the questions who a pseudonym is."""

    def __init__(self, config: ReviewsConfig, database: Database, auditor: Auditor, keys: Keys) -> None:
        self._place = (config.data_class, config.site)
        self._database, self._auditor = database, auditor
        self.setting: People = config.desk.people if config.desk is not None else "none"
        self._pseudonyms = Pseudonyms(keys, config.data_class, config.site)

    async def note(self, connection: Any, person: Person, row: Any, version: int, claimed_at: Any) -> None:
        """Note an act on an answer, in its transaction. Raises OSError, ValueError."""
        if self.setting == "none":
            return
        month = month_of(await connection.fetchval("SELECT isthmus.now() AT TIME ZONE 'UTC'"))
        name = fold(person.name)
        pseudonym = await asyncio.to_thread(self._pseudonyms.pseudonym, name, month)
        if self.setting == "pseudonymous":
            sealed = await asyncio.to_thread(self._pseudonyms.seal, name, pseudonym, month)
            await connection.execute(_NAME, *self._place, month, pseudonym, sealed)
        team = person.team_of(row["workload"], row["domain"]) or NO_TEAM
        await connection.execute(_NOTE, row["id"], version, month, pseudonym, team, claimed_at)

    def may_ask(self, person: Person) -> bool:
        """Whether this person may ask who a pseudonym is, or confirm it."""
        return self.setting == "pseudonymous" and bool(_roles(person))

    async def questions(self, person: Person) -> list[Question]:
        """The questions who a pseudonym is, the newest first. Raises Refusal."""
        if not self.may_ask(person):
            return []
        rows = await self._fetch(_QUESTIONS, *self._place)
        months = {row["month"] for row in rows}
        over = {month for month in months if not await self._read_key(self._pseudonyms.exists, month)}
        return [await self._question(person, row, is_over=row["month"] in over) for row in rows]

    async def ask(self, person: Person, month: date, pseudonym: str, reason: str) -> None:
        """Ask who a pseudonym is. Another person of the other role confirms it. Raises Refusal."""
        role = self._role_of(person)
        if not is_reason(reason) or not reason:
            raise bad_request("invalid_reason", "Give a reason: a word of a-z, 0-9 and -.")
        await self._require_known(person, month, pseudonym)
        question_id = uuid.uuid4().hex
        values = (question_id, *self._place, month, pseudonym, reason, person.name, person.identity, role)

        async def ask_and_record(connection: Any) -> None:
            await connection.execute(_ASK, *values)
            await self._record(person, question_id, "ask", month, pseudonym, reason)

        await self._transaction(ask_and_record)

    async def confirm(self, person: Person, question_id: str) -> None:
        """Confirm another person's question. Then both of them read the name. Raises Refusal."""
        self._role_of(person)
        rows = await self._fetch(_QUESTION, question_id, *self._place)
        if not rows:
            raise Refusal(*_REFUSALS["unknown"])
        month, pseudonym = rows[0]["month"], rows[0]["person"]
        await self._require_known(person, month, pseudonym)
        if await self._read_key(self._pseudonyms.is_person, fold(person.name), pseudonym, month):
            raise Refusal(*_REFUSALS["concerned"])
        values = (question_id, *self._place, person.name, person.identity, sorted(_roles(person)))

        async def confirm_and_record(connection: Any) -> str:
            outcome = await connection.fetchval(_CONFIRM, *values)
            if outcome == "done":
                await self._record(person, question_id, "confirm", month, pseudonym, "confirmed")
            return outcome

        outcome = await self._transaction(confirm_and_record)
        if outcome != "done":
            raise Refusal(*_REFUSALS[outcome])

    async def _require_known(self, person: Person, month: date, pseudonym: str) -> None:
        """Raise Refusal unless this person reads figures of the pseudonym, and its key is there."""
        (known,) = await self._fetch(_KNOWN, *self._place, *person.board_scope(), month, pseudonym)
        if not known["known"]:
            raise Refusal(*_REFUSALS["unknown"])
        if not await self._read_key(self._pseudonyms.exists, month):
            raise Refusal(*_REFUSALS["over"])

    async def _question(self, person: Person, row: Any, *, is_over: bool) -> Question:
        knows = person.name in (row["asked_by"], row["confirmed_by"]) and row["confirmed_at"] is not None
        name = None
        if knows and not is_over:
            names = await self._fetch(_FIND_NAME, *self._place, row["month"], row["person"])
            values = (row["person"], row["month"])
            name = await self._read_key(self._pseudonyms.open, names[0]["name"], *values) if names else None
        own = person.name == row["asked_by"] or person.identity == row["asked_identity"]
        may_confirm = not own and bool(_roles(person) - {row["asked_role"]})
        return Question(
            *(row["id"], row["month"], row["person"], row["reason"], row["asked_by"], row["asked_at"]),
            *(row["confirmed_by"], name, is_over),
            may_confirm and row["confirmed_at"] is None and not is_over,
        )

    def _role_of(self, person: Person) -> str:
        if self.setting != "pseudonymous":
            raise Refusal(403, "no_pseudonyms", "This desk has no pseudonyms.")
        roles = _roles(person)
        if not roles:
            raise Refusal(403, "not_allowed", "Only auditors and seniors may ask who a pseudonym is.")
        return min(roles)

    async def _record(
        self, person: Person, question_id: str, act: str, month: date, pseudonym: str, reason: str
    ) -> None:
        who = {"reviewer": person.name, "identity": person.identity}
        fields = {"id": question_id, "act": act, "who": who, "reason": reason}
        await self._auditor.reidentify({**fields, "month": f"{month:%Y-%m}", "person": pseudonym})

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        try:
            return await self._database.fetch(statement, *values)
        except DatabaseDown:
            raise unavailable() from None

    async def _transaction(self, work: Any) -> Any:
        try:
            return await self._database.transaction(work)
        except DatabaseDown:
            raise unavailable() from None

    @staticmethod
    async def _read_key(work: Any, *values: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *values)
        except (OSError, ValueError):
            raise Refusal(
                503, "keys_unreadable", "The month's key cannot be read. Ask the operators."
            ) from None


def _roles(person: Person) -> set[str]:
    return {scope.role for scope in person.scopes}.intersection(ROLES)


def _pseudonym(key: bytes, name: str) -> str:
    return hmac.new(key, b"isthmus reviewer 1\n" + name.encode(), hashlib.sha256).hexdigest()[:16]


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hmac.digest(key, b"isthmus reviewer name 1", hashlib.sha256))


def _bound(person: str, month: date) -> bytes:
    return json.dumps([person, month.isoformat()]).encode()
