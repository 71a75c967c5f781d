"""The review service in an EKS cluster: no findings as rendered, and findings for each fault."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core import yaml_files
from isthmus.engine.render import rendering
from isthmus.graph.resources import state as graph_state
from policies.evaluation.evaluation import judge
from tests import private
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change
from tests.graph.clouds import deployed
from tests.policies.test_sealers_in_aws import egress
from tests.recording import record

MINE = ("audit/", "data-path/", "identity/", "reliability/", "network/")
NAME = "insurer-frankfurt-confidential"


@functools.cache
def platform() -> Platform:
    return CheckedPlatform.model_validate(private.reviewed())


@functools.cache
def rendered() -> rendering.Rendered:
    return record(platform())


def findings_of(resources: Any) -> list[tuple[str, str, str]]:
    findings = judge(resources, platform())
    return [
        (finding.policy, finding.verdict, finding.message)
        for finding in findings
        if finding.policy.startswith(MINE)
        and ("reviews" in finding.message or "confidential" in finding.message)
    ]


def test_the_review_service_in_eks_has_no_findings_rendered_or_deployed() -> None:
    assert findings_of(rendered().resources) == []
    assert findings_of(graph_state.from_state(deployed(list(rendered().resources)))) == []


def _change_config(change: Any) -> Change:
    """Changes the gateway's configuration."""

    def changed(inputs: dict[str, Any]) -> None:
        config = yaml_files.loads(inputs["data"]["config.yaml"]).data
        change(config)
        inputs["data"]["config.yaml"] = yaml_files.dumps(config)

    return changed


def _port(number: int) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["egress"][0]["ports"][0]["port"] = number

    return change


def _asks(inputs: dict[str, Any]) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.80.40.21/32"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    inputs["spec"] |= {"policyTypes": ["Ingress", "Egress"], "egress": [rule]}


def _let_in(inputs: dict[str, Any]) -> None:
    inputs["spec"]["ingress"][0]["from"].append({"ipBlock": {"cidr": "10.80.0.0/16"}})


def _writes_seals(inputs: dict[str, Any]) -> None:
    (box,) = inputs["spec"]["template"]["spec"]["containers"]
    for mount in box["volumeMounts"]:
        mount.pop("readOnly", None)


def _beside(inputs: dict[str, Any]) -> None:
    """Moves other pods into the namespace."""
    inputs["metadata"]["namespace"] = "isthmus-confidential-reviews"


BROKEN: dict[str, tuple[str, str, Change, str, str]] = {
    "a gateway that holds nothing": (
        ":ConfigMap",
        f"{NAME}-gateway-config",
        _change_config(lambda config: config.pop("reviews")),
        "audit/answers-held",
        "sends answers of claim-summaries without review",
    ),
    "an impact taken for low": (
        ":ConfigMap",
        f"{NAME}-gateway-config",
        _change_config(lambda config: config["workloads"][0].update(impact="low")),
        "audit/answers-held",
        "sets impact low for claim-summaries, not high as stated",
    ),
    "a way out to the whole network": (
        ":NetworkPolicy",
        f"{NAME}-reviews-network",
        egress("10.80.0.0/16"),
        "audit/reviews-apart",
        "which the platform does not state",
    ),
    "a way out to what hands out identities": (
        ":NetworkPolicy",
        f"{NAME}-reviews-network",
        egress("169.254.170.23/32"),
        "audit/reviews-apart",
        "which the platform does not state",
    ),
    "a way in for the whole network": (
        ":NetworkPolicy",
        f"{NAME}-reviews-network",
        _let_in,
        "audit/reviews-apart",
        "lets 10.80.0.0/16 call the review service",
    ),
    "the gateway beside them": (
        ":Deployment",
        f"{NAME}-gateway-server",
        _beside,
        "audit/reviews-apart",
        "",
    ),
    "another port of the database's machine": (
        ":NetworkPolicy",
        f"{NAME}-gateway-network",
        _port(22),
        "data-path/own-network",
        "isthmus-confidential reaches 10.80.40.21/32 port 22, beyond the private endpoints",
    ),
    "another address in the network": (
        ":NetworkPolicy",
        f"{NAME}-gateway-network",
        egress("10.80.40.22/32"),
        "data-path/own-network",
        "isthmus-confidential reaches 10.80.40.22/32 port 5432, beyond the private endpoints",
    ),
    "a model server that asks the database": (
        ":NetworkPolicy",
        "insurer-claims-network",
        _asks,
        "data-path/own-network",
        "isthmus-confidential reaches 10.80.40.21/32 port 5432, beyond the private endpoints",
    ),
    "seals that they can write": (
        ":Deployment",
        f"{NAME}-reviews-server",
        _writes_seals,
        "audit/",
        "seals",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_every_fault_of_the_review_service_in_eks_is_found(case: str) -> None:
    kind, name, change, rule, says = BROKEN[case]
    graph = broken_resources.altered(rendered().resources, kind, name, change)
    left = [resource for resource in rendered().resources if not resource.made]
    findings = findings_of([*left, *graph.resources])
    assert [
        message
        for policy, verdict, message in findings
        if policy.startswith(rule) and says in message and verdict == "violated"
    ], findings


TRACES = {"endpoint": "https://collector.insurer.example:4318/v1/traces", "address": "10.80.4.9"}


def _traced(**more: Any) -> list[str]:
    """Findings about a gateway's path to its collector if the platform states another collector than is rendered."""
    made_platform, stated_platform = private.reviewed(), private.reviewed()
    for gateway in made_platform["gateways"]:
        gateway["traces"] = TRACES
    for gateway in stated_platform["gateways"]:
        gateway["traces"] = {**TRACES, **more}
    resources = record(CheckedPlatform.model_validate(made_platform)).resources
    return [
        finding.message
        for finding in judge(resources, CheckedPlatform.model_validate(stated_platform))
        if "10.80.4.9" in finding.message
    ]


def test_a_gateway_that_sends_traces_to_an_unstated_collector_is_found() -> None:
    assert _traced() == []
    assert len(_traced(address="10.80.4.10")) == 2, "of both classes"
    assert len(_traced(endpoint="https://collector.insurer.example/v1/traces")) == 2, "another port"


def test_egress_of_the_review_service_to_the_trace_collector_is_found() -> None:
    graph = broken_resources.altered(
        rendered().resources, ":NetworkPolicy", f"{NAME}-reviews-network", egress("10.80.4.9/32")
    )
    left = [resource for resource in rendered().resources if not resource.made]
    stated_platform = private.reviewed()
    stated_platform["gateways"][0]["traces"] = {
        **TRACES,
        "endpoint": "https://collector.insurer.example:5432/v1/traces",
    }
    findings = judge([*left, *graph.resources], CheckedPlatform.model_validate(stated_platform))
    assert [
        finding
        for finding in findings
        if finding.policy == "data-path/own-network" and "10.80.4.9" in finding.message
    ]
