"""What each layer of a platform makes, and that a model server can stand behind a door that another stack made."""

from typing import Any

import pulumi
import pytest

from components.aws.eks.mapping import ClusterAccess
from components.base.stack_scope import Scope
from components.serving.model_network import ModelDoor, addressable_groups
from components.serving.model_server import ModelServer
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.layers import AnchorGiven, ClusterGiven, DoorGiven, NetworkGiven
from isthmus.contracts.platform.model.platform import Site
from isthmus.core.errors import InputError
from tests import private
from tests.components.conftest import Engine, bank

RESTRICTED, CONFIDENTIAL = "restricted-llama-70b", "confidential-llama-8b"
NETWORKS = {
    network["name"]: NetworkGiven(
        vpc_id=f"vpc-{network['name']}", subnets=["subnet-1"], route_tables=["rtb-1"]
    )
    for network in bank()["networks"]
}
ANCHORS = {
    anchor["name"]: AnchorGiven(arn=f"arn:aws:rolesanywhere:::{anchor['name']}") for anchor in bank()["trust"]
}
DOORS = {name: DoorGiven(cluster_ip="10.96.0.7") for name in (RESTRICTED, CONFIDENTIAL)}


def build(scope: Scope, **more: Any) -> Engine:
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    from components import LlmPlatform

    engine = Engine()
    gives: dict[str, Any] = {}

    def program() -> pulumi.ComponentResource:
        platform = CheckedPlatform.model_validate(bank())
        providers: dict[str, pulumi.ProviderResource] = {
            site.name: Kubernetes(site.name) if site.kind == "on-prem" else Aws(site.name)
            for site in platform.sites
            if site.kind not in more.get("without", ())
        }
        llm_platform = LlmPlatform("bank", platform, providers, scope=scope)
        pulumi.Output.from_input(llm_platform.gives).apply(gives.update)
        return llm_platform

    engine.run(program)
    engine.outputs["gives"] = gives
    return engine


def types(engine: Engine) -> set[str]:
    return {resource.kind for resource in engine.made if not resource.type.startswith("pulumi:")}


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
    assert not [resource.name for resource in foundation.made if resource.type.startswith("kubernetes:")]
    gives = foundation.outputs["gives"]
    assert set(gives["networks"]) == set(NETWORKS)
    for network in gives["networks"].values():
        NetworkGiven.model_validate(network)
    assert set(gives["anchors"]) == set(ANCHORS)
    assert not gives["doors"]


def test_the_platform_builds_on_what_it_is_given(platform: Engine):
    assert not types(platform) & {"Vpc", "Subnet", "TrustAnchor", "TransitGateway", "Trail", "Bucket"}
    assert {vpc_endpoint.inputs["vpcId"] for vpc_endpoint in platform.all("VpcEndpoint")} <= {
        network.vpc_id for network in NETWORKS.values()
    }
    for role in platform.all("Role"):
        if "identity" in role.name:
            assert next(iter(ANCHORS.values())).arn in role.inputs["assumeRolePolicy"]


def test_the_platform_gives_each_model_server_a_door_and_no_pod(platform: Engine):
    doors = platform.outputs["gives"]["doors"]
    assert set(doors) == {RESTRICTED, CONFIDENTIAL}
    assert doors[RESTRICTED]["cluster_ip"].startswith("10.96.0.")
    assert RESTRICTED not in platform.pods()
    door = platform.only("Service", f"bank-{RESTRICTED}-service")
    assert door.meta["annotations"]["pulumi.com/waitFor"] == "jsonpath={.spec.clusterIP}"
    assert f"bank-{RESTRICTED}-network" in door.depends_on, "who may reach it is settled before it is found"
    aliases = platform.pods()["restricted-gateway"]["hostAliases"]
    assert [alias["ip"] for alias in aliases] == [doors[RESTRICTED]["cluster_ip"]]


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
    leaders = [service.meta["name"] for service in engine.all("Service")]
    assert sorted(leaders) == ["wide", *(f"wide-leader-{group}" for group in range(addressable_groups(3)))]
    assert len(engine.outputs["leaders"]) == addressable_groups(3)
    policies = {network_policy.meta["name"] for network_policy in engine.all("NetworkPolicy")}
    assert policies == {"wide", "wide-group-0", "wide-group-1", "wide-group-2"}


def test_a_roll_with_one_group_more_has_a_way_for_it(engine: Engine):
    engine.deploy(ModelDoor, "wide", {**DOOR_ARGS, "surge": True})
    assert (
        len(
            [
                network_policy
                for network_policy in engine.all("NetworkPolicy")
                if "group" in network_policy.name
            ]
        )
        == 4
    )


def test_a_door_and_a_server_behind_it_are_what_a_whole_server_is():
    engine, door, behind = Engine(), Engine(), Engine()
    engine.deploy(ModelServer, "wide", server_args())
    door.deploy(ModelDoor, "wide", DOOR_ARGS)
    door_values = {"cluster_ip": door.outputs["cluster_ip"], "leaders": door.outputs["leaders"]}
    behind.deploy(ModelServer, "wide", server_args(door=door_values))
    together = {(resource.kind, resource.name): resource for resource in [*door.made, *behind.made]}
    assert len(together) == len(door.made) + len(behind.made)
    alone = {(resource.kind, resource.name): resource for resource in engine.made}
    assert set(together) == set(alone)
    for key in (("LeaderWorkerSet", "wide-server"), ("NetworkPolicy", "wide-group-0")):
        assert together[key].inputs == alone[key].inputs
    assert behind.outputs["cluster_ip"] == door.outputs["cluster_ip"]


def test_too_few_leaders_are_refused(engine: Engine):
    door_values = {"cluster_ip": "10.96.0.9", "leaders": ["10.96.0.1"]}
    with pytest.raises(InputError, match="3 groups need the addresses of 4 leaders, but got 1"):
        engine.deploy(ModelServer, "wide", server_args(door=door_values))


PICKER = {"service": "picker", "labels": {"app": "picker"}}
STORE = {"endpoint": "https://s3.fra1.bank.example:9000", "address": "10.40.3.10"}
S3: Any = {
    **{"uri": "s3://models/m/v1", "digest": "sha256:" + "b" * 64, "cache": {"storage_class": "shared"}},
    "store": {**STORE, "credentials_secret": "s3"},
}


def test_a_routed_and_fetched_model_and_its_door_are_what_a_whole_server_is():
    more = {"nodes_per_replica": 1, "router": "router-istio", "picker": PICKER}
    arguments = server_args(**more, weights=S3, fetch_image="f@sha256:" + "a" * 64)
    engine, door, behind = Engine(), Engine(), Engine()
    engine.deploy(ModelServer, "wide", arguments)
    door.deploy(ModelDoor, "wide", {**DOOR_ARGS, **more, "fetched_from": STORE})
    behind.deploy(ModelServer, "wide", {**arguments, "door": {"cluster_ip": "10.96.0.1"}})
    alone = {(resource.kind, resource.name): resource.inputs for resource in engine.made}
    for part in (door, behind):
        for resource in part.made:
            if resource.kind != "Service":
                assert resource.inputs == alone[resource.kind, resource.name], resource.name
    kinds = {resource.kind for resource in door.made}
    assert {"InferencePool", "NetworkPolicy", "Service"} <= kinds
    assert {(resource.kind, resource.name) for resource in (*door.made, *behind.made)} == set(alone)
    assert len(alone) == len(door.made) + len(behind.made)
    assert "NetworkPolicy" not in {resource.kind for resource in behind.made}


def test_a_door_with_a_picker_that_nothing_would_ask_is_refused(engine: Engine):
    with pytest.raises(InputError, match=r"wide\.picker: a picker needs a router"):
        engine.deploy(ModelDoor, "wide", {**DOOR_ARGS, "picker": PICKER})


def test_a_store_that_is_no_plain_https_address_is_refused_at_the_door(engine: Engine):
    with pytest.raises(InputError, match=r"wide\.weights\.store\.endpoint"):
        engine.deploy(ModelDoor, "wide", {**DOOR_ARGS, "fetched_from": {**STORE, "endpoint": "http://s3"}})


def test_a_layer_retains_only_its_own_resources():
    def retained_kinds(scope: Scope) -> list[str]:
        return sorted(
            line.partition(" ")[0] for line in build(scope).outputs["retained"] if " at fra1" in line
        )

    assert retained_kinds(Scope("foundation")) == []
    assert retained_kinds(Scope("platform", frozenset(), NETWORKS, ANCHORS)) == ["Namespace", "Namespace"]
    assert retained_kinds(Scope("serving", frozenset({RESTRICTED}), doors=DOORS)) == ["PersistentVolumeClaim"]


def test_the_serving_layer_uses_the_cluster_access_of_the_platform():
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    from components import LlmPlatform

    platform, engine, reached = private.platform(), Engine(), []
    (model,) = [endpoint for endpoint in platform.endpoints if endpoint.target == "eks-vllm"]
    cluster_values = {
        "name": "frankfurt-1",
        "endpoint": "https://a.eks.example",
        "certificate_authority": "Q0E=",
    }
    scope = Scope(
        "serving",
        frozenset({model.id}),
        doors={model.id: DoorGiven(cluster_ip="172.20.0.9")},
        clusters={"frankfurt": ClusterGiven.model_validate(cluster_values)},
    )

    def connect(site: Site, access: ClusterAccess) -> pulumi.ProviderResource:
        reached.append((site.name, vars(access)))
        return Kubernetes("frankfurt-cluster")

    def program() -> pulumi.ComponentResource:
        return LlmPlatform("insurer", platform, {"frankfurt": Aws("frankfurt")}, scope=scope, connect=connect)

    engine.run(program)
    assert reached == [("frankfurt", cluster_values)]
    assert set(engine.pods()) == {model.id}
    assert not [resource.name for resource in engine.made if resource.type.startswith("aws:")]
