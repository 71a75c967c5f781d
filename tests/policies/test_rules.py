"""Every rule: passes, violations, missing and unknown properties, and one bad resource among several."""

from __future__ import annotations

import pytest

from isthmus.contracts.policy_settings import Figures, Settings
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from tests.broken_graphs.inputs import GONE, changed, renamed
from tests.policies import (
    cases_accounts,
    cases_aws,
    cases_capacity,
    cases_cluster,
    cases_evaluators,
    cases_identity,
    cases_inside,
    cases_models,
    cases_network,
    cases_records,
    cases_records_aws,
    cases_reviews,
    cases_screening,
    cases_serving,
    cases_stated,
    cases_usage,
)
from tests.policies.cases import Case
from tests.policies.cases_cluster import FIRST, GW
from tests.policies.making import findings_of

pytestmark = pytest.mark.whole

CASES: list[Case] = [
    *cases_aws.CASES,
    *cases_identity.CASES,
    *cases_network.CASES,
    *cases_cluster.CASES,
    *cases_models.CASES,
    *cases_inside.CASES,
    *cases_accounts.CASES,
    *cases_serving.CASES,
    *cases_capacity.CASES,
    *cases_stated.CASES,
    *cases_records.CASES,
    *cases_records_aws.CASES,
    *cases_reviews.CASES,
    *cases_usage.CASES,
    *cases_evaluators.CASES,
    *cases_screening.CASES,
]
OTHERS = ("data-path/", "trust/")
"""Families with tests of their own."""
ELSEWHERE = {"audit/trail-out-of-reach", "audit/trail-stands", "audit/everything-is-tagged"} | {
    "identity/no-access-keys",
    "identity/translators-only",
    "workload/our-registries",
    "workload/tasks-are-bare",
    "release/candidate-evaluated",
    "release/trial-candidate-evaluated",
}
"""Tested with the part of `isthmus.graph` that they ask, with the results that they read, or below."""


def _params(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.rule) for case in cases]


def _values_of(part: str) -> list[object]:
    return [
        pytest.param(case, value, id=f"{case.rule}-{number}")
        for case in CASES
        for number, value in enumerate(getattr(case, part))
    ]


def test_every_rule_has_a_test_case():
    rule_ids = {rule.id for rule in RULES if not rule.id.startswith(OTHERS)} - ELSEWHERE
    assert rule_ids - {case.rule for case in CASES} == set()
    for case in CASES:
        assert case.fails or case.missing or case.broken or case.unknown, f"nothing breaks {case.rule}"


@pytest.mark.parametrize("case", _params(CASES))
def test_resources_that_comply_pass_the_rule(case: Case):
    for graph in (case.holds, *case.also):
        assert findings_of(case.rule, *graph, platform=case.platform) == []


@pytest.mark.parametrize(("case", "values"), _values_of("fails"))
def test_a_forbidden_value_violates_the_rule(case: Case, values: dict[str, object]):
    findings = findings_of(case.rule, *changed(case.holds, values), platform=case.platform)
    assert [finding.verdict for finding in findings if finding.verdict == "violated"], findings


@pytest.mark.parametrize(("case", "graph"), _values_of("broken"))
def test_a_forbidden_combination_of_resources_violates_the_rule(case: Case, graph: list[object]):
    findings = findings_of(case.rule, *graph, platform=case.platform)  # type: ignore[arg-type]
    assert findings
    assert {finding.verdict for finding in findings} == {"violated"}, findings


@pytest.mark.parametrize(("case", "path"), _values_of("missing"))
def test_a_missing_property_violates_the_rule(case: Case, path: str):
    findings = findings_of(case.rule, *changed(case.holds, {path: GONE}), platform=case.platform)
    assert findings
    assert {finding.verdict for finding in findings} == {"violated"}, findings


@pytest.mark.parametrize(("case", "path"), _values_of("unknown"))
def test_an_unknown_value_is_undecided_and_does_not_pass(case: Case, path: str):
    findings = findings_of(
        case.rule, *changed(case.holds, {path: "${other.unknown}"}), platform=case.platform
    )
    assert [finding.verdict for finding in findings if finding.verdict == "undecided"], findings


@pytest.mark.parametrize("case", _params([case for case in CASES if case.fails and not case.one_keeps_it]))
def test_of_several_resources_only_the_violating_one_is_named(case: Case):
    platform = case.platform
    alone = {
        finding.resource
        for finding in findings_of(case.rule, *changed(case.holds, case.fails[0]), platform=platform)
    }
    resources = [*changed(case.holds, case.fails[0]), *renamed(case.holds, "-b"), *renamed(case.holds, "-c")]
    assert {finding.resource for finding in findings_of(case.rule, *resources, platform=platform)} == alone


def test_an_image_must_come_from_a_registry_of_the_organisation():
    settings = Settings(figures=Figures(registries=["registry.bank.example"]))
    assert findings_of("workload/our-registries", GW, settings=settings) == []
    assert findings_of("workload/our-registries", GW) == [], "nobody named any"
    for image, verdict in (("registry.bank.example.evil/x", "violated"), ("${mirror.url}/x", "undecided")):
        findings = findings_of(
            "workload/our-registries", *changed([GW], {f"{FIRST}.image": image}), settings=settings
        )
        assert [finding.verdict for finding in findings] == [verdict]


def test_every_rule_finds_a_fault_that_no_other_rule_finds():
    alone = set()
    for case in CASES:
        unknown = "${other.unknown}"
        faults = [
            *case.fails,
            *({key: GONE} for key in case.missing),
            *({key: unknown} for key in case.unknown),
        ]
        graphs = [(case.holds, changed(case.holds, values)) for values in faults]
        for before, after in (*graphs, *((case.holds, list(graph)) for graph in case.broken)):
            earlier = {(finding.policy, finding.message) for finding in judge(before, case.platform)}
            after_ = judge(after, case.platform)
            new = {finding.policy for finding in after_ if (finding.policy, finding.message) not in earlier}
            if new == {case.rule}:
                alone.add(case.rule)
    assert {case.rule for case in CASES} - alone == set()
