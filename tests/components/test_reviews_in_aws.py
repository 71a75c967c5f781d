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
    made, platform = Engine(), CheckedPlatform.model_validate(data)
    made.run(lambda: LlmPlatform("insurer", platform, providers(SITE, f"{SITE}/kubernetes")))
    return made


@pytest.fixture(scope="module")
def held() -> Engine:
    """An insurer without machines of its own, whose confidential answers are held."""
    return deployed(private.reviewed(from_cidrs=["10.80.7.0/24"], keep_days=30))


def told(engine: Engine, name: str) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), Path("config.yaml"))


def volumes_of(engine: Engine, name: str, space: str) -> dict[str, Made]:
    """Volumes that are made for a pod's claims, by the name in the pod."""
    made = {
        each.spec["claimRef"]["name"]: each
        for each in engine.all("PersistentVolume")
        if each.spec["claimRef"]["namespace"] == space
    }
    claims = {
        each["name"]: each["persistentVolumeClaim"]["claimName"]
        for each in engine.pods()[name]["volumes"]
        if "persistentVolumeClaim" in each
    }
    return {key: made[claim] for key, claim in claims.items() if claim in made}


def test_who_decides_has_the_gateways_database_and_keys_under_a_user_of_its_own(held: Engine) -> None:
    gateway, desk = told(held, f"{NAME}-gateway-config"), told(held, f"{NAME}-reviews-config")
    assert isinstance(gateway, GatewayConfig)
    assert isinstance(desk, ReviewsConfig)
    assert gateway.reviews is not None
    assert gateway.database is not None
    assert (gateway.database.user, desk.database.user) == ("gateway", "reviews")
    assert gateway.database.host == desk.database.host == "postgres.insurer.example"
    assert (desk.data_class, desk.site) == ("confidential", SITE)
    assert desk.held.keys == gateway.reviews.keys
    assert gateway.workloads[0].impact == "high"


def test_its_records_lie_among_the_gateways_and_its_seals_are_the_sealers_to_write(held: Engine) -> None:
    volumes = volumes_of(held, "confidential-reviews", SPACE)
    gateway = volumes_of(held, "confidential-gateway", "isthmus-confidential")
    assert volumes.keys() == gateway.keys() == {"audit-records", "audit-seals"}
    for key, volume in volumes.items():
        assert volume.meta["name"] != gateway[key].meta["name"], "one binds to one namespace only"
        assert volume.spec["csi"] == gateway[key].spec["csi"], "as one user of one share"
        assert volume.spec["mountOptions"] == ["tls", "iam"]
    (box,) = held.pods()["confidential-reviews"]["containers"]
    read = {each["mountPath"]: each.get("readOnly", False) for each in box["volumeMounts"]}
    assert (read[f"{ROOT}/records"], read[f"{ROOT}/seals"]) == (False, True)


def test_the_keys_of_held_answers_are_on_the_organisations_own_share_for_both(held: Engine) -> None:
    claims = {
        (each.meta["namespace"], each.meta["name"]): each.spec["volumeName"]
        for each in held.all("PersistentVolumeClaim")
        if each.meta["name"].endswith("held-keys")
    }
    assert claims == {
        ("isthmus-confidential", "confidential-gateway-held-keys"): "held-keys-confidential",
        (SPACE, "held-keys"): "held-keys-confidential-reviews",
    }


def test_it_reaches_the_database_alone_and_bears_no_identity(held: Engine) -> None:
    policies = {
        each.meta["name"]: each for each in held.all("NetworkPolicy") if each.meta["namespace"] == SPACE
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
    bound = {each.inputs["namespace"] for each in held.all("PodIdentityAssociation")}
    assert SPACE not in bound
    (way,) = [
        each
        for each in held.all("NetworkPolicy")
        if (each.meta["namespace"], each.meta["name"]) == ("isthmus-confidential", "confidential-gateway")
    ]
    assert {"ipBlock": {"cidr": "10.80.40.21/32"}} in [
        peer for one in way.spec["egress"] for peer in one["to"]
    ]


def test_it_waits_for_its_volumes_and_for_whoever_seals_there(held: Engine) -> None:
    awaited = set(held.only("Deployment", f"{NAME}-reviews-server").depends_on)
    folders = {f"{NAME}-reviews-records-{each}" for each in ("records", "seals")}
    assert {*folders, *(f"{each}-volume" for each in folders), f"{NAME}-sealer-server"} <= awaited


def test_on_a_share_of_the_organisations_it_claims_a_volume_by_name() -> None:
    data = private.reviewed(records_volume="records-confidential-reviews")
    data["audit"][0]["address"] = "10.80.9.9"
    for gateway in data["gateways"]:
        whose = f"records-{gateway['class']}"
        gateway["audit"] |= {"volume": whose, "sealer_volume": f"{whose}-sealer"}
    made = deployed(data)
    assert not made.all("PersistentVolume")
    (claim,) = [
        each
        for each in made.all("PersistentVolumeClaim")
        if (each.meta["namespace"], each.meta["name"]) == (SPACE, "records")
    ]
    assert claim.spec["volumeName"] == "records-confidential-reviews"


def test_where_nobody_asks_for_people_nothing_of_it_is_made() -> None:
    made = deployed(private.data())
    assert SPACE not in {each.meta["name"] for each in made.all("Namespace")}


@pytest.mark.parametrize("more", [{}, {"records_volume": "r", "folders": {}}])
def test_alone_it_takes_a_volume_or_folders_one_of_the_two(engine: Engine, more: dict[str, Any]) -> None:
    args = {key: each for key, each in ALONE.items() if key != "records_volume"}
    args |= {"sensitivity": "confidential", "from_namespaces": ["reviewers"], **more}
    with pytest.raises(InputError, match="one of the two") as refused:
        engine.deploy(Reviews, "r", args)
    assert refused.value.where == "confidential-reviews.records_volume"
