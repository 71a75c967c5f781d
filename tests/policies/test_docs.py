"""The generated table of rules and `rules.json` are up to date."""

from __future__ import annotations

from isthmus.contracts.policy_settings import parse
from isthmus.core import yaml_files
from policies.evaluation.registry import IDS
from policies.identity.aws_trust import DENIED_CALLS
from policies.plugin.rule_info import RULES_FILE
from scripts import policies_table


def test_the_table_of_rules_in_docs_is_up_to_date():
    text = policies_table.DOC.read_text("utf-8")
    assert policies_table.fill_document(text) == text, "run `python -m scripts.policies_table`"


def test_the_rules_json_for_the_engine_is_up_to_date():
    assert policies_table.rules_json() == RULES_FILE.read_text("utf-8"), (
        "run `python -m scripts.policies_table`"
    )


def test_the_page_about_boundaries_lists_every_call_that_they_must_deny():
    text = (policies_table.DOC.parent / "components-aws-identity.md").read_text("utf-8")
    assert [call for call in DENIED_CALLS if f"`{call}`" not in text] == []


def test_the_example_settings_in_docs_are_valid():
    text = policies_table.DOC.read_text("utf-8")
    block = text.partition("    isthmus: v1\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("    ") for line in block.splitlines()]
    settings = parse(yaml_files.loads("\n".join(["isthmus: v1", *lines])), IDS)
    assert settings.off
    assert settings.silences[0].owner == "ana@bank.example"
    assert settings.figures.log_days_min == 365
