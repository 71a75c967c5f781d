"""What an auditor is told of each rule: of what it was asked, what it said, and who answers where it does not hold."""

from __future__ import annotations

from datetime import date

import pytest

from isthmus.contracts.policy_settings import Off, Settings
from isthmus.contracts.reports.evidence import Row
from isthmus.contracts.reports.findings import Silence
from policies.evaluation.evidence import evidence
from policies.evaluation.registry import RULES
from policies.rules.rule import Rule, Subject, Violation
from tests.policies.making import made

TODAY = date(2026, 11, 26)
ROTATE = "encryption/keys-rotate"
KEYS = [
    made("aws:kms/key:Key", name, {"enableKeyRotation": on}) for name, on in (("good", True), ("bad", False))
]
[RULE] = [each for each in RULES if each.id == ROTATE]


def rows(*resources: object, settings: Settings | None = None, rule: Rule = RULE) -> dict[str, Row]:
    found = evidence(resources, None, settings or Settings(), "dev", TODAY, [rule])  # type: ignore[arg-type]
    return {each.resource: each for each in found}


def test_what_holds_is_said_beside_what_fails():
    found = rows(*KEYS)
    assert {name: each.result for name, each in found.items()} == {"good": "holds", "bad": "fails"}
    assert found["bad"].said == ["bad does not rotate"]
    assert found["good"].said == []
    assert found["good"].supports == list(RULE.supports)


def test_a_control_that_is_asked_of_nothing_is_not_applicable_and_never_holds():
    every = evidence([], None, Settings(), "dev", TODAY)
    assert [each.check for each in every] == [rule.id for rule in RULES]
    assert {each.result for each in every} == {"not applicable"}
    assert {each.resource for each in every} == {""}


def test_what_is_not_known_is_undecided():
    assert rows(made("aws:kms/key:Key", "k", {"enableKeyRotation": "${other.on}"}))["k"].result == "undecided"


@pytest.mark.parametrize(("until", "result"), [("2026-11-26", "silenced"), ("2026-11-25", "fails")])
def test_a_silence_is_told_with_owner_reason_and_last_day_and_after_it_the_control_fails(
    until: str, result: str
):
    last = date.fromisoformat(until)
    said = Silence(policy=ROTATE, resource="bad", owner="ana@bank", reason="moves", until=last)
    row = rows(*KEYS, settings=Settings(silences=[said]))["bad"]
    assert row.result == result
    assert row.said
    if result == "silenced":
        assert (row.owner, row.reason, row.until) == ("ana@bank", "moves", last)


def test_a_rule_that_is_switched_off_is_told_with_its_owner_and_is_asked_of_nothing():
    off = Settings(off=[Off(rule=ROTATE, owner="ana@bank", reason="keys of others")])
    [row] = rows(*KEYS, settings=off).values()
    assert (row.result, row.owner, row.reason, row.resource) == (
        "switched off",
        "ana@bank",
        "keys of others",
        "",
    )


def one(check: object, *, resource_types: tuple[str, ...] = ()) -> Rule:
    return Rule("test/one", "It is so", "high", RULE.supports, "why", "fix", check, resource_types)  # type: ignore[arg-type]


def test_a_rule_that_stumbles_holds_of_nobody():
    def stumbles(subject: Subject) -> list[Violation]:
        raise ValueError("what is this")

    found = rows(*KEYS, rule=one(stumbles, resource_types=("aws:kms/key:Key",)))
    assert {name: each.result for name, each in found.items()} == {"": "undecided"}


def test_a_rule_on_the_whole_stack_holds_of_the_stack_or_fails_where_it_is_broken():
    assert rows(*KEYS, rule=one(lambda _: []))[""].result == "holds"
    broken = one(lambda subject: [Violation("so it is", subject.graph.resources[0])])
    assert {name: each.result for name, each in rows(*KEYS, rule=broken).items()} == {"bad": "fails"}


def test_one_that_is_violated_and_undecided_fails_with_all_that_was_said():
    def both(subject: Subject) -> list[Violation]:
        key = subject.graph.resources[0]
        return [Violation("unsure", key, "undecided"), Violation("wrong", key)]

    row = rows(KEYS[0], rule=one(both, resource_types=("aws:kms/key:Key",)))["good"]
    assert (row.result, sorted(row.said)) == ("fails", ["unsure", "wrong"])


def test_the_same_resources_give_the_same_rows_in_any_order():
    turned = evidence(reversed(KEYS), None, Settings(), "dev", TODAY)
    assert turned == evidence(KEYS, None, Settings(), "dev", TODAY)
