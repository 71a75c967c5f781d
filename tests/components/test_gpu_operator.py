"""The GPU Operator as a Helm release: what it is told, and which chart it is."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from components import GpuOperator
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, Made, build

DIGEST = "sha256:" + "c" * 64
CHART = "oci://registry.bank.example/llm/charts/gpu-operator"


def deploy(engine: Engine, **more: Any) -> Made:
    engine.deploy(GpuOperator, "o", {"chart": CHART, "version": "v26.7.0", "digest": DIGEST, **more})
    return engine.only("Release")


def test_helm_fetches_the_chart_by_its_digest(engine: Engine) -> None:
    release = deploy(engine)
    assert (release.inputs["chart"], release.inputs["version"]) == (f"{CHART}@{DIGEST}", "v26.7.0")
    assert (release.inputs["name"], release.inputs["namespace"]) == ("gpu-operator", "gpu-operator")
    assert release.inputs["atomic"], "a failed update goes back"


def test_the_operator_namespace_allows_privileged_driver_pods(engine: Engine) -> None:
    deploy(engine, namespace="nvidia")
    namespace = engine.only("Namespace")
    assert namespace.meta["name"] == "nvidia"
    assert namespace.meta["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert engine.only("Release").depends_on == ("o-namespace",)


def test_slices_have_their_own_resource_names(engine: Engine) -> None:
    values = deploy(engine).inputs["values"]
    assert values["mig"] == {"strategy": "mixed"}
    assert values["driver"] == {"enabled": True}
    assert set(values) == {"nfd", "cdi", "mig", "driver", "operator"}


@pytest.mark.parametrize(
    ("more", "key", "expected"),
    [
        ({"driver": "host"}, "driver", {"enabled": False}),
        (
            {"driver_version": "595.91.07"},
            "driver",
            {"enabled": True, "repository": "nvcr.io/nvidia", "version": "595.91.07"},
        ),
        (
            {"nvidia_drivers": True},
            "driver",
            {"enabled": True, "nvidiaDriverCRD": {"enabled": True, "deployDefaultCR": False}},
        ),
        (
            {"mig_layouts": "isthmus-mig"},
            "migManager",
            {"config": {"name": "isthmus-mig", "default": "all-disabled"}},
        ),
        ({"device_plugin_configs": "dp"}, "devicePlugin", {"config": {"name": "dp", "default": "whole"}}),
        ({"taints": True}, "node-feature-discovery", {"master": {"config": {"enableTaints": True}}}),
    ],
)
def test_the_chart_values_follow_from_the_pools(
    engine: Engine, more: dict[str, Any], key: str, expected: Any
) -> None:
    assert deploy(engine, **more).inputs["values"][key] == expected


def test_values_given_are_merged_over_ours(engine: Engine) -> None:
    values_given = {
        "driver": {"repository": "registry.bank.example/nvidia"},
        "dcgmExporter": {"enabled": False},
    }
    values = deploy(engine, driver_version="595.91.07", values=values_given).inputs["values"]
    assert values["driver"] == {
        "enabled": True,
        "repository": "registry.bank.example/nvidia",
        "version": "595.91.07",
    }
    assert values["dcgmExporter"] == {"enabled": False}


def test_a_chart_of_a_registry_has_a_version(engine: Engine) -> None:
    with pytest.raises(InputError, match="would install the newest"):
        engine.deploy(GpuOperator, "o", {"chart": CHART})


def test_machines_with_their_own_driver_are_given_none(engine: Engine) -> None:
    with pytest.raises(InputError, match="driver is `host`"):
        deploy(engine, driver="host", nvidia_drivers=True)


def test_a_packed_chart_is_the_one_pinned_or_nothing_is_made(engine: Engine, tmp_path: Path) -> None:
    packed = tmp_path / "gpu-operator-v26.7.0.tgz"
    with pytest.raises(InputError, match="tgz does not exist"):
        deploy(engine, chart=str(packed))
    packed.write_bytes(b"a chart")
    with pytest.raises(Refused, match="is pinned"):
        deploy(engine, chart=str(packed))
    assert not engine.made
    right = f"sha256:{hashlib.sha256(b'a chart').hexdigest()}"
    assert deploy(engine, chart=str(packed), digest=right).inputs["chart"] == str(packed)


def managed(platform: dict[str, Any]) -> None:
    release = {"chart": CHART, "version": "v26.7.0", "digest": DIGEST}
    platform["operators"] = {"gpu_operator": "manage", "gpu_operator_release": release}


def test_the_platform_tells_the_operator_what_its_pools_need(
    engine: Engine, platform: dict[str, Any]
) -> None:
    managed(platform)
    pool = platform["pools"][1]
    pool["time_slicing"] = {"class": "confidential", "replicas": 4, "nodes": pool["node_names"]}
    platform["endpoints"][1] |= {"time_sliced": True, "gpu_memory_utilization": 0.2}
    for pool_data in platform["pools"]:
        pool_data["driver"] = {"version": "595", "precompiled": True}
    platform["images"]["registry"] = "registry.bank.example/llm"
    build(engine, platform)
    release = engine.only("Release")
    assert release.inputs["values"]["devicePlugin"]["config"]["name"] == "isthmus-device-plugin"
    assert release.inputs["values"]["driver"]["nvidiaDriverCRD"]["enabled"]
    assert not [read for read in engine.reads if "ClusterPolicy" in read]
    drivers = {nvidiadriver.meta["name"]: nvidiadriver.spec for nvidiadriver in engine.all("NVIDIADriver")}
    assert set(drivers) == {pool["name"] for pool in platform["pools"]}
    assert {spec["repository"] for spec in drivers.values()} == {"registry.bank.example/llm/nvidia"}
    (pods,) = [pod for name, pod in engine.pods().items() if name == "confidential-llama-8b"]
    assert pods["containers"][0]["resources"]["limits"]["nvidia.com/gpu.shared"] == "1"
    quotas = {
        resource_quota.meta["namespace"]: resource_quota.spec["hard"]
        for resource_quota in engine.all("ResourceQuota")
    }
    assert quotas["isthmus-confidential"]["requests.nvidia.com/gpu.shared"] == "7"
    assert quotas["isthmus-restricted"]["requests.nvidia.com/gpu.shared"] == "0", (
        "no other class gets a share"
    )


def test_an_endpoint_waits_in_its_teams_queue_with_its_own_priority(
    engine: Engine, platform: dict[str, Any]
) -> None:
    pool = platform["pools"][1]
    teams = [{"name": "kyc", "gpus": 6}]
    pool["sharing"] = {
        "classes": [{"class": "confidential", "gpus": 8, "teams": teams}],
        "priorities": [{"name": "urgent", "value": 5000}],
    }
    platform["endpoints"][1] |= {"team": "kyc", "priority": "urgent"}
    build(engine, platform)
    (deployment,) = [
        deployment
        for deployment in engine.all("Deployment")
        if deployment.meta["name"] == "confidential-llama-8b"
    ]
    labels = deployment.spec["template"]["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "fra1-l40s-48gb-kyc"
    assert labels["kueue.x-k8s.io/priority-class"] == "fra1-l40s-48gb-urgent"


def test_claims_count_in_the_quota_of_their_class(engine: Engine, platform: dict[str, Any]) -> None:
    platform["pools"][1]["allocation"] = "dra"
    build(engine, platform)
    quotas = {
        resource_quota.meta["namespace"]: resource_quota.spec["hard"]
        for resource_quota in engine.all("ResourceQuota")
    }
    counted = "isthmus-fra1-l40s-48gb.deviceclass.resource.k8s.io/devices"
    assert quotas["isthmus-confidential"][counted] == "7"
    assert quotas["isthmus-confidential"]["requests.nvidia.com/gpu"] == "0"
