"""promtool, Prometheus' own tool, reads every rule, and tries each alert with series that fire it and that do not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.core import yaml_files
from sandbox.toolchain.debian import PROMETHEUS
from tests.components import watched
from tests.components.alert_cases import CASES, Case

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def promtool() -> Path:
    PROMETHEUS.install()
    program = PROMETHEUS.program("promtool")
    assert program is not None
    return program


def run(promtool: Path, *arguments: str) -> str:
    done = subprocess.run([str(promtool), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("sensitivity", watched.CLASSES)
def test_prometheus_accepts_every_rule(promtool: Path, tmp_path: Path, sensitivity: str) -> None:
    groups = watched.groups(sensitivity)
    file = write(tmp_path / "rules.yaml", {"groups": groups})
    rules = sum(len(group["rules"]) for group in groups)
    assert f"{rules} rules found" in run(promtool, "check", "rules", "--lint-fatal", str(file))


def groups_of(case: Case) -> Iterator[dict[str, Any]]:
    """The alert in its groups, with the recording rules of the same goal."""
    for group in watched.groups():
        alerts = [rule for rule in group["rules"] if rule.get("alert") == case.alert]
        if alerts:
            goal = alerts[0]["labels"].get("goal")
            records = [
                rule for rule in group["rules"] if "record" in rule and rule["labels"].get("goal") == goal
            ]
            yield {**group, "rules": [*records, *alerts]}


def question(case: Case, values: dict[str, str], expected: int) -> dict[str, Any]:
    """One test of promtool: whether the alert fires at the end of these values."""
    labels = f'alertname="{case.alert}",alertstate="firing",severity="{case.severity}"'
    labels += f",{case.which}" if case.which else ""
    return {
        "interval": case.step,
        "input_series": [{"series": series, "values": numbers} for series, numbers in values.items()],
        "promql_expr_test": [
            {
                "expr": f"count(ALERTS{{{labels}}}) or vector(0)",
                "eval_time": case.at,
                "exp_samples": [{"labels": "{}", "value": expected}],
            }
        ],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_alert_fires_for_its_cause_and_for_nothing_else(
    promtool: Path, tmp_path: Path, case: Case
) -> None:
    groups = list(groups_of(case))
    assert groups, f"no rule is named {case.alert}"
    rules = write(tmp_path / "rules.yaml", {"groups": groups})
    tests = [question(case, dict(case.fires), 1), question(case, dict(case.silent), 0)]
    file = write(
        tmp_path / "tests.yaml",
        {"rule_files": [str(rules)], "evaluation_interval": case.step, "tests": tests},
    )
    run(promtool, "test", "rules", str(file))


def test_the_heartbeat_fires_always(promtool: Path, tmp_path: Path) -> None:
    rules = write(tmp_path / "rules.yaml", {"groups": watched.groups()})
    case = Case("Heartbeat", "heartbeat", {}, {}, at="0m")
    file = write(tmp_path / "tests.yaml", {"rule_files": [str(rules)], "tests": [question(case, {}, 1)]})
    run(promtool, "test", "rules", str(file))


def write(file: Path, content: dict[str, Any]) -> Path:
    yaml_files.dump(content, "", file)
    return file
