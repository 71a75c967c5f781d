"""Control ids have the form and range of their framework's edition."""

from __future__ import annotations

import re

import pytest

from policies.evaluation.registry import CHANGES, RULES

ANNEX_A = {5: 37, 6: 8, 7: 14, 8: 34}
"""Controls of each theme of ISO/IEC 27001:2022."""
FORMS = {
    "NIST SP 800-53": r"(AC|AU|CA|CM|CP|IA|IR|SA|SC|SI|SR)-\d+(\(\d+\))?",
    "NIST SP 800-171": r"3\.\d+\.\d+",
    "PCI DSS": r"\d+\.\d+\.\d+(\.\d+)?",
    "HIPAA Security Rule": r"164\.3\d\d(\([a-z0-9]+\))+",
    "GDPR": r"Chapter V|Art\. \d+(\([a-z0-9]+\))*",
    "DORA": r"Art\. (7\([a-d]\)|9\([12]\)|9\(3\)\([a-d]\)|9\(4\)\([a-f]\)|10\([1-4]\))",
    "EU AI Act": r"\d+\(\d+\)",
    "ISO/IEC 27001": r"A\.[5-8]\.\d+",
    "MITRE ATLAS": r"AML\.M00([01]\d|2[0-5])",
    "OWASP Top 10 for LLM Applications": r"LLM(0[1-9]|10)",
    "CIS Kubernetes Benchmark": r"5\.[1-7]\.\d+",
    "CIS AWS Foundations Benchmark": r"\d\.\d+(\.\d+)?",
    "AWS Foundational Security Best Practices": r"[A-Z]\w+\.\d+",
    "Checkov": r"CKV2?_AWS_\d+",
}
CITED = [(rule.id, control) for rule in (*RULES, *CHANGES) for control in rule.supports]


@pytest.mark.parametrize("framework", sorted({control.framework for _, control in CITED}))
def test_a_control_id_has_the_format_of_its_framework(framework: str):
    strange = [
        (rule, control.id)
        for rule, control in CITED
        if control.framework == framework and not re.fullmatch(FORMS[framework], control.id)
    ]
    assert strange == []


def test_a_control_of_iso_27001_annex_a_exists_in_its_theme():
    numbers = [control.id.split(".")[1:] for _, control in CITED if control.framework == "ISO/IEC 27001"]
    assert numbers
    assert [(theme, number) for theme, number in numbers if int(number) > ANNEX_A[int(theme)]] == []


def test_every_framework_is_cited_in_a_single_edition():
    editions = {(control.framework, control.version) for _, control in CITED}
    assert len(editions) == len({framework for framework, _ in editions})


def test_a_rule_cites_a_control_only_once():
    for rule in (*RULES, *CHANGES):
        assert len(set(map(str, rule.supports))) == len(rule.supports), rule.id
