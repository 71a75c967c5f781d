"""The reports of a preview: what stands in them, in which order, how long they are; the same for the same preview."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from isthmus.contracts.reports.preview import Preview
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import sarif as preview_sarif
from isthmus.reports.preview import text as preview_text
from tests.reports import goldens, previews
from tests.reports.goldens import scenario

SARIF = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0.schema.json").read_text())
TITLES = re.compile(r"^### (.+)$", re.MULTILINE)


@pytest.mark.parametrize("name", goldens.SCENARIOS)
def test_a_scenario_report_equals_its_golden_file(name: str):
    for file, text in goldens.reports(name).items():
        assert text == (goldens.FOLDER / file).read_text("utf-8"), (
            "see `python -m tests.reports.goldens` and git diff"
        )


def test_every_report_that_is_kept_is_of_a_scenario():
    names = {path.name for path in goldens.FOLDER.iterdir()}
    assert names == {file for name in goldens.SCENARIOS for file in goldens.reports(name)}


def verdict_of(shown: Preview) -> str:
    return preview_markdown.comment([shown]).splitlines()[0]


def test_each_outcome_has_its_own_verdict():
    verdicts = {name: verdict_of(scenario(name)).split("**")[1] for name in goldens.SCENARIOS}
    assert verdicts == {
        "unchanged": "✅ UNCHANGED",
        "replica": "🔶 CHANGES",
        "replaced-key": "🔶 CHANGES",
        "deleted-bucket": "🔶 CHANGES",
        "moved-to-bedrock": "🔶 CHANGES",
        "restricted-to-bedrock": "⛔ REFUSED",
        "slipped-in": "⛔ REFUSED",
        "class-lowered": "⛔ REFUSED",
        "failed": "⛔ FAILED",
        "hostile": "⛔ REFUSED",
    }
    partial = scenario("unchanged").model_copy(update={"status": "partial"})
    assert "⚠️ PARTIAL" in verdict_of(partial)


def test_a_path_that_is_allowed_is_drawn_and_one_that_is_not_is_refused():
    allowed = preview_markdown.comment([scenario("moved-to-bedrock")])
    assert "- added, allowed (internal): workload `policy-assistant`" in allowed
    assert "`internal-claude-haiku-4-5--policy-assistant` at `Amazon Bedrock`" in allowed
    refused = preview_markdown.comment([scenario("restricted-to-bedrock")])
    assert "- added, **refused** (restricted): workload `transaction-narratives`" in refused
    assert "endpoint `restricted-claude (bedrock)`" in refused


def test_a_class_that_is_lowered_to_leave_is_refused_by_what_it_was_before():
    shown = preview_markdown.comment([scenario("class-lowered")])
    assert "- added, **refused** (internal): workload `transaction-narratives`" in shown
    assert (
        "transaction-narratives is restricted before this change, and restricted work may not run on" in shown
    )
    assert "**high** | `change/sensitivity-lowered`" in shown


def test_dangerous_changes_are_listed_before_others():
    text = preview_markdown.comment([scenario("hostile")])
    assert TITLES.findall(text) == [
        "Rules and classes that change",
        "Deleted or replaced",
        "Data paths that change",
        "Policy findings",
        "Cost",
        "GPU capacity",
    ]
    assert text.index("### GPU capacity") < text.index("<details>")


def test_a_loosened_rule_is_the_first_thing_below_the_verdict():
    lines = preview_markdown.comment([scenario("class-lowered")]).splitlines()
    rows = [line for line in lines if line.startswith("| **looser**")]
    assert [row.split("|")[2].strip() for row in rows] == ["placement", "sensitivity"]
    assert lines.index("### Rules and classes that change") == 2
    assert lines.index(rows[0]) == 6, "and what is looser is the first of them"


def test_a_comment_of_2000_changes_is_cut_at_a_resource_and_names_the_rest():
    number = 2000
    shown = previews.many(number)
    assert preview_markdown.needs_rest([shown])
    text = preview_markdown.comment([shown], "preview.whole.md")
    assert len(text) <= preview_markdown.LIMIT
    shown_count = len(re.findall(r"^\*\*update\*\* ", text, re.MULTILINE))
    assert shown_count > 300
    assert (
        f"**{number - shown_count:,} more resources** that change: the rest is in `preview.whole.md`." in text
    )
    assert text.count("```diff") * 2 == len(re.findall("^```", text, re.MULTILINE)) == shown_count * 2, (
        "none is cut in two"
    )
    assert text.count("<details>") == text.count("</details>")
    full_text = preview_markdown.full_comment([shown])
    assert len(re.findall(r"^\*\*update\*\* ", full_text, re.MULTILINE)) == number


def test_no_section_takes_the_room_of_the_others():
    shown = previews.many(2000)
    gone = [change.model_copy(update={"op": "delete", "properties": []}) for change in shown.changes]
    text = preview_markdown.comment([shown.model_copy(update={"changes": gone})], "all.md")
    assert len(text) <= preview_markdown.LIMIT
    assert TITLES.findall(text) == ["Deleted or replaced", "Cost", "GPU capacity"]
    assert re.search(r"and 1,\d+ more: the rest is in `all.md`", text)
    assert "<details>" in text


def test_several_stacks_are_one_comment_with_a_row_each():
    quiet = scenario("unchanged").model_copy(update={"stack": "quiet"})
    lost = scenario("failed").model_copy(update={"stack": "lost"})
    text = preview_markdown.comment([scenario("replaced-key"), quiet, lost])
    assert text.startswith("**⛔ FAILED** `bank-dev`, `quiet`, `lost`: the changes of `lost`")
    assert "| `quiet` | ✅ UNCHANGED |" in text
    assert "| `lost` | ⛔ FAILED |" in text
    assert "| `bank-dev` | replace | `Key` `bank-frankfurt-key` | `multiRegion` | **yes** |" in text


def test_equal_findings_of_two_stacks_are_listed_once():
    slipped_in = scenario("slipped-in")
    two = preview_markdown.comment(
        [slipped_in, slipped_in.model_copy(update={"stack": "other", "changes": []})]
    )
    assert two.count("- added, **refused** (restricted)") == 1
    assert two.count("**USD a month") == 1


def test_noise_is_listed_together_at_the_end():
    def tagged(inputs: dict[str, object]) -> None:
        inputs["tags"] = {"isthmus-platform": "other"}

    resources = previews.resources()
    for name in ("bank-frankfurt-bucket", "bank-frankfurt-key"):
        resources = previews.edited(resources, "", name, tagged)
    text = preview_markdown.comment([previews.preview(resources)])
    assert "2 resources change in tags, checksums and the like only" in text
    assert "```diff" not in text


@pytest.mark.parametrize("name", goldens.SCENARIOS)
def test_findings_for_code_scanning_keep_the_schema(name: str):
    log = json.loads(preview_sarif.log([scenario(name)], goldens.FILES))
    jsonschema.Draft7Validator(SARIF).validate(log)
    (run,) = log["runs"]
    assert all(
        run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for result in run["results"]
    )
    # What failed or was seen in part must not look like a run that found nothing.
    assert run["invocations"][0]["executionSuccessful"] is (scenario(name).status == "complete")


def test_the_schema_refuses_an_invalid_log():
    log = json.loads(preview_sarif.log([scenario("slipped-in")], goldens.FILES))
    log["runs"][0]["results"][0]["level"] = "critical"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SARIF).validate(log)


def test_a_finding_has_a_level_a_place_and_a_print_that_stays():
    shown = scenario("hostile").model_copy(update={"status": "complete"})
    (first, silenced, path) = json.loads(preview_sarif.log([shown], {"dev": "stacks/Pulumi.dev.yaml"}))[
        "runs"
    ][0]["results"]
    assert first["level"] == path["level"] == "error"
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stacks/Pulumi.dev.yaml"
    assert "suppressions" not in first
    assert silenced["suppressions"][0]["kind"] == "external"
    again = json.loads(preview_sarif.log([shown], {}))["runs"][0]["results"][0]
    assert again["partialFingerprints"] == first["partialFingerprints"]


def test_a_terminals_width_does_not_change_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert preview_text.text([scenario("slipped-in")]) == (goldens.FOLDER / "slipped-in.txt").read_text(
        "utf-8"
    )


def test_a_price_that_is_missing_is_not_known_and_is_never_nothing():
    from isthmus.reports.preview.cost_and_capacity import plan_cost
    from tests.blueprints import bank

    _, plan = bank.requirements_and_plan()
    assert plan_cost(plan).monthly_usd == plan.monthly_cost_usd
    assert "idle" not in " ".join(item.what for item in plan_cost(plan).items)
    assert plan_cost(plan.model_copy(update={"monthly_cost_usd": None})).monthly_usd is None
    items = (plan.cost_items or [])[1:]
    assert plan_cost(plan.model_copy(update={"cost_items": items})).monthly_usd is None, (
        "its parts are not its sum"
    )


def test_a_slice_counts_by_its_share_and_what_is_rented_is_all_used():
    from isthmus.reports.preview.cost_and_capacity import plan_capacity
    from tests.blueprints import bank

    requirements, plan = bank.requirements_and_plan()
    endpoint = next(endpoint for endpoint in plan.endpoints if endpoint.gpu == "h100-sxm-80gb")
    cut = endpoint.model_copy(update={"mig_profile": "1g.10gb", "gpus": 3})
    rented = endpoint.model_copy(
        update={"site": "frankfurt", "target": "eks-vllm", "instance_type": "p5.48xlarge", "gpus": 8}
    )
    capacity_by_pool = {
        row.pool: row
        for row in plan_capacity(plan.model_copy(update={"endpoints": [cut, rented]}), requirements)
    }
    assert capacity_by_pool["fra1-h100-sxm-80gb"].used == round(3 / 7, 2)
    assert capacity_by_pool["fra1-h100-sxm-80gb"].gpus == 16
    assert (capacity_by_pool["p5.48xlarge"].gpus, capacity_by_pool["p5.48xlarge"].used) == (8, 8)
    unknown = {row.pool: row for row in plan_capacity(plan, None)}
    assert unknown["fra1-h100-sxm-80gb"].gpus is None, "nobody wrote down how many there were"
