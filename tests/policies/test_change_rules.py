"""Rules for changes: loosening is a finding, and the change's own silences do not apply to it."""

from __future__ import annotations

from datetime import date

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.preview import RuleChange
from isthmus.engine.pull_request import base_and_head
from policies.evaluation.evaluation import blocking_findings, judge
from policies.evaluation.registry import CHANGES, IDS, RULES
from policies.release.change import ITSELF, UNDER_ANOTHER_NAME, UNJUDGED

CASES = {
    "change/sensitivity-lowered": ("sensitivity", "kyc"),
    "change/work-under-another-name": ("sensitivity", f"kyc2, maybe {UNDER_ANOTHER_NAME}"),
    "change/handling-loosened": ("handling", "kyc: residency"),
    "change/silence-added": ("silence", "cost/tags of *"),
    "change/rule-loosened": ("rule", "audit/trail-stands"),
    "change/judged-by-itself": ("rule", UNJUDGED),
    "change/rules-rewritten": ("rule", ITSELF),
    "change/trust-widened": ("trust", "registry docker.io/vllm"),
    "change/reach-changed": ("reach", "namespace review-tools"),
    "change/placed-less-strictly": ("placement", "kyc"),
}


def change(rule: str, *, loosens: bool = True) -> RuleChange:
    kind, subject = CASES[rule]
    return RuleChange.model_validate(
        {"kind": kind, "what": subject, "old": "a", "new": "b", "loosens": loosens}
    )


def test_every_change_rule_has_a_case_and_can_be_configured():
    assert list(CASES) == [rule.id for rule in CHANGES]
    assert set(CASES) <= set(IDS)
    assert not set(CASES) & {rule.id for rule in RULES}, "they would be held to resources, and say nothing"


@pytest.mark.parametrize("rule", list(CASES))
def test_a_loosening_change_is_found_by_exactly_one_rule(rule: str):
    (finding,) = base_and_head.judge_rule_changes(Settings(), [change(rule)], "bank")
    assert (finding.policy, finding.resource, finding.stack) == (rule, CASES[rule][1], "bank")
    assert finding.message == f"{CASES[rule][1]}: a before, b with this change"
    assert base_and_head.judge_rule_changes(Settings(), [change(rule, loosens=False)], "bank") == []


def test_a_new_value_is_called_new_and_says_where_it_stands():
    new = RuleChange(kind="trust", what="registry docker.io/vllm", new="images.registries[1]", loosens=True)
    (finding,) = base_and_head.judge_rule_changes(Settings(), [new], "bank")
    assert finding.message == "registry docker.io/vllm is new: images.registries[1]"


def test_changes_that_cannot_be_compared_are_undecided_and_block():
    undecided = ["change/work-under-another-name", "change/judged-by-itself"]
    findings = base_and_head.judge_rule_changes(Settings(), [change(rule_id) for rule_id in CASES], "bank")
    assert sorted(finding.policy for finding in findings if finding.verdict == "undecided") == sorted(
        undecided
    )
    stops = {finding.policy for finding in blocking_findings(findings)}
    assert set(CASES) - stops == {
        "change/rules-rewritten",
        "change/placed-less-strictly",
        "change/reach-changed",
    }


def test_a_silence_of_the_base_commit_applies_to_the_change():
    silence = {"policy": "change/sensitivity-lowered", "resource": "kyc", "owner": "ana", "reason": "decided"}
    settings = Settings.model_validate({"silences": [{**silence, "until": "2026-12-31"}]})
    changes = [change("change/sensitivity-lowered"), change("change/handling-loosened")]
    findings = judge([], None, settings, rules=CHANGES, changed=changes, today=date(2026, 11, 26))
    assert [(finding.policy, finding.silenced is not None) for finding in findings] == [
        ("change/handling-loosened", False),
        ("change/sensitivity-lowered", True),
    ]
