"""`isthmus plan --from-usage` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from isthmus.core import yaml_files
from tests.usage_days import usage_days, write_usage

ROOT = Path(__file__).resolve().parents[2]
AS_OF = ("--as-of", "2026-12-01")

pytestmark = pytest.mark.whole


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    for kind in ("requirements", "plan"):
        shutil.copy(ROOT / "stacks" / f"bank-dev.{kind}.yaml", tmp_path / f"bank.{kind}.yaml")
    return tmp_path / "bank.requirements.yaml"


@pytest.fixture
def usage(tmp_path: Path) -> Path:
    """Sixteen weeks: narratives grow by a percent each week, extraction is half of the guess."""
    return write_usage(
        tmp_path / "usage.json",
        usage_days(
            "transaction-narratives",
            112,
            lambda day: 60_000 * 1.01 ** (day // 7),
            prompt=2400,
            completion=450,
        ),
        usage_days("kyc-extraction", 112, lambda _: 216_000, prompt=1800, completion=200),
        usage_days("policy-assistant", 9, lambda _: 5000),
        stack="bank-dev",
    )


def test_the_two_plans_are_solved_and_compared(isthmus, bank, usage):
    result = isthmus("plan", bank, "--from-usage", usage, "--format", "json", *AS_OF)
    assert result.code == 0, result.err
    plan = json.loads(result.out)
    report = plan["from_usage"]
    assert plan["monthly_cost_usd"] == report["monthly_usd_used"]
    assert report["monthly_usd_guessed"] == 33466.09
    by_name = {one["workload"]: one for one in report["workloads"]}
    assert [name for name, one in by_name.items() if one["measured"]] == [
        "transaction-narratives",
        "kyc-extraction",
    ]
    for key in ("monthly_usd_guessed", "monthly_usd_used"):
        assert round(sum(one[key] for one in by_name.values()), 2) == report[key]
    assert by_name["policy-assistant"]["days"] == 9
    assert (
        "policy-assistant: its traffic stays the guess of the requirements, because its usage has 9 whole days, and 14"
        " are needed" in report["warnings"]
    )


def test_the_plan_warns_weeks_ahead_that_it_becomes_too_small(isthmus, bank, usage):
    out = isthmus("plan", bank, "--from-usage", usage, *AS_OF).out
    (line,) = [
        line for line in out.splitlines() if line.startswith("warning: in the existing plan, at the trend")
    ]
    assert "the trend of transaction-narratives, restricted-qwen3-32b becomes too small in " in line
    assert "kyc" not in line  # no trend


def test_the_same_input_gives_the_same_bytes(isthmus, bank, usage):
    for format in ("json", "text", "html"):
        first, second = (
            isthmus("plan", bank, "--from-usage", usage, "--format", format, *AS_OF).out for _ in range(2)
        )
        assert first == second


def test_the_plan_is_a_what_if_until_the_requirements_have_the_measured_traffic(
    isthmus, bank, usage, tmp_path
):
    target = tmp_path / "measured.plan.yaml"
    made = isthmus("plan", bank, "--from-usage", usage, "-o", target, *AS_OF)
    assert made.code == 0
    assert "what if workloads.transaction-narratives.traffic.mean_rps=" in made.out
    assert "what_if" in yaml_files.load(target).data
    yaml = made.out.split("put it into the requirements:\n\n")[1]
    pasted = {entry["name"]: entry["traffic"] for entry in yaml_files.loads(yaml).data["workloads"]}
    data = yaml_files.load(bank).data
    for workload in data["workloads"]:
        workload["traffic"] |= pasted.get(workload["name"], {})
    yaml_files.dump(data, "", bank)
    planned = isthmus("plan", bank, "--format", "json", *AS_OF)
    assert planned.code == 0, planned.err
    assert json.loads(planned.out)["monthly_cost_usd"] == yaml_files.load(target).data["monthly_cost_usd"]


def test_the_page_shows_guessed_and_measured_side_by_side(isthmus, bank, usage):
    page = isthmus("plan", bank, "--from-usage", usage, "--format", "html", *AS_OF).out
    assert '<section id="measured"><h2>Measured traffic in place of guesses</h2>' in page
    assert "becomes too small in" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "the file is not JSON"),
        ('{"rows": []}', "the file has no list `days` of sums of usage"),
        ('{"days": []}', "the file has no day of usage"),
        ('{"days": [{"day": "2026-11-01"}]}', "days[0].sensitivity: Field required (and "),
    ],
)
def test_a_file_of_another_shape_is_refused(isthmus, bank, tmp_path, content, message):
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    result = isthmus("plan", bank, "--from-usage", wrong, *AS_OF)
    assert result.code == 2
    assert message in result.err
    assert "Fix: " in result.err


def test_usage_of_other_workloads_is_refused(isthmus, bank, tmp_path):
    other = write_usage(tmp_path / "other.json", usage_days("kyc-extractions", 20, lambda _: 10))
    result = isthmus("plan", bank, "--from-usage", other, *AS_OF)
    assert result.code == 2
    assert "no workload of the usage (kyc-extractions) is one of the requirements" in result.err
    assert "Did you mean `kyc-extraction`?" in result.err
