"""A class's own resolver: who asks it, whom it asks, and for which names it answers."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest

from components import ClassNamespace
from components.gateway.name_resolver import corefile
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY
from tests.components.test_gateways import AWS, CLOUD, ONPREM, TRANSLATOR, deploy
from tests.sampling import sampled

NAMES = {"image": f"{REGISTRY}coredns@{DIGEST}"}
PATH = "/etc/coredns/Corefile"


def filtered(engine: Engine, **more: Any) -> None:
    arguments = {
        "routes": [ONPREM, CLOUD],
        "translator": TRANSLATOR,
        "destinations": AWS,
        "names": NAMES,
        **more,
    }
    deploy(engine, "internal", **arguments)


def corefile_of(engine: Engine, name: str = "g-resolver-config") -> str:
    return engine.only("ConfigMap", name).inputs["data"]["Corefile"]


def test_the_list_holds_the_services_and_aws_hosts_that_the_pods_call_and_nothing_else(
    engine: Engine,
) -> None:
    filtered(engine)
    listed = corefile_of(engine).partition("name() in [")[2].partition("]")[0]
    assert listed.split(", ") == [
        "'bedrock-runtime.eu-central-1.amazonaws.com.'",
        "'internal-translator.isthmus-internal.svc.cluster.local.'",
        "'llama.isthmus-internal.svc.cluster.local.'",
        "'vpce-1.rolesanywhere.eu-central-1.vpce.amazonaws.com.'",
    ]


def test_gateway_and_translator_ask_the_resolver_of_their_class_and_nobody_else(engine: Engine) -> None:
    filtered(engine)
    address = f"10.96.0.{crc32(b'g-resolver-service') % 250}"
    for name in ("internal-gateway", "internal-translator"):
        pod = engine.pods()[name]
        assert pod["dnsPolicy"] == "None", name
        assert pod["dnsConfig"]["nameservers"] == [address], name
        assert pod["dnsConfig"]["searches"] == ["cluster.local"], name
    ask = engine.only("NetworkPolicy", "g-resolver-ask").spec
    assert ask["egress"][0]["to"] == [
        {"podSelector": {"matchLabels": {"isthmus.dev/role": "resolver", "isthmus.dev/class": "internal"}}}
    ]
    for server in ("g-server", "g-translator-server"):
        assert {"g-resolver-server", "g-resolver-ask"} <= {*engine.only("Deployment", server).depends_on}


def test_the_resolver_alone_reaches_the_clusters_dns(engine: Engine) -> None:
    filtered(engine)
    around = engine.only("NetworkPolicy", "g-resolver-network").spec
    (rule,) = around["egress"]
    assert rule["to"][0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    network_policies = [
        network_policy
        for network_policy in engine.all("NetworkPolicy")
        if network_policy.name != "g-resolver-network"
    ]
    assert "kube-dns" not in str([policy.spec for policy in network_policies])
    roles = around["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert roles == ["gateway", "translator"], "a model server could ask for names"


def test_a_namespace_whose_gateway_brings_a_resolver_lets_nobody_ask_the_clusters_dns(engine: Engine) -> None:
    engine.deploy(ClassNamespace, "n", {"sensitivity": "internal", "own_resolver": True})
    assert [network_policy.name for network_policy in engine.all("NetworkPolicy")] == ["n-default-deny"]


def test_without_a_resolver_pods_keep_the_clusters_dns(engine: Engine) -> None:
    deploy(engine, "internal")
    assert "dnsPolicy" not in engine.pods()["internal-gateway"]
    assert "internal-resolver" not in engine.pods()


def test_the_program_has_the_one_capability_without_which_the_kernel_does_not_start_it(
    engine: Engine,
) -> None:
    filtered(engine)
    (box,) = engine.pods()["internal-resolver"]["containers"]
    assert box["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert box["securityContext"]["allowPrivilegeEscalation"] is False
    assert box["args"] == ["-conf", PATH]


def test_a_router_is_resolved_and_its_models_are_not_asked_for(engine: Engine) -> None:
    router = {
        **{"gateway_class": "istio", "service": "internal-router-istio", "ca": "internal-ca"},
        **{"control_namespace": "istio-system", "control_port": 15012},
    }
    filtered(engine, router=router)
    text = corefile_of(engine)
    assert "internal-router-istio.isthmus-internal.svc" in text
    assert "llama." not in text


def test_a_restricted_gateway_takes_no_such_resolver(engine: Engine) -> None:
    with pytest.raises(InputError, match="uses the site's own resolvers"):
        deploy(engine, "restricted", names=NAMES)


def test_a_name_is_compared_in_lower_case() -> None:
    assert "'bedrock.example.'" in corefile(["BEDROCK.example."])


def test_every_class_of_the_platform_but_the_restricted_has_one(built: Engine) -> None:
    pods = sorted(name for name in built.pods() if name.endswith("-resolver"))
    assert pods == ["confidential-resolver", "internal-resolver", "public-resolver"]
    for network_policy in built.all("NetworkPolicy"):
        if network_policy.meta["namespace"] != "isthmus-restricted" and "kube-dns" in str(
            network_policy.spec
        ):
            assert network_policy.meta["name"].endswith("-resolver"), network_policy.name


def test_a_site_may_keep_the_clusters_dns_open(engine: Engine, platform: dict[str, Any]) -> None:
    platform["sites"][0]["cluster_dns"] = {"filter": False}
    platform["images"].pop("resolver")
    build(engine, platform)
    assert not [name for name in engine.pods() if name.endswith("-resolver")]
    assert engine.only("NetworkPolicy", "isthmus-fra1-internal-dns")


@pytest.mark.parametrize(
    ("preset", "peers"),
    sampled(
        [
            ("kube-dns", [("kube-dns", 53)]),
            ("node-local-dns", [("169.254.20.10/32", 53), ("node-local-dns", 53), ("kube-dns", 53)]),
            ("gke-cloud-dns", [("169.254.20.10/32", 53), ("169.254.169.254/32", 53)]),
            ("openshift", [("default", 5353)]),
        ]
    ),
)
def test_a_preset_names_the_resolvers_of_its_kind_of_cluster(
    engine: Engine, platform: dict[str, Any], preset: str, peers: list[tuple[str, int]]
) -> None:
    platform["sites"][0]["cluster_dns"] = {"presets": [preset]}
    build(engine, platform)
    egress = engine.only("NetworkPolicy", "isthmus-fra1-internal-gateway-resolver-network").spec["egress"]
    peers_with_ports = []
    for rule in egress:
        (to,) = rule["to"]
        pods = to.get("podSelector", {}).get("matchLabels", {})
        peers_with_ports.append(
            (to["ipBlock"]["cidr"] if "ipBlock" in to else next(iter(pods.values())), rule["ports"])
        )
    assert peers_with_ports == [
        (peer, [{"protocol": "UDP", "port": port}, {"protocol": "TCP", "port": port}]) for peer, port in peers
    ]


def test_an_address_that_is_stated_is_the_services_and_known_to_the_pods(
    engine: Engine, platform: dict[str, Any]
) -> None:
    platform["sites"][0]["cluster_dns"] = {"addresses": {"internal": "10.96.3.53"}}
    build(engine, platform)
    service = engine.only("Service", "isthmus-fra1-internal-gateway-resolver-service")
    assert service.spec["clusterIP"] == "10.96.3.53"
    for name in ("internal-gateway", "internal-translator"):
        assert engine.pods()[name]["dnsConfig"]["nameservers"] == ["10.96.3.53"], name


def test_a_site_may_name_resolvers_of_its_own(engine: Engine, platform: dict[str, Any]) -> None:
    own_resolver = {"name": "dns-service", "cidr": "10.96.0.10/32"}
    platform["sites"][0]["cluster_dns"] = {
        "presets": [],
        "peers": [own_resolver],
        "domain": "k8s.bank.example",
    }
    build(engine, platform)
    egress = engine.only("NetworkPolicy", "isthmus-fra1-internal-gateway-resolver-network").spec["egress"]
    assert [rule["to"] for rule in egress] == [[{"ipBlock": {"cidr": "10.96.0.10/32"}}]]
    assert ".svc.k8s.bank.example." in corefile_of(engine, "isthmus-fra1-internal-gateway-resolver-config")
