"""`isthmus compare` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AS_OF = ("--as-of", "2026-11-25")
PILOT = ROOT / "examples" / "pilot.requirements.yaml"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    target = tmp_path / "bank.requirements.yaml"
    shutil.copy(ROOT / "stacks" / "bank-dev.requirements.yaml", target)
    return target


def test_text_json_and_page_show_the_same_figures(isthmus, bank, tmp_path):
    page = tmp_path / "page.html"
    arguments = (bank, "budget=null,scale-traffic=2", "sovereign", "--no-reasons", *AS_OF)
    answer = isthmus("compare", *arguments, "--format", "json", "--html", page)
    assert answer.code == 0, answer.err
    data = json.loads(answer.out)
    text = isthmus("compare", *arguments).out
    html = page.read_text()
    assert [column["status"] for column in data["columns"]] == ["feasible", "feasible", "infeasible"]
    for line in data["cost_lines"]:
        for amount in line["amounts"]:
            if amount is not None:
                assert f"{amount:,.2f}" in text
                assert f"{amount:,.2f}" in html
    for total in data["total_cost"]["totals"][:2]:
        assert f"{total:,.2f}" in text
        assert f"{total:,.2f}" in html
    assert f"{page} is written" in answer.err


def test_the_json_has_the_documented_keys(isthmus):
    result = isthmus("compare", PILOT, "scale-traffic=0.5", "--no-reasons", "--format", "json", *AS_OF)
    assert list(json.loads(result.out)) == [
        *(
            "version",
            "isthmus",
            "as_of",
            "columns",
            "headline",
            "cost_lines",
            "workloads",
            "hardware",
            "moves",
        ),
        *("total_cost", "acquisition", "energy", "driver_range_pct", "drivers_of", "drivers"),
        *("assumptions", "sources"),
    ]


def test_a_column_costs_what_plan_says_it_costs(isthmus, bank):
    compared = json.loads(
        isthmus(
            "compare", bank, "budget=null,scale-traffic=2", "--no-reasons", "--format", "json", *AS_OF
        ).out
    )
    plans = [
        json.loads(isthmus("plan", bank, *extra, "--format", "json", *AS_OF).out)
        for extra in ((), ("--set", "budget=null", "--scale-traffic", "2"))
    ]
    for column, plan in zip(compared["columns"], plans, strict=True):
        assert column["monthly_cost_usd"] == plan["monthly_cost_usd"]
        assert column["requirements_sha256"] == plan["requirements_sha256"]


def test_plan_files_are_compared_and_a_what_if_among_them_is_marked(isthmus, bank, tmp_path):
    real, double = tmp_path / "bank.plan.yaml", tmp_path / "double.plan.yaml"
    isthmus("plan", bank, "-o", real, *AS_OF)
    isthmus("plan", bank, "--set", "budget=null", "--scale-traffic", "2", "-o", double, *AS_OF)
    result = isthmus("compare", real, double, "--no-reasons", "--format", "json", *AS_OF)
    assert result.code == 0, result.err
    first, second = json.loads(result.out)["columns"]
    assert (first["what"], first["changes"]) == ("the plan of bank.plan.yaml", [])
    assert second["changes"] == ["budget=null", "scale-traffic=2"]
    assert double.exists()


def test_nothing_is_written_beside_the_page(isthmus, bank, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    isthmus("compare", bank, "scale-traffic=0.5", "--no-reasons", *AS_OF)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_assumptions_change_the_figures_that_rest_on_them(isthmus, bank):
    def total(*assumed: str) -> float:
        flags = [part for text in assumed for part in ("--assume", text)]
        result = isthmus("compare", bank, "current", "--no-reasons", "--format", "json", *flags, *AS_OF)
        assert result.code == 0, result.err
        return json.loads(result.out)["total_cost"]["totals"][0]

    base = total("price-decline=0")
    assert total("price-decline=0", "growth=3") > base
    assert total("price-decline=20") < base
    assert total("price-decline=0", "years=6") == pytest.approx(2 * base, abs=0.01)


def test_reasons_are_given_unless_they_are_left_out(isthmus):
    with_reasons = isthmus("compare", PILOT, "scale-traffic=0.5", *AS_OF)
    assert "A constraint decided" in with_reasons.out
    assert "reasons of A: ticket-answers" in with_reasons.err
    without = isthmus("compare", PILOT, "scale-traffic=0.5", "--no-reasons", *AS_OF)
    assert "decided" not in without.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("current",), "1 plan is named. Fix: Name two or three."),
        (("current", "current", "current", "current"), "4 plans are named"),
        (("current", "sovreign"), "Did you mean `sovereign`?"),
        (("current", "sovereign"), "needs requirements to plan with. Fix: Add `--requirements FILE`"),
        ((str(PILOT), "budget.monthly_us=3"), "compare budget.monthly_us=3: there is no key"),
        ((str(PILOT), "current", "--assume", "year=3"), "Did you mean `years`?"),
        ((str(PILOT), "absent.plan.yaml"), "absent.plan.yaml: there is no such file"),
    ],
)
def test_wrong_arguments_are_one_line_that_says_how_to_fix_it(isthmus, arguments, message):
    result = isthmus("compare", *arguments, "--no-reasons", *AS_OF)
    assert (result.code, result.out) == (2, "")
    error = result.err.splitlines()[-1]
    assert message in error
    assert "Traceback" not in result.err


def test_without_any_feasible_plan_the_exit_code_is_1(isthmus, bank):
    result = isthmus("compare", bank, "--no-reasons", "pilot", "cloud-managed", *AS_OF)
    assert result.code == 0
    none = isthmus("compare", "pilot", "cloud-managed", "--requirements", bank, "--no-reasons", *AS_OF)
    assert none.code == 1
    assert "A has no plan: blueprint pilot does not fit" in none.out
