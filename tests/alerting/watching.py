"""A real Prometheus and Alertmanager over processes of a test, and the alerts that reach the webhook."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.cluster.kwok import free_ports
from sandbox.local import alert_inbox, monitoring
from sandbox.local.alert_inbox import LOOPBACK, Notice
from sandbox.local.monitoring import AlertPorts, Target, Watch
from sandbox.local.supervisor import Process
from tests.alerting.monitoring import install, of_running, shortened

FACTOR, SCRAPE_S = 15, 3
"""Windows are a fifteenth of those rendered."""
MODEL_PROBES = {"interval_s": 60 / FACTOR, "timeout_s": 60 / FACTOR}
"""Section `model_probes` of a gateway, as often as windows are short. The timeout is longer than a slow answer."""
PATIENCE_S = 240.0
"""Longest wait for the declared alerts. On an idle machine most come within 30 s."""
QUIET_S = 9.0
"""How long nothing else may come afterwards."""

Alerts = frozenset[tuple[str, str]]
"""Names of alerts, each with its severity."""
_SELECTOR = re.compile(r"\b(isthmus_\w+|up)\{([^}]*)\}")
HEARTBEAT: Alerts = frozenset({("Heartbeat", "heartbeat")})


@dataclass
class Watching:
    """The programs that watch, and the alerts that came."""

    file: Path
    programs: Mapping[str, subprocess.Popen[bytes]]
    url: str
    """Of Prometheus."""
    rules: Sequence[Mapping[str, Any]]
    read: int = 0
    """Lines of the file that were checked."""

    def firing(self) -> Alerts:
        """The alerts that reached the webhook and were not resolved since."""
        return _names(alert_inbox.still_firing(alert_inbox.read_notices(self.file)))

    def expect(self, expected: Alerts) -> None:
        """Wait until exactly these alerts fire. What comes in between and is over is reported too, but not at first:
        rules are evaluated before the first scrape.
        """
        end = time.monotonic() + PATIENCE_S
        while self.firing() != expected:
            missing, more = expected - self.firing(), self.firing() - expected
            assert time.monotonic() < end, f"missing: {set(missing)}; not declared: {set(more)}"
            time.sleep(0.5)
        time.sleep(QUIET_S)
        assert self.firing() == expected
        notices = alert_inbox.read_notices(self.file)
        came = _names(notice for notice in notices[self.read :] if notice.status == "firing")
        assert came <= expected or not self.read, f"not declared: {set(came - expected)}"
        self.read = len(notices)

    def without_data(self) -> set[str]:
        """Metrics of our processes for which Prometheus has not had one series that a rule selects."""
        expressions = [rule["expr"] for group in self.rules for rule in group["rules"]]
        empty = set()
        with httpx.Client(base_url=self.url, trust_env=False, timeout=20) as prometheus:
            for name, matchers in {found for text in expressions for found in _SELECTOR.findall(text)}:
                query = f"count(last_over_time({name}{{{matchers}}}[1h]))"
                answer = prometheus.get("/api/v1/query", params={"query": query}).json()
                if not answer["data"]["result"]:
                    empty.add(name)
        return empty


def _names(notices: Iterable[Notice]) -> Alerts:
    return frozenset((notice.name, notice.labels["severity"]) for notice in notices)


@contextmanager
def watching(
    folder: Path, groups: Sequence[Mapping[str, Any]], targets: Sequence[Target], *, copies: bool = False
) -> Iterator[Watching]:
    """Watch these targets with those of the groups' rules that are about them, in short windows.

    `copies`: as many copies run as the groups' platform has, so that alerts about missing ones count.
    """
    install()
    folder.mkdir()
    prometheus, *others = free_ports(3)
    ports = AlertPorts(*others)
    rules = shortened(of_running(groups, targets, copies=copies), FACTOR)
    watch = Watch("prometheus", prometheus, targets, {"rules": rules})
    monitoring.write_watch(folder, watch, ports, scrape_s=SCRAPE_S)
    monitoring.write_alertmanager(folder, ports)
    started = {
        process.name: _started(process)
        for process in (
            *monitoring.alert_processes(folder, ports, folder),
            monitoring.watch_process(folder, watch, folder),
        )
    }
    try:
        yield Watching(monitoring.alerts_file(folder), started, f"http://{LOOPBACK}:{prometheus}", rules)
    finally:
        for program in started.values():
            program.terminate()
            program.wait(30)


def _started(process: Process) -> subprocess.Popen[bytes]:
    return subprocess.Popen(process.command, env=process.environment, cwd=process.folder)
