"""Exits of a class: the database that the platform states, the networks that carry it, and AWS identities."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.callers import GatewayDatabase
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.egress import Outside, Outward
from isthmus.graph.data_path.verdicts import Judge
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads.servers import Servers
from tests.policies.making import platform_with, resource_of

NAMESPACE = resource_of(
    "kubernetes:core/v1:Namespace",
    "internal",
    {"metadata": {"name": "internal", "labels": {"isthmus.dev/class": "internal"}}},
)
DATABASE = GatewayDatabase.model_construct(host="db.example", address="10.80.0.5", port=5432)
NETWORK = Network.model_construct(
    name="net", site="frankfurt", cidr="10.80.0.0/16", mode="manage", classes=["internal"]
)


def exits(platform: Platform, *resources: Resource) -> list[Outward]:
    graph = Graph([NAMESPACE, *resources])
    places = Places(graph, platform)
    return list(Outside(graph, places, Servers(graph, places), Judge(platform, "2026-11-29")).of("internal"))


def database_verdict(role: str = "gateway", **network: Any) -> str:
    """The verdict on the way from pods with a role to the database of the gateway, in AWS."""
    platform = platform_with(
        networks=[NETWORK.model_copy(update=network)],
        gateways=[
            Gateway.model_construct(
                **{"class_": "internal", "name": "gw", "site": "fra1", "workloads": []},
                **{"database": DATABASE, "traces": None, "router": None},
            )
        ],
    )
    labels = {"app": "gw", "isthmus.dev/role": role, "isthmus.dev/class": "internal"}
    pods = resource_of(
        "kubernetes:apps/v1:Deployment",
        "gw",
        {
            "metadata": {"name": "gw", "namespace": "internal"},
            "spec": {
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "edge"}]}}
            },
        },
    )
    port = {"protocol": "TCP", "port": 5432}
    rule = {"to": [{"ipBlock": {"cidr": "10.80.0.5/32"}}], "ports": [port]}
    specs: list[dict[str, Any]] = [
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        {"podSelector": {"matchLabels": labels}, "policyTypes": ["Egress"], "egress": [rule]},
    ]
    policies = [
        resource_of(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy",
            f"policy-{number}",
            {"metadata": {"name": f"policy-{number}", "namespace": "internal"}, "spec": spec},
        )
        for number, spec in enumerate(specs)
    ]
    (verdict,) = {
        outward.verdict.word
        for outward in exits(platform, pods, *policies)
        if any(hop.name == "10.80.0.5/32 port 5432" for hop in outward.hops)
    }
    return verdict


def test_gateway_and_reviews_reach_the_stated_database_over_a_network_of_their_class() -> None:
    assert database_verdict("gateway") == "allowed"
    assert database_verdict("reviews") == "allowed"


@pytest.mark.parametrize(
    ("role", "network"),
    [
        ("model", {}),
        ("gateway", {"classes": ["public"]}),
        ("gateway", {"mode": "off"}),
        ("gateway", {"cidr": "10.81.0.0/16"}),
        ("gateway", {"cidr": None}),
    ],
)
def test_other_pods_and_networks_do_not_lead_to_the_database(role: str, network: dict[str, Any]) -> None:
    assert database_verdict(role, **network) == "refused"


def test_an_account_with_an_aws_role_is_an_exit_even_if_the_role_is_unknown() -> None:
    def names(**role: str) -> list[str]:
        association = resource_of(
            "aws:eks/podIdentityAssociation:PodIdentityAssociation",
            "bearer",
            {"namespace": "internal", "serviceAccount": "default", **role},
        )
        return [
            outward.hops[0].name
            for outward in exits(platform_with(networks=[]), association)
            if outward.origin == "identity"
        ]

    assert names(roleArn="arn:aws:iam::123456789012:role/x") == ["arn:aws:iam::123456789012:role/x"]
    assert names() == ["unknown"]
