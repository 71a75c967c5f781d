"""A real Prometheus over the replayed series, the recording rules computed from them, and the alerts that fire."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from components.observability.dashboards.panels import Dashboard
from sandbox.cluster.kwok import free_ports
from sandbox.toolchain.debian import PROMETHEUS
from tests.components import dashboard_platform, replayed_series
from tests.components.replayed_series import END_S, START_S, STEP_S, Sample

LOOPBACK = "127.0.0.1"
READY_S = 60.0
RATE_WINDOW = "8m"
"""For `$__rate_interval`: four scrapes."""
_HOLD = re.compile(r"(\d+)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

Series = list[dict[str, Any]]
"""As Prometheus answers: `metric`, and `value` or `values`."""


@dataclass
class Replay:
    """A running Prometheus with the six hours in it."""

    url: str
    client: httpx.Client
    values: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """What `label_values` gave."""

    def instant(self, expression: str) -> Series:
        """The result at the end of the six hours."""
        return self._get("query", query=expression, time=END_S)

    def range(self, expression: str, step_s: int = 300) -> Series:
        """The results during the six hours."""
        return self._get("query_range", query=expression, start=START_S + 600, end=END_S, step=step_s)

    def label_values(self, series: str, label: str) -> list[str]:
        """What Grafana's `label_values` gives."""
        if (series, label) not in self.values:
            times = {"match[]": series, "start": START_S, "end": END_S}
            self.values[series, label] = self._get(f"label/{label}/values", **times)
        return self.values[series, label]

    def expression(self, dashboard: Dashboard, expression: str) -> str:
        """An expression with all values chosen, as Grafana writes them in."""
        for variable in dashboard.variables:
            series = variable.series.replace("$class", ".+").replace("$pool", ".+")
            values = self.label_values(series, variable.name)
            chosen = f"({'|'.join(values)})" if variable.is_listed else ".+"
            expression = re.sub(rf"\${variable.name}\b", lambda _, text=chosen: text, expression)
        for name, value in (
            ("$__rate_interval", RATE_WINDOW),
            ("$__range_s", str(END_S - START_S)),
            ("$__range", f"{END_S - START_S}s"),
        ):
            expression = expression.replace(name, value)
        return expression

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=60, trust_env=False).json()
        assert answer["status"] == "success", answer
        return answer["data"] if path.startswith("label/") else answer["data"]["result"]


@contextmanager
def replay(folder: Path) -> Iterator[Replay]:
    """Replay the series, the rules and the alerts. Prometheus ends with the block."""
    PROMETHEUS.install()
    store = folder / "store"
    _add(folder, store, replayed_series.samples())
    rules = [rule for group in dashboard_platform.rule_groups() for rule in group["rules"]]
    with _prometheus(folder, store) as running:
        records = list(_records(running, [rule for rule in rules if "record" in rule]))
    _add(folder, store, records)
    with _prometheus(folder, store) as running:
        alerts = list(_alerts(running, [rule for rule in rules if "alert" in rule]))
    _add(folder, store, alerts)
    with _prometheus(folder, store) as running:
        yield running


def _records(running: Replay, rules: Iterable[dict[str, Any]]) -> Iterator[tuple[int, Sample]]:
    """The results of recording rules."""
    for rule in rules:
        for series in running.range(rule["expr"], STEP_S):
            for at, value in series["values"]:
                yield int(at), (rule["record"], series["metric"] | rule["labels"], float(value))


def _alerts(running: Replay, rules: Iterable[dict[str, Any]]) -> Iterator[tuple[int, Sample]]:
    """`ALERTS` of the alerts whose expressions were true as long as they must be."""
    for rule in rules:
        hold = _HOLD.fullmatch(rule["for"])
        assert hold is not None
        hold_s = int(hold[1]) * _SECONDS[hold[2]]
        for series in running.range(rule["expr"], STEP_S):
            labels = {key: value for key, value in series["metric"].items() if key != "__name__"}
            labels |= rule["labels"] | {"alertname": rule["alert"], "alertstate": "firing"}
            since = before = 0.0
            for at, _ in series["values"]:
                since = at if at != before + STEP_S else since
                before = at
                if at - since >= hold_s:
                    yield int(at), ("ALERTS", labels, 1)


def _add(folder: Path, store: Path, timed: Iterable[tuple[int, Sample]]) -> None:
    with (folder / "series.txt").open("w") as file:
        file.writelines(replayed_series.openmetrics(timed))
    _promtool("tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "series.txt"), str(store))


def _promtool(*arguments: str) -> None:
    program = PROMETHEUS.program("promtool")
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _prometheus(folder: Path, store: Path) -> Iterator[Replay]:
    (port,) = free_ports(1)
    (folder / "prometheus.yaml").write_text("{}\n")
    program = PROMETHEUS.program("prometheus")
    with (folder / "prometheus.log").open("a") as log:
        process = subprocess.Popen(
            [
                str(program),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={store}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={LOOPBACK}:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(timeout=60, trust_env=False) as client:
            running = Replay(f"http://{LOOPBACK}:{port}", client)
            _wait(running, process)
            yield running
    finally:
        process.terminate()
        process.wait(30)


def _wait(running: Replay, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if running.client.get(f"{running.url}/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("Prometheus did not start")
