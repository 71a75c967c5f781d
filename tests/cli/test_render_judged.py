"""`isthmus render` applies the policies: findings, exit codes, and settings of a project."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandResult, Isthmus

STRICT = "isthmus: v1\nfigures: {log_days_min: 4000}\n"
LOCK = "audit/locked-long-enough"


@pytest.fixture
def render(isthmus: Isthmus, project: Path):
    def render_with_policies(policies: str) -> CommandResult:
        (project / "policies.yaml").write_text(policies)
        return isthmus("render", "bank-dev", "-o", project / "made", "--project", project)

    return render_with_policies


def silence(until: datetime.date, resource: str = "bank-frankfurt-lock") -> str:
    return (
        f"{STRICT}silences:\n- policy: {LOCK}\n  resource: {resource}\n  owner: ana@bank.example\n"
        f"  reason: the store of records is the organisation's\n  until: {until}\n"
    )


def test_a_high_finding_exits_1_but_the_rendered_folder_is_written(render, project: Path):
    result = render(STRICT)
    assert result.code == 1
    assert f"high  {LOCK}: bank-frankfurt-lock locks records for 366 days; the minimum is 4000" in result.err
    assert "Raise defaultRetention" in result.err, "the fix"
    assert "Policies: " in result.err
    assert f"this change: {LOCK}" in result.err
    assert (project / "made" / "graph.json").exists()


def test_a_silenced_finding_is_shown_and_does_not_block(render):
    result = render(silence(datetime.datetime.now(datetime.UTC).date()))
    assert result.code == 0, result.err
    assert "silenced by ana@bank.example until" in result.err


def test_an_unknown_setting_is_refused_before_anything_is_written(render, project: Path):
    result = render("isthmus: v1\nsilence: []\n")
    assert (result.code, "`silences`" in result.err) == (2, True), result.err
    assert not (project / "made").exists()


def test_policy_settings_in_a_stacks_config_are_validated_too(isthmus: Isthmus, project: Path):
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    setting = "  isthmus:policies:\n    off:\n    - rule: audit/logs-keep\n      owner: a\n      reason: b\n"
    file.write_text(file.read_text().replace("config:\n", f"config:\n{setting}", 1))
    result = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert result.code == 2
    assert "there is no rule `audit/logs-keep`. Fix: Did you mean `audit/logs-kept`?" in result.err
    assert "isthmus:policies" in result.err


def test_a_rule_that_a_stack_switches_off_is_said_in_text_and_json(isthmus: Isthmus, project: Path):
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    off = "    off:\n    - {rule: reliability/two-zones, owner: ana, reason: comes in spring}\n"
    file.write_text(file.read_text().replace("config:\n", f"config:\n  isthmus:policies:\n{off}", 1))
    (project / "policies.yaml").write_text(silence(datetime.date(2999, 1, 1), "nothing-that-exists"))
    result = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert "exception  reliability/two-zones is off, by ana in Pulumi.bank-dev.yaml" in result.err
    assert f"exception  {LOCK} is silenced for nothing-that-exists until 2999-01-01" in result.err
    graph = json.loads((project / "made" / "graph.json").read_text())
    assert [(entry["kind"], entry["rule"]) for entry in graph["exceptions"]] == [
        ("off", "reliability/two-zones"),
        ("silence", LOCK),
    ]
    assert graph["resources"]
