"""What reaches each kind of target: mail over TLS, webhooks, PagerDuty; and who is on call."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.config import ConfigError, NotifierConfig
from edge.notifier.messages import Delivery, body_of, format_age
from edge.notifier.on_call import OnCall, read_calendar
from edge.notifier.sending import HEADER, Sender, SendError
from tests.edge.certificates import Authority
from tests.edge.mail_relay import MailRelay

NOW = datetime(2027, 3, 26, 12, 0, tzinfo=UTC)
MAIL = {"sender": "isthmus@bank.example", "to": ["desk@bank.example", "seniors@bank.example"]}


def delivery(target: str, **more: Any) -> Delivery:
    fields: dict[str, Any] = {
        "id": uuid.UUID(int=7),
        "target": target,
        "attempts": 1,
        "kind": "reminder",
        "domain": "payments",
        "addressee": "group",
        "answers": 3,
        "oldest_at": NOW - timedelta(hours=5),
        "decide_by": NOW + timedelta(hours=1),
        "at": NOW,
        "asked_at": NOW,
    }
    return Delivery(**{**fields, **more})


def sender(*targets: dict[str, Any], **more: Any) -> Sender:
    config: dict[str, Any] = {
        "mode": "notifier",
        "class": "confidential",
        "site": "fra1",
        "health": {"host": "127.0.0.1", "port": 9090},
        "database": {"host": "/run/postgresql", "user": "notifier"},
        "link": "https://desk.bank.example/",
        "targets": list(targets),
        "default": [targets[0]["name"]],
        **more,
    }
    return Sender(NotifierConfig.model_validate(config))


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailRelay]:
    monkeypatch.setenv("SSL_CERT_FILE", "")
    certificate, key = Authority(tmp_path).issue("relay", "smtp.bank.example")
    running = MailRelay(certificate, key)
    yield running
    running.close()


def test_a_mail_goes_over_tls_to_every_mailbox_with_the_notifications_id(relay: MailRelay, tmp_path: Path):
    mail = {"relay": "127.0.0.1", "port": relay.port, **MAIL}
    sender({"name": "desk", "mail": mail}, relay_ca=tmp_path / "ca.crt").send(delivery("desk"))
    assert sorted(received["To"] for received in relay.mails) == sorted(MAIL["to"])
    assert {received[HEADER] for received in relay.mails} == {str(uuid.UUID(int=7))}
    assert relay.mails[0]["Subject"] == "payments: 3 answers wait for a decision"


def test_a_relay_with_a_certificate_of_another_ca_gets_no_mail(relay: MailRelay, tmp_path: Path):
    mail = {"relay": "127.0.0.1", "port": relay.port, **MAIL}
    Authority(tmp_path / "other")
    with pytest.raises(SendError, match="not-accepted"):
        sender({"name": "desk", "mail": mail}, relay_ca=tmp_path / "other" / "ca.crt").send(delivery("desk"))
    assert relay.mails == []


def test_a_relay_whose_name_leads_elsewhere_gets_no_mail(relay: MailRelay):
    mail = {"relay": "localhost", "address": "10.40.0.25", "port": relay.port, **MAIL}
    with pytest.raises(SendError, match="relay-elsewhere"):
        sender({"name": "desk", "mail": mail}).send(delivery("desk"))
    assert relay.mails == []


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    taken: list[tuple[dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((dict(self.headers), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/hook?method=post", taken
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_the_id_as_a_header(webhook: tuple[str, list[Any]], tmp_path: Path):
    url, taken = webhook
    (tmp_path / "url").write_text(url + "\n")
    sender({"name": "hook", "service": "webhook", "url": tmp_path / "url"}).send(delivery("hook"))
    ((headers, body),) = taken
    assert headers[HEADER] == str(uuid.UUID(int=7))
    assert body["title"] == "payments: 3 answers wait for a decision"
    assert "https://desk.bank.example/" in body["message"]


def test_pagerduty_recognises_a_repeat_by_the_id(tmp_path: Path):
    (tmp_path / "url").write_text("pagerduty://integrationkey@apikey")
    pager = sender({"name": "pager", "service": "pagerduty", "url": tmp_path / "url"})
    url = pager._url(pager._targets["pager"], str(uuid.UUID(int=7)))
    from apprise import Apprise

    assert Apprise.instantiate(url).dedup == str(uuid.UUID(int=7))  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("slack", "json://127.0.0.1/x"),
        ("webhook", "json://hooks.example/x"),
        ("webhook", "mailto://a@b.example"),
        ("teams", "file:///etc/passwd"),
        ("slack", "slack://x"),
    ],
)
def test_a_url_that_is_not_of_the_service_is_refused_at_start(tmp_path: Path, service: str, url: str):
    (tmp_path / "url").write_text(url)
    with pytest.raises(ConfigError, match="chat"):
        sender({"name": "chat", "service": service, "url": tmp_path / "url"})


CALENDAR = """
time_zone: Europe/Berlin
rotation: {from: 2027-03-01T09:00:00, days: 7, targets: [duty-1, duty-2]}
shifts:
  - {from: 2027-03-26T00:00:00, until: 2027-03-27T00:00:00, target: duty-3}
"""


@pytest.mark.parametrize(
    ("moment", "target"),
    [
        ("2027-03-01T07:59:00+00:00", None),
        ("2027-03-01T08:00:00+00:00", "duty-1"),
        ("2027-03-08T08:00:00+00:00", "duty-2"),
        ("2027-03-26T12:00:00+00:00", "duty-3"),
        ("2027-03-26T23:00:00+00:00", "duty-2"),
        ("2027-03-29T06:59:00+00:00", "duty-2"),  # still 8:59 in summer time
        ("2027-03-29T07:00:00+00:00", "duty-1"),
    ],
)
def test_the_calendar_says_who_is_on_call(tmp_path: Path, moment: str, target: str | None):
    (tmp_path / "on-call.yaml").write_text(CALENDAR)
    assert read_calendar(tmp_path / "on-call.yaml").at(datetime.fromisoformat(moment)) == target


def test_a_notification_goes_to_who_is_on_call_when_it_is_sent(
    webhook: tuple[str, list[Any]], tmp_path: Path
):
    url, taken = webhook
    (tmp_path / "url").write_text(url)
    (tmp_path / "on-call.yaml").write_text(CALENDAR.replace("duty-2", "duty-1"))
    duty = [{"name": f"duty-{number}", "service": "webhook", "url": tmp_path / "url"} for number in (1, 3)]
    on_call = sender({"name": "on-call", "on_call": tmp_path / "on-call.yaml"}, *duty)
    on_call.send(delivery("on-call"))
    assert len(taken) == 1
    with pytest.raises(SendError, match="nobody-on-call"):
        on_call.send(delivery("on-call", asked_at=datetime(2027, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("duty-2", "nobody"), "'nobody' is no target"),
        (("until: 2027-03-27", "until: 2027-03-26"), "until must be later"),
        (("Europe/Berlin", "Berlin"), "is not a time zone"),
        (("from: 2027-03-26T00:00:00", "from: 2027-03-26T00:00:00Z"), "without an offset"),
    ],
)
def test_a_calendar_that_cannot_be_used_is_refused_at_start(
    tmp_path: Path, change: tuple[str, str], says: str
):
    (tmp_path / "on-call.yaml").write_text(CALENDAR.replace(*change))
    mail = {"relay": "127.0.0.1", "port": 25, "tls": "none", **MAIL}
    duty = [{"name": f"duty-{number}", "mail": mail} for number in (1, 2, 3)]
    with pytest.raises(ConfigError, match=says):
        sender({"name": "on-call", "on_call": tmp_path / "on-call.yaml"}, *duty)


def test_who_is_on_call_is_always_one_of_the_calendars_targets():
    calendar = OnCall.model_validate(
        {
            "time_zone": "Europe/Berlin",
            "rotation": {"from": datetime(2027, 1, 1, 9), "days": 3, "targets": ["a", "b"]},
        }
    )
    turns = [calendar.at(datetime(2027, 1, 1, 8, tzinfo=UTC) + timedelta(days=day)) for day in range(12)]
    assert turns == ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("minutes", "text"), [(5, "5 min"), (200, "3 h 20 min"), (1441, "1 day 0 h"), (3000, "2 days 2 h")]
)
def test_ages_are_readable(minutes: int, text: str):
    assert format_age(timedelta(minutes=minutes), "en") == text
    german = text.replace("days", "Tage").replace("day", "Tag")
    assert format_age(timedelta(minutes=minutes), "de") == german


@pytest.mark.parametrize("kind", ["new", "reminder", "escalation", "expiry"])
@pytest.mark.parametrize("answers", [1, 3])
def test_each_kind_of_notification_has_a_sentence_in_each_language(kind: str, answers: int):
    moment = datetime(2027, 1, 1, 8, tzinfo=UTC)
    delivery = Delivery(
        **{
            "id": uuid.UUID(int=7),
            "target": "x",
            "attempts": 1,
            "kind": kind,
            "domain": "payments",
            "addressee": "seniors",
        },
        **{"answers": answers, "oldest_at": moment, "decide_by": moment, "at": moment, "asked_at": moment},
    )
    english = body_of(delivery, "en", "restricted", "fra1", "https://desk")
    german = body_of(delivery, "de", "restricted", "fra1", "https://desk")
    assert english.startswith(f"payments: {answers} ")
    assert german.startswith(f"payments: {answers} ")
    assert "Antwort" in german
    assert {line.split(":")[0] for line in english.splitlines()[1:] if line}.isdisjoint(
        line.split(":")[0] for line in german.splitlines()[1:] if line
    )
