"""`isthmus render` held to the policies: what is found, what stops, what a project says of it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Isthmus, Ran

STRICT = "isthmus: v1\nfigures: {log_days_min: 4000}\n"
LOCK = "audit/locked-long-enough"


@pytest.fixture
def render(isthmus: Isthmus, project: Path):
    def ask(policies: str) -> Ran:
        (project / "policies.yaml").write_text(policies)
        return isthmus("render", "bank-dev", "-o", project / "made", "--project", project)

    return ask


def silence(until: datetime.date, resource: str = "bank-frankfurt-lock") -> str:
    return (
        f"{STRICT}silences:\n- policy: {LOCK}\n  resource: {resource}\n  owner: ana@bank.example\n"
        f"  reason: the store of records is the organisation's\n  until: {until}\n"
    )


def test_a_high_finding_stops_and_the_folder_is_there_to_be_looked_at(render, project: Path):
    ran = render(STRICT)
    assert ran.code == 1
    assert f"high  {LOCK}: bank-frankfurt-lock locks records for 366 days; the minimum is 4000" in ran.err
    assert "Raise defaultRetention" in ran.err, "the fix"
    assert "Policies: " in ran.err
    assert f"this change: {LOCK}" in ran.err
    assert (project / "made" / "graph.json").exists()


def test_a_silenced_finding_is_shown_and_does_not_block(render):
    ran = render(silence(datetime.datetime.now(datetime.UTC).date()))
    assert ran.code == 0, ran.err
    assert "silenced by ana@bank.example until" in ran.err


def test_an_unknown_setting_is_refused_before_anything_is_written(render, project: Path):
    ran = render("isthmus: v1\nsilence: []\n")
    assert (ran.code, "`silences`" in ran.err) == (2, True), ran.err
    assert not (project / "made").exists()


def test_a_stacks_own_config_is_read_and_held_to_the_same(isthmus: Isthmus, project: Path):
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    setting = "  isthmus:policies:\n    off:\n    - rule: audit/logs-keep\n      owner: a\n      reason: b\n"
    file.write_text(file.read_text().replace("config:\n", f"config:\n{setting}", 1))
    ran = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert ran.code == 2
    assert "there is no rule `audit/logs-keep`. Fix: Did you mean `audit/logs-kept`?" in ran.err
    assert "isthmus:policies" in ran.err
