"""Prometheus and Alertmanager of this machine: their configurations, and what is said when they are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from sandbox import toolchain
from sandbox.local import monitoring
from sandbox.local.monitoring import AlertPorts, Target, Watch
from sandbox.toolchain import debian


def test_missing_programs_are_named_with_the_command_that_installs_them(monkeypatch, tmp_path):
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="not installed: prometheus and alertmanager") as refused:
        monitoring.require_programs()
    fix = str(refused.value.fix)
    assert "isthmus sandbox install --tool prometheus --tool alertmanager" in fix


def test_the_install_command_takes_the_debian_package(monkeypatch):
    asked = []
    monkeypatch.setattr(debian.DebianPackage, "install", lambda package: asked.append(package.name))
    statuses = toolchain.install(tools=["prometheus", "promtool"])
    assert asked == ["prometheus"]
    assert {"prometheus", "promtool"} <= {entry.name for entry in statuses}


def test_rules_are_written_as_they_were_declared_and_targets_with_their_labels(tmp_path: Path):
    groups = [{"name": "a", "rules": [{"alert": "A", "expr": "up == 0", "for": "2m"}]}]
    target = Target("isthmus-public", "public-gateway", "health", 20001, {"isthmus_dev_class": "public"})
    watch = Watch("prometheus-fra1", 20002, [target], {"isthmus-public.isthmus": groups})
    monitoring.write_watch(tmp_path, watch, AlertPorts(20003, 20004))
    config = yaml_files.load(tmp_path / "prometheus-fra1.yaml").data
    [file] = config["rule_files"]
    assert yaml_files.load(Path(file)).data == {"groups": groups}
    [scraped] = config["scrape_configs"][0]["static_configs"]
    assert scraped["targets"] == ["127.0.0.1:20001"]
    assert scraped["labels"]["job"] == "isthmus-public/public-gateway"
    assert scraped["labels"]["isthmus_dev_class"] == "public"


def test_everything_listens_on_the_loopback_only(tmp_path: Path):
    watch = Watch("prometheus-fra1", 20002, [], {})
    commands = [
        *(
            process.command
            for process in monitoring.alert_processes(tmp_path, AlertPorts(20003, 20004), tmp_path)
        ),
        monitoring.watch_process(tmp_path, watch, tmp_path).command,
    ]
    places = [text for command in commands for text in command if "listen-address=" in text]
    assert places == [
        "--web.listen-address=127.0.0.1:20003",
        "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:20002",
    ]
