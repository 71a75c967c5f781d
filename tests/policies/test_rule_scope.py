"""Scope of rules: findings are only about resources that a rule applies to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.graph.resources.resources import Graph, Resource
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES
from policies.evaluation.scope import applicable_resources
from policies.rules.rule import Rule, Subject
from tests.broken_graphs.inputs import GONE, changed
from tests.policies.cases import Case
from tests.policies.making import resource_of
from tests.policies.test_rules import CASES

BY_ID = {rule.id: rule for rule in RULES}


def about(rule: Rule, resources: Sequence[Resource], platform: Platform | None = None) -> set[str]:
    graph = Graph(sorted(resources, key=lambda resource: resource.urn))
    return {
        resource.name if resource else ""
        for resource in applicable_resources(rule, Subject(graph, platform, Settings()))
    }


def graphs(case: Case) -> Iterator[Sequence[Resource]]:
    for values in (*case.fails, *({key: GONE} for key in case.missing)):
        yield changed(case.holds, values)
    for path in case.unknown:
        yield changed(case.holds, {path: "${other.unknown}"})
    yield from case.broken


@pytest.mark.parametrize("rule", RULES, ids=list(BY_ID))
def test_a_rule_applies_to_nothing_in_an_empty_graph(rule: Rule):
    assert about(rule, []) == set()
    assert about(rule, [resource_of("other:index:Thing", "thing", {})]) <= {""}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.rule) for case in CASES])
def test_a_rule_also_applies_to_resources_that_pass_it(case: Case):
    resources = (case.holds, *case.also)
    assert any(about(BY_ID[case.rule], graph, case.platform) for graph in resources)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.rule) for case in CASES])
def test_findings_are_about_resources_that_the_rule_applies_to(case: Case):
    rule = BY_ID[case.rule]
    for graph in graphs(case):
        subjects = {finding.resource for finding in judge(graph, case.platform, rules=[rule])}
        applicable = about(rule, graph, case.platform)
        assert applicable == {""} or subjects <= applicable, (subjects, applicable)


LEFT_OUT = {
    "encryption/endpoint-disks": resource_of(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "own-disks",
        {"productionVariants": [{"instanceType": "ml.g5.xlarge", "initialInstanceCount": 2}]},
    ),
    "encryption/listeners-tls": resource_of("aws:lb/listener:Listener", "passes-on", {"protocol": "TCP"}),
    "encryption/keys-rotate": resource_of("aws:kms/key:Key", "signs", {"keyUsage": "SIGN_VERIFY"}),
    "identity/no-wildcard-action": resource_of(
        "aws:iam/policy:Policy", "unread", {"policy": "${other.json}"}
    ),
    "identity/no-confused-deputy": resource_of(
        "aws:iam/role:Role", "ours", {"assumeRolePolicy": '{"Statement": []}'}
    ),
    "audit/write-once": resource_of("aws:s3/bucket:Bucket", "no-records", {"bucket": "other"}),
    "audit/alarms-heard": resource_of("aws:cloudwatch/metricAlarm:MetricAlarm", "by-the-way", {}),
    "network/endpoints-answer-by-name": resource_of(
        "aws:ec2/vpcEndpoint:VpcEndpoint", "gateway", {"vpcEndpointType": "Gateway"}
    ),
    "reliability/two-zones": resource_of("aws:lb/loadBalancer:LoadBalancer", "nowhere", {}),
    "guardrail/proxy-always-on": resource_of(
        "kubernetes:core/v1:ConfigMap", "words", {"data": {"a.yaml": "x: 1"}}
    ),
}


@pytest.mark.parametrize(("rule", "resource"), LEFT_OUT.items(), ids=list(LEFT_OUT))
def test_a_rule_leaves_out_resources_that_it_does_not_check(rule: str, resource: Resource):
    assert judge([resource], rules=[BY_ID[rule]]) == []
    assert about(BY_ID[rule], [resource]) == set()
