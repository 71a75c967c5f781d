"""A Gateway API gateway behind ours: weights, pools, TLS both ways, and no way around them."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway, ModelServer
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError, Refused
from tests.components import test_model_server
from tests.components.conftest import Engine, build
from tests.components.test_canaries import args as gateway_args

ROUTER = {
    **{"gateway_class": "istio", "service": "confidential-router-istio", "ca": "internal-ca"},
    **{"control_namespace": "istio-system", "control_port": 15012},
}
PICKER = {"service": "llama-picker", "port": 9003, "labels": {"app": "llama-picker"}}
CANARY = {"endpoint": "llama-v2", "model": "meta-llama/v1", "percent": 1.0}
PROXIES = {"gateway.networking.k8s.io/gateway-name": "confidential-router"}


def deploy(engine: Engine, sensitivity: str = "confidential", **route: Any) -> None:
    engine.deploy(InferenceGateway, "g", {**gateway_args(sensitivity, **route), "router": ROUTER})


def test_one_percent_is_a_weight_of_one_in_a_hundred(engine: Engine) -> None:
    deploy(engine, canary=CANARY)
    spec = engine.only("HTTPRoute", "g-router-kyc").spec
    (rule,) = spec["rules"]
    assert rule["backendRefs"] == [
        {"group": "", "kind": "Service", "port": 8443, "name": "llama", "weight": 99000},
        {"group": "", "kind": "Service", "port": 8443, "name": "llama-v2", "weight": 1000},
    ]
    assert spec["parentRefs"] == [{"name": "confidential-router", "sectionName": "https"}]


def test_a_picker_makes_a_pool_of_the_endpoint(engine: Engine) -> None:
    deploy(engine, picker=PICKER, canary={**CANARY, "picker": {**PICKER, "service": "v2-picker"}})
    (rule,) = engine.only("HTTPRoute").spec["rules"]
    assert {backend_ref["kind"] for backend_ref in rule["backendRefs"]} == {"InferencePool"}
    targets = [
        backend_tlspolicy.spec["targetRefs"][0] for backend_tlspolicy in engine.all("BackendTLSPolicy")
    ]
    assert {target["group"] for target in targets} == {"inference.networking.k8s.io"}


def test_the_workload_goes_by_a_header_that_only_our_gateway_sets(engine: Engine, tmp_path: Any) -> None:
    deploy(engine, canary=CANARY, cache_salt="team/risk", interfaces=["completions"])
    config = YAML(typ="safe").load(engine.only("ConfigMap").inputs["data"]["config.yaml"])
    assert config["routes"] == [
        {
            "workload": "kyc",
            "url": "https://confidential-router-istio.isthmus-confidential.svc:8443",
            "server_name": "confidential-router-istio.isthmus-confidential.svc",
            "model": "meta-llama/v1",
            "named": True,
            "cache_salt": "team/risk",
            "interfaces": ["completions"],
        }
    ]
    assert read_by_the_edge(config, tmp_path)
    (match,) = engine.only("HTTPRoute").spec["rules"][0]["matches"]
    assert match["headers"] == [{"type": "Exact", "name": "x-isthmus-workload", "value": "kyc"}]


def test_requests_to_the_tokenizer_pass_the_router_if_an_interface_sends_them(engine: Engine) -> None:
    deploy(engine, interfaces=["messages"])
    (rule,) = engine.only("HTTPRoute").spec["rules"]
    paths = [match["path"] for match in rule["matches"]]
    assert paths == [
        {"type": "PathPrefix", "value": "/v1"},
        {"type": "Exact", "value": "/tokenize"},
    ]
    assert all(match["headers"] for match in rule["matches"])


def test_tls_is_mutual_on_both_ways(engine: Engine) -> None:
    deploy(engine)
    spec = engine.only("Gateway").spec
    (listener,) = spec["listeners"]
    assert (listener["protocol"], listener["tls"]["mode"]) == ("HTTPS", "Terminate")
    assert spec["tls"]["frontend"]["default"]["validation"]["mode"] == "AllowValidOnly"
    assert spec["tls"]["backend"]["clientCertificateRef"]["name"] == "confidential-router-istio-tls"
    certificate = engine.only("Certificate", "g-router-certificate").spec
    assert certificate["dnsNames"] == ["confidential-router-istio.isthmus-confidential.svc"]
    assert {"server auth", "client auth"} <= set(certificate["usages"])
    policy = engine.only("BackendTLSPolicy").spec
    assert policy["validation"]["hostname"] == "llama.isthmus-confidential.svc"
    assert policy["validation"]["caCertificateRefs"] == [
        {"group": "", "kind": "ConfigMap", "name": "internal-ca"}
    ]


def test_the_gateway_reaches_the_proxies_alone_and_they_its_models_and_pickers(engine: Engine) -> None:
    deploy(engine, picker=PICKER, canary=CANARY)
    assert not [
        network_policy
        for network_policy in engine.all("NetworkPolicy")
        if network_policy.name.startswith("g-to-")
    ]
    network_policy = engine.only("NetworkPolicy", "g-network").spec
    assert network_policy["egress"] == [
        {"to": [{"podSelector": {"matchLabels": PROXIES}}], "ports": [{"protocol": "TCP", "port": 8443}]}
    ]
    policy_spec = engine.only("NetworkPolicy", "g-router-network").spec
    assert policy_spec["podSelector"]["matchLabels"] == PROXIES
    reached = [
        (next(iter(sorted(rule["to"][0].items())))[1]["matchLabels"], rule["ports"][0]["port"])
        for rule in policy_spec["egress"]
    ]
    model = {"isthmus.dev/role": "model", "isthmus.dev/class": "confidential"}
    assert reached == [
        ({**model, "isthmus.dev/endpoint": "llama"}, 8443),
        ({**model, "isthmus.dev/endpoint": "llama-v2"}, 8443),
        ({"app": "llama-picker"}, 9003),
        ({"kubernetes.io/metadata.name": "istio-system"}, 15012),
        ({"kubernetes.io/metadata.name": "kube-system"}, 53),
    ]
    (to,) = policy_spec["egress"][-1]["to"]
    assert to["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}, "they cannot look up istiod"


def test_the_router_service_is_internal_and_its_proxies_are_labelled(engine: Engine) -> None:
    deploy(engine)
    gateway = engine.only("Gateway")
    inside = {"networking.istio.io/service-type": "ClusterIP"}
    assert gateway.meta["annotations"]["networking.istio.io/service-type"] == "ClusterIP", (
        "Istio reads it here"
    )
    assert gateway.spec["infrastructure"] == {
        "labels": {"isthmus.dev/class": "confidential", "isthmus.dev/role": "router"},
        "annotations": inside,
    }


def test_another_implementation_takes_its_settings_from_an_object(
    engine: Engine, platform: dict[str, Any]
) -> None:
    settings = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "inside"}
    platform["gateways"][1]["router"] = {**ROUTER, "parameters": settings}
    build(engine, platform)
    assert engine.only("Gateway").spec["infrastructure"]["parametersRef"] == settings


def test_proxies_use_the_resolvers_of_the_site(engine: Engine, platform: dict[str, Any]) -> None:
    platform["sites"][0]["cluster_dns"] = {"presets": ["openshift"]}
    platform["gateways"][1]["router"] = ROUTER
    build(engine, platform)
    egress = engine.only("NetworkPolicy", "isthmus-fra1-confidential-gateway-router-network").spec["egress"]
    assert [port["port"] for port in egress[-1]["ports"]] == [5353, 5353]


def test_old_pods_end_only_when_the_router_has_a_target(engine: Engine) -> None:
    deploy(engine)
    assert {"g-router", "g-router-kyc", "g-router-tls-llama"} <= set(engine.only("Deployment").depends_on)


@pytest.mark.parametrize(
    ("sensitivity", "route", "kind", "message"),
    [
        ("restricted", {"cluster_ip": "10.96.0.7"}, Refused, "only Isthmus programs"),
        ("confidential", {"canary": {**CANARY, "model": "v2"}}, InputError, "the canary must serve model"),
        (
            "confidential",
            {"canary": {**CANARY, "steps": [100]}},
            InputError,
            "no move of the release changes",
        ),
        ("confidential", {"canary": {**CANARY, "shadow_percent": 10.0}}, InputError, "no copies of requests"),
        ("confidential", {"canary": {**CANARY, "judge": {}}}, InputError, "no answers are judged"),
    ],
)
def test_an_impossible_router_setting_is_refused(
    engine: Engine, sensitivity: str, route: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        deploy(engine, sensitivity, **route)
    assert not [resource for resource in engine.made if "gateway.networking" in resource.type]


def test_a_model_server_with_a_picker_is_a_pool_that_fails_closed(engine: Engine) -> None:
    arguments = test_model_server.args(sensitivity="confidential", router=ROUTER["service"], picker=PICKER)
    engine.deploy(ModelServer, "m", arguments)
    spec = engine.only("InferencePool").spec
    assert spec["targetPorts"] == [{"number": 8443}], "the sidecar's: vLLM itself is on the loopback"
    assert spec["endpointPickerRef"] == {
        "name": "llama-picker",
        "port": {"number": 9003},
        "failureMode": "FailClose",
    }
    selector = engine.only("Service").spec["selector"]
    assert spec["selector"]["matchLabels"] == selector, "the same replicas as its Service's"


def test_a_model_server_lets_the_router_in_by_policy_and_by_certificate(engine: Engine) -> None:
    arguments = test_model_server.args(sensitivity="confidential", router=ROUTER["service"], picker=PICKER)
    engine.deploy(ModelServer, "m", arguments)
    ingress = engine.only("NetworkPolicy").spec["ingress"]
    assert [rule["ports"][0]["port"] for rule in ingress] == [8443, 9090, 8443, 9090]
    assert ingress[2]["from"] == [{"podSelector": {"matchLabels": PROXIES}}]
    assert ingress[3]["from"] == [{"podSelector": {"matchLabels": {"app": "llama-picker"}}}]
    config = YAML(typ="safe").load(engine.only("ConfigMap").inputs["data"]["config.yaml"])
    assert config["allowed_clients"] == [
        "confidential-gateway.isthmus-confidential.svc",
        "confidential-router-istio.isthmus-confidential.svc",
    ]


def test_a_picker_that_nothing_asks_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="a picker needs a router"):
        engine.deploy(ModelServer, "m", test_model_server.args(picker=PICKER))


def test_the_platform_gives_router_and_picker_to_both_sides(engine: Engine, platform: dict[str, Any]) -> None:
    platform["gateways"][1]["router"] = ROUTER
    platform["endpoints"][1]["picker"] = {"service": "llama-picker", "labels": {"app": "llama-picker"}}
    build(engine, platform)
    assert [inference_pool.meta["name"] for inference_pool in engine.all("InferencePool")] == [
        "confidential-llama-8b"
    ]
    (ref,) = engine.only("HTTPRoute").spec["rules"][0]["backendRefs"]
    assert (ref["kind"], ref["name"], ref["weight"]) == ("InferencePool", "confidential-llama-8b", 100000)
    policy = engine.only("NetworkPolicy", "isthmus-restricted-llama-70b-network").spec
    assert len(policy["ingress"]) == 2, "another class's router is none of its"
