"""The mail relay of this machine: each mail is a file of its own, and it listens on the loopback only."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from sandbox.local.mail_relay import MailRelay


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[MailRelay]:
    with MailRelay(0, tmp_path / "mails") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def send(relay: MailRelay, to: str, text: str) -> None:
    mail = EmailMessage()
    mail["from"], mail["to"], mail["subject"] = "isthmus@bank.example", to, "waits"
    mail.set_content(text)
    with smtplib.SMTP(*relay.server_address[:2], timeout=10) as sender:  # type: ignore[arg-type]
        sender.send_message(mail)


def test_each_mail_is_a_file_that_names_its_recipient(relay: MailRelay) -> None:
    assert relay.server_address[0] == "127.0.0.1"
    send(relay, "desk@bank.example", "1 answer\n.waits\n")
    send(relay, "duty@bank.example", "another\n")
    files = sorted(relay.folder.glob("*"))
    assert [file.name for file in files] == ["0001-desk@bank.example.eml", "0002-duty@bank.example.eml"]
    assert files[0].stat().st_mode & 0o077 == 0
    mail = message_from_bytes(files[0].read_bytes(), policy=policy.default)
    assert mail.get_content().splitlines() == ["1 answer", ".waits"]  # type: ignore[attr-defined]


def test_a_recipients_name_never_leads_out_of_the_folder(relay: MailRelay) -> None:
    send(relay, "../../etc/x@bank.example", "text")
    [file] = relay.folder.rglob("*.eml")
    assert file.parent == relay.folder


def test_a_mail_that_is_too_large_is_refused(relay: MailRelay) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        send(relay, "desk@bank.example", "x" * 70 + ("\n" + "x" * 70) * 16_000)
    assert refused.value.smtp_code == 552
    assert not list(relay.folder.glob("*.eml"))
