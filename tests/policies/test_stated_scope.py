"""Scope of rules that compare with the platform: nothing without a statement, the largest part of a sum."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.graph.resources.resources import Resource
from policies.evaluation.evaluation import judge
from tests.policies.making import resource_of
from tests.policies.test_rule_scope import BY_ID, about
from tests.policies.test_rules import CASES

STATED = (
    *("cost/queues-fit-pools", "cost/budgets-stated", "cost/leaps-seen", "cost/attributed"),
    *("cost/throughput-stated", "cost/machines-stated", "cost/machines-bounded", "identity/admins-stated"),
    *("data-path/stated-workloads", "release/weights-from-their-place", "release/adapters-stated"),
    *("release/precision-stated", "release/routes-stated", "reliability/measured"),
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.rule) for case in CASES if case.rule in STATED])
def test_without_a_platform_rules_that_compare_with_it_apply_to_nothing(case: Any):
    assert judge(case.holds, rules=[BY_ID[case.rule]]) == []
    assert about(BY_ID[case.rule], case.holds) == set()


def deployment(name: str, replicas: Any = 1, *boxes: dict[str, Any]) -> Resource:
    spec = {"containers": list(boxes) or [{"name": "main", "ports": [{"containerPort": 1}]}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    meta = {"name": name, "namespace": "space"}
    inputs = {"metadata": meta, "spec": {"replicas": replicas, "template": template}}
    return resource_of("kubernetes:apps/v1:Deployment", name, inputs)


SPACE = resource_of("kubernetes:core/v1:Namespace", "space", {"metadata": {"name": "space"}})
POLICY = {"metadata": {"name": "p", "namespace": "space"}, "spec": {"policyTypes": ["Ingress"]}}
LEFT_OUT = {
    "audit/alarms-fed": resource_of(
        "aws:cloudwatch/metricAlarm:MetricAlarm", "a", {"namespace": "AWS/Bedrock"}
    ),
    "audit/alarms-read": resource_of("aws:sns/topic:Topic", "unspoken", {}),
    "audit/tasks-logged": resource_of(
        "aws:ecs/taskDefinition:TaskDefinition", "t", {"containerDefinitions": "${x.y}"}
    ),
    "cost/gpu-quota": SPACE,
    "cost/fits-quota": deployment("bounded-by-nothing"),
    "identity/our-accounts": resource_of(
        "aws:iam/role:Role", "unread", {"assumeRolePolicy": "${other.json}"}
    ),
    "identity/from-our-networks": resource_of("aws:iam/role:Role", "calls-nothing", {}),
    "identity/boundaries-deny": resource_of("aws:iam/policy:Policy", "bounds-nobody", {"policy": "{}"}),
    "data-path/lets-in-own-class": resource_of("kubernetes:networking.k8s.io/v1:NetworkPolicy", "p", POLICY),
    "data-path/own-resolvers": deployment("of-no-class"),
    "data-path/groups-name-whom-they-call": resource_of(
        "aws:ec2/securityGroup:SecurityGroup", "calls-nobody", {}
    ),
    "data-path/guardrails-stay": resource_of("aws:bedrock/guardrail:Guardrail", "at-home", {}),
    "reliability/rollback-alarm-stands": resource_of("aws:sagemaker/endpoint:Endpoint", "by-hand", {}),
    "reliability/as-many-as-stated": deployment("nobody-states-it"),
    "reliability/spread-by-force": deployment("outlives-nothing", 2),
    "reliability/hung-restarted": deployment("answers-nobody", 1, {"name": "main"}),
    "reliability/rollouts-wait": deployment("starts-at-once"),
    "release/weights-sealed": resource_of("kubernetes:core/v1:PersistentVolumeClaim", "scratch", {}),
    "encryption/engines-behind-tls": deployment("no-engine"),
    "workload/helpers-read-only": deployment("listens"),
    "workload/default-limits": SPACE,
}


@pytest.mark.parametrize(("rule", "resource"), LEFT_OUT.items(), ids=list(LEFT_OUT))
def test_a_comparing_rule_leaves_out_resources_that_it_does_not_check(rule: str, resource: Resource):
    assert judge([resource], rules=[BY_ID[rule]]) == []
    assert about(BY_ID[rule], [resource]) == set()


def test_a_rule_about_a_sum_applies_to_the_largest_or_unknown_resources():
    hard = {"metadata": {"name": "q", "namespace": "space"}, "spec": {"hard": {"pods": "9"}}}
    quota = resource_of("kubernetes:core/v1:ResourceQuota", "q", hard)
    rule, small, large = BY_ID["cost/fits-quota"], deployment("small", 1), deployment("large", 3)
    assert about(rule, [quota, small, large]) == {"large"}
    assert about(rule, [quota, small, large, deployment("blurred", "${x.y}")]) == {"blurred"}
    assert about(rule, [quota, deployment("huge", 10), deployment("blurred", "${x.y}")]) == {
        "blurred",
        "huge",
    }


def test_drain_rules_apply_to_every_disruption_budget_and_rollout_rules_to_replicated_workloads():
    budget = resource_of("kubernetes:policy/v1:PodDisruptionBudget", "b", {"spec": {"maxUnavailable": 1}})
    assert about(BY_ID["reliability/drains"], [budget]) == {"b"}
    assert about(BY_ID["reliability/releases-roll"], [deployment("two", 2), deployment("one", 1)]) == {"two"}
