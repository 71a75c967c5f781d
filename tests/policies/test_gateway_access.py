"""Gateways that callers outside the cluster reach: the bank's with access, and what each rule refuses alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from isthmus.reports.stack import network_diagram
from policies.evaluation.evaluation import blocking_findings, judge, subject_of
from policies.evaluation.wanted_entries import propose
from tests.policies.apart import rendered_bank
from tests.policies.boundary_rows import TODAY, kube

pytestmark = pytest.mark.whole

INTERNAL, PUBLIC = "internal at fra1 from 10.60.0.0/16", "public at fra1 from 0.0.0.0/0"
OVERRIDES: dict[str, Any] = {
    "gateways": [
        {
            "name": "internal-fra1",
            "access": {
                "host": "llm.bank.example",
                "source_ranges": ["10.60.0.0/16"],
                "load_balancer_class": "metallb.io/metallb",
                "annotations": {"metallb.io/address-pool": "llm"},
            },
        },
        {"name": "public-fra1", "access": {"host": "ask.bank.example", "source_ranges": ["0.0.0.0/0"]}},
    ],
}
SERVICES, PEERS, CALLERS, VALUES, ADMISSION = (
    "network/services-inside",
    "network/policies-name-peers",
    "data-path/known-callers",
    "trust/foreign-values",
    "workload/admission-complete",
)


@pytest.fixture(scope="module")
def opened() -> tuple[list[Resource], Platform]:
    """The bank with two open gateways, rendered once."""
    return rendered_bank(OVERRIDES)


def trusting(*values: str) -> Settings:
    entries = [
        {"value": value, "reason": "callers of the branch", "owner": "network team"} for value in values
    ]
    return Settings(trust=Trust.model_validate({"access": entries}))


BOTH = trusting(INTERNAL, PUBLIC)


def stopping(resources: list[Resource], platform: Platform, settings: Settings = BOTH) -> set[str]:
    """The rules that stop the change."""
    return {
        finding.policy for finding in blocking_findings(judge(resources, platform, settings, today=TODAY))
    }


def changed(resources: list[Resource], kind: str, ending: str, change: Any) -> list[Resource]:
    """The resources, with changed inputs of the only one of this kind and name."""
    [found] = [
        resource for resource in resources if resource.type.endswith(kind) and resource.name.endswith(ending)
    ]
    inputs = copy.deepcopy(found.inputs)
    change(inputs)
    return [replace(found, inputs=inputs) if resource is found else resource for resource in resources]


def test_an_access_that_the_trust_file_names_passes(opened: tuple[list[Resource], Platform]):
    assert stopping(*opened) == set()


def test_without_entries_every_rule_refuses_and_propose_prints_them(opened: tuple[list[Resource], Platform]):
    resources, platform = opened
    refused = stopping(resources, platform, Settings())
    assert {SERVICES, PEERS, CALLERS, VALUES} <= refused
    entries = propose(subject_of(resources, platform, Settings(), TODAY)).entries
    assert set(entries) == {("access", INTERNAL), ("access", PUBLIC)}


@pytest.mark.parametrize(
    "value",
    [
        "internal at fra1 from 10.60.0.0/24",
        "internal at frankfurt from 10.60.0.0/16",
        "confidential at fra1 from 10.60.0.0/16",
    ],
)
def test_an_entry_for_less_or_for_another_gateway_opens_nothing(
    opened: tuple[list[Resource], Platform], value: str
):
    assert {SERVICES, CALLERS, VALUES} <= stopping(*opened, trusting(value, PUBLIC))


def test_an_entry_for_a_wider_range_covers_a_narrower_one(opened: tuple[list[Resource], Platform]):
    assert stopping(*opened, trusting("internal at fra1 from 10.0.0.0/8", PUBLIC)) == set()


def _annotate(key: str, value: str) -> Any:
    return lambda inputs: inputs["metadata"]["annotations"].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda inputs: inputs["spec"].update(loadBalancerSourceRanges=["10.0.0.0/8"]),
        lambda inputs: inputs["spec"].update(loadBalancerSourceRanges=[]),
        lambda inputs: inputs["spec"].update(allocateLoadBalancerNodePorts=True),
        lambda inputs: inputs["spec"].update(externalTrafficPolicy="Cluster"),
        lambda inputs: inputs["spec"].update(externalIPs=["10.40.0.9"]),
        lambda inputs: inputs["spec"].update(loadBalancerIP="52.1.2.3"),
        lambda inputs: inputs["spec"].update(type="NodePort"),
        lambda inputs: inputs["spec"]["selector"].update({"app.kubernetes.io/name": "internal-translator"}),
        lambda inputs: inputs["spec"]["ports"][0].update(targetPort=8443),
        lambda inputs: inputs["spec"]["ports"][0].update(nodePort=30443),
        _annotate("service.beta.kubernetes.io/aws-load-balancer-scheme", "internet-facing"),
        _annotate(
            "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
            "arn:aws:acm:eu-central-1:1:certificate/c",
        ),
        lambda inputs: inputs["metadata"].update(name="other"),
        lambda inputs: inputs["metadata"].update(namespace="isthmus-confidential"),
    ],
)
def test_a_service_that_opens_more_than_the_platform_states_is_refused(
    opened: tuple[list[Resource], Platform], change: Any
):
    resources, platform = opened
    broken = changed(resources, "v1:Service", "internal-gateway-outside", change)
    assert SERVICES in stopping(broken, platform)


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_another_service_out_of_a_class_is_refused(opened: tuple[list[Resource], Platform], kind: str):
    resources, platform = opened
    for namespace in ("isthmus-internal", "isthmus-restricted", "isthmus-public"):
        added = kube("core/v1:Service", "open", namespace, spec={"type": kind, "ports": [{"port": 443}]})
        assert SERVICES in stopping([*resources, added], platform), namespace


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["ingress"][0]["from"].append({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        lambda spec: spec["ingress"][0]["from"].append({"ipBlock": {"cidr": "10.40.0.0/16"}}),
        lambda spec: spec["ingress"][0]["ports"].append({"protocol": "TCP", "port": 9090}),
        lambda spec: spec["ingress"][0]["ports"][0].update(port=8000, endPort=9000),
        lambda spec: spec["ingress"][0].pop("ports"),
        lambda spec: spec.update(podSelector={}),
    ],
)
def test_a_network_policy_that_opens_more_is_refused(opened: tuple[list[Resource], Platform], change: Any):
    resources, platform = opened
    broken = changed(
        resources, "NetworkPolicy", "internal-gateway-from-outside", lambda inputs: change(inputs["spec"])
    )
    assert CALLERS in stopping(broken, platform)


def test_every_address_is_let_in_by_the_stated_policy_of_class_public_only(
    opened: tuple[list[Resource], Platform],
):
    resources, platform = opened

    def everybody(inputs: dict[str, Any]) -> None:
        inputs["spec"]["ingress"][0]["from"] = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]

    assert PEERS in stopping(
        changed(resources, "NetworkPolicy", "public-gateway-network", everybody), platform
    )
    assert PEERS in stopping(
        changed(resources, "NetworkPolicy", "internal-gateway-from-outside", everybody), platform
    )


def test_the_picture_of_the_network_shows_from_where_gateways_are_called(
    opened: tuple[list[Resource], Platform],
):
    text = network_diagram.draw_network(Graph(opened[0]), opened[1])
    callers, service = "outside_10_60_0_0_16", "isthmus_internal_internal_gateway_outside"
    assert f'  {callers} ==>|"443"| {service}' in text
    assert f'  {service} ==>|"8444"| isthmus_internal_internal_gateway\n' in text
    assert '["callers at 0.0.0.0/0"]' in text


def test_an_access_beside_the_platform_is_refused_though_the_objects_are_right(
    opened: tuple[list[Resource], Platform],
):
    resources, platform = opened
    closed = platform.model_copy(
        update={"gateways": [gateway.model_copy(update={"access": None}) for gateway in platform.gateways]}
    )
    assert {SERVICES, PEERS, CALLERS, ADMISSION} <= stopping(resources, closed)


def test_admission_for_wider_ranges_is_not_the_one_that_isthmus_renders(
    opened: tuple[list[Resource], Platform],
):
    resources, platform = opened

    def widen(inputs: dict[str, Any]) -> None:
        variable = next(entry for entry in inputs["spec"]["variables"] if entry["name"] == "opened")
        variable["expression"] = variable["expression"].replace("10.60.0.0/16", "10.0.0.0/8")

    broken = changed(resources, ":ValidatingAdmissionPolicy", "fra1-admission-services", widen)
    assert ADMISSION in stopping(broken, platform)
