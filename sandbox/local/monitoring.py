"""Runs Prometheus and Alertmanager over processes of this machine.

Prometheus labels what it scrapes as it would for PodMonitors. Alertmanager gives every alert to an inbox of this
machine (`sandbox.local.alert_inbox`), which writes it to a file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from sandbox import toolchain
from sandbox.local import supervisor
from sandbox.local.alert_inbox import LOOPBACK
from sandbox.local.supervisor import Process
from sandbox.toolchain.debian import PROMETHEUS

ROOT = Path(__file__).resolve().parents[2]
ALERTMANAGER, PROMETHEUS_PROGRAM, INBOX = "alertmanager", "prometheus", "alert-inbox"
"""Names of the processes, and of the programs of the first two."""
SCRAPE_S = 15
"""Interval of a PodMonitor."""


@dataclass(frozen=True)
class Target:
    """A port of a process with metrics, and the pod that it stands for."""

    namespace: str
    name: str
    """Name of the PodMonitor."""
    endpoint: str
    """Name of the pod's port."""
    port: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of what is scraped: those of the pod that the PodMonitor names."""

    @property
    def job(self) -> str:
        """The label `job`, by which rules select."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Watch:
    """What one Prometheus scrapes and evaluates."""

    name: str
    """Name of its process and of its files."""
    port: int
    targets: Sequence[Target]
    rules: Mapping[str, Sequence[Mapping[str, Any]]]
    """Groups of rules by the name of their file."""


@dataclass(frozen=True)
class AlertPorts:
    """Ports on the loopback of what takes alerts."""

    alertmanager: int
    inbox: int


def require_programs() -> None:
    """Raise `EnvironmentFault` unless Prometheus and Alertmanager are installed."""
    places = {
        PROMETHEUS_PROGRAM: PROMETHEUS.program(PROMETHEUS_PROGRAM),
        ALERTMANAGER: toolchain.find(ALERTMANAGER),
    }
    if missing := [name for name, path in places.items() if path is None]:
        options = " ".join(f"--tool {name}" for name in missing)
        raise EnvironmentFault(
            f"not installed: {' and '.join(missing)}",
            where="--metrics",
            fix=f"Run `isthmus sandbox install {options}`, or put the programs on PATH",
        )


def write_watch(folder: Path, watch: Watch, ports: AlertPorts, *, scrape_s: int = SCRAPE_S) -> None:
    """Write the configuration of a Prometheus and its rules.

    `scrape_s`: seconds between two scrapes, and between two evaluations of rules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, groups in watch.rules.items():
        files.append(folder / f"{watch.name}-{name}.rules.yaml")
        yaml_files.dump({"groups": list(groups)}, "", files[-1])
    config = {
        "global": {
            "scrape_interval": f"{scrape_s}s",
            "scrape_timeout": f"{min(scrape_s, 10)}s",
            "evaluation_interval": f"{scrape_s}s",
        },
        "rule_files": [str(file) for file in files],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{LOOPBACK}:{ports.alertmanager}"]}]}]
        },
        "scrape_configs": [{"job_name": "pods", "static_configs": [*_scraped(watch.targets)]}],
    }
    yaml_files.dump(config, "", folder / f"{watch.name}.yaml")


def _scraped(targets: Iterable[Target]) -> Iterable[dict[str, Any]]:
    for target in targets:
        labels = {
            **target.labels,
            "job": target.job,
            "namespace": target.namespace,
            "pod": target.name,
            "endpoint": target.endpoint,
        }
        yield {"targets": [f"{LOOPBACK}:{target.port}"], "labels": labels}


def write_alertmanager(folder: Path, ports: AlertPorts) -> None:
    """Write the configuration of Alertmanager: each alert goes to the inbox at once, by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    webhook = {"url": f"http://{LOOPBACK}:{ports.inbox}/", "send_resolved": True}
    route = {
        "receiver": "inbox",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "4h",
    }
    config = {"route": route, "receivers": [{"name": "inbox", "webhook_configs": [webhook]}]}
    yaml_files.dump(config, "", folder / "alertmanager.yaml")


def alerts_file(folder: Path) -> Path:
    """Where the inbox writes alerts, a line of JSON each."""
    return folder / "alerts.jsonl"


def alert_processes(folder: Path, ports: AlertPorts, logs: Path) -> list[Process]:
    """The inbox, and Alertmanager over what `write_alertmanager` wrote. Needs `require_programs`."""
    inbox = [sys.executable, "-m", "sandbox.local.alert_inbox", str(ports.inbox), str(alerts_file(folder))]
    alertmanager = [
        str(toolchain.find(ALERTMANAGER)),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={LOOPBACK}:{ports.alertmanager}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    return [_process(INBOX, inbox, logs), _process(ALERTMANAGER, alertmanager, logs)]


def watch_process(folder: Path, watch: Watch, logs: Path) -> Process:
    """A Prometheus over what `write_watch` wrote. Needs `require_programs`."""
    program = PROMETHEUS.program(PROMETHEUS_PROGRAM)
    command = [
        str(program),
        f"--config.file={folder / f'{watch.name}.yaml'}",
        f"--storage.tsdb.path={folder / watch.name}",
        f"--web.listen-address={LOOPBACK}:{watch.port}",
        "--storage.tsdb.retention.time=1d",
        f"--rules.alert.resend-delay={SCRAPE_S}s",
        "--log.level=warn",
    ]
    if program is not None and program.is_relative_to(PROMETHEUS.folder):
        # Debian's program reads its pages from /usr unless it is told otherwise.
        command.append(f"--web.local-assets={PROMETHEUS.folder / 'usr/share/prometheus/web'}")
    return _process(watch.name, command, logs)


def _process(name: str, command: Sequence[str], logs: Path) -> Process:
    environment = supervisor.environment({"PYTHONPATH": str(ROOT)})
    return Process(name, command, environment, str(logs / f"{name}.log"), str(ROOT))
