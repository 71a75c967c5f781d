"""The routes that `docs/monitoring.md` suggests, in a real Alertmanager: each alert reaches who it is for."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from sandbox import toolchain
from sandbox.cluster.kwok import free_ports
from sandbox.local.monitoring import ALERTMANAGER
from tests.components import watched

pytestmark = pytest.mark.service

PAGE = Path(__file__).resolve().parents[2] / "docs" / "monitoring.md"
START_S = 60.0


def suggested() -> str:
    """The configuration on the page."""
    [text] = re.findall(
        r"^## Route alerts to people$.*?^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S
    )
    return text


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A running Alertmanager with the configuration on the page."""
    toolchain.install(tools=[ALERTMANAGER])
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yaml").write_text(suggested())
    [port] = free_ports(1)
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            str(toolchain.find(ALERTMANAGER)),
            f"--config.file={folder / 'alertmanager.yaml'}",
            f"--storage.path={folder}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=log,
        stderr=log,
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    try:
        deadline = time.monotonic() + START_S
        while not is_ready(client):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=30)
        log.close()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def receiver_of(labels: dict[str, str]) -> str:
    """Who must get an alert."""
    severity = labels["severity"]
    if severity == "ticket":
        return "team-onboarding" if labels["owner"] == watched.TEAM else "platform-tickets"
    return {"page": "on-call", "heartbeat": "dead-man-switch"}[severity]


@pytest.fixture(scope="module")
def posted(alertmanager: httpx.Client) -> list[dict[str, str]]:
    """The labels of every rendered alert. All of them fire in Alertmanager."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    labels = [{**alert["labels"], "alertname": alert["alert"]} for alert in watched.alerts()]
    alerts = [{"labels": each, "endsAt": ends} for each in labels]
    alertmanager.post("/api/v2/alerts", json=alerts).raise_for_status()
    return labels


def test_each_rendered_alert_reaches_who_it_is_for(
    alertmanager: httpx.Client, posted: list[dict[str, str]]
) -> None:
    found = alertmanager.get("/api/v2/alerts").json()
    reached = {frozenset(alert["labels"].items()): [r["name"] for r in alert["receivers"]] for alert in found}
    assert reached == {frozenset(labels.items()): [receiver_of(labels)] for labels in posted}
    receivers = {"platform-tickets", "team-onboarding", "on-call", "dead-man-switch"}
    assert {names[0] for names in reached.values()} == receivers


@pytest.mark.usefixtures("posted")
def test_what_is_missing_is_silent_while_nothing_answers(alertmanager: httpx.Client) -> None:
    missing = {"GatewayCopiesMissing", "ModelReplicasMissing"}
    deadline = time.monotonic() + START_S
    silent: set[str] = set()
    while time.monotonic() < deadline and silent != missing:
        found = alertmanager.get("/api/v2/alerts").json()
        silent = {alert["labels"]["alertname"] for alert in found if alert["status"]["inhibitedBy"]}
        time.sleep(0.2)
    assert silent == missing
