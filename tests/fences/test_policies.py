"""What a policy opens, by the API's own rules; and that the kernel's rules mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fences.namespaces import Network
from tests.fences.policies import Closed, Opening, Pod, closed, selects
from tests.fences.probing import Try, passing
from tests.fences.rules import Fence

ANY = Opening("0.0.0.0/0")


def pod(name: str, namespace: str = "a", **labels: str) -> Pod:
    address = f"10.244.1.{['one', 'two', 'three', 'outside'].index(name) + 1}"
    return Pod(namespace, name, address, labels, {"kubernetes.io/metadata.name": namespace})


PODS = [pod("one", app="x"), pod("two", app="y"), pod("three", "b", app="y")]


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "a"}, "spec": {"podSelector": {"matchLabels": {"app": "x"}}, **spec}}


def of_one(*policies: dict[str, Any]) -> Closed:
    return closed(policies, PODS)["a/one"]


def test_a_pod_that_no_policy_selects_is_open():
    all_pods = closed([policy(policyTypes=["Ingress", "Egress"])], PODS)
    assert all_pods["a/one"] == Closed((), ())
    assert all_pods["a/two"] == all_pods["b/three"] == Closed(None, None)


def test_a_policy_without_types_covers_ingress_and_stated_egress():
    assert of_one(policy()) == Closed((), None)
    assert of_one(policy(egress=[])) == Closed((), ())


def test_policies_add_up_and_an_empty_rule_opens_everything():
    first = policy(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}])
    assert of_one(first, policy(ingress=[{}])).ingress == (
        Opening("10.244.1.1/32", (), "TCP", (80, 80)),
        Opening("10.244.1.2/32", (), "TCP", (80, 80)),
        ANY,
    )


@pytest.mark.parametrize(
    ("peer", "addresses"),
    [
        ({"podSelector": {"matchLabels": {"app": "y"}}}, ["10.244.1.2"]),
        ({"namespaceSelector": {}}, ["10.244.1.1", "10.244.1.2", "10.244.1.3"]),
        (
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}, "podSelector": {}},
            ["10.244.1.3"],
        ),
        (
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "y"}}},
            ["10.244.1.2", "10.244.1.3"],
        ),
        ({"podSelector": {"matchLabels": {"app": "z"}}}, []),
    ],
)
def test_a_peer_is_the_pods_of_its_selectors(peer: dict[str, Any], addresses: list[str]):
    opened = of_one(policy(ingress=[{"from": [peer]}])).ingress
    assert opened == tuple(Opening(f"{address}/32") for address in addresses)


@pytest.mark.parametrize(
    ("expression", "is_selected"),
    [
        ({"key": "app", "operator": "In", "values": ["x", "z"]}, True),
        ({"key": "app", "operator": "In", "values": ["z"]}, False),
        ({"key": "app", "operator": "NotIn", "values": ["x"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_a_selectors_expressions(expression: dict[str, Any], is_selected: bool):
    assert selects({"matchExpressions": [expression]}, {"app": "x"}) == is_selected


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"podSelector": {}}], "ports": [{"port": "https"}]},
        {"from": [{"fqdn": "example.org"}]},
        {"from": [{"podSelector": {"matchFields": {}}}]},
        {"except": []},
    ],
)
def test_an_unknown_policy_part_is_an_error_and_opens_nothing(rule: dict[str, Any]):
    with pytest.raises(NotImplementedError):
        of_one(policy(ingress=[rule]))


@pytest.fixture
def network(allowed_to: None) -> Iterator[Network]:
    test_network = Network({fake_pod.full_name: fake_pod.address for fake_pod in [*PODS, pod("outside", "")]})
    yield test_network
    test_network.close()


def test_the_kernel_keeps_exceptions_spans_of_ports_and_protocols(network: Network):
    block = {"ipBlock": {"cidr": "10.244.1.0/29", "except": ["10.244.1.2/31", "10.244.1.5/32"]}}
    spans = [{"port": 5000, "endPort": 5010}, {"port": 53, "protocol": "UDP"}]
    Fence(network).build(
        closed([policy(policyTypes=["Egress"], egress=[{"to": [block], "ports": spans}])], PODS)
    )
    ports = [
        ("TCP", 4999),
        ("TCP", 5000),
        ("TCP", 5010),
        ("TCP", 5011),
        ("TCP", 53),
        ("UDP", 53),
        ("UDP", 5005),
    ]
    other_addresses = ["10.244.1.2", "10.244.1.3", "10.244.1.4"]
    tries = [Try(address, *port) for address in other_addresses for port in ports]
    meant = {Try("10.244.1.4", *port) for port in (("TCP", 5000), ("TCP", 5010), ("UDP", 53))}
    assert passing(network.hosts["a/one"], tries) == meant


def test_a_protocol_without_ports_is_open_at_all_of_them(network: Network):
    rules = closed([policy(policyTypes=["Egress"], egress=[{"ports": [{"protocol": "UDP"}]}])], PODS)
    assert rules["a/one"].egress == (Opening("0.0.0.0/0", (), "UDP"),)
    Fence(network).build(rules)
    tries = [Try("10.244.1.3", protocol, port) for protocol in ("TCP", "UDP") for port in (1, 65535)]
    assert {attempt.protocol for attempt in passing(network.hosts["a/one"], tries)} == {"UDP"}


def test_a_closed_direction_passes_only_answers(network: Network):
    """What comes in to `one` may only answer what it asked."""
    Fence(network).build(closed([policy()], PODS))
    assert passing(network.hosts["a/one"], [Try("10.244.1.2", "TCP", 80)])
    assert not passing(network.hosts["a/two"], [Try("10.244.1.1", "TCP", 80)])
