"""`isthmus plan` as a user runs it."""

from __future__ import annotations

import json
import re
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


def test_the_json_plan_has_the_documented_keys(isthmus, bank):
    result = isthmus("plan", bank, "--format", "json", *AS_OF)
    assert result.code == 0
    assert list(json.loads(result.out)) == [*KEYS, "availability"]


def test_without_a_stated_availability_the_json_plan_has_no_key_for_it(isthmus, bank):
    bank.write_text(re.sub(r", availability: [0-9.]+", "", bank.read_text()))
    assert list(json.loads(isthmus("plan", bank, "--format", "json", *AS_OF).out)) == KEYS


def test_the_text_tells_the_expected_availability_and_that_a_refund_is_none(isthmus, bank):
    out = isthmus("plan", bank, *AS_OF).out
    (line,) = [line for line in out.splitlines() if line.startswith("  kyc-extraction: ")]
    assert re.fullmatch(
        r"  kyc-extraction: 0\.9994\d\d, meets 0\.999; [45]\.\d+ hours a year down, most by the database of gateway "
        r"confidential-fra1 \(2\), the one site fra1 \(1\.6\)",
        line,
    )
    assert "A provider's SLA promises a refund, not an availability." in out


def test_where_people_may_decide_on_answers_the_whole_answer_s_time_is_told(isthmus, bank):
    stated = "slo: {ttft_p95_ms: 1500, tpot_p95_ms: 40, availability: 0.999}"
    bank.write_text(bank.read_text().replace(stated, "slo: {answer_p95_ms: 4000}"))
    out = isthmus("plan", bank, *AS_OF).out
    whole = r"whole answer [\d,.]+ to [\d,.]+ ms"
    assert re.search(
        rf"first token .*; {whole} \(no goal\)\.\n  Nothing of an answer arrives before it is", out
    )
    assert re.search(rf"80 % of cases: {whole} \(goal 4,000\)\.", out)
    assert out.count("Nothing of an answer arrives before") == 2  # not for the public copy, which streams


def test_a_goal_out_of_reach_is_a_warning_and_no_refusal(isthmus, bank):
    bank.write_text(bank.read_text().replace("availability: 0.999}", "availability: 0.999999}"))
    result = isthmus("plan", bank, *AS_OF)
    assert result.code == 0
    assert "kyc-extraction: 0.999432, misses 0.999999" in result.out
    assert (
        "warning: kyc-extraction: its expected availability is 0.999432, below slo.availability 0.999999"
        in result.out
    )


def test_a_written_plan_passes_the_plan_rules(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    result = isthmus("plan", bank, "-o", target, *AS_OF)
    assert result.code == 0
    plan_rules.check(plan_of.load(target), requirements_document.load(bank))
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".yaml",)] == []


def test_planning_unchanged_requirements_again_keeps_the_file_byte_identical(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    isthmus("plan", bank, "-o", target, *AS_OF)
    first = target.read_bytes()
    again = isthmus("plan", bank, "-o", target, "--as-of", "2026-12-24")
    assert target.read_bytes() == first
    assert f"{target}: nothing changed" in again.err


def test_the_age_of_prices_is_reported_and_never_stored(isthmus, bank):
    young, old = (
        isthmus("plan", bank, "--format", "yaml", "--as-of", day) for day in ("2026-07-01", "2027-06-01")
    )
    assert young.out == old.out
    assert "days old" in young.err
    assert "warning: the oldest" not in young.err
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
def test_an_unreadable_price_is_refused_with_its_line(isthmus, bank, price, message):
    """Also a price that this plan does not need."""
    text = bank.read_text().replace(
        "  - name: frankfurt\n", f"  - name: frankfurt\n    prices: {{{price}}}\n"
    )
    bank.write_text(text)
    line = text.splitlines().index(f"    prices: {{{price}}}") + 1
    refused = isthmus("plan", bank, *AS_OF)
    assert refused.code == 2
    assert f"{bank.name}:{line} sites[frankfurt].prices.{price.split(':')[0]}: {message}" in refused.err


def test_an_infeasible_plan_exits_1_and_does_not_overwrite_a_feasible_one(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    isthmus("plan", bank, "-o", target, *AS_OF)
    first = target.read_bytes()
    bank.write_text(bank.read_text().replace("monthly_usd: 60000", "monthly_usd: 20000"))
    result = isthmus("plan", bank, "-o", target, *AS_OF)
    assert result.code == 1
    assert result.out.startswith(
        "infeasible: these requirements contradict each other\n  - budget 20,000 USD a month\n"
    )
    assert "ways out (each was solved again):" in result.out
    assert target.read_bytes() == first
    assert "is not overwritten" in result.err


def test_text_output_begins_with_the_decision_and_lists_changes_on_stderr(isthmus, bank):
    # The plan beside the requirements is the one that is there.
    shutil.copy(ROOT / "stacks" / "bank-dev.plan.yaml", bank.with_name("bank.plan.yaml"))
    bank.write_text(bank.read_text().replace("mean_rps: 0.1", "mean_rps: 0.2"))
    result = isthmus("plan", bank, *AS_OF)
    assert result.out.splitlines()[0].startswith("regulated-hybrid: ")
    assert "stress test at 1.5 times the peak: passes" in result.out
    assert "compared with the existing plan: the requirements have changed" in result.err
    assert "compared with the existing plan: the plan costs " in result.err


def test_planning_the_bank_dev_stack_reproduces_its_committed_plan(isthmus):
    result = isthmus("plan", ROOT / "stacks" / "bank-dev.requirements.yaml", "--format", "yaml", *AS_OF)
    assert result.out == (ROOT / "stacks" / "bank-dev.plan.yaml").read_text()
    assert "compared with the existing plan" not in result.err


def test_the_html_plan_is_one_file_without_external_resources(isthmus, bank):
    result = isthmus("plan", bank, "--format", "html", *AS_OF)
    assert result.code == 0
    assert result.out.startswith("<!doctype html>") or result.out.startswith("<!DOCTYPE html>")
    assert "transaction-narratives" in result.out
    assert "src=" not in result.out
    assert "Options that were ruled out, and why" in result.out


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
def test_invalid_requirements_give_a_paragraph_for_each_mistake_and_exit_code_2(
    isthmus, bank, old, new, message
):
    text = bank.read_text()
    assert old in text
    bank.write_text(text.replace(old, new))
    result = isthmus("plan", bank, *AS_OF)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    *mistakes, last = result.err.splitlines()
    assert all(line.startswith(f"isthmus: {bank}:") for line in mistakes or [last])
    assert (
        not mistakes
        or last == f"isthmus: {len(mistakes)} errors in all; a later one may follow from an earlier one."
    )


def test_names_that_no_catalogue_has_are_told_with_their_lines_beside_other_mistakes(isthmus, bank):
    text = bank.read_text().replace("id: Qwen/Qwen3-32B", "id: Qwen/Qwen3-32")
    prices = "prices: {g6e.12xlarg: {usd_per_hour: 3}, logs: 3}"
    text = text.replace("allow: [bedrock, sagemaker, eks]", f"allow: [bedrock, ekz]\n    {prices}")
    bank.write_text(text)
    result = isthmus("plan", bank, *AS_OF)
    lines = text.splitlines()

    def line_of(part: str, number: int = 0) -> int:
        return [count for count, line in enumerate(lines, 1) if part in line][number]

    assert result.code == 2
    for place, message in (
        (f"{line_of('Qwen3-32,')} ", "Did you mean `Qwen/Qwen3-32B`?"),
        (f"{line_of('Qwen3-32,', 1)} ", "Did you mean `Qwen/Qwen3-32B`?"),
        (f"{line_of('ekz')} ", "Did you mean `eks`?"),
        (f"{line_of('logs: 3')} sites[frankfurt].prices.g6e.12xlarg", "Did you mean `g6e.12xlarge`?"),
        (f"{line_of('logs: 3')} sites[frankfurt].prices.logs", "not a mapping"),
    ):
        assert any(
            line.startswith(f"isthmus: {bank}:{place}") and message in line
            for line in result.err.splitlines()
        )
    assert result.err.endswith("isthmus: 5 errors in all; a later one may follow from an earlier one.\n")


def test_a_huge_file_and_an_invalid_date_are_refused(isthmus, bank):
    assert isthmus("plan", bank, "--as-of", "yesterday").code == 2
    bank.write_text("a: " + "x" * (10 << 20))
    result = isthmus("plan", bank, *AS_OF)
    assert result.code == 2
    assert max(map(len, result.err.splitlines())) < 1000


def test_a_site_with_no_price_leaves_its_gpus_unused(isthmus, bank):
    bank.write_text(
        bank.read_text().replace(
            "capex_usd_per_node: {h100-sxm-80gb: 320000, l40s-48gb: 70000}", "capex_usd_per_node: {}"
        )
    )
    result = isthmus("plan", bank, *AS_OF)
    assert result.code == 1
    assert "has no capex_usd_per_node.h100-sxm-80gb" in result.out


def test_a_what_if_plan_is_marked_and_compared_with_the_plan_beside_the_requirements(isthmus, bank, tmp_path):
    isthmus("plan", bank, "-o", tmp_path / "bank.plan.yaml", *AS_OF)
    target = tmp_path / "double.plan.yaml"
    result = isthmus("plan", bank, "--scale-traffic", "2", "--set", "budget=null", "-o", target, *AS_OF)
    assert result.code == 0, result.err
    assert result.out.startswith("what if budget=null, scale-traffic=2: an answer, not a plan to build\n")
    assert "compared with the existing plan: the plan costs " in result.err
    plan = plan_of.load(target)
    assert plan.what_if is not None
    assert plan.what_if.changes == ["budget=null", "scale-traffic=2"]
    assert plan.what_if.base_sha256 == requirements_document.load(bank).digest
    assert "A what-if, made by" in target.read_text()


def test_a_plan_without_changes_has_no_mark(isthmus, bank):
    assert "what_if" not in isthmus("plan", bank, "--format", "yaml", *AS_OF).out
    assert "what_if" in isthmus("plan", bank, "--format", "yaml", "--set", "budget=null", *AS_OF).out


def test_a_what_if_never_overwrites_a_plan_that_can_be_built(isthmus, bank, tmp_path):
    target = tmp_path / "bank.plan.yaml"
    isthmus("plan", bank, "-o", target, *AS_OF)
    first = target.read_bytes()
    refused = isthmus("plan", bank, "--scale-traffic", "2", "-o", target, *AS_OF)
    assert refused.code == 2
    assert "a what-if would overwrite it" in refused.err
    assert "bank-what-if.plan.yaml" in refused.err
    assert target.read_bytes() == first


def test_a_what_if_is_not_rendered_so_it_has_no_list_of_what_render_would_refuse(isthmus, bank):
    without_network_link_and_number(bank)
    result = isthmus("plan", bank, "--set", "budget=null", "--format", "json", *AS_OF)
    assert result.code == 0, result.err
    assert list(json.loads(result.out)) == [*KEYS, "availability", "what_if"]


def test_a_what_if_may_correct_a_name_that_no_catalogue_has_and_gets_all_others_named(isthmus, bank):
    bank.write_text(
        bank.read_text().replace(
            "allow: [bedrock, sagemaker, eks]",
            "allow: [bedrock, sagemaker, eks]\n    prices: {logg: {usd_per_gb: 3}, g6e.12xlarg: {usd_per_hour: 3}}",
        )
    )
    changed = isthmus("plan", bank, "--set", "sites.frankfurt.prices={}", *AS_OF)
    assert changed.code == 0, changed.err
    wrong = isthmus("plan", bank, "--scale-traffic", "2", *AS_OF)
    assert (wrong.code, wrong.out) == (2, "")
    assert "sites[frankfurt].prices.logg" in wrong.err
    assert "sites[frankfurt].prices.g6e.12xlarg" in wrong.err


def test_an_unknown_path_is_one_line_that_names_the_nearest(isthmus, bank):
    result = isthmus("plan", bank, "--set", "budget.monthly_us=3", *AS_OF)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "isthmus: --set budget.monthly_us=3: there is no key `monthly_us` in `budget`. "
        "Fix: Did you mean `monthly_usd`? Allowed here: monthly_usd.\n"
    )


def test_init_render_and_up_refuse_a_what_if(isthmus, project):
    stacks = project / "stacks"
    requirements, plan = stacks / "bank-dev.requirements.yaml", stacks / "bank-dev.plan.yaml"
    made = stacks / "what-if.plan.yaml"
    isthmus("plan", requirements, "--set", "budget.monthly_usd=50000", "-o", made, *AS_OF)
    shutil.copy(made, plan)
    for command in (("render", "bank-dev"), ("up", "bank-dev", "--yes")):
        refused = isthmus(*command, "--project", project)
        assert refused.code == 1, refused.err
        assert "this plan is a what-if (budget.monthly_usd=50000) and cannot be built" in refused.err
    refused = isthmus("init", "another", "--requirements", made, "--project", project)
    assert refused.code == 1
    assert "this file is a what-if plan (budget.monthly_usd=50000)" in refused.err


def test_the_text_shows_both_cost_bases_and_each_ruled_out_candidate_in_one_line(isthmus, bank):
    lines = isthmus("plan", bank, *AS_OF).out.splitlines()
    costs = next(line for line in lines if line.startswith("the same plan, USD a month: allocated "))
    assert "with idle hardware that you own" in costs
    assert "as cash" in costs
    ruled_out = lines[lines.index("ruled out:") + 1]
    assert ruled_out == (
        "  transaction-narratives: meta-llama/Llama-3.1-8B-Instruct at bf16: scores 0.61, below the minimum of 0.8"
    )


def test_explained_plans_tell_the_same_reasons_as_text_json_and_html(isthmus, bank):
    plain = json.loads(isthmus("plan", bank, "--format", "json", *AS_OF).out)
    result = isthmus("plan", bank, "--explain", "--format", "json", *AS_OF)
    data = json.loads(result.out)
    explanation = data.pop("explanation")
    assert data == plain
    assert "reasons: kyc-extraction" in result.err
    text = isthmus("plan", bank, "--explain", *AS_OF).out
    html = isthmus("plan", bank, "--explain", "--format", "html", *AS_OF).out
    for reason in explanation["workloads"]:
        for output in (text, html.replace("&#39;", "'")):
            assert reason["decided"] in output
            assert all(point["sentence"] in output for point in reason["turning_points"])
            if reason["runner_up"]:
                assert f"{reason['runner_up']['monthly_cost_usd']:,.2f}" in output
                assert f"{reason['runner_up']['extra_usd']:+,.2f}" in output
    for idle in explanation["idle"]:
        assert f"{idle['monthly_usd']:,.2f}" in text
        assert f"{idle['monthly_usd']:,.2f}" in html
        assert all(sentence in text for sentence in idle["why"])
    for key in ("allocated_usd", "owned_usd", "cash_usd"):
        assert f"{explanation['costs'][key]:,.2f}" in text
        assert f"{explanation['costs'][key]:,.2f}" in html


def test_reasons_have_no_place_in_a_plan_file(isthmus, bank):
    refused = isthmus("plan", bank, "--explain", "--format", "yaml", *AS_OF)
    assert (refused.code, refused.out) == (2, "")
    assert "a plan file has no place for reasons" in refused.err


def without_network_link_and_number(file: Path) -> None:
    text = file.read_text().replace("    vpc_cidr: 10.80.0.0/16\n", "").replace(", bgp_asn: 65010", "")
    file.write_text(text[: text.index("links:")])


def test_what_render_would_refuse_is_listed_at_once_and_the_exit_code_is_1(isthmus, bank, tmp_path):
    without_network_link_and_number(bank)
    result = isthmus("plan", bank, "-o", tmp_path / "bank.plan.yaml", *AS_OF)
    assert result.code == 1
    assert "USD a month" in result.out, "the plan is shown"
    lines = [line for line in result.err.splitlines() if line.startswith(f"isthmus: {bank}:")]
    assert [line.split(" ")[2] for line in lines] == [
        "links:",
        "sites[fra1].network.bgp_asn:",
        "sites[frankfurt].vpc_cidr:",
    ]
    plan = plan_of.load(tmp_path / "bank.plan.yaml")
    assert len([warning for warning in plan.warnings if warning.startswith("`isthmus render` refuses")]) == 3


def test_the_json_plan_lists_what_render_would_refuse(isthmus, bank):
    without_network_link_and_number(bank)
    result = isthmus("plan", bank, "--format", "json", *AS_OF)
    data = json.loads(result.out)
    assert (result.code, list(data)) == (1, [*KEYS, "availability", "mistakes"])
    assert [(entry["file"], entry["path"]) for entry in data["mistakes"]] == [
        (str(bank), "links"),
        (str(bank), "sites[fra1].network.bgp_asn"),
        (str(bank), "sites[frankfurt].vpc_cidr"),
    ]
    assert all(entry["line"] and entry["what"] and entry["fix"] for entry in data["mistakes"])


def test_settings_of_the_stack_beside_the_requirements_mend_what_they_state(isthmus, project):
    file = project / "stacks" / "bank-dev.requirements.yaml"
    file.write_text(file.read_text().replace(", bgp_asn: 65010", ""))
    assert isthmus("plan", file, *AS_OF).code == 1
    settings = project / "stacks" / "Pulumi.bank-dev.yaml"
    link = "- name: fra1-frankfurt\n        site_asn: 65010"
    settings.write_text(settings.read_text().replace("- name: fra1-frankfurt", link, 1))
    result = isthmus("plan", file, *AS_OF)
    assert result.code == 0, result.err
