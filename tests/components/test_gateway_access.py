"""A gateway that callers outside its cluster reach: load balancer, network policy, certificate and configuration."""

from __future__ import annotations

from typing import Any

import pytest

from components import AdmissionGuard
from isthmus.core.errors import InputError, IsthmusError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import bank
from tests.components.test_gateways import config, deploy

pytestmark = pytest.mark.whole

HOST = "llm.bank.example"
RANGES = ["10.60.0.0/16", "10.61.0.0/16"]


def opened(engine: Engine, sensitivity: str = "internal", **more: Any) -> None:
    access = {"host": HOST, "source_ranges": RANGES, **more}
    deploy(engine, sensitivity, access=access)


def test_a_gateway_without_access_has_no_load_balancer_and_no_second_port(engine: Engine) -> None:
    deploy(engine, "internal")
    assert [service.spec["type"] for service in engine.all("Service")] == ["ClusterIP"]
    assert "access" not in config(engine)
    assert not [policy for policy in engine.all("NetworkPolicy") if policy.name.endswith("-from-outside")]
    assert engine.only("Certificate", "g-certificate").spec["dnsNames"] == [
        "internal-gateway.isthmus-internal.svc"
    ]


def test_the_load_balancer_passes_tls_through_and_keeps_the_callers_addresses(engine: Engine) -> None:
    opened(engine, load_balancer_class="metallb.io/metallb", address="10.40.0.80")
    service = engine.only("Service", "g-outside")
    assert service.inputs["metadata"]["name"] == "internal-gateway-outside"
    assert service.spec == {
        "type": "LoadBalancer",
        "selector": engine.only("Service", "g-service").spec["selector"],
        "ports": [{"name": "https", "port": 443, "targetPort": 8444, "protocol": "TCP"}],
        "loadBalancerSourceRanges": RANGES,
        "externalTrafficPolicy": "Local",
        "allocateLoadBalancerNodePorts": False,
        "loadBalancerClass": "metallb.io/metallb",
        "loadBalancerIP": "10.40.0.80",
    }
    assert engine.only("Service", "g-service").spec["type"] == "ClusterIP", (
        "callers inside keep their own Service"
    )


def test_the_network_policy_lets_exactly_the_ranges_in_at_the_second_port(engine: Engine) -> None:
    opened(engine)
    policy = engine.only("NetworkPolicy", "g-from-outside").spec
    assert policy["ingress"] == [
        {
            "from": [{"ipBlock": {"cidr": cidr}} for cidr in RANGES],
            "ports": [{"protocol": "TCP", "port": 8444}],
        }
    ]
    assert policy["podSelector"] == engine.only("NetworkPolicy", "g-network").spec["podSelector"]
    inside = engine.only("NetworkPolicy", "g-network").spec["ingress"]
    assert not any("ipBlock" in peer for rule in inside for peer in rule["from"])


def test_the_edge_gets_the_ranges_and_the_certificate_gets_the_name(engine: Engine) -> None:
    opened(engine)
    assert config(engine)["access"] == {"port": 8444, "source_ranges": RANGES}
    assert engine.only("Certificate", "g-certificate").spec["dnsNames"] == [
        "internal-gateway.isthmus-internal.svc",
        HOST,
    ]


def test_in_aws_a_network_load_balancer_is_internal_and_reaches_pods(engine: Engine) -> None:
    opened(engine, in_aws=True, probe_cidrs=["10.80.0.0/16"])
    service = engine.only("Service", "g-outside")
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    annotations = {
        key.removeprefix(prefix): value
        for key, value in service.inputs["metadata"]["annotations"].items()
        if key.startswith(prefix)
    }
    assert annotations["scheme"] == "internal"
    assert annotations["nlb-target-type"] == "ip"
    assert "preserve_client_ip.enabled=true" in annotations["target-group-attributes"]
    assert not {"ssl-cert", "proxy-protocol"} & set(annotations)
    assert service.spec["loadBalancerClass"] == "service.k8s.aws/nlb"
    sources = engine.only("NetworkPolicy", "g-from-outside").spec["ingress"][0]["from"]
    assert {"ipBlock": {"cidr": "10.80.0.0/16"}} in sources, (
        "the load balancer could not see whether a pod lives"
    )
    assert config(engine)["access"]["source_ranges"] == RANGES, "the edge would take probes for callers"


def test_visitors_reach_class_public_from_everywhere_without_a_certificate(engine: Engine) -> None:
    opened(engine, "public", source_ranges=["0.0.0.0/0"], in_aws=True, internet_facing=True)
    annotations = engine.only("Service", "g-outside").inputs["metadata"]["annotations"]
    assert annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internet-facing"
    assert "client_ca" not in config(engine)["listen"]


@pytest.mark.parametrize(
    ("kind", "sensitivity", "fields"),
    [
        (Refused, "internal", {"source_ranges": ["0.0.0.0/0"]}),
        (Refused, "restricted", {"source_ranges": ["10.60.0.0/16"], "site_cidrs": ["10.40.0.0/16"]}),
        (Refused, "restricted", {"source_ranges": ["10.40.7.0/24"]}),
        (Refused, "confidential", {"in_aws": True, "internet_facing": True}),
        (Refused, "internal", {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "x"}}),
        (InputError, "internal", {"source_ranges": []}),
        (InputError, "internal", {"source_ranges": ["10.60.0.1/16"]}),
    ],
)
def test_a_component_alone_refuses_what_the_class_forbids(
    engine: Engine, kind: type[IsthmusError], sensitivity: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(kind):
        opened(engine, sensitivity, **fields)
    assert not [service for service in engine.all("Service") if service.spec["type"] == "LoadBalancer"]


def test_the_platform_opens_the_stated_gateway_and_admission_admits_it_alone(engine: Engine) -> None:
    platform = bank()
    gateway = next(gateway for gateway in platform["gateways"] if gateway["class"] == "internal")
    gateway["access"] = {"host": HOST, "source_ranges": ["10.60.0.0/16"]}
    build(engine, platform)
    services = [service for service in engine.all("Service") if service.spec["type"] == "LoadBalancer"]
    assert [service.inputs["metadata"]["name"] for service in services] == ["internal-gateway-outside"]
    policy = str(engine.only("ValidatingAdmissionPolicy", "isthmus-fra1-admission-services").spec)
    assert "internal-gateway-outside" in policy
    assert "10.60.0.0/16" in policy
    assert "public-gateway-outside" not in policy


def test_admission_keeps_every_service_inside_unless_the_platform_states_it(engine: Engine) -> None:
    engine.deploy(AdmissionGuard, "guard", {"registries": ["registry.bank.example/"]})
    spec = engine.only("ValidatingAdmissionPolicy", "guard-services").spec
    opened_variable = next(entry for entry in spec["variables"] if entry["name"] == "opened")
    assert opened_variable["expression"].endswith("(false)")
