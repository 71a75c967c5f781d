"""Evaluation: order of findings, silences, rules that are off, rules that raise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from isthmus.contracts.policy_settings import Off, Settings, merge, parse
from isthmus.contracts.reports.findings import Severity, Silence
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from policies.evaluation.evaluation import BOUNDARIES, blocking_findings, forbidding_findings, judge
from policies.evaluation.registry import IDS, RULES
from policies.evaluation.text_report import lines
from policies.rules.rule import Rule, Subject, Violation
from tests.policies.making import resource_of

TODAY = date(2026, 11, 26)
KEYS = [resource_of("aws:kms/key:Key", f"key-{at}", {"enableKeyRotation": False}) for at in range(3)]
ROTATE = "encryption/keys-rotate"


def silence(until: date, resource: str = "key-1") -> Settings:
    entry = Silence(policy=ROTATE, resource=resource, owner="ana@bank", reason="moves in May", until=until)
    return Settings(silences=[entry])


def only_rule(settings: Settings | None = None) -> list[tuple[str, bool]]:
    findings = judge(KEYS, settings=settings, today=TODAY)
    return [
        (finding.resource, finding.silenced is not None) for finding in findings if finding.policy == ROTATE
    ]


def test_every_resource_gets_its_own_finding_in_an_order_independent_of_the_input():
    assert only_rule() == [("key-0", False), ("key-1", False), ("key-2", False)]
    assert judge(KEYS, today=TODAY) == judge(reversed(KEYS), today=TODAY)


def test_a_silenced_finding_is_shown_but_not_counted():
    findings = judge(KEYS, settings=silence(TODAY), today=TODAY)
    assert [finding.silenced.owner for finding in findings if finding.silenced] == ["ana@bank"]
    assert "key-1" not in [
        finding.resource for finding in blocking_findings(findings) if finding.policy == ROTATE
    ]


def test_a_silence_may_match_several_resources_by_a_pattern():
    assert only_rule(silence(TODAY, "key-*")) == [("key-0", True), ("key-1", True), ("key-2", True)]


def test_an_expired_silence_is_reported_and_its_finding_counts_again():
    findings = judge(KEYS, settings=silence(date(2026, 11, 25)), today=TODAY)
    [mine] = [finding for finding in findings if finding.resource == "key-1" and finding.policy == ROTATE]
    assert mine.silenced is None
    assert "silenced by ana@bank until 2026-11-25, which has expired" in mine.message
    assert mine in blocking_findings(findings)


def test_a_rule_that_is_off_finds_nothing():
    assert only_rule(Settings(off=[Off(rule=ROTATE, owner="ana@bank", reason="HSM")])) == []


def test_a_rule_that_raises_gives_an_undecided_finding_that_blocks():
    def stumbles(_: Subject) -> Iterator[Violation]:
        raise KeyError("spec")

    rule = Rule("test/stumbles", "Stumbles", "low", (), "why", "fix", stumbles)
    [finding] = judge(KEYS, today=TODAY, rules=[rule])
    assert (finding.verdict, finding.resource) == ("undecided", "")
    assert blocking_findings([finding]) == [finding]


def test_only_critical_undecided_and_boundary_findings_forbid_a_change_and_only_while_not_silenced():
    def forbids(severity: Severity, policy: str = "test/rule", *, until: date | None = None) -> bool:
        silences = [
            Silence(policy=policy, resource="key-0", owner="ana@bank", reason="moves in May", until=day)
            for day in ([until] if until else [])
        ]
        rule = Rule(policy, "Rule", severity, (), "why", "fix", _violates_first)
        findings = judge(KEYS[:1], settings=Settings(silences=silences), today=TODAY, rules=[rule])
        return forbidding_findings(findings) == findings

    assert forbids("critical")
    assert not forbids("critical", until=TODAY)
    assert forbids("critical", until=date(2026, 11, 25))
    assert not forbids("high")
    boundary = sorted(BOUNDARIES)[0]
    assert forbids("high", boundary)
    assert not forbids("high", boundary, until=TODAY)


def _violates_first(subject: Subject) -> Iterator[Violation]:
    yield Violation("violates", subject.graph.resources[0])


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("silence: []", "unknown key `silence`.*`silences`", 2),
        ("figures:\n  log_days: 3", "unknown key `log_days`.*`log_days_min`", 3),
        (
            "off:\n- rule: encryption/key-rotates\n  owner: a\n  reason: b",
            f"no rule.*Did you mean `{ROTATE}`",
            3,
        ),
        ("off:\n- rule: encryption/keys-rotate\n  owner: a", "`reason` is missing", 3),
        (
            f"silences:\n- policy: {ROTATE}\n  resource: x\n  owner: a\n  reason: b\n  until: soon",
            "`soon` is not valid: .*date",
            7,
        ),
        (f"silences:\n- policy: {ROTATE}\n  resource: x\n  owner: a\n  reason: b", "`until` is missing", 3),
    ],
)
def test_unknown_settings_are_refused_with_the_nearest_name(text: str, says: str, line: int):
    with pytest.raises(InputError, match=says) as error:
        parse(yaml_files.loads(f"isthmus: v1\n{text}\n", "policies.yaml"), IDS)
    assert f"policies.yaml:{line}" in error.value.where


def test_settings_of_a_stack_extend_those_of_the_organisation():
    organisation = parse(
        yaml_files.loads("isthmus: v1\nfigures: {log_days_min: 365, replicas_min: 3}\n"), IDS
    )
    stack_settings = Settings.model_validate(
        {"figures": {"replicas_min": 1}, "off": [{"rule": "a/b", "owner": "c", "reason": "d"}]}
    )
    combined = merge(organisation, stack_settings)
    assert (combined.figures.log_days_min, combined.figures.replicas_min, len(combined.off)) == (365, 1, 1)


def test_every_rule_has_a_unique_id_title_reason_fix_and_control():
    assert len(set(IDS)) == len(IDS)
    for rule in RULES:
        assert all((rule.title, rule.why, rule.fix, rule.supports)), rule.id
        assert all(
            "\n" not in text and not text.endswith(".") for text in (rule.title, rule.why, rule.fix)
        ), rule.id


def test_the_text_report_lists_the_most_severe_finding_first_with_fix_and_totals():
    unknown = resource_of("aws:kms/key:Key", "key-9", {"enableKeyRotation": "${other.unknown}"})
    output = list(
        lines(
            [
                line
                for line in judge([*KEYS, unknown], settings=silence(TODAY), today=TODAY)
                if line.policy == ROTATE
            ]
        )
    )
    assert output[0] == f"     high  {ROTATE}: key-0 does not rotate"
    assert output[1].strip() == "Set enableKeyRotation on the key: `enable_key_rotation=True`"
    assert any(line.startswith("undecided") for line in output)
    assert "silenced by ana@bank until 2026-11-26" in "".join(output)
    assert output[-1] == "Policies: 2 high, 1 undecided, 1 silenced"
    assert list(lines([])) == []
