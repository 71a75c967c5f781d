"""Evidence: the result of each rule for each resource, and owners of silences."""

from __future__ import annotations

from datetime import date

import pytest

from isthmus.contracts.policy_settings import Off, Settings
from isthmus.contracts.reports.evidence import Row
from isthmus.contracts.reports.findings import Silence
from policies.evaluation.evidence import evidence
from policies.evaluation.registry import RULES
from policies.rules.rule import Rule, Subject, Violation
from tests.policies.making import resource_of

TODAY = date(2026, 11, 26)
ROTATE = "encryption/keys-rotate"
KEYS = [
    resource_of("aws:kms/key:Key", name, {"enableKeyRotation": on})
    for name, on in (("good", True), ("bad", False))
]
[RULE] = [rule for rule in RULES if rule.id == ROTATE]


def rows(*resources: object, settings: Settings | None = None, rule: Rule = RULE) -> dict[str, Row]:
    evidence_rows = evidence(resources, None, settings or Settings(), "dev", TODAY, [rule])  # type: ignore[arg-type]
    return {row.resource: row for row in evidence_rows}


def test_evidence_lists_passing_and_failing_resources():
    results = rows(*KEYS)
    assert {name: row.result for name, row in results.items()} == {"good": "holds", "bad": "fails"}
    assert results["bad"].said == ["bad does not rotate"]
    assert results["good"].said == []
    assert results["good"].supports == list(RULE.supports)


def test_a_rule_without_resources_is_not_applicable():
    all_rows = evidence([], None, Settings(), "dev", TODAY)
    assert [row.check for row in all_rows] == [rule.id for rule in RULES]
    assert {row.result for row in all_rows} == {"not applicable"}
    assert {row.resource for row in all_rows} == {""}


def test_a_resource_with_an_unknown_value_is_undecided():
    assert (
        rows(resource_of("aws:kms/key:Key", "k", {"enableKeyRotation": "${other.on}"}))["k"].result
        == "undecided"
    )


@pytest.mark.parametrize(("until", "result"), [("2026-11-26", "silenced"), ("2026-11-25", "fails")])
def test_a_silence_is_listed_with_owner_reason_and_end_date_and_then_expires(until: str, result: str):
    last = date.fromisoformat(until)
    entry = Silence(policy=ROTATE, resource="bad", owner="ana@bank", reason="moves", until=last)
    row = rows(*KEYS, settings=Settings(silences=[entry]))["bad"]
    assert row.result == result
    assert row.said
    if result == "silenced":
        assert (row.owner, row.reason, row.until) == ("ana@bank", "moves", last)


def test_a_disabled_rule_is_listed_with_its_owner_and_not_evaluated():
    off = Settings(off=[Off(rule=ROTATE, owner="ana@bank", reason="keys of others")])
    [row] = rows(*KEYS, settings=off).values()
    assert (row.result, row.owner, row.reason, row.resource) == (
        "switched off",
        "ana@bank",
        "keys of others",
        "",
    )


def rule_with(check: object, *, resource_types: tuple[str, ...] = ()) -> Rule:
    return Rule("test/one", "It is so", "high", RULE.supports, "why", "fix", check, resource_types)  # type: ignore[arg-type]


def test_a_rule_that_raises_is_undecided_and_passes_for_no_resource():
    def stumbles(subject: Subject) -> list[Violation]:
        raise ValueError("what is this")

    results = rows(*KEYS, rule=rule_with(stumbles, resource_types=("aws:kms/key:Key",)))
    assert {name: row.result for name, row in results.items()} == {"": "undecided"}


def test_a_rule_about_the_whole_stack_passes_once_or_fails_at_the_violating_resource():
    assert rows(*KEYS, rule=rule_with(lambda _: []))[""].result == "holds"
    broken = rule_with(lambda subject: [Violation("so it is", subject.graph.resources[0])])
    assert {name: row.result for name, row in rows(*KEYS, rule=broken).items()} == {"bad": "fails"}


def test_a_violated_and_undecided_resource_fails_with_both_messages():
    def violated_and_undecided(subject: Subject) -> list[Violation]:
        key = subject.graph.resources[0]
        return [Violation("unsure", key, "undecided"), Violation("wrong", key)]

    row = rows(KEYS[0], rule=rule_with(violated_and_undecided, resource_types=("aws:kms/key:Key",)))["good"]
    assert (row.result, sorted(row.said)) == ("fails", ["unsure", "wrong"])


def test_evidence_does_not_depend_on_the_order_of_resources():
    turned = evidence(reversed(KEYS), None, Settings(), "dev", TODAY)
    assert turned == evidence(KEYS, None, Settings(), "dev", TODAY)
