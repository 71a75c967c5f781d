"""The outbox: at least once, in order, never lost; what each database user may do; dead deliveries."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge import outbox
from edge.database import DatabaseDown
from edge.notifier.process import LEASE_S, Notifier
from tests.edge.notifier.simulated import Simulated, simulated
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge

pytestmark = pytest.mark.service
START = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
DOMAIN: dict[str, Any] = {
    "name": "claims",
    "hours": {
        "time_zone": "UTC",
        "days": {day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
    },
    "decide_h": 1,
    "escalation": [{"to": "seniors", "decide_h": 1}],
}


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Simulated]:
    name = f"outbox_{abs(hash(request.node.name)) % 10**9}"
    with simulated(postgres, tmp_path, name, [DOMAIN]) as running:
        running.set_time(START)
        yield running


def escalate(site: Simulated, *moments: datetime) -> None:
    """Write a notification at each moment."""
    for moment in moments:
        site.set_time(moment)
        site.act(site.hold("claims"), "claim", "escalate")


def write(site: Simulated, *moments: datetime) -> None:
    """Put a notification into the outbox at each moment."""
    for moment in moments:
        site.run(
            site.databases["admin"].fetch(
                "INSERT INTO isthmus.outbox (class, site, kind, domain, addressee, answers, oldest_at, at)"
                " VALUES ('confidential', 'fra1', 'reminder', 'claims', 'group', 1, $1, $1)",
                moment,
            )
        )
    site.set_time(max(moments))


def deliveries(site: Simulated) -> list[tuple[Any, ...]]:
    rows = site.sql(
        "SELECT d.target, d.attempts, d.error, d.delivered_at IS NOT NULL, d.dead_at IS NOT NULL"
        " FROM isthmus.outbox_deliveries d JOIN isthmus.outbox o ON o.id = d.id ORDER BY o.number, d.target"
    )
    return [tuple(row) for row in rows]


def start(site: Simulated, number: int, **changes: Any) -> Edge:
    return Edge(site.folder / f"notifier-{number}", site.notifier_config(health={}, **changes))


def until(ready: Any, what: str) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_a_notifier_that_is_killed_while_it_sends_repeats_with_the_same_id_and_nothing_else(site: Simulated):
    write(site, START, START + timedelta(seconds=1))
    site.relay.answering.clear()
    first = start(site, 1)
    assert site.relay.accepting.wait(60), first.output()
    first.process.kill()
    first.process.wait(10)
    site.relay.answering.set()
    second = start(site, 2)
    try:
        second.wait_until_up().wait_until_well()
        time.sleep(3)
        assert len(site.relay.mails) == 1, "the lease of the killed notifier is not over yet"
        site.set_time(START + timedelta(seconds=LEASE_S + 5))
        until(lambda: len(site.relay.mails) == 3, second.output())
        ids = [str(row["id"]) for row in site.sql("SELECT id FROM isthmus.outbox ORDER BY number")]
        assert site.relay.ids() == [ids[0], ids[0], ids[1]]
        time.sleep(3)
        assert len(site.relay.mails) == 3
        assert second.stop() == 0
    finally:
        second.process.kill()


def test_two_notifiers_never_send_the_same_and_keep_the_order(site: Simulated):
    write(site, *(START + timedelta(minutes=number) for number in range(10)))
    notifiers = [start(site, number) for number in range(2)]
    try:
        for notifier in notifiers:
            notifier.wait_until_up()
        until(lambda: len(site.relay.mails) >= 10, notifiers[0].output())
        time.sleep(3)
        ids = [str(row["id"]) for row in site.sql("SELECT id FROM isthmus.outbox ORDER BY number")]
        assert site.relay.ids() == ids
    finally:
        for notifier in notifiers:
            notifier.process.kill()
            notifier.process.wait(10)


def test_an_outage_is_retried_ever_more_rarely_and_a_delivery_is_given_up_in_the_end(site: Simulated):
    write(site, START, START + timedelta(hours=20))
    site.relay.down = True
    site.pass_time(START + timedelta(hours=20), START + timedelta(hours=25), timedelta(minutes=5))
    dead, waiting = deliveries(site)
    assert dead[2:] == ("not-accepted", False, True)
    assert dead[1] < 5 * 12
    assert waiting[3:] == (False, False)
    site.run(site.notifier.observe())
    text = site.run(site.notifier.metrics()).body.decode()
    assert 'isthmus_outbox_dead{class="confidential"} 1.0' in text
    assert 'isthmus_outbox_waiting{class="confidential"} 1.0' in text
    assert f'isthmus_outbox_oldest_seconds{{class="confidential"}} {5 * 3600:.1f}' in text
    site.relay.down = False
    site.pass_time(START + timedelta(hours=26), START + timedelta(hours=26), timedelta(minutes=1))
    assert [delivery[3:] for delivery in deliveries(site)] == [(False, True), (True, False)]


def test_a_notification_does_not_overtake_an_earlier_one_that_is_retried(site: Simulated):
    write(site, START)
    site.relay.down = True
    site.tick()
    site.relay.down = False
    write(site, START + timedelta(seconds=10))
    site.tick()
    assert site.relay.mails == []
    site.set_time(START + timedelta(seconds=30))
    site.tick()
    ids = [str(row["id"]) for row in site.sql("SELECT id FROM isthmus.outbox ORDER BY number")]
    assert site.relay.ids() == ids


def command(site: Simulated, *arguments: str, code: int = 0) -> str:
    file = site.folder / "admin.yaml"
    YAML().dump(site.postgres.administrator(site.name), file)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert outbox.main(["--database", str(file), *arguments]) == code
    return out.getvalue()


def test_a_dead_delivery_is_listed_sent_again_or_dropped(site: Simulated):
    write(site, START, START)
    site.relay.down = True
    site.pass_time(START, START + timedelta(hours=25), timedelta(hours=1))
    lines = [json.loads(line) for line in command(site, "list").splitlines()]
    assert [(line["state"], line["target"], line["answers"]) for line in lines] == [("dead", "desk", 1)] * 2
    site.relay.down = False
    command(site, "retry", lines[0]["id"], "desk")
    site.tick()
    assert site.relay.ids() == [lines[0]["id"]]
    command(site, "retry", lines[0]["id"], "desk", code=1)
    command(site, "drop", lines[1]["id"], "desk")
    assert len(command(site, "list", "--all").splitlines()) == 2
    assert json.loads(command(site, "list", "--all").splitlines()[0])["state"] == "delivered"


def test_notifications_of_one_kind_become_one_while_they_are_gathered(site: Simulated):
    config = type(site.notifier._config).model_validate(site.notifier_config(gather_s=60))
    notifier = Notifier(config)
    try:
        for second in range(0, 50, 10):
            escalate(site, START + timedelta(seconds=second))
            site.run(notifier.turn())
        assert site.relay.mails == []
        site.set_time(START + timedelta(seconds=60))
        site.run(notifier.turn())
        assert [mail["Subject"] for mail in site.relay.mails] == ["claims: 5 answers escalated to seniors"]
    finally:
        site.run(notifier.close())


def test_each_addressee_has_its_targets_and_each_target_its_own_delivery(site: Simulated):
    other = {**site.notifier_config()["targets"][0], "name": "seniors"}
    config = site.notifier_config(
        targets=[site.notifier_config()["targets"][0], other],
        routes=[{"domain": "claims", "to": "seniors", "targets": ["seniors", "desk"]}],
    )
    notifier = Notifier(type(site.notifier._config).model_validate(config))
    try:
        escalate(site, START)
        site.run(notifier.turn())
        assert [delivery[0] for delivery in deliveries(site)] == ["desk", "seniors"]
        assert len(set(site.relay.ids())) == 1
        assert len(site.relay.mails) == 2
    finally:
        site.run(notifier.close())


def test_an_answer_of_a_domain_without_settings_keeps_calendar_deadlines_and_nobody_is_told(site: Simulated):
    for domain in ("other", None):
        site.hold(domain)
    times = "SELECT state, decide_by - isthmus.now() AS left FROM isthmus.held"
    assert [tuple(row) for row in site.sql(times)] == [("held", timedelta(hours=24))] * 2
    site.pass_time(START + timedelta(hours=24), START + timedelta(hours=24), timedelta(hours=1))
    assert [tuple(row) for row in site.sql(times)] == [("escalated", timedelta(hours=24))] * 2
    site.pass_time(START + timedelta(hours=48), START + timedelta(hours=48), timedelta(hours=1))
    assert [row["state"] for row in site.sql(times)] == ["expired"] * 2
    assert site.outbox() == []


def test_delivered_answers_expire_without_reminders_and_escalations(site: Simulated):
    site.hold("claims", delivered=True)
    site.pass_time(START, START + timedelta(hours=2), timedelta(minutes=30))
    assert [row["state"] for row in site.sql("SELECT state FROM isthmus.held")] == ["expired"]
    assert site.outbox() == []


def test_new_answers_are_announced_once_and_together_where_the_domain_asks_for_it(
    postgres: Postgres, tmp_path: Path
):
    quiet = {**DOMAIN, "name": "quiet"}
    with simulated(postgres, tmp_path, "outbox_new", [{**DOMAIN, "announce": True}, quiet]) as site:
        site.set_time(START)
        for domain in ("claims", "claims", "quiet", None):
            site.hold(domain)
        site.hold("claims", delivered=True)
        site.tick()
        assert site.outbox() == [(START, "new", "claims", "group", 2)]
        site.set_time(START + timedelta(minutes=5))
        site.tick()
        assert len(site.outbox()) == 1, "announced twice"
        site.hold("claims")
        site.tick()
        assert site.outbox()[1:] == [(START + timedelta(minutes=5), "new", "claims", "group", 1)]
        assert [mail["Subject"] for mail in site.relay.mails] == [
            "claims: 2 new answers wait for a decision",
            "claims: 1 new answer waits for a decision",
        ]


FORBIDDEN = {
    "notifier": [
        "SELECT content FROM isthmus.held",
        "SELECT * FROM isthmus.review_acts",
        "SELECT * FROM isthmus.reviewer_keys",
        "INSERT INTO isthmus.outbox (id) VALUES (gen_random_uuid())",
        "UPDATE isthmus.outbox_deliveries SET delivered_at = now()",
        "DELETE FROM isthmus.outbox",
        "SELECT isthmus.outbox_add('confidential', 'fra1', 'expiry', 'x', 'x', 1, now(), now())",
        "SELECT isthmus.review_remind('confidential', 'fra1', 1, '{}')",
        "SELECT isthmus.review_announce('confidential', 'fra1', '{claims}', 1)",
    ],
    "reviews": [
        "UPDATE isthmus.held SET decide_by = now() + interval '1 year'",
        "DELETE FROM isthmus.outbox",
        "SELECT isthmus.outbox_add('confidential', 'fra1', 'expiry', 'x', 'x', 1, now(), now())",
        "SELECT isthmus.outbox_mark(gen_random_uuid(), 'x', gen_random_uuid(), NULL, '0', '0')",
    ],
    "gateway": [
        "SELECT * FROM isthmus.outbox",
        "SELECT isthmus.review_act_by_plan('x', 'claim', 'x', '{}', true, 0, 'r', NULL, NULL, NULL, 9, NULL)",
        "SELECT isthmus.review_overdue_by_plan('confidential', 'fra1', 1, '{}')",
    ],
}
CLOCK = """CREATE OR REPLACE FUNCTION isthmus.now() RETURNS timestamptz LANGUAGE sql
    AS 'SELECT ''-infinity''::timestamptz'"""


def test_no_process_can_change_the_clock_or_do_another_ones_work(site: Simulated):
    for mode in ("gateway", "reviews", "notifier"):
        notifier_database = Notifier(
            type(site.notifier._config).model_validate(
                site.notifier_config(database=site.database_section(mode))
            )
        )._database
        for statement in [*FORBIDDEN[mode], CLOCK]:
            with pytest.raises(DatabaseDown, match="InsufficientPrivilegeError"):
                site.run(notifier_database.fetch(statement))
        site.run(notifier_database.close())


@pytest.mark.parametrize(
    "words", [("expiry", "IBAN DE02 1203", "x"), ("expiry", "x", "Erika M."), ("The answer", "x", "x")]
)
def test_a_notification_has_no_room_for_text(site: Simulated, words: tuple[str, str, str]):
    statement = (
        "INSERT INTO isthmus.outbox (class, site, kind, domain, addressee, answers, oldest_at)"
        " VALUES ('confidential', 'fra1', $1, $2, $3, 1, now())"
    )
    with pytest.raises(DatabaseDown, match="CheckViolationError"):
        site.run(site.databases["admin"].fetch(statement, *words))
