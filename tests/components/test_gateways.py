"""The gateway of a class, and the translator behind it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY

ONPREM = {
    "workload": "narratives",
    "endpoint": "llama",
    "model": "meta-llama/Llama",
    "cluster_ip": "10.96.0.7",
}
CLOUD = {"workload": "assistant", "endpoint": "haiku", "model": "anthropic.claude"}
TRANSLATOR = {
    "image": f"{REGISTRY}translator@{DIGEST}",
    "models": [{"name": "haiku", "region": "eu-central-1", "inference_profile": "eu.anthropic.claude-haiku"}],
    "identity": {
        "trust_anchor_arn": "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/t",
        "profile_arn": "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/p",
        "role_arn": "arn:aws:iam::123456789012:role/translator",
        "region": "eu-central-1",
        "session_seconds": 3600,
        "image": f"{REGISTRY}signing-helper@{DIGEST}",
        "endpoint_url": "https://vpce-1.rolesanywhere.eu-central-1.vpce.amazonaws.com",
        "issuer": {"name": "identities"},
    },
}
AWS = [{"name": "bedrock", "cidr": "10.80.0.0/16", "port": 443}]


def deploy(engine: Engine, sensitivity: str = "restricted", **more: Any) -> None:
    arguments = {
        "sensitivity": sensitivity,
        "site": "fra1",
        "image": f"{REGISTRY}edge@{DIGEST}",
        "routes": [ONPREM],
        "callers_secret": "callers",
        "issuer": {"name": "bank-llm"},
        "monitoring_namespace": "monitoring",
        **more,
    }
    engine.deploy(InferenceGateway, "g", arguments)


def internal(engine: Engine, **more: Any) -> None:
    deploy(
        engine,
        "internal",
        **{"routes": [ONPREM, CLOUD], "translator": TRANSLATOR, "destinations": AWS, **more},
    )


def config(engine: Engine, name: str = "g-config") -> dict[str, Any]:
    return YAML(typ="safe").load(engine.only("ConfigMap", name).inputs["data"]["config.yaml"])


def test_a_restricted_gateway_has_no_translator_and_no_aws_identity(engine: Engine) -> None:
    deploy(engine)
    assert [deployment.name for deployment in engine.all("Deployment")] == ["g-server"]
    assert "arn:aws" not in str(engine.made)
    assert "translator" not in str(config(engine)), "restricted prompts could reach AWS"


@pytest.mark.parametrize("sensitivity", ["restricted", "confidential"])
def test_a_class_that_may_not_use_aws_is_refused_a_translator(engine: Engine, sensitivity: str) -> None:
    fixes = {
        "restricted": "or any other target in AWS. Fix: Use onprem-vllm.",
        "confidential": "without a recorded exception. Fix: Use onprem-vllm, eks-vllm or sagemaker, or record an exc",
    }
    with pytest.raises(Refused, match=f"class {sensitivity} may not use bedrock {fixes[sensitivity]}"):
        deploy(engine, sensitivity, routes=[ONPREM, CLOUD], translator=TRANSLATOR)
    assert not engine.all("Deployment"), "half of it was made"


def test_a_recorded_exception_opens_aws_to_confidential_and_never_to_restricted(engine: Engine) -> None:
    granted = {"translator": TRANSLATOR, "routes": [CLOUD], "exception": "CISO until 2027-01-31: pilot"}
    deploy(engine, "confidential", **granted)
    assert engine.only("Deployment", "g-translator-server")
    with pytest.raises(Refused):
        deploy(Engine(), "restricted", **granted)


def test_the_gateways_configuration_has_the_edges_shape(engine: Engine) -> None:
    deploy(engine)
    gateway_config = config(engine)
    assert (gateway_config["mode"], gateway_config["class"], gateway_config["site"]) == (
        "gateway",
        "restricted",
        "fra1",
    )
    assert gateway_config["listen"] == {
        "host": "0.0.0.0",  # noqa: S104
        "port": 8443,
        "certificate": "/etc/isthmus/tls/tls.crt",
        "key": "/etc/isthmus/tls/tls.key",
        "client_ca": "/etc/isthmus/tls/ca.crt",
    }
    assert gateway_config["callers"] == "/etc/isthmus/callers/callers.yaml"
    assert gateway_config["upstream_tls"]["ca"] == "/etc/isthmus/tls/ca.crt"
    assert gateway_config["routes"] == [
        {
            "workload": "narratives",
            "url": "https://llama.isthmus-restricted.svc:8443",
            "server_name": "llama.isthmus-restricted.svc",
            "model": "meta-llama/Llama",
        }
    ]


def test_only_callers_of_a_public_gateway_need_no_certificate(engine: Engine) -> None:
    for sensitivity in ("public", "internal", "confidential", "restricted"):
        fresh_engine = Engine()
        deploy(fresh_engine, sensitivity)
        assert ("client_ca" in config(fresh_engine)["listen"]) is (sensitivity != "public"), sensitivity


def test_only_namespaces_of_its_class_reach_a_gateway(engine: Engine) -> None:
    deploy(engine, "public")
    first, scrape = engine.only("NetworkPolicy", "g-network").spec["ingress"]
    assert first == {
        "from": [{"namespaceSelector": {"matchLabels": {"isthmus.dev/class": "public"}}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    }
    assert scrape["ports"] == [{"protocol": "TCP", "port": 9090}]


def test_a_gateway_reaches_its_own_model_servers_and_nothing_else(engine: Engine) -> None:
    deploy(engine)
    assert "egress" not in engine.only("NetworkPolicy", "g-network").spec
    network_policy = engine.only("NetworkPolicy", "g-to-llama").spec
    model = {
        "isthmus.dev/role": "model",
        "isthmus.dev/class": "restricted",
        "isthmus.dev/endpoint": "llama",
    }
    assert network_policy["egress"] == [
        {
            "to": [{"podSelector": {"matchLabels": model}}],
            "ports": [{"protocol": "TCP", "port": 8443}],
        }
    ]
    assert network_policy["podSelector"] == engine.only("NetworkPolicy", "g-network").spec["podSelector"]


def test_the_way_to_a_server_is_a_policy_of_its_own_so_that_a_roll_has_both(engine: Engine) -> None:
    second_route = {
        "workload": "letters",
        "endpoint": "qwen",
        "model": "Qwen/Qwen",
        "cluster_ip": "10.96.0.8",
    }
    deploy(engine, routes=[ONPREM, second_route])
    policies = {network_policy.name for network_policy in engine.all("NetworkPolicy")}
    assert policies == {"g-network", "g-to-llama", "g-to-qwen"}
    assert policies <= {*engine.only("Deployment").depends_on}, (
        "pods could be rolled before their way is open"
    )


def test_a_gateway_that_scales_leaves_its_copies_to_the_autoscaler_and_has_the_quota_for_them(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform)
    (gateway,) = [gateway for gateway in platform["gateways"] if gateway["class"] == "internal"]
    before = engine.only("ResourceQuota", "isthmus-fra1-internal-quota").spec["hard"]
    gateway |= {"replicas": 3, "max_replicas": 8, "cpu": "500m", "memory": "2Gi"}
    gateway |= {"metrics_authentication": "prometheus"}
    platform["monitoring"] |= {"prometheus_url": "http://prometheus.monitoring:9090"}
    scaled = Engine()
    build(scaled, platform)
    for part in ("gateway", "translator"):
        (server,) = [
            deployment
            for deployment in scaled.all("Deployment")
            if deployment.meta["name"] == f"internal-{part}"
        ]
        assert "replicas" not in server.spec, "each `up` would set back what the autoscaler chose"
        (scaler,) = [
            scaled_object
            for scaled_object in scaled.all("ScaledObject")
            if scaled_object.meta["name"] == f"internal-{part}"
        ]
        assert (scaler.spec["minReplicaCount"], scaler.spec["maxReplicaCount"]) == (3, 8)
        assert scaler.spec["scaleTargetRef"]["name"] == f"internal-{part}"
        (trigger,) = scaler.spec["triggers"]
        container, threshold = {"gateway": ("edge", "0.35"), "translator": ("translator", "0.7")}[part]
        assert trigger["metadata"]["query"] == (
            "sum(rate(process_cpu_seconds_total"
            f'{{job="isthmus-internal/internal-{part}",container="{container}"}}[2m]))'
        )
        assert trigger["metadata"]["threshold"] == threshold, "70 % of the CPU that a replica has"
        assert trigger["authenticationRef"] == {"name": "prometheus"}
    (box,) = scaled.pods()["internal-gateway"]["containers"]
    assert box["resources"]["limits"] == {"cpu": "500m", "memory": "2Gi"}
    after = scaled.only("ResourceQuota", "isthmus-fra1-internal-quota").spec["hard"]
    assert int(after["pods"]) - int(before["pods"]) == 2 * 2 * (8 - 2), (
        "gateway and translator, doubled for a roll"
    )


def test_without_a_maximum_nothing_scales_a_gateway(engine: Engine) -> None:
    deploy(engine, replicas=4)
    assert engine.only("Deployment").spec["replicas"] == 4
    assert not engine.all("ScaledObject")


def test_a_bundle_of_cas_is_believed_beside_the_secrets_own(engine: Engine, tmp_path: Path) -> None:
    internal(engine, trust_bundle="authorities")
    bundle = ["/etc/isthmus/trust/ca.crt"]
    gateway, behind = config(engine), config(engine, "g-translator-config")
    assert gateway["listen"]["client_ca_bundles"] == gateway["upstream_tls"]["ca_bundles"] == bundle
    assert behind["listen"]["client_ca_bundles"] == bundle
    assert read_by_the_edge(gateway, tmp_path)
    assert read_by_the_edge(behind, tmp_path)
    for name in ("internal-gateway", "internal-translator"):
        pod = engine.pods()[name]
        volume = {"name": "trust", "configMap": {"name": "authorities", "defaultMode": 0o440}}
        assert volume in pod["volumes"], name
        (box,) = pod["containers"]
        # A whole folder: a file by subPath would never be written anew.
        mount = {"name": "trust", "mountPath": "/etc/isthmus/trust", "readOnly": True}
        assert mount in box["volumeMounts"], name


def test_callers_of_a_public_gateway_need_no_certificate_with_a_bundle_either(engine: Engine) -> None:
    deploy(engine, "public", trust_bundle="authorities")
    assert "client_ca_bundles" not in config(engine)["listen"]


def test_the_platforms_bundle_is_believed_by_every_class(engine: Engine, platform: dict[str, Any]) -> None:
    platform["trust_bundle"] = "authorities"
    build(engine, platform)
    for name, pod in engine.pods().items():
        trusts = {"name": "authorities", "defaultMode": 0o440} in [v.get("configMap") for v in pod["volumes"]]
        serves_inside = not name.endswith(("-sealer", "-reviews", "-resolver"))
        assert trusts is serves_inside, name


def test_a_restricted_gateway_asks_no_cluster_dns(engine: Engine) -> None:
    deploy(engine, resolvers=["10.40.0.53"])
    pod = engine.only("Deployment").pod
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["10.40.0.53"]})
    assert pod["hostAliases"] == [{"ip": "10.96.0.7", "hostnames": ["llama.isthmus-restricted.svc"]}]


def test_a_restricted_gateway_without_resolvers_has_no_dns(engine: Engine) -> None:
    deploy(engine)
    assert engine.only("Deployment").pod["dnsConfig"] == {"nameservers": ["127.0.0.1"]}


def test_a_restricted_route_without_an_address_is_refused(engine: Engine) -> None:
    route = {key: value for key, value in ONPREM.items() if key != "cluster_ip"}
    with pytest.raises(InputError, match="has no cluster_ip"):
        deploy(engine, routes=[route])


def test_a_restricted_gateway_reaches_on_prem_destinations_only(engine: Engine) -> None:
    away = [{"name": "elsewhere", "cidr": "10.80.1.0/24", "port": 443}]
    with pytest.raises(Refused, match=r"10\.80\.1\.0/24 is not inside the site's networks"):
        deploy(engine, destinations=away, site_cidrs=["10.40.0.0/16"])
    on_prem = [{"name": "audit", "cidr": "10.40.7.0/24", "port": 443}]
    fresh_engine = Engine()
    deploy(fresh_engine, destinations=on_prem, site_cidrs=["10.40.0.0/16"])
    assert fresh_engine.only("NetworkPolicy", "g-network").spec["egress"][-1] == {
        "to": [{"ipBlock": {"cidr": "10.40.7.0/24"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }


def test_a_destination_by_host_name_is_refused(engine: Engine) -> None:
    by_name = [{"name": "audit", "cidr": "s3.bank.example", "port": 443}]
    with pytest.raises(InputError, match="instead of a host name"):
        deploy(engine, "internal", destinations=by_name)


def test_the_translator_alone_has_the_way_out_and_the_role(engine: Engine) -> None:
    internal(engine)
    gateway, behind = (
        engine.only("NetworkPolicy", name).spec for name in ("g-network", "g-translator-network")
    )
    assert "ipBlock" not in str(gateway), "the gateway could go round the translator"
    assert behind["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.80.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    assert "aws-identity" not in str(engine.pods()["internal-gateway"])
    (helper,) = engine.pods()["internal-translator"]["initContainers"]
    assert helper["restartPolicy"] == "Always", "it would have to end before the translator starts"
    command = " ".join(helper["command"])
    for part in ("trust_anchor_arn", "profile_arn", "role_arn", "endpoint_url"):
        assert TRANSLATOR["identity"][part] in command, part


def test_the_translators_only_credentials_are_the_helpers(engine: Engine) -> None:
    internal(engine)
    (box,) = engine.pods()["internal-translator"]["containers"]
    variables = {variable["name"]: variable["value"] for variable in box["env"]}
    assert variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == "http://127.0.0.1:9911"
    assert variables["AWS_EC2_METADATA_DISABLED"] == "false"
    assert "AWS_ACCESS_KEY_ID" not in str(engine.made)
    assert not any("KEY" in name or "TOKEN" in name for name in variables)


def test_the_certificate_that_aws_sees_is_short_lived_and_bears_the_translators_name(engine: Engine) -> None:
    internal(engine)
    spec = engine.only("Certificate", "g-translator-identity").spec
    name = "internal-translator.isthmus-internal.svc"
    assert (spec["commonName"], spec["dnsNames"]) == (name, [name])
    assert (spec["duration"], spec["renewBefore"]) == ("24h0m0s", "480m0s")
    assert spec["usages"] == ["digital signature", "client auth"], "it could serve as somebody's server"
    assert spec["issuerRef"]["name"] == "identities"
    assert spec["privateKey"]["rotationPolicy"] == "Always"


def test_a_secret_of_the_organisations_pki_takes_the_certificates_place(engine: Engine) -> None:
    proof = {key: value for key, value in TRANSLATOR["identity"].items() if key != "issuer"}
    internal(engine, translator={**TRANSLATOR, "identity": {**proof, "certificate_secret": "pki"}})
    assert "g-translator-identity" not in [certificate.name for certificate in engine.all("Certificate")]
    volumes = engine.pods()["internal-translator"]["volumes"]
    assert {"secretName": "pki", "defaultMode": 0o440} in [volume.get("secret") for volume in volumes]


def test_an_identity_without_a_certificate_is_refused(engine: Engine) -> None:
    proof = {key: value for key, value in TRANSLATOR["identity"].items() if key != "issuer"}
    with pytest.raises(InputError, match="no certificate for 'internal-translator'"):
        internal(engine, translator={**TRANSLATOR, "identity": proof})


def test_only_its_gateway_reaches_a_translator(engine: Engine) -> None:
    internal(engine)
    first = engine.only("NetworkPolicy", "g-translator-network").spec["ingress"][0]
    assert first["from"] == [
        {"podSelector": {"matchLabels": {"isthmus.dev/role": "gateway", "isthmus.dev/class": "internal"}}}
    ]
    gateway_config = config(engine, "g-translator-config")
    assert gateway_config["allowed_clients"] == ["internal-gateway.isthmus-internal.svc"]
    assert gateway_config["models"] == [
        {
            "name": "haiku",
            "region": "eu-central-1",
            "inference_profile": "eu.anthropic.claude-haiku",
            "endpoint_url": None,
        }
    ]


def test_a_cloud_route_leads_to_the_translator_by_the_endpoints_id(engine: Engine) -> None:
    internal(engine)
    assert config(engine)["routes"][1] == {
        "workload": "assistant",
        "url": "https://internal-translator.isthmus-internal.svc:8443",
        "server_name": "internal-translator.isthmus-internal.svc",
        "model": "haiku",
    }


def test_a_gateways_certificate_serves_and_identifies_it(engine: Engine) -> None:
    internal(engine)
    usages = {
        certificate.spec["secretName"]: certificate.spec["usages"]
        for certificate in engine.all("Certificate")
    }
    assert {"server auth", "client auth"} <= set(usages["internal-gateway-tls"])
    assert "client auth" not in usages["internal-translator-tls"]


def test_gateways_are_spread_over_zones(engine: Engine) -> None:
    deploy(engine)
    first = engine.only("Deployment").pod["topologySpreadConstraints"][0]
    assert (first["topologyKey"], first["whenUnsatisfiable"]) == (
        "topology.kubernetes.io/zone",
        "DoNotSchedule",
    )
    assert first["matchLabelKeys"] == ["pod-template-hash"], "it rolls with surge"


def test_callers_come_from_the_named_secret(engine: Engine) -> None:
    deploy(engine)
    volumes = {volume["name"]: volume for volume in engine.only("Deployment").pod["volumes"]}
    assert volumes["callers"]["secret"]["secretName"] == "callers"
    assert not engine.all("Secret"), "no secret is made in the program"
