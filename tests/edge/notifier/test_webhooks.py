"""Webhooks of applications: signed events of decided answers, at least once, in order, to the stated address only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import ConfigError, NotifierConfig
from edge.config.webhooks import Webhook
from edge.notifier import webhooks
from edge.notifier.process import Notifier
from edge.notifier.webhooks import read_secrets, sign
from tests.edge.certificates import Authority
from tests.edge.notifier.simulated import Simulated, simulated
from tests.edge.postgres import Postgres
from tests.edge.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.service
START = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "QUJD" * 8
NETWORKS = ["127.0.0.0/8"]
REFERENCE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WebhookReceiver]:
    authority = Authority(tmp_path / "authority")
    server = WebhookReceiver(*authority.issue("app", "app.payments.example"))
    (tmp_path / "secret").write_text(SECRET + "\n")
    yield server
    server.close()


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Simulated]:
    name = f"webhooks_{abs(hash(request.node.name)) % 10**9}"
    (folder := tmp_path / "site").mkdir()
    with simulated(postgres, folder, name, []) as running:
        running.set_time(START)
        yield running


def webhook(receiver: WebhookReceiver, folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "payments-app",
        "url": f"https://app.payments.example:{receiver.port}/isthmus?v=1",
        "address": "127.0.0.1",
        "secret": str(folder / "secret"),
        "ca": str(folder / "authority" / "ca.crt"),
        "gateway": "https://restricted-gateway.example:8443",
        **changes,
    }


class Sending:
    """A notifier with a webhook, and what it sends."""

    def __init__(self, site: Simulated, *stated: dict[str, Any]) -> None:
        config = site.notifier_config(webhooks=list(stated), networks=NETWORKS)
        self.site, self.notifier = site, Notifier(NotifierConfig.model_validate(config))

    def turn(self) -> None:
        self.site.run(self.notifier.turn())

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *error: object) -> None:
        self.site.run(self.notifier.close())


def decided(site: Simulated, *acts: str, **more: Any) -> str:
    held_id = site.hold(None, webhook="payments-app", **more)
    site.act(held_id, "claim", *acts)
    return held_id


def events(receiver: WebhookReceiver) -> list[tuple[str, dict[str, Any]]]:
    bodies = [json.loads(body) for _, _, body in receiver.received]
    return [(body["type"], body["data"]) for body in bodies]


def test_the_signature_is_that_of_the_reference_library(tmp_path: Path, receiver: WebhookReceiver):
    secrets = read_secrets(Webhook.model_validate(webhook(receiver, tmp_path)))
    # By `standardwebhooks` 1.1.0 (PyPI), with the example of its own tests.
    assert sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == REFERENCE


def test_an_application_is_told_id_status_and_link_of_a_decided_answer_and_no_content(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    approved = decided(site, "approve", is_case=True)
    rejected = decided(site, "reject")
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
        sending.turn()
    link = "https://restricted-gateway.example:8443/v1/reviews/"
    assert events(receiver) == [
        (
            "review.decided",
            {"id": held_id, "status": status, "workload": "w", "link": link + held_id},
        )
        for held_id, status in ((approved, "approved"), (rejected, "rejected"))
    ]
    first, headers, body = receiver.received[0]
    assert first == "POST /isthmus?v=1 HTTP/1.1"
    assert headers["host"] == f"app.payments.example:{receiver.port}"
    assert headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert headers["webhook-id"].startswith("msg_")
    secrets = read_secrets(Webhook.model_validate(webhook(receiver, tmp_path)))
    assert headers["webhook-signature"] == sign(secrets, headers["webhook-id"], int(START.timestamp()), body)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 2


def test_expired_answers_and_cases_have_events_of_their_own(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    expires = site.hold(None, webhook="payments-app")
    case = site.hold(None, webhook="payments-app", is_case=True)
    silent = site.hold(None)
    site.sql("UPDATE isthmus.held SET task = 'case' WHERE id = ':id'".replace(":id", case))
    site.act(case, "claim", "reject")
    site.act(silent, "claim", "reject")
    for _ in range(2):  # escalated, then expired
        site.sql("UPDATE isthmus.held SET decide_by = isthmus.now() WHERE state IN ('held', 'escalated')")
        site.run(site.desk.overdue())
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
    told = [
        (kind, data["id"], data["status"], data["link"].rpartition("/")[0]) for kind, data in events(receiver)
    ]
    at = "https://restricted-gateway.example:8443/v1"
    assert told == [
        ("case.answered", case, "closed", f"{at}/cases"),
        ("review.expired", expires, "expired", f"{at}/reviews"),
    ]


def test_a_failed_event_is_sent_again_with_its_id_and_before_the_next_one(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    first, second = decided(site, "reject"), decided(site, "reject")
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
        assert len(receiver.received) == 1, "the second waits for the first"
        site.set_time(START + timedelta(seconds=31))
        sending.turn()
    assert [data["id"] for _, data in events(receiver)] == [first, first, second]
    ids = [headers["webhook-id"] for _, headers, _ in receiver.received]
    assert ids[0] == ids[1] != ids[2]
    times = [int(headers["webhook-timestamp"]) for _, headers, _ in receiver.received]
    assert times[1] - times[0] == 31, "each attempt is signed anew"


def test_a_delivery_that_is_refused_too_long_is_dead(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    receiver.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
    decided(site, "reject")
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
        site.set_time(START + timedelta(hours=25))
        sending.turn()
    (row,) = site.sql("SELECT error, dead_at IS NOT NULL AS dead FROM isthmus.outbox_deliveries")
    assert tuple(row.values()) == ("not-accepted", True)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: https://10.0.0.1/\r\n\r\n", "redirect-refused"),
        (b"HTTP/1.1 200 OK" + b"x" * 100_000, "not-accepted"),
        (b"SSH-2.0-x\r\n", "no-http-answer"),
        (b"", "no-http-answer"),
    ],
)
def test_an_answer_is_neither_followed_nor_read_to_its_end(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path, answer: bytes, error: str
):
    receiver.answers = [answer]
    decided(site, "reject")
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
    (row,) = site.sql("SELECT error FROM isthmus.outbox_deliveries")
    assert row["error"] == (None if error == "not-accepted" else error)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"url": "https://other.example:{port}/"}, "certificate-refused"),
        ({"ca": None}, "certificate-refused"),
        ({"address": "127.0.0.9"}, "unreachable"),
    ],
)
def test_an_event_goes_to_the_stated_host_with_its_certificate_only(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path, changes: dict[str, Any], error: str
):
    if "url" in changes:
        changes = {"url": changes["url"].format(port=receiver.port)}
    decided(site, "reject")
    stated = {**webhook(receiver, tmp_path), **changes}
    with Sending(site, {key: value for key, value in stated.items() if value is not None}) as sending:
        sending.turn()
    (row,) = site.sql("SELECT error FROM isthmus.outbox_deliveries")
    assert row["error"] == error
    assert receiver.received == []


def test_a_slow_application_does_not_keep_the_notifier(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.3)
    receiver.pause_s = 2
    decided(site, "reject")
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        sending.turn()
    (row,) = site.sql("SELECT error FROM isthmus.outbox_deliveries")
    assert row["error"] == "timeout"


def test_while_a_secret_changes_an_event_has_a_signature_by_each(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    with Sending(site, webhook(receiver, tmp_path)) as sending:
        (tmp_path / "secret").write_text(f"{SECRET}\n{OLD_SECRET}\n")
        decided(site, "reject")
        sending.turn()
    (_, headers, body) = receiver.received[0]
    both = read_secrets(Webhook.model_validate(webhook(receiver, tmp_path)))
    alone = [sign([secret], headers["webhook-id"], int(START.timestamp()), body) for secret in both]
    assert headers["webhook-signature"].split(" ") == alone


@pytest.mark.parametrize(
    "text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_QUJD", f"{SECRET}\n" * 3]
)
def test_a_secret_of_another_form_is_refused_at_the_start(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path, text: str
):
    (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigError, match="whsec_"):
        Sending(site, webhook(receiver, tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "http://app.payments.example/"}, "must be https://"),
        ({"url": "https://user@app.payments.example/"}, "must be https://"),
        ({"url": "https://app.payments.example/a b"}, "must be https://"),
        ({"url": "https://app.payments.example/\r\nx: y"}, "must be https://"),
        ({"address": "app.payments.example"}, "not an IP address"),
        ({"address": "169.254.169.254"}, "link-local"),
        ({"address": "10.9.0.1"}, "not within networks"),
        ({"name": "desk"}, "or a target and a webhook"),
    ],
)
def test_a_webhook_that_leads_elsewhere_is_refused(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path, changes: dict[str, Any], message: str
):
    with pytest.raises(ValidationError, match=message):
        Sending(site, webhook(receiver, tmp_path, **changes))


def test_reminders_and_events_of_one_outbox_go_their_own_ways(
    site: Simulated, receiver: WebhookReceiver, tmp_path: Path
):
    decided(site, "reject")
    with Sending(site) as without:
        without.turn()
    (row,) = site.sql("SELECT error FROM isthmus.outbox_deliveries")
    assert row["error"] == "target-unknown", "it waits until a notifier knows the webhook"
    assert site.relay.mails == []
