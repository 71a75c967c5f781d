"""Estates with people, routers, fetched weights, SageMaker, EKS and Fargate: layers together equal a single stack.

A release of a model changes only its serving stack."""

from __future__ import annotations

import collections
import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints.emergency_access import file_of
from isthmus.contracts.platform.model.emergency_access import Record
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.engine.render import rendering
from isthmus.engine.run import preflight
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph, join_layers
from tests import hosted
from tests.blueprints.test_emergency_access import signed
from tests.estate import (
    FETCHED,
    MORE,
    PICKER,
    ROUTER,
    S3,
    bank_estate,
    change_overrides,
)
from tests.layered import Case, case, kinds, layers_of_kind, plain, resources_by_name, stable_name

RESTRICTED = "restricted-qwen3-32b"
BANK: dict[str, Any] = {
    "lifecycle": "durable",
    "gateways": [{"name": "confidential-fra1", "router": ROUTER}],
    "endpoints": [{"id": FETCHED, "weights": S3, "picker": PICKER}],
    "imports": {
        "Namespace bank-fra1-internal-namespace": "isthmus-internal",
        "ServiceAccount bank-restricted-qwen3-32b-account": "isthmus-restricted/restricted-qwen3-32b",
        "Vpc bank-frankfurt-network-vpc": "vpc-0123456789abcdef0",
    },
}


def emergency(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """People with two keyholders, and the record of an access in force that both have signed for `bank`."""
    holders = []
    for name in ("ann", "bob"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        key = (folder / f"{name}.pub").read_text().strip()
        holders.append({"name": name, "user": f"oidc:{name}@bank.example", "key": key})
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    access: dict[str, Any] = {
        **{"id": "inc-1", "requester": "ann", "approver": "bob", "reason": "INC-1: the model hangs"},
        **{"site": "fra1", "class": "restricted"},
        "since": (now - datetime.timedelta(hours=1)).isoformat(),
        "until": (now + datetime.timedelta(hours=2)).isoformat(),
    }
    text = Record.model_validate(access).text("bank")
    access["signatures"] = {name: signed(folder, name, text) for name in ("ann", "bob")}
    people = {**MORE["people"], "break_glass": {"keyholders": holders}}
    return people, {"isthmus": "v1", "accesses": [access]}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Case:
    serves = {"bank-models": ["confidential"], "bank-others": ["restricted", "internal", "public"]}
    folder = tmp_path_factory.mktemp("bank")
    return case(folder, "bank", None, {**BANK, "people": MORE["people"]}, serves)


@pytest.fixture(scope="module")
def insurer(tmp_path_factory: pytest.TempPathFactory) -> Case:
    serves = {"insurer-models": [hosted.HOSTED], "insurer-others": [hosted.RESTRICTED]}
    return case(tmp_path_factory.mktemp("hosted"), "insurer", "hosted", hosted.OVERRIDES, serves)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case(tmp_path_factory.mktemp("cloud"), "cloud", "cloud-managed", {}, {})


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("private")
    return case(folder, "private", "cloud-private", {}, {"private-models": None})


@pytest.fixture(
    params=["bank", "insurer", *(pytest.param(each, marks=pytest.mark.soak) for each in ("cloud", "private"))]
)
def any_case(request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(request.param)


def test_the_layers_create_every_resource_of_a_single_stack_exactly_once(any_case: Case):
    whole_stack: dict[tuple[str, str], list[Any]] = {}
    for key, resource in resources_by_name(any_case.whole).items():
        whole_stack.setdefault(stable_name(key), []).append(plain(resource))
    layer_resources = [
        (key, resource)
        for layer in any_case.parts.values()
        for key, resource in resources_by_name(layer).items()
    ]
    assert len(layer_resources) == len({key for key, _ in layer_resources}), "two stacks would make the same"
    counted = collections.Counter(stable_name(key) for key, _ in layer_resources)
    assert counted == {key: len(resources) for key, resources in whole_stack.items()}
    for key, resource in layer_resources:
        actual = plain(resource)
        if "ModelDoor" in (resource.parent or "") and key[0].endswith(":Service"):
            del actual["metadata"]["annotations"]["pulumi.com/waitFor"]
            actual["metadata"] = {name: field for name, field in actual["metadata"].items() if field}
        assert actual in whole_stack[stable_name(key)], key


def test_boundaries_hold_for_all_layers_together_and_fail_without_the_platform_layer(any_case: Case):
    platform = any_case.project.stack(f"{any_case.name}-platform").platform()
    preflight.check_boundaries(
        [resource for layer in any_case.parts.values() for resource in layer.resources], platform, "x"
    )
    without = [
        resource
        for stack, layer in any_case.parts.items()
        if not stack.endswith("-platform")
        for resource in layer.resources
    ]
    if platform.gateways[0].runs_on == "kubernetes":
        with pytest.raises(Refused, match=r"isthmus-(restricted|confidential) reaches 0\.0\.0\.0/0"):
            preflight.check_boundaries(without, platform, "x")


def test_the_joined_layers_have_the_allowed_data_paths_of_a_single_stack(any_case: Case):
    """Through a router and a picker, to a model on SageMaker, on Fargate and in EKS; with all that a class has."""
    platform = any_case.project.stack(f"{any_case.name}-platform").platform()
    whole_paths = data_paths(Graph(any_case.whole.resources), platform)
    assert (
        data_paths(join_layers(*(layer.resources for layer in any_case.parts.values())), platform)
        == whole_paths
    )
    assert [path for path in whole_paths if path.verdict != "allowed"] == []
    served = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
    assert {path.workload for path in whole_paths} - {""} == served


def test_roles_of_people_belong_to_the_platform_layer_and_auditors_may_read_the_foundations_records(
    bank: Case,
):
    bindings = {**layers_of_kind(bank, "RoleBinding"), **layers_of_kind(bank, "ClusterRoleBinding")}
    assert bindings
    assert set(bindings.values()) == {"platform"}
    (auditor,) = [
        resource
        for key, resource in resources_by_name(bank.parts["bank-platform"]).items()
        if key[1] == "bank-frankfurt-people-auditor-policy"
    ]
    trail = bank.parts["bank-foundation"].outputs["layer"]["records"]["frankfurt"]
    assert set(trail) == {"bucket", "key", "log_group"}
    for arn in trail.values():
        assert arn in json.dumps(auditor.inputs), arn
    assert "people" in bank.parts["bank-platform"].outputs


@pytest.mark.soak
def test_an_emergency_access_is_signed_for_the_estate_and_granted_by_its_platform_layer(tmp_path: Path):
    project = bank_estate(tmp_path / "estate")
    people, accesses = emergency(tmp_path)
    change_overrides(project, lambda data: data.update(people=people))
    yaml_files.dump(accesses, "", file_of(project.stacks_dir, "bank"))
    platform = rendering.render(project.stack("bank-platform"))
    (access,) = platform.outputs["break_glass"]
    assert (access["id"], access["class"]) == ("inc-1", "restricted")
    (binding,) = [
        resource
        for key, resource in resources_by_name(platform).items()
        if key[0].endswith(":RoleBinding") and "inc-1" in key[1]
    ]
    assert binding.inputs["subjects"][0]["name"] == "oidc:ann@bank.example"
    accesses["accesses"][0]["reason"] = "INC-1: another reason"
    yaml_files.dump(accesses, "", file_of(project.stacks_dir, "bank"))
    with pytest.raises(Refused, match="has not signed this"):
        rendering.render(project.stack("bank-platform"))
    file_of(project.stacks_dir, "bank").rename(file_of(project.stacks_dir, "bank-platform"))
    with pytest.raises(InputError, match=r"which nobody reads\. Fix: Write it into bank\.break-glass\.yaml"):
        rendering.render(project.stack("bank-platform"))


def test_a_router_and_its_inference_pools_belong_to_the_platform_layer(bank: Case):
    for kind in ("Gateway", "HTTPRoute", "BackendTLSPolicy", "InferencePool"):
        layers = layers_of_kind(bank, kind)
        assert layers, kind
        assert set(layers.values()) == {"platform"}, kind


def test_fetch_jobs_belong_to_the_serving_layer_and_their_network_policies_to_the_platform_layer(bank: Case):
    assert layers_of_kind(bank, "Job") == {f"bank-{FETCHED}-fetch": "models"}
    assert layers_of_kind(bank, "PersistentVolumeClaim")[f"bank-{FETCHED}-cache"] == "models"
    assert layers_of_kind(bank, "NetworkPolicy")[f"bank-{FETCHED}-fetch-network"] == "platform"
    assert "NetworkPolicy" not in kinds(bank.parts["bank-models"])


def test_every_import_belongs_to_the_layer_that_creates_its_resource(bank: Case):
    imports = {
        (stack, resource.name): resource.options["import"]
        for stack, part in bank.parts.items()
        for resource in resources_by_name(part).values()
        if "import" in resource.options
    }
    assert imports == {
        ("bank-platform", "bank-fra1-internal-namespace"): "isthmus-internal",
        ("bank-others", "bank-restricted-qwen3-32b-account"): "isthmus-restricted/restricted-qwen3-32b",
        ("bank-foundation", "bank-frankfurt-network-vpc"): "vpc-0123456789abcdef0",
    }


def test_an_import_without_a_resource_is_refused_with_the_nearest_name(bank: Case):
    with pytest.raises(
        InputError, match=r"no layer of the estate has a resource `Vpc bank-frankfurt-vpc`.*network-vpc"
    ):
        bank.release(lambda data: data["imports"].update({"Vpc bank-frankfurt-vpc": "vpc-1"}))


def test_a_release_of_fetched_weights_changes_only_its_serving_stack(bank: Case):
    def release(data: dict[str, Any]) -> None:
        (model,) = [endpoint for endpoint in data["endpoints"] if endpoint["id"] == FETCHED]
        model["weights"] |= {"uri": "s3://models/llama-8b/v2", "digest": "sha256:" + "d" * 64}
        model["max_num_seqs"] = 32
        (endpoint,) = [endpoint for endpoint in data["endpoints"] if endpoint["id"] == RESTRICTED]
        endpoint["weights"] |= {
            "uri": "pvc://qwen3-32b-v2",
            "volume": "weights-v2",
            "digest": "sha256:" + "b" * 64,
        }

    changed = bank.changed(release)
    assert changed["bank-foundation"] == changed["bank-platform"] == set()
    assert changed["bank-models"] == {
        *(f"bank-{FETCHED}", f"bank-{FETCHED}-server", f"bank-{FETCHED}-fetch", "output layer"),
    }
    assert f"bank-{RESTRICTED}-server" in changed["bank-others"]


def test_another_store_of_weights_changes_the_network_policy_in_the_platform_layer(bank: Case):
    def moved(data: dict[str, Any]) -> None:
        (model,) = [endpoint for endpoint in data["endpoints"] if endpoint["id"] == FETCHED]
        model["weights"]["store"]["address"] = "10.40.3.11"

    changed = bank.changed(moved)
    assert changed["bank-foundation"] == set()
    assert changed["bank-platform"] == {f"bank-{FETCHED}", f"bank-{FETCHED}-fetch-network", "output layer"}


def test_a_sagemaker_model_belongs_to_the_serving_layer_and_its_callers_to_the_platform_layer(insurer: Case):
    for kind in ("Endpoint", "EndpointConfiguration", "Model", "Target"):
        assert set(layers_of_kind(insurer, kind).values()) == {"models"}, kind
    serving, platform = (insurer.parts[f"insurer-{name}"] for name in ("models", "platform"))
    assert {
        resource.name for resource in serving.resources if resource.type.startswith("pulumi:providers")
    } == {"frankfurt"}
    names = platform.outputs["layer"]["hosted"][hosted.HOSTED]
    (endpoint,) = [
        resource for key, resource in resources_by_name(serving).items() if key[0].endswith(":Endpoint")
    ]
    assert endpoint.inputs["name"] == names["endpoint"]
    dumps = json.dumps(
        [
            resource.inputs
            for key, resource in resources_by_name(platform).items()
            if key[0].endswith((":Policy", ":VpcEndpoint"))
        ]
    )
    assert f":endpoint/{names['endpoint']}" in dumps, "its translator may call it"
    (role,) = [resource for key, resource in resources_by_name(serving).items() if key[0].endswith(":Role")]
    assert role.inputs["name"] == names["role"]
    assert f":role/{names['role']}" in dumps, "it may fetch its weights through the private endpoint"
    assert f":::{names['bucket']}-*" in dumps, "and write there what it captures"
    (bucket,) = [
        resource for key, resource in resources_by_name(serving).items() if key[0].endswith(":Bucket")
    ]
    assert bucket.name == names["bucket"]
    assert not {"Vpc", "Subnet", "VpcEndpoint", "Route", "NetworkPolicy"} & kinds(serving)


def hosted_model(data: dict[str, Any]) -> dict[str, Any]:
    return next(endpoint for endpoint in data["endpoints"] if endpoint["id"] == hosted.HOSTED)


def test_a_release_of_a_hosted_model_changes_only_its_serving_stack(insurer: Case):
    def release(data: dict[str, Any]) -> None:
        hosted_model(data)["weights"]["digest"] = "sha256:" + "f" * 64
        hosted_model(data).update(replicas=4, max_num_seqs=16)
        hosted_model(data)["sagemaker"]["autoscaling"]["max_instances"] = 8
        data["images"]["sagemaker"] = data["images"]["sagemaker"].replace("sha256:a", "sha256:b")

    changed = insurer.changed(release)
    assert changed["insurer-foundation"] == changed["insurer-platform"] == set()
    prefix = f"hosted-{hosted.HOSTED}"
    assert {f"{prefix}-model", f"{prefix}-config", f"{prefix}-instances"} <= changed["insurer-models"]
    assert not {
        insurer_model
        for insurer_model in changed["insurer-models"]
        if insurer_model.endswith(("-group", "-s3", "-execution"))
    }


def test_weights_at_another_address_change_the_private_endpoint_of_the_platform_layer(insurer: Case):
    changed = insurer.changed(
        lambda data: hosted_model(data)["weights"].update(uri="s3://insurer-weights/v2/")
    )
    assert changed["insurer-foundation"] == set()
    assert changed["insurer-platform"] == {
        *("hosted-frankfurt-endpoints", "hosted-frankfurt-endpoints-s3", "output layer"),
    }


def test_gateways_on_fargate_with_logs_and_keys_belong_to_the_platform_layer(cloud: Case):
    assert set(cloud.parts) == {"cloud-foundation", "cloud-platform"}, "nothing runs here to be served"
    for kind in ("Service", "TaskDefinition", "LoadBalancer", "Cluster"):
        layers = layers_of_kind(cloud, kind)
        assert layers, kind
        assert set(layers.values()) == {"platform"}, kind
    logs = layers_of_kind(cloud, "LogGroup")
    assert {stack for name, stack in logs.items() if "gateway" in name} == {"platform"}
    assert {"foundation"} == {stack for name, stack in logs.items() if "gateway" not in name}


def test_an_eks_estate_has_cluster_network_and_models_in_their_layers(private: Case):
    assert set(layers_of_kind(private, "Vpc").values()) == {"foundation"}
    for kind in ("NodeGroup", "Addon", "PodIdentityAssociation", "ClusterQueue"):
        layers = layers_of_kind(private, kind)
        assert layers, kind
        assert set(layers.values()) == {"platform"}, kind
    assert "models" in layers_of_kind(private, "Deployment").values()
    frankfurt = private.parts["private-platform"].outputs["layer"]["clusters"]["frankfurt"]
    assert set(frankfurt) == {"name", "endpoint", "certificate_authority"}
    assert not {"NetworkPolicy", "Role", "Service"} & kinds(private.parts["private-models"])


def test_a_release_of_a_model_in_eks_changes_only_its_serving_stack(private: Case):
    def release(data: dict[str, Any]) -> None:
        (model,) = [endpoint for endpoint in data["endpoints"] if endpoint.get("weights")]
        model["weights"]["digest"] = "sha256:" + "d" * 64
        model["max_num_seqs"] = 16

    changed = private.changed(release)
    assert changed["private-foundation"] == changed["private-platform"] == set()
    assert "insurer-confidential-qwen3-14b-server" in changed["private-models"]


def test_an_eks_cluster_in_stage_cluster_has_node_groups_and_no_kubernetes_objects(private: Case):
    after = private.release(lambda data: data["clusters"][0].update(stage="cluster"))
    assert {"NodeGroup", "Cluster"} <= kinds(after["private-platform"])
    assert not [
        resource
        for part in after.values()
        for resource in part.resources
        if resource.type.startswith("kubernetes:")
    ]
