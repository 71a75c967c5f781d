"""The inbox of alerts: a line for each alert that starts or ends, and which of them still fire."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.local.alert_inbox import AlertInbox, read_notices, still_firing


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[AlertInbox]:
    with AlertInbox(0, tmp_path / "alerts.jsonl") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def send(inbox: AlertInbox, message: Any) -> int:
    return httpx.post(
        f"http://127.0.0.1:{inbox.server_address[1]}/", json=message, trust_env=False
    ).status_code


def alert(name: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, **labels}, "annotations": {"summary": "It is."}}


def test_an_alert_fires_until_its_end_comes(inbox: AlertInbox) -> None:
    assert read_notices(inbox.file) == [], "nothing has come yet"
    assert send(inbox, {"alerts": [alert("ModelDown", site="a"), alert("ModelDown", site="b")]}) == 200
    assert send(inbox, {"alerts": [alert("ModelDown", "resolved", site="a")]}) == 200
    notices = read_notices(inbox.file)
    assert [(notice.name, notice.status) for notice in notices] == [
        ("ModelDown", "firing"),
        ("ModelDown", "firing"),
        ("ModelDown", "resolved"),
    ]
    assert [notice.labels["site"] for notice in still_firing(notices)] == ["b"]
    assert [notice.status for notice in read_notices(inbox.file, since=2)] == ["resolved"]


def test_it_listens_on_the_loopback_and_refuses_what_is_no_message(inbox: AlertInbox) -> None:
    assert inbox.server_address[0] == "127.0.0.1"
    assert send(inbox, ["alerts"]) == 400
    assert read_notices(inbox.file) == []
