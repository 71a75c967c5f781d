"""`isthmus plan`, as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.requirements import document as requirements_document

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    *("version", "requirements_sha256", "blueprint", "feasible", "endpoints", "placements", "gateways"),
    *(
        "cost_items",
        "monthly_cost_usd",
        "stress",
        "alternatives",
        "conflicts",
        "ways_out",
        "warnings",
        "prices_as_of",
    ),
]
AS_OF = ("--as-of", "2026-11-25")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    target = tmp_path / "bank.requirements.yaml"
    shutil.copy(ROOT / "stacks" / "bank-dev.requirements.yaml", target)
    return target


def test_json_has_the_keys_of_the_contract(isthmus, bank):
    ran = isthmus("plan", bank, "--format", "json", *AS_OF)
    assert ran.code == 0
    assert list(json.loads(ran.out)) == KEYS


def test_the_plan_that_is_written_can_be_built(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    ran = isthmus("plan", bank, "-o", target, *AS_OF)
    assert ran.code == 0
    plan_rules.check(plan_of.load(target), requirements_document.load(bank))
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".yaml",)] == []


def test_unchanged_requirements_keep_the_same_bytes(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    isthmus("plan", bank, "-o", target, *AS_OF)
    first = target.read_bytes()
    again = isthmus("plan", bank, "-o", target, "--as-of", "2026-12-24")
    assert target.read_bytes() == first
    assert f"{target}: nothing changed" in again.err


def test_the_age_of_prices_is_reported_and_never_stored(isthmus, bank):
    young, old = (
        isthmus("plan", bank, "--format", "yaml", "--as-of", day) for day in ("2026-11-25", "2027-06-01")
    )
    assert young.out == old.out
    assert "days old" in young.err
    assert "warning" not in young.err
    assert "warning: the oldest list price" in old.err


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ("nonsense: 3", "`nonsense` is not the name of a model"),
        (
            "logs: -3",
            'the price of logs is `-3`, not a mapping. Fix: Write {usd_per_gb: 0.1, as_of: "2026-11-25"}',
        ),
        ("p5.48xlarge: 3", "the price of p5.48xlarge is `3`, not a mapping"),
        ("logs: {usd_per_gb: 1}", "the price has no date"),
    ],
)
def test_a_price_that_cannot_be_read_is_refused_with_its_line(isthmus, bank, price, message):
    """Also a price that this plan does not need."""
    text = bank.read_text().replace(
        "  - name: frankfurt\n", f"  - name: frankfurt\n    prices: {{{price}}}\n"
    )
    bank.write_text(text)
    line = text.splitlines().index(f"    prices: {{{price}}}") + 1
    refused = isthmus("plan", bank, *AS_OF)
    assert refused.code == 2
    assert f"{bank.name}:{line} sites[frankfurt].prices.{price.split(':')[0]}: {message}" in refused.err


def test_an_infeasible_plan_is_exit_code_1_and_takes_no_feasible_one_s_place(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    isthmus("plan", bank, "-o", target, *AS_OF)
    first = target.read_bytes()
    bank.write_text(bank.read_text().replace("monthly_usd: 60000", "monthly_usd: 20000"))
    ran = isthmus("plan", bank, "-o", target, *AS_OF)
    assert ran.code == 1
    assert ran.out.startswith(
        "infeasible: these requirements contradict each other\n  - budget 20,000 USD a month\n"
    )
    assert "ways out (each was solved again):" in ran.out
    assert target.read_bytes() == first
    assert "is not overwritten" in ran.err


def test_text_tells_the_decision_first_and_what_moved_on_stderr(isthmus, bank):
    # The plan beside the requirements is the one that is there.
    shutil.copy(ROOT / "stacks" / "bank-dev.plan.yaml", bank.with_name("bank.plan.yaml"))
    bank.write_text(bank.read_text().replace("mean_rps: 0.1", "mean_rps: 0.2"))
    ran = isthmus("plan", bank, *AS_OF)
    assert ran.out.splitlines()[0].startswith("regulated-hybrid: ")
    assert "stress test at 1.5 times the peak: passes" in ran.out
    assert "compared with the existing plan: the requirements have changed" in ran.err
    assert "compared with the existing plan: the plan costs " in ran.err


def test_the_stacks_own_lock_is_what_is_planned_and_nothing_moves(isthmus):
    ran = isthmus("plan", ROOT / "stacks" / "bank-dev.requirements.yaml", "--format", "yaml", *AS_OF)
    assert ran.out == (ROOT / "stacks" / "bank-dev.plan.yaml").read_text()
    assert "compared with the existing plan" not in ran.err


def test_the_page_is_one_file_that_loads_nothing(isthmus, bank):
    ran = isthmus("plan", bank, "--format", "html", *AS_OF)
    assert ran.code == 0
    assert ran.out.startswith("<!doctype html>") or ran.out.startswith("<!DOCTYPE html>")
    assert "transaction-narratives" in ran.out
    assert "src=" not in ran.out
    assert "Options that were ruled out, and why" in ran.out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "meta-llama/Llama-3.3-70B-Instruct",
            "meta-llama/Llama-3.3-70B-Instrut",
            "Did you mean `meta-llama/Llama-3.3-70B",
        ),
        ("gpu: l40s-48gb", "gpu: l40s-48g", "Did you mean `l40s-48gb`?"),
        ("peak_rps: 20.0", "peak_rps: -20.0", "peak_rps"),
        ("peak_rps: 20.0, mean_rps: 5.0", "peak_rps: 2.0, mean_rps: 5.0", "is below mean_rps"),
        ("name: kyc-extraction", "name: campaign-copy", "campaign-copy"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(isthmus, bank, old, new, message):
    text = bank.read_text()
    assert old in text
    bank.write_text(text.replace(old, new))
    ran = isthmus("plan", bank, *AS_OF)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_huge_file_and_a_wrong_day_are_refused(isthmus, bank):
    assert isthmus("plan", bank, "--as-of", "yesterday").code == 2
    bank.write_text("a: " + "x" * (10 << 20))
    ran = isthmus("plan", bank, *AS_OF)
    assert ran.code == 2
    assert ran.err.count("\n") == 1


def test_a_site_with_no_price_leaves_its_gpus_unused(isthmus, bank):
    bank.write_text(
        bank.read_text().replace(
            "capex_usd_per_node: {h100-sxm-80gb: 320000, l40s-48gb: 70000}", "capex_usd_per_node: {}"
        )
    )
    ran = isthmus("plan", bank, *AS_OF)
    assert ran.code == 1
    assert "has no capex_usd_per_node.h100-sxm-80gb" in ran.out
