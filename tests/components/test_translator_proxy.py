"""Pull secrets on every pod; a proxy and authorities of the organisation's own on the translator's alone."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config import TranslatorConfig, check
from isthmus.contracts.platform.model.platform import Images
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.test_gateways import AWS, CLOUD, ONPREM, TRANSLATOR, config, deploy
from tests.components.test_pod_defaults import boxes

PROXY = {"url": "http://10.40.0.20:3128", "no_proxy": ["bank.example", "10.40.0.0/16"]}
HELPER = {
    "HTTPS_PROXY": "http://10.40.0.20:3128",
    "NO_PROXY": "bank.example,10.40.0.0/16",
    "SSL_CERT_FILE": "/etc/isthmus/authorities/ca.crt",
    "SSL_CERT_DIR": "/etc/isthmus/authorities",
}


def translator(**more: Any) -> dict[str, Any]:
    return {**TRANSLATOR, **more}


def public(engine: Engine, **more: Any) -> None:
    deploy(engine, "public", routes=[ONPREM, CLOUD], destinations=AWS, **more)


def helper(engine: Engine) -> dict[str, Any]:
    [box] = engine.only("Deployment", "g-translator-server").pod["initContainers"]
    return box


def test_every_pod_pulls_with_all_of_the_platforms_secrets(platform: dict[str, Any]) -> None:
    platform["images"] |= {"pull_secret": "old", "pull_secrets": ["mirror", "old"]}
    engine = Engine()
    build(engine, platform)
    pods = engine.pods()
    assert len(pods) == 15
    for name, pod in pods.items():
        assert pod["imagePullSecrets"] == [{"name": "old"}, {"name": "mirror"}], name


def test_without_pull_secrets_no_pod_names_one(built: Engine) -> None:
    assert not [name for name, pod in built.pods().items() if "imagePullSecrets" in pod]


def test_pull_secrets_are_each_named_once_and_the_old_key_still_counts() -> None:
    images = Images.model_construct(pull_secret="a", pull_secrets=["b", "a", "b"])
    assert images.all_pull_secrets == ["a", "b"]


def test_a_proxy_is_configured_for_translator_helper_and_network_policy(
    engine,
) -> None:
    public(engine, translator=translator(proxy=PROXY))
    assert config(engine, "g-translator-config")["outbound"] == {
        "proxy": PROXY["url"],
        "no_proxy": PROXY["no_proxy"],
    }
    box = helper(engine)
    environment = {variable["name"]: variable["value"] for variable in box["env"]}
    assert environment == {key: HELPER[key] for key in ("HTTPS_PROXY", "NO_PROXY")}
    assert box["command"][-1] == "--with-proxy", "without it the helper reads no proxy"
    policy = engine.only("NetworkPolicy", "g-translator-network").spec["egress"]
    assert policy[-1] == {
        "to": [{"ipBlock": {"cidr": "10.40.0.20/32"}}],
        "ports": [{"protocol": "TCP", "port": 3128}],
    }
    assert policy[:-1] == [
        {"to": [{"ipBlock": {"cidr": AWS[0]["cidr"]}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]


def test_a_ca_bundle_is_mounted_in_both_containers_that_call_aws(engine) -> None:
    public(engine, translator=translator(ca_bundle="bank-authorities"))
    pod = engine.only("Deployment", "g-translator-server").pod
    mount = {"name": "authorities", "mountPath": "/etc/isthmus/authorities", "readOnly": True}
    assert all(mount in box["volumeMounts"] for box in boxes(pod))
    assert [volume for volume in pod["volumes"] if volume["name"] == "authorities"] == [
        {"name": "authorities", "configMap": {"name": "bank-authorities", "defaultMode": 0o440}}
    ]
    assert config(engine, "g-translator-config")["outbound"] == {"ca": "/etc/isthmus/authorities/ca.crt"}
    environment = {variable["name"]: variable["value"] for variable in helper(engine)["env"]}
    assert environment == {key: HELPER[key] for key in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    assert "--with-proxy" not in helper(engine)["command"]


def test_the_gateway_before_it_gets_neither(engine) -> None:
    public(engine, translator=translator(proxy=PROXY, ca_bundle="bank-authorities"))
    [box] = engine.only("Deployment", "g-server").pod["containers"]
    assert "env" not in box
    assert "authorities" not in str(engine.only("Deployment", "g-server").pod)
    assert "10.40.0.20" not in str(engine.only("NetworkPolicy", "g-network").spec)


def test_the_edge_reads_what_the_component_writes(engine, tmp_path) -> None:
    public(engine, translator=translator(proxy=PROXY, ca_bundle="bank-authorities"))
    read = check(config(engine, "g-translator-config"), tmp_path)
    assert isinstance(read, TranslatorConfig)
    assert read.outbound.proxy == PROXY["url"]


@pytest.mark.parametrize("settings", [{"proxy": PROXY}, {"ca_bundle": "bank-authorities"}])
def test_a_confidential_translator_is_refused_both_even_by_exception(
    engine, settings: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="the confidential class may not have a proxy or a CA bundle"):
        deploy(
            engine,
            "confidential",
            routes=[ONPREM, CLOUD],
            translator=translator(**settings),
            destinations=AWS,
            exception="EX-1",
        )


@pytest.mark.parametrize(
    "url", ["http://proxy.bank.example:3128", "http://me:secret@10.40.0.20:3128", "10.40.0.20:3128"]
)
def test_a_proxy_by_name_or_with_credentials_is_refused_and_not_repeated(engine, url: str) -> None:
    with pytest.raises(InputError, match="not a plain address") as refused:
        public(engine, translator=translator(proxy={"url": url}))
    assert "secret" not in str(refused.value)


def test_an_internal_translator_may_have_authorities_and_no_proxy(engine) -> None:
    arguments = {"routes": [ONPREM, CLOUD], "destinations": AWS}
    deploy(engine, "internal", translator=translator(ca_bundle="bank-authorities"), **arguments)
    with pytest.raises(Refused, match="the internal class may not have a proxy"):
        deploy(Engine(), "internal", translator=translator(proxy=PROXY), **arguments)


def test_the_platform_hands_them_to_the_gateway_that_names_them(platform: dict[str, Any]) -> None:
    gateways = {gateway["class"]: gateway for gateway in platform["gateways"]}
    gateways["internal"]["ca_bundle"] = "bank-authorities"
    gateways["public"]["proxy"] = PROXY
    for part in (*platform["networks"], *platform["links"]):
        part["classes"] = [sensitivity for sensitivity in part["classes"] if sensitivity != "public"]
    engine = Engine()
    build(engine, platform)
    with_proxy = {
        network_policy.meta["name"]
        for network_policy in engine.all("NetworkPolicy")
        if "10.40.0.20/32" in str(network_policy.spec)
    }
    assert with_proxy == {"public-translator"}
    assert {name for name, pod in engine.pods().items() if "authorities" in str(pod)} == {
        "internal-translator"
    }
