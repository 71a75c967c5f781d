"""A simulated week with holidays, a clock change and a mail outage: each notification in order, none early or lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.edge.notifier.simulated import Simulated, simulated
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
ALWAYS = {day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
DOMAINS: list[dict[str, Any]] = [
    {
        "name": "payments",
        "hours": {"time_zone": "Europe/Berlin", "days": OFFICE},
        "holidays": {"country": "DE", "subdivision": "HE"},
        "decide_h": 8,
        "remind_h": 2,
        "escalation": [
            {"to": "seniors", "decide_h": 4, "remind_h": 1},
            {"to": "head-of-payments", "decide_h": 4},
        ],
    },
    {
        "name": "cards",
        "hours": {"time_zone": "Europe/Berlin", "days": ALWAYS},
        "decide_h": 10,
        "remind_h": 1,
        "escalation": [{"to": "seniors", "decide_h": 2}],
    },
]
# Good Friday is 26 March and Easter Monday 29 March 2027. Clocks go forward on Sunday, 28 March.
ARRIVALS = [
    ("2027-03-24T10:00", "payments"),
    ("2027-03-24T10:10", "payments"),  # approved before its reminder
    ("2027-03-25T15:00", "payments"),
    ("2027-03-27T20:00", "cards"),
]
OUTAGE = ("2027-03-24T15:30", "2027-03-25T11:00")
EXPECTED = [
    ("2027-03-24T16:00", "reminder", "payments", "group"),
    ("2027-03-25T10:00", "escalation", "payments", "seniors"),
    ("2027-03-25T13:00", "reminder", "payments", "seniors"),
    ("2027-03-25T14:00", "escalation", "payments", "head-of-payments"),
    ("2027-03-28T06:00", "reminder", "cards", "group"),  # 9 h after 20:00: the night has an hour less
    ("2027-03-28T07:00", "escalation", "cards", "seniors"),
    ("2027-03-28T09:00", "expiry", "cards", "seniors"),
    ("2027-03-30T10:00", "expiry", "payments", "head-of-payments"),  # Thursday 3 h, Tuesday 1 h
    ("2027-03-30T13:00", "reminder", "payments", "group"),  # Thursday 2 h, Tuesday 6 h
    ("2027-03-30T15:00", "escalation", "payments", "seniors"),
    ("2027-03-31T10:00", "reminder", "payments", "seniors"),
    ("2027-03-31T11:00", "escalation", "payments", "head-of-payments"),
    ("2027-03-31T15:00", "expiry", "payments", "head-of-payments"),
]


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def week(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Simulated, list[Any]]]:
    with simulated(postgres, tmp_path_factory.mktemp("week"), "week", DOMAINS) as site:
        yield site, live_through(site)


def live_through(site: Simulated) -> list[tuple[datetime, str]]:
    """Let the week pass. Returns when each mail arrived, and its subject."""
    moments = {local("2027-03-24T09:00") + timedelta(minutes=30 * step) for step in range(2 * 24 * 8)}
    # A second before each event nothing may happen yet.
    moments |= set(map(local, [at for at, _ in ARRIVALS]))
    moments |= {local(at) - timedelta(seconds=1) for at, *_ in EXPECTED}
    arrivals = {local(at): domain for at, domain in ARRIVALS}
    down_from, down_until = map(local, OUTAGE)
    arrived: list[tuple[datetime, str]] = []
    for now in sorted(moments):
        site.set_time(now)
        site.relay.down = down_from <= now < down_until
        if now in arrivals:
            answer = site.hold(arrivals[now])
            if now == local("2027-03-24T10:10"):
                site.act(answer, "claim", "approve")
        site.tick()
        arrived += [(now, mail["Subject"]) for mail in site.relay.mails[len(arrived) :]]
    return arrived


def test_every_reminder_and_escalation_is_written_at_its_time_and_no_other(
    week: tuple[Simulated, list[Any]],
):
    site, _ = week
    assert site.outbox() == [(local(at), kind, domain, to, 1) for at, kind, domain, to in EXPECTED]
    acts = [record["act"] for record in site.recorder.records]
    assert acts == [
        "escalate" if kind == "escalation" else "expire" for _, kind, *_ in EXPECTED if kind != "reminder"
    ]


def test_every_mail_arrives_once_and_in_order_and_at_once_unless_the_relay_is_down(
    week: tuple[Simulated, list[Any]],
):
    site, arrived = week
    rows = site.sql("SELECT id::text, at FROM isthmus.outbox ORDER BY number")
    assert site.relay.ids() == [row["id"] for row in rows]
    back = local(OUTAGE[1])
    for (at, subject), row in zip(arrived, rows, strict=True):
        if local(OUTAGE[0]) <= row["at"] < back:
            assert back <= at <= back + timedelta(minutes=30), subject
        else:
            assert at == row["at"], subject


def test_answers_end_as_expired_or_approved_and_their_votes_do_not_pass_an_escalation(
    week: tuple[Simulated, list[Any]],
):
    rows = week[0].sql("SELECT state, step, edition FROM isthmus.held ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("expired", 2, 1),
        ("approved", 0, 0),
        ("expired", 2, 1),
        ("expired", 1, 1),
    ]


def test_a_mail_has_counts_and_a_link_and_neither_content_nor_names(week: tuple[Simulated, list[Any]]):
    mail = week[0].relay.mails[3]
    assert mail["Subject"] == "payments: 1 answer escalated to head-of-payments"
    assert mail.get_content().splitlines()[1:7] == [
        "",
        "Class and site: confidential, fra1",
        "For: head-of-payments",
        "Oldest answer: 1 day 4 h old at 2027-03-25 13:00 UTC",
        "First deadline: 2027-03-30 08:00 UTC",
        "Decide: https://desk.bank.example/",
    ]
