"""Held answers in a cluster in AWS: the same process as on-prem, on the share of records that is made there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import Reviews
from components.llm_platform import LlmPlatform
from edge.config import GatewayConfig, ReviewsConfig
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core.errors import InputError
from tests import private
from tests.components.conftest import Engine, Made, providers
from tests.components.test_review_service import REVIEWS as ALONE

SITE, SPACE, NAME = "frankfurt", "isthmus-confidential-reviews", "insurer-frankfurt-confidential"
ROOT = "/var/lib/isthmus/audit"


def deployed(data: dict[str, Any]) -> Engine:
    engine, platform = Engine(), CheckedPlatform.model_validate(data)
    engine.run(lambda: LlmPlatform("insurer", platform, providers(SITE, f"{SITE}/kubernetes")))
    return engine


@pytest.fixture(scope="module")
def reviewing() -> Engine:
    """An insurer without machines of its own, whose confidential answers are held."""
    return deployed(private.reviewed(from_cidrs=["10.80.7.0/24"], keep_days=30))


def read_config(engine: Engine, name: str) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), Path("config.yaml"))


def volumes_of(engine: Engine, name: str, namespace: str) -> dict[str, Made]:
    """Volumes that are made for a pod's claims, by the name in the pod."""
    volumes = {
        persistent_volume.spec["claimRef"]["name"]: persistent_volume
        for persistent_volume in engine.all("PersistentVolume")
        if persistent_volume.spec["claimRef"]["namespace"] == namespace
    }
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in engine.pods()[name]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    return {key: volumes[claim] for key, claim in claims.items() if claim in volumes}


def test_the_review_service_uses_the_database_and_keys_of_the_gateway_with_its_own_user(
    reviewing: Engine,
) -> None:
    gateway, desk = (
        read_config(reviewing, f"{NAME}-gateway-config"),
        read_config(reviewing, f"{NAME}-reviews-config"),
    )
    assert isinstance(gateway, GatewayConfig)
    assert isinstance(desk, ReviewsConfig)
    assert gateway.reviews is not None
    assert gateway.database is not None
    assert (gateway.database.user, desk.database.user) == ("gateway", "reviews")
    assert gateway.database.host == desk.database.host == "postgres.insurer.example"
    assert (desk.data_class, desk.site) == ("confidential", SITE)
    assert desk.held.keys == gateway.reviews.keys
    assert gateway.workloads[0].impact == "high"


def test_the_review_service_writes_records_and_the_sealer_writes_seals(reviewing: Engine) -> None:
    volumes = volumes_of(reviewing, "confidential-reviews", SPACE)
    gateway = volumes_of(reviewing, "confidential-gateway", "isthmus-confidential")
    assert volumes.keys() == gateway.keys() == {"audit-records", "audit-seals"}
    for key, volume in volumes.items():
        assert volume.meta["name"] != gateway[key].meta["name"], "one binds to one namespace only"
        assert volume.spec["csi"] == gateway[key].spec["csi"], "as one user of one share"
        assert volume.spec["mountOptions"] == ["tls", "iam"]
    (box,) = reviewing.pods()["confidential-reviews"]["containers"]
    read = {
        volume_mount["mountPath"]: volume_mount.get("readOnly", False) for volume_mount in box["volumeMounts"]
    }
    assert (read[f"{ROOT}/records"], read[f"{ROOT}/seals"]) == (False, True)


def test_the_keys_of_held_answers_are_on_the_organisations_own_share_for_both(reviewing: Engine) -> None:
    claims = {
        (
            persistent_volume_claim.meta["namespace"],
            persistent_volume_claim.meta["name"],
        ): persistent_volume_claim.spec["volumeName"]
        for persistent_volume_claim in reviewing.all("PersistentVolumeClaim")
        if persistent_volume_claim.meta["name"].endswith("held-keys")
    }
    assert claims == {
        ("isthmus-confidential", "confidential-gateway-held-keys"): "held-keys-confidential",
        (SPACE, "held-keys"): "held-keys-confidential-reviews",
    }


def test_the_review_service_reaches_only_the_database_and_has_no_identity(reviewing: Engine) -> None:
    policies = {
        network_policy.meta["name"]: network_policy
        for network_policy in reviewing.all("NetworkPolicy")
        if network_policy.meta["namespace"] == SPACE
    }
    assert set(policies) == {"default-deny", "confidential-reviews"}
    assert policies["confidential-reviews"].spec["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.80.40.21/32"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    ], "not the agent that hands out identities either"
    people, _ = policies["confidential-reviews"].spec["ingress"]
    assert people["from"] == [
        {"ipBlock": {"cidr": "10.80.7.0/24"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "reviewers"}}},
    ]
    bound = {
        pod_identity_association.inputs["namespace"]
        for pod_identity_association in reviewing.all("PodIdentityAssociation")
    }
    assert SPACE not in bound
    (network_policy,) = [
        network_policy
        for network_policy in reviewing.all("NetworkPolicy")
        if (network_policy.meta["namespace"], network_policy.meta["name"])
        == ("isthmus-confidential", "confidential-gateway")
    ]
    assert {"ipBlock": {"cidr": "10.80.40.21/32"}} in [
        peer for rule in network_policy.spec["egress"] for peer in rule["to"]
    ]


def test_the_review_service_waits_for_its_volumes_and_sealer(reviewing: Engine) -> None:
    awaited = set(reviewing.only("Deployment", f"{NAME}-reviews-server").depends_on)
    folders = {f"{NAME}-reviews-records-{folder}" for folder in ("records", "seals")}
    assert {*folders, *(f"{folder}-volume" for folder in folders), f"{NAME}-sealer-server"} <= awaited


def test_on_an_existing_share_the_review_service_claims_a_named_volume() -> None:
    data = private.reviewed(records_volume="records-confidential-reviews")
    data["audit"][0]["address"] = "10.80.9.9"
    for gateway in data["gateways"]:
        volume = f"records-{gateway['class']}"
        gateway["audit"] |= {"volume": volume, "sealer_volume": f"{volume}-sealer"}
    deployed_engine = deployed(data)
    assert not deployed_engine.all("PersistentVolume")
    (claim,) = [
        persistent_volume_claim
        for persistent_volume_claim in deployed_engine.all("PersistentVolumeClaim")
        if (persistent_volume_claim.meta["namespace"], persistent_volume_claim.meta["name"])
        == (SPACE, "records")
    ]
    assert claim.spec["volumeName"] == "records-confidential-reviews"


def test_without_reviews_no_review_service_is_created() -> None:
    deployed_engine = deployed(private.data())
    assert SPACE not in {namespace.meta["name"] for namespace in deployed_engine.all("Namespace")}


@pytest.mark.parametrize("more", [{}, {"records_volume": "r", "folders": {}}])
def test_alone_it_takes_a_volume_or_folders_one_of_the_two(engine: Engine, more: dict[str, Any]) -> None:
    args = {key: value for key, value in ALONE.items() if key != "records_volume"}
    args |= {"sensitivity": "confidential", "from_namespaces": ["reviewers"], **more}
    with pytest.raises(InputError, match="records need either a volume or the folders of a share") as refused:
        engine.deploy(Reviews, "r", args)
    assert refused.value.where == "confidential-reviews.records_volume"
