"""What NetworkPolicies let a pod reach, as address ranges and ports."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.local.network_rules import ANYWHERE, PodAddress, Reachable, reachable

NAMESPACES = {"restricted": {"isthmus.dev/class": "restricted"}, "public": {"isthmus.dev/class": "public"}}
GATEWAY = PodAddress("restricted", "gateway", {"role": "gateway"}, "100.64.0.2")
MODEL = PodAddress("restricted", "model", {"role": "model"}, "100.64.0.3")
FOREIGN = PodAddress("public", "model", {"role": "model"}, "100.64.0.4")
PODS = [GATEWAY, MODEL, FOREIGN]


def policy(
    egress: list[dict[str, Any]] | None, selector: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {"podSelector": selector or {}, "policyTypes": ["Egress"], **spec}
    if egress is not None:
        body["egress"] = egress
    return {"metadata": {"namespace": "restricted"}, "spec": body}


def ways(*policies: dict[str, Any]) -> list[Reachable]:
    return reachable(GATEWAY, policies, PODS, NAMESPACES)


def test_a_pod_that_no_policy_selects_reaches_everything():
    assert ways() == [Reachable(ANYWHERE)]
    assert ways(policy([], {"matchLabels": {"role": "model"}})) == [Reachable(ANYWHERE)]


def test_a_policy_for_ingress_alone_closes_no_way_out():
    assert ways(policy(None, policyTypes=["Ingress"])) == [Reachable(ANYWHERE)]


def test_a_policy_without_rules_closes_every_way_out():
    assert ways(policy(None)) == []
    assert ways(policy([])) == []


def test_a_rule_without_peers_opens_every_address():
    assert ways(policy([{}])) == [Reachable(ANYWHERE)]


def test_pods_are_selected_in_the_own_namespace_unless_another_is_named():
    model = {"podSelector": {"matchLabels": {"role": "model"}}}
    assert ways(policy([{"to": [model]}])) == [Reachable("100.64.0.3/32")]
    others = {**model, "namespaceSelector": {"matchLabels": {"isthmus.dev/class": "public"}}}
    assert ways(policy([{"to": [others]}])) == [Reachable("100.64.0.4/32")]


def test_rules_of_several_policies_add_up():
    first = policy(
        [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
    )
    second = policy([{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"protocol": "UDP"}]}])
    assert ways(first, second) == [
        Reachable("10.0.0.0/8", "tcp", (443, 443)),
        Reachable("10.1.0.0/16", "udp", None),
    ]


def test_a_range_of_ports_stays_one():
    ports = [{"port": 8000, "endPort": 8010}]
    assert ways(policy([{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": ports}])) == [
        Reachable("10.0.0.1/32", "tcp", (8000, 8010))
    ]


@given(
    st.integers(0, 8).map(lambda bits: f"10.0.0.0/{24 + bits}"),
    st.lists(st.integers(0, 255).map(lambda last: f"10.0.0.{last}/32"), max_size=4),
    st.integers(0, 255),
)
def test_what_is_excepted_is_not_reached_and_all_else_of_the_range_is(
    cidr: str, excepted: list[str], last: int
):
    address = ipaddress.ip_address(f"10.0.0.{last}")
    found = ways(policy([{"to": [{"ipBlock": {"cidr": cidr, "except": excepted}}]}]))
    is_open = any(address in ipaddress.ip_network(way.network) for way in found)
    assert is_open == (address in ipaddress.ip_network(cidr) and f"{address}/32" not in excepted)


@pytest.mark.parametrize(
    ("egress", "message"),
    [
        ([{"to": [{"fqdn": "aws.example"}]}], "has fqdn"),
        ([{"to": [{}]}], "has nothing"),
        ([{"ports": [{"port": "https"}]}], "name 'https'"),
        (
            [{"to": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}]}],
            "operator 'Near'",
        ),
    ],
)
def test_an_unknown_form_is_an_error(egress: list[dict[str, Any]], message: str):
    with pytest.raises(ValueError, match=message):
        ways(policy(egress))
