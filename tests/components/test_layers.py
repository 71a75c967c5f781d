"""What each layer of a platform makes, and that a model server can stand behind a door that another stack made."""

from typing import Any

import pulumi
import pytest

from components.onprem.door import ModelDoor, known_groups
from components.onprem.model_server import ModelServer
from components.scope import Scope
from isthmus.contracts.errors import InputError
from isthmus.contracts.layers import AnchorGiven, DoorGiven, NetworkGiven
from isthmus.contracts.platform import Platform
from tests.components.conftest import Engine, bank

RESTRICTED, CONFIDENTIAL = "restricted-llama-70b", "confidential-llama-8b"
NETWORKS = {
    each["name"]: NetworkGiven(vpc_id=f"vpc-{each['name']}", subnets=["subnet-1"], route_tables=["rtb-1"])
    for each in bank()["networks"]
}
ANCHORS = {
    each["name"]: AnchorGiven(arn=f"arn:aws:rolesanywhere:::{each['name']}") for each in bank()["trust"]
}
DOORS = {name: DoorGiven(cluster_ip="10.96.0.7") for name in (RESTRICTED, CONFIDENTIAL)}


def build(scope: Scope, **more: Any) -> Engine:
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    from components import LlmPlatform

    engine = Engine()
    gives: dict[str, Any] = {}

    def program() -> pulumi.ComponentResource:
        platform = Platform.model_validate(bank())
        providers: dict[str, pulumi.ProviderResource] = {
            site.name: Kubernetes(site.name) if site.kind == "on-prem" else Aws(site.name)
            for site in platform.sites
            if site.kind not in more.get("without", ())
        }
        made = LlmPlatform("bank", platform, providers, scope=scope)
        pulumi.Output.from_input(made.gives).apply(gives.update)
        return made

    engine.run(program)
    engine.outputs["gives"] = gives
    return engine


def types(engine: Engine) -> set[str]:
    return {made.kind for made in engine.made if not made.type.startswith("pulumi:")}


@pytest.fixture(scope="module")
def foundation() -> Engine:
    return build(Scope("foundation"), without=["on-prem"])


@pytest.fixture(scope="module")
def platform() -> Engine:
    return build(Scope("platform", frozenset(), NETWORKS, ANCHORS))


@pytest.fixture(scope="module")
def serving() -> Engine:
    return build(Scope("serving", frozenset({RESTRICTED}), doors=DOORS), without=["aws"])


def test_the_foundation_gives_its_networks_and_anchors_and_makes_nothing_in_a_cluster(foundation: Engine):
    assert not [made.name for made in foundation.made if made.type.startswith("kubernetes:")]
    given = foundation.outputs["gives"]
    assert set(given["networks"]) == set(NETWORKS)
    for each in given["networks"].values():
        NetworkGiven.model_validate(each)
    assert set(given["anchors"]) == set(ANCHORS)
    assert not given["doors"]


def test_the_platform_builds_on_what_it_is_given(platform: Engine):
    assert not types(platform) & {"Vpc", "Subnet", "TrustAnchor", "TransitGateway", "Trail", "Bucket"}
    assert {each.inputs["vpcId"] for each in platform.all("VpcEndpoint")} <= {
        each.vpc_id for each in NETWORKS.values()
    }
    for role in platform.all("Role"):
        if "identity" in role.name:
            assert next(iter(ANCHORS.values())).arn in role.inputs["assumeRolePolicy"]


def test_the_platform_gives_each_model_server_a_door_and_no_pod(platform: Engine):
    given = platform.outputs["gives"]["doors"]
    assert set(given) == {RESTRICTED, CONFIDENTIAL}
    assert given[RESTRICTED]["cluster_ip"].startswith("10.96.0.")
    assert RESTRICTED not in platform.pods()
    door = platform.only("Service", f"bank-{RESTRICTED}-service")
    assert door.meta["annotations"]["pulumi.com/waitFor"] == "jsonpath={.spec.clusterIP}"
    assert f"bank-{RESTRICTED}-network" in door.depends_on, "who may reach it is settled before it is found"
    aliases = platform.pods()["restricted-gateway"]["hostAliases"]
    assert [each["ip"] for each in aliases] == [given[RESTRICTED]["cluster_ip"]]


def test_serving_runs_its_own_models_behind_doors_that_it_did_not_make(serving: Engine):
    assert set(serving.pods()) == {RESTRICTED}
    assert types(serving) == {
        *("Deployment", "Certificate", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "PodMonitor"),
    } | ({"PersistentVolumeClaim"} & types(serving))
    assert not any(serving.outputs["gives"].values())


def server_args(**more: Any) -> Any:
    return {
        **{"id": "wide", "sensitivity": "confidential", "model": "m/m", "product": "H100", "survive": "none"},
        "weights": {"uri": "pvc://w", "digest": "sha256:" + "a" * 64},
        **{"vllm_image": "v@sha256:" + "a" * 64, "edge_image": "e@sha256:" + "a" * 64},
        **{"issuer": {"name": "ca"}, "monitoring_namespace": "monitoring"},
        **{"nodes_per_replica": 2, "tensor_parallel": 8, "replicas": 3, **more},
    }


DOOR_ARGS: Any = {
    key: server_args()[key]
    for key in ("id", "sensitivity", "monitoring_namespace", "nodes_per_replica", "replicas")
}


def test_the_door_of_groups_has_a_leader_for_each_and_their_ways(engine: Engine):
    engine.deploy(ModelDoor, "wide", DOOR_ARGS)
    leaders = [each.meta["name"] for each in engine.all("Service")]
    assert sorted(leaders) == ["wide", *(f"wide-leader-{group}" for group in range(known_groups(3)))]
    assert len(engine.outputs["leaders"]) == known_groups(3)
    ways = {each.meta["name"] for each in engine.all("NetworkPolicy")}
    assert ways == {"wide", "wide-group-0", "wide-group-1", "wide-group-2"}


def test_a_roll_with_one_group_more_has_a_way_for_it(engine: Engine):
    engine.deploy(ModelDoor, "wide", {**DOOR_ARGS, "surge": True})
    assert len([each for each in engine.all("NetworkPolicy") if "group" in each.name]) == 4


def test_a_door_and_a_server_behind_it_are_what_a_whole_server_is():
    whole, door, behind = Engine(), Engine(), Engine()
    whole.deploy(ModelServer, "wide", server_args())
    door.deploy(ModelDoor, "wide", DOOR_ARGS)
    given = {"cluster_ip": door.outputs["cluster_ip"], "leaders": door.outputs["leaders"]}
    behind.deploy(ModelServer, "wide", server_args(door=given))
    together = {(made.kind, made.name): made for made in [*door.made, *behind.made]}
    assert len(together) == len(door.made) + len(behind.made)
    alone = {(made.kind, made.name): made for made in whole.made}
    assert set(together) == set(alone)
    for key in (("LeaderWorkerSet", "wide-server"), ("NetworkPolicy", "wide-group-0")):
        assert together[key].inputs == alone[key].inputs
    assert behind.outputs["cluster_ip"] == door.outputs["cluster_ip"]


def test_too_few_leaders_are_refused(engine: Engine):
    given = {"cluster_ip": "10.96.0.9", "leaders": ["10.96.0.1"]}
    with pytest.raises(
        InputError, match=r"wide\.door\.leaders.*3 groups need the addresses of 4 leaders, and 1"
    ):
        engine.deploy(ModelServer, "wide", server_args(door=given))
