"""What the platform is made of so that one plan can follow another while requests come in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.pools.mapping import pool_args
from components.sites.namespaces import namespace_args
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.migration.capacity import Standing
from tests.components.conftest import Engine, Made, bank, build

OLD = Standing(
    id="confidential-old",
    class_="confidential",
    site="fra1",
    pool="fra1-h100-sxm-80gb",
    gpus=2,
    replicas=3,
    cpu="10",
    memory="100Gi",
)


@pytest.mark.parametrize("sensitivity", ["restricted", "confidential"])
def test_a_gateways_pods_wait_for_every_model_server_that_they_send_to(
    built: Engine, sensitivity: str
) -> None:
    model = {"restricted": "isthmus-restricted-llama-70b", "confidential": "isthmus-confidential-llama-8b"}[
        sensitivity
    ]
    gateway = built.only("Deployment", f"isthmus-fra1-{sensitivity}-gateway-server")
    # Ready: a Deployment is awaited with all its replicas, a Service with one.
    assert {f"{model}-server", f"{model}-service"} <= set(gateway.depends_on)


def test_a_gateway_waits_for_no_model_server_of_another_class(built: Engine) -> None:
    gateway = built.only("Deployment", "isthmus-fra1-confidential-gateway-server")
    assert not [name for name in gateway.depends_on if "llama-70b" in name]
    assert not [
        name
        for name in built.only("Deployment", "isthmus-fra1-public-gateway-server").depends_on
        if "llama" in name
    ]


def weights_claims(engine: Engine) -> list[Made]:
    return [
        persistent_volume_claim
        for persistent_volume_claim in engine.all("PersistentVolumeClaim")
        if "isthmus.dev/weights-digest" in persistent_volume_claim.meta["annotations"]
    ]


def test_a_claim_is_its_classs_and_outlives_the_endpoint(built: Engine) -> None:
    claims = {weights_claim.name: weights_claim for weights_claim in weights_claims(built)}
    assert set(claims) == {"isthmus-fra1-restricted-llama-70b", "isthmus-fra1-confidential-llama-8b"}
    assert {claim.parent for claim in claims.values()} == {"isthmus"}
    assert claims["isthmus-fra1-confidential-llama-8b"].meta["name"] == "llama-8b"
    assert "isthmus.dev/endpoint" not in claims["isthmus-fra1-confidential-llama-8b"].meta["labels"]


def test_two_endpoints_of_a_class_mount_one_claim(engine: Engine) -> None:
    data = bank()
    second: dict[str, Any] = copy.deepcopy(data["endpoints"][1])
    second.update(id="confidential-again", replicas=2, gpus=2)
    data["endpoints"].append(second)
    build(engine, data)
    assert len(weights_claims(engine)) == 2
    mounted = [
        volume["persistentVolumeClaim"]["claimName"]
        for deployment in engine.all("Deployment")
        if deployment.name in ("isthmus-confidential-again-server", "isthmus-confidential-llama-8b-server")
        for volume in deployment.pod["volumes"]
        if volume["name"] == "weights"
    ]
    assert mounted == ["llama-8b", "llama-8b"]


def test_a_quota_holds_what_goes_beside_what_comes() -> None:
    platform = CheckedPlatform.model_validate(bank())
    alone, side_by_side = (
        namespace_args(platform, platform.sites[0], "confidential", going).get("quota", {})
        for going in ((), (OLD,))
    )
    assert int(side_by_side["requests.nvidia.com/gpu"]) - int(alone["requests.nvidia.com/gpu"]) == 6
    assert int(side_by_side["pods"]) - int(alone["pods"]) == 3
    other_class = namespace_args(platform, platform.sites[0], "restricted", (OLD,))
    assert other_class == namespace_args(platform, platform.sites[0], "restricted"), (
        "another class gains nothing"
    )


def test_a_class_keeps_its_queue_in_a_pool_until_its_last_pod_is_gone() -> None:
    platform = CheckedPlatform.model_validate(bank())
    h100, l40s = platform.pools
    assert pool_args(platform, h100).get("classes") == ["restricted"]
    assert pool_args(platform, h100, (OLD,)).get("classes") == ["confidential", "restricted"]
    assert pool_args(platform, l40s, (OLD,)).get("classes") == ["confidential"]


def test_a_queue_gives_out_the_pool_and_not_what_a_plan_asks_for(built: Engine) -> None:
    [flavor] = built.only("ClusterQueue", "isthmus-fra1-h100-sxm-80gb-queue").spec["resourceGroups"][0][
        "flavors"
    ]
    quota = {resource["name"]: resource["nominalQuota"] for resource in flavor["resources"]}
    assert quota["nvidia.com/gpu"] == 16, "eight are planned: old and new could not stand beside each other"
