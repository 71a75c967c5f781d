"""What a rule is asked of: of what it passes over nothing is said, and of what it looks at something always is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.graph.resources.resources import Graph, Resource
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from policies.evaluation.scope import _APPLICABLE, applicable_resources
from policies.rules.rule import Rule, Subject
from tests.policies.cases import GONE, Case, changed
from tests.policies.making import made
from tests.policies.test_rules import CASES

BY_ID = {rule.id: rule for rule in RULES}


def about(rule: Rule, resources: Sequence[Resource], platform: Platform | None = None) -> set[str]:
    graph = Graph(sorted(resources, key=lambda each: each.urn))
    return {
        each.name if each else "" for each in applicable_resources(rule, Subject(graph, platform, Settings()))
    }


def graphs(case: Case) -> Iterator[Sequence[Resource]]:
    for values in (*case.fails, *({each: GONE} for each in case.missing)):
        yield changed(case.holds, values)
    for path in case.unknown:
        yield changed(case.holds, {path: "${other.unknown}"})
    yield from case.broken


def test_every_entry_is_of_a_rule():
    assert set(_APPLICABLE) <= set(BY_ID)


@pytest.mark.parametrize("rule", RULES, ids=list(BY_ID))
def test_where_there_is_nothing_no_rule_is_asked(rule: Rule):
    assert about(rule, []) == set()
    assert about(rule, [made("other:index:Thing", "thing", {})]) <= {""}


@pytest.mark.parametrize("case", [pytest.param(each, id=each.rule) for each in CASES])
def test_what_keeps_a_rule_is_asked(case: Case):
    kept = (case.holds, *case.also)
    assert any(about(BY_ID[case.rule], graph, case.platform) for graph in kept)


@pytest.mark.parametrize("case", [pytest.param(each, id=each.rule) for each in CASES])
def test_a_finding_is_about_what_was_asked(case: Case):
    rule = BY_ID[case.rule]
    for graph in graphs(case):
        found = {each.resource for each in judge(graph, case.platform, rules=[rule])}
        was = about(rule, graph, case.platform)
        assert was == {""} or found <= was, (found, was)


NOT_ASKED = {
    "encryption/endpoint-disks": made(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "own-disks",
        {"productionVariants": [{"instanceType": "ml.g5.xlarge", "initialInstanceCount": 2}]},
    ),
    "encryption/listeners-tls": made("aws:lb/listener:Listener", "passes-on", {"protocol": "TCP"}),
    "encryption/keys-rotate": made("aws:kms/key:Key", "signs", {"keyUsage": "SIGN_VERIFY"}),
    "identity/no-wildcard-action": made("aws:iam/policy:Policy", "unread", {"policy": "${other.json}"}),
    "identity/no-confused-deputy": made(
        "aws:iam/role:Role", "ours", {"assumeRolePolicy": '{"Statement": []}'}
    ),
    "audit/write-once": made("aws:s3/bucket:Bucket", "no-records", {"bucket": "other"}),
    "audit/alarms-heard": made("aws:cloudwatch/metricAlarm:MetricAlarm", "by-the-way", {}),
    "network/endpoints-answer-by-name": made(
        "aws:ec2/vpcEndpoint:VpcEndpoint", "gateway", {"vpcEndpointType": "Gateway"}
    ),
    "reliability/two-zones": made("aws:lb/loadBalancer:LoadBalancer", "nowhere", {}),
    "guardrail/proxy-always-on": made("kubernetes:core/v1:ConfigMap", "words", {"data": {"a.yaml": "x: 1"}}),
}


@pytest.mark.parametrize(("rule", "resource"), NOT_ASKED.items(), ids=list(NOT_ASKED))
def test_what_a_rule_passes_over_it_is_not_asked(rule: str, resource: Resource):
    assert judge([resource], rules=[BY_ID[rule]]) == []
    assert about(BY_ID[rule], [resource]) == set()
