"""Held answers as deployed: what the gateway is told of them, and the process beside it where people decide."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway, Reviews
from edge.config import GatewayConfig, ReviewsConfig
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import CLOSED, DIGEST, REGISTRY, bank, reviewed

SPACE = "isthmus-confidential-reviews"
TEXT = '{"isthmus_calibration": 1, "domain": "onboarding"}\n'
CALIBRATION = {
    "name": "llama-fields",
    "file": "calibrations/llama-fields.json",
    "digest": f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}",
    "text": TEXT,
}


def read_config(engine: Engine, name: str) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), Path("config.yaml"))


@pytest.fixture(scope="module")
def reviewing() -> Engine:
    """The bank, whose confidential answers are held and scored."""
    engine = Engine()
    people = [{"name": "erika@bank.example", "client": "erika.people.bank.example", "senior": True}]
    platform = reviewed(bank(), reviewers=people, from_namespaces=["reviewers"], keep_days=30, decide_h=12)
    platform["gateways"][1]["workloads"][0]["calibrations"] = [CALIBRATION]
    build(engine, platform)
    return engine


def test_the_gateway_holds_what_the_requirements_say_and_reads_its_calibrations(reviewing: Engine) -> None:
    read = read_config(reviewing, "isthmus-fra1-confidential-gateway-config")
    assert isinstance(read, GatewayConfig)
    assert read.reviews is not None
    assert (read.reviews.decide_h, read.reviews.escalated_h, read.reviews.keep_days) == (12, 24, 30)
    (workload,) = read.workloads
    assert workload.impact == "high"
    assert workload.review is not None
    assert (workload.review.domain, workload.review.below_confidence) == ("onboarding", 0.7)
    assert workload.confidence is not None
    assert workload.confidence.domain == "onboarding"
    pod = reviewing.pods()["confidential-gateway"]
    at = {volume_mount["mountPath"]: volume_mount for volume_mount in pod["containers"][0]["volumeMounts"]}
    assert not at[str(read.reviews.keys)].get("readOnly"), "a key is made for each subject"
    assert str(Path(read.reviews.wrapping_key).parent) in at
    (file,) = workload.confidence.calibrations
    config_map = reviewing.only("ConfigMap", "isthmus-fra1-confidential-gateway-calibrations")
    assert config_map.inputs["data"] == {file.name: TEXT}, "to the byte: records name its digest"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = volumes[at[str(file.parent)]["name"]]["configMap"]["name"]
    assert mounted == config_map.meta["name"]


def test_the_review_service_uses_the_keys_and_database_of_the_gateway_with_another_user(
    reviewing: Engine,
) -> None:
    gateway = read_config(reviewing, "isthmus-fra1-confidential-gateway-config")
    read = read_config(reviewing, "isthmus-fra1-confidential-reviews-config")
    assert isinstance(read, ReviewsConfig)
    assert (read.data_class, read.site) == ("confidential", "fra1")
    assert (read.database.host, read.database.name) == (gateway.database.host, gateway.database.name)
    assert (gateway.database.user, read.database.user) == ("gateway", "reviews")
    assert read.held.keys == gateway.reviews.keys
    assert (read.audit.records, read.audit.seals) == (gateway.audit.records, gateway.audit.seals)
    assert read.audit.policy.startswith("config-")
    (erika,) = read.reviewers
    assert (erika.name, erika.client, erika.senior) == (
        "erika@bank.example",
        "erika.people.bank.example",
        True,
    )
    assert str(read.listen.client_ca) == "/etc/isthmus/reviewers/ca.crt", "not who signs applications"


def test_reviewers_alone_get_in_and_nothing_but_the_database_is_reached(reviewing: Engine) -> None:
    policies = {
        network_policy.meta["name"]: network_policy.spec
        for network_policy in reviewing.all("NetworkPolicy")
        if network_policy.meta["namespace"] == SPACE
    }
    assert set(policies) == {"default-deny", "confidential-reviews"}
    assert policies["default-deny"] == CLOSED
    confidential_reviews = policies["confidential-reviews"]
    assert confidential_reviews["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.40.0.21/32"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    ]
    people, scraping = confidential_reviews["ingress"]
    assert people["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert people["from"] == [
        {"ipBlock": {"cidr": "10.40.7.0/24"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "reviewers"}}},
    ]
    assert scraping["ports"] == [{"protocol": "TCP", "port": 9090}]
    pod = reviewing.pods()["confidential-reviews"]
    assert pod["hostAliases"] == [{"ip": "10.40.0.21", "hostnames": ["postgres.fra1.bank.example"]}]
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})


def test_the_review_service_is_separate_from_the_gateway(reviewing: Engine) -> None:
    pods = reviewing.pods()
    confidential_gateway, confidential_reviews = pods["confidential-gateway"], pods["confidential-reviews"]

    def secrets(pod: dict[str, Any]) -> set[str]:
        return {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}

    assert not secrets(confidential_gateway) & secrets(confidential_reviews)
    assert confidential_gateway["serviceAccountName"] != confidential_reviews["serviceAccountName"]
    (namespace,) = [namespace for namespace in reviewing.all("Namespace") if namespace.meta["name"] == SPACE]
    assert namespace.meta["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace.meta["labels"]["isthmus.dev/class"] == "confidential", "admission looks at it, too"
    claims = {
        (
            persistent_volume_claim.meta["namespace"],
            persistent_volume_claim.meta["name"],
        ): persistent_volume_claim.spec["volumeName"]
        for persistent_volume_claim in reviewing.all("PersistentVolumeClaim")
        if "confidential" in persistent_volume_claim.name and "llama" not in persistent_volume_claim.name
    }
    assert claims == {
        ("isthmus-confidential", "confidential-gateway-records"): "records-confidential",
        ("isthmus-confidential", "confidential-gateway-held-keys"): "held-keys-confidential",
        ("isthmus-confidential-sealer", "records"): "records-confidential-sealer",
        (SPACE, "records"): "records-confidential-reviews",
        (SPACE, "held-keys"): "held-keys-confidential-reviews",
    }


def test_two_copies_survive_a_machine_loss_and_fit_their_quota_during_a_roll(
    reviewing: Engine,
) -> None:
    server = reviewing.only("Deployment", "isthmus-fra1-confidential-reviews-server")
    assert server.spec["replicas"] == 2
    assert server.spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert (
        reviewing.only("PodDisruptionBudget", "isthmus-fra1-confidential-reviews-disruption").spec[
            "maxUnavailable"
        ]
        == 1
    )
    quota = reviewing.only("ResourceQuota", "isthmus-fra1-confidential-reviews-quota").spec["hard"]
    assert (quota["pods"], quota["limits.cpu"], quota["limits.memory"]) == ("5", "2500m", "2560Mi")
    assert "isthmus-fra1-confidential-sealer-server" in server.depends_on, (
        "it decides nothing until somebody seals"
    )
    resources = [
        resource for resource in reviewing.made if resource.parent == "isthmus-fra1-confidential-reviews"
    ]
    # The Deployment waits for the others.
    waiting = [resource for resource in resources if resource.kind not in ("Namespace", "Deployment")]
    assert len(waiting) >= 10
    for resource in waiting:
        assert "isthmus-fra1-confidential-reviews-namespace" in resource.depends_on, (
            f"{resource.name} comes before it"
        )


def test_with_kept_content_the_keys_share_one_folder() -> None:
    engine, platform = Engine(), reviewed(bank())
    platform["gateways"][1]["audit"]["content"] = {"volume": "content-keys", "days": {"kyc-extraction": 30}}
    platform["gateways"][1]["reviews"].pop("gateway_keys_volume")
    build(engine, platform)
    read = read_config(engine, "isthmus-fra1-confidential-gateway-config")
    assert read.reviews.keys == read.audit.content.keys
    pod = engine.pods()["confidential-gateway"]
    paths = [volume_mount["mountPath"] for volume_mount in pod["containers"][0]["volumeMounts"]]
    assert paths.count(str(read.reviews.keys)) == 1


def test_another_threshold_is_another_version_in_the_records() -> None:
    versions = []
    for below in (0.7, 0.6):
        engine, platform = Engine(), reviewed(bank())
        platform["gateways"][1]["workloads"][0]["review"]["below_confidence"] = below
        build(engine, platform)
        versions.append(read_config(engine, "isthmus-fra1-confidential-gateway-config").audit.policy)
    assert versions[0] != versions[1]


GATEWAY: dict[str, Any] = {
    **{"sensitivity": "confidential", "site": "fra1", "image": f"{REGISTRY}edge@{DIGEST}"},
    **{"callers_secret": "callers", "monitoring_namespace": "monitoring", "issuer": {"name": "ca"}},
    "routes": [{"workload": "kyc", "endpoint": "llama", "model": "llama", "impact": "high"}],
}
REVIEWS: dict[str, Any] = {
    **{"sensitivity": "restricted", "site": "fra1", "image": f"{REGISTRY}edge@{DIGEST}"},
    "database": {"host": "postgres.bank.example", "address": "10.40.0.21"},
    **{"secret": "s", "reviewers_ca": "ca", "records_volume": "r", "keys_volume": "k"},
    **{"monitoring_namespace": "monitoring", "issuer": {"name": "ca"}, "site_cidrs": ["10.40.0.0/16"]},
}


def test_a_gateway_alone_serves_nothing_of_high_impact_where_it_holds_nothing(engine: Engine) -> None:
    with pytest.raises(Refused, match="people must review answers of 'kyc'"):
        engine.deploy(InferenceGateway, "g", GATEWAY)


def test_a_gateway_alone_holds_nothing_without_a_database(engine: Engine) -> None:
    with pytest.raises(InputError, match="held answers need `database`"):
        engine.deploy(InferenceGateway, "g", {**GATEWAY, "reviews": {"gateway_keys_volume": "k"}})


def test_a_calibration_that_is_another_than_stated_is_not_mounted(engine: Engine) -> None:
    calibration = {"name": "a", "digest": "sha256:" + "0" * 64, "text": TEXT}
    route = {"workload": "kyc", "endpoint": "llama", "model": "llama"}
    scored = {**route, "confidence": {"domain": "onboarding", "calibrations": [calibration]}}
    with pytest.raises(InputError, match="the calibration's text does not match its digest"):
        engine.deploy(InferenceGateway, "g", {**GATEWAY, "routes": [scored]})


def test_the_review_service_admits_only_named_namespaces_and_local_databases(
    engine: Engine,
) -> None:
    with pytest.raises(InputError, match="no network and no namespace may reach"):
        engine.deploy(Reviews, "r", REVIEWS)
    for changed in (
        {"from_cidrs": ["10.9.0.0/16"]},
        {"from_cidrs": ["10.40.7.0/24"], "database": {"host": "p.bank.example", "address": "10.9.0.1"}},
    ):
        with pytest.raises(Refused, match="not inside the site's networks"):
            engine.deploy(Reviews, "r", {**REVIEWS, **changed})
