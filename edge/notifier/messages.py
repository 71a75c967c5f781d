"""The text of a notification: domain, count, age, deadline and link. It never holds content or a person's name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID


class SendError(Exception):
    """A notification was not sent. The message is a code without addresses and secrets."""


Language = Literal["en", "de"]
_TEXTS: dict[Language, dict[str, tuple[str, str]]] = {
    "en": {
        "new": ("1 new answer waits for a decision", "{answers} new answers wait for a decision"),
        "reminder": ("1 answer waits for a decision", "{answers} answers wait for a decision"),
        "escalation": ("1 answer escalated to {addressee}", "{answers} answers escalated to {addressee}"),
        "expiry": ("1 answer expired undecided", "{answers} answers expired undecided"),
    },
    "de": {
        "new": (
            "1 neue Antwort wartet auf eine Entscheidung",
            "{answers} neue Antworten warten auf eine Entscheidung",
        ),
        "reminder": (
            "1 Antwort wartet auf eine Entscheidung",
            "{answers} Antworten warten auf eine Entscheidung",
        ),
        "escalation": (
            "1 Antwort eskaliert an {addressee}",
            "{answers} Antworten eskaliert an {addressee}",
        ),
        "expiry": (
            "1 Antwort ohne Entscheidung verfallen",
            "{answers} Antworten ohne Entscheidung verfallen",
        ),
    },
}
"""The sentence of each kind, for one answer and for several."""
_LABELS: dict[Language, dict[str, str]] = {
    "en": {
        "place": "Class and site",
        "to": "For",
        "oldest": "Oldest answer",
        "deadline": "First deadline",
        "link": "Decide",
        "id": "Notification",
    },
    "de": {
        "place": "Klasse und Standort",
        "to": "An",
        "oldest": "Älteste Antwort",
        "deadline": "Erste Frist",
        "link": "Entscheiden",
        "id": "Benachrichtigung",
    },
}
_AGE: dict[Language, str] = {"en": "{age} old at {time}", "de": "{age} alt um {time}"}
_DAYS: dict[Language, tuple[str, str]] = {"en": ("day", "days"), "de": ("Tag", "Tage")}


@dataclass(frozen=True)
class Delivery:
    """One notification to one target, as the outbox leases it."""

    id: UUID
    target: str
    attempts: int
    """This attempt included."""
    kind: str
    """new, reminder, escalation or expiry; review.decided and the like for a webhook."""
    domain: str | None
    """None: it is an event for a webhook."""
    addressee: str | None
    answers: int
    oldest_at: datetime
    decide_by: datetime | None
    at: datetime
    asked_at: datetime
    """The database's time when it was leased."""
    item: str = ""
    """Of an event: id of the answer or case."""
    status: str = ""
    workload: str = ""

    @classmethod
    def of(cls, row: Any) -> Delivery:
        return cls(**dict(row))


def subject_of(delivery: Delivery, language: Language) -> str:
    """The first line."""
    singular, plural = _TEXTS[language][delivery.kind]
    sentence = (singular if delivery.answers == 1 else plural).format(
        answers=delivery.answers, addressee=delivery.addressee
    )
    return f"{delivery.domain}: {sentence}"


def body_of(delivery: Delivery, language: Language, data_class: str, site: str, link: str) -> str:
    """The other lines."""
    labels = _LABELS[language]
    age = _AGE[language].format(
        age=format_age(delivery.at - delivery.oldest_at, language), time=format_time(delivery.at)
    )
    lines = [
        subject_of(delivery, language),
        "",
        f"{labels['place']}: {data_class}, {site}",
        f"{labels['to']}: {delivery.addressee}",
        f"{labels['oldest']}: {age}",
    ]
    if delivery.decide_by is not None:
        lines.append(f"{labels['deadline']}: {format_time(delivery.decide_by)}")
    return "\n".join([*lines, f"{labels['link']}: {link}", f"{labels['id']}: {delivery.id}"])


def format_age(age: timedelta, language: Language) -> str:
    """`2 days 3 h` or `3 h 20 min`."""
    minutes = max(0, int(age.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} {_DAYS[language][days != 1]} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def format_time(moment: datetime) -> str:
    """`2026-12-01 09:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
