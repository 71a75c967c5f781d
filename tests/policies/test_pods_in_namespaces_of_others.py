"""In a namespace that the stack does not make, its own pods are denied by default, and those of others are not."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.engine.render.recorder import Resource
from tests.policies.boundary_rows import deployment_spec, kube, release
from tests.policies.making import findings_of

RULE = "network/default-deny"
TEAM = {"matchLabels": {"app": "team"}}
BOTH = ["Ingress", "Egress"]


def pod(namespace: str = "monitoring") -> Resource:
    return kube("apps/v1:Deployment", "collector", namespace, spec=deployment_spec())


def policy(
    selector: Any, types: Any, name: str = "only", namespace: str = "monitoring", **spec: Any
) -> Resource:
    inputs = {"podSelector": selector, "policyTypes": types, **spec}
    return kube("networking.k8s.io/v1:NetworkPolicy", name, namespace, spec=inputs)


def messages(*resources: Resource) -> list[str]:
    return [finding.message for finding in findings_of(RULE, *resources)]


ALLOWS: dict[str, Any] = {"egress": [{"to": [{"ipBlock": {"cidr": "10.40.0.0/16"}}]}]}


def test_a_pod_that_policies_of_both_directions_select_passes():
    assert messages(pod(), policy(TEAM, BOTH, **ALLOWS)) == []
    apart = [policy(TEAM, ["Ingress"], "in"), policy(TEAM, ["Egress"], "out", **ALLOWS)]
    assert messages(pod(), *apart) == []
    assert messages(pod(), policy({}, BOTH)) == []


OPEN: dict[str, list[Resource]] = {
    "nothing": [],
    "one-direction": [policy(TEAM, ["Ingress"])],
    "another-pod": [policy({"matchLabels": {"app": "other"}}, BOTH)],
    "unknown-selector": [policy({"matchLabels": {"app": "${elsewhere.name}"}}, BOTH)],
    "unread-selector": [policy({"matchExpressions": [{"key": "app"}]}, BOTH)],
    "unknown-directions": [policy(TEAM, "${elsewhere.types}", egress=[])],
    "another-namespace": [policy(TEAM, BOTH, namespace="team")],
}


@pytest.mark.parametrize("row", OPEN)
def test_a_pod_that_a_policy_may_not_select_is_found(row: str):
    found = messages(pod(), *OPEN[row])
    assert "no policy for egress selects collector in namespace monitoring" in found


def test_a_second_pod_without_a_policy_is_found():
    second = kube("core/v1:Pod", "second", "monitoring", spec=deployment_spec()["template"]["spec"])
    assert any("second" in message for message in messages(pod(), second, policy(TEAM, BOTH)))


WHOLE: dict[str, list[Resource]] = {
    "made": [pod(), kube("core/v1:Namespace", "monitoring", None)],
    "class": [pod("isthmus-internal")],
    "chart": [pod(), release("agent", namespace="monitoring")],
}


@pytest.mark.parametrize("row", WHOLE)
def test_a_namespace_of_the_stack_or_of_a_class_is_denied_as_a_whole(row: str):
    namespace = "isthmus-internal" if row == "class" else "monitoring"
    found = messages(*WHOLE[row], policy(TEAM, BOTH, namespace=namespace))
    assert f"namespace {namespace} has no default-deny policy for egress" in found
