"""Cut GPUs: layouts that MIG manager reads, what the queue gives out, and which slices a pod may have."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import GpuPool, MigLayouts, ModelServer
from components.pools.mig import CutMachine, layout, layout_name
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build
from tests.components.test_model_server import args

LARGE, SMALL = "3g.40gb", "1g.10gb"


def cut(gpus: int, profile: str = LARGE, slices_per_gpu: int = 2, node: str = "a", **more: Any) -> CutMachine:
    return {"node": node, "profile": profile, "gpus": gpus, "slices": gpus * slices_per_gpu, **more}  # type: ignore[typeddict-item]


def pool(engine: Engine, cuts: list[CutMachine], **more: Any) -> None:
    arguments = {
        "name": "h100",
        "product": "NVIDIA-H100-80GB-HBM3",
        "nodes": 2,
        "gpus_per_node": 8,
        "node_names": ["a", "b"],
        "mig": cuts,
        **more,
    }
    engine.deploy(GpuPool, "p", arguments)


def test_layouts_bear_mig_managers_names_where_it_knows_them() -> None:
    assert layout_name(8, []) == "all-disabled"
    assert layout_name(8, [cut(8)]) == "all-3g.40gb"
    assert layout_name(8, [cut(2), cut(1, SMALL, 7)]) == "isthmus-1x1g.10gb-2x3g.40gb-of-8"
    assert layout_name(8, [cut(1, owner="x"), cut(1, owner="y")]) == "isthmus-2x3g.40gb-of-8"


def test_a_layout_names_every_gpu_once() -> None:
    assert layout(8, [cut(2), cut(1, SMALL, 7)]) == [
        {"devices": [0], "mig-enabled": True, "mig-devices": {SMALL: 7}},
        {"devices": [1, 2], "mig-enabled": True, "mig-devices": {LARGE: 2}},
        {"devices": [3, 4, 5, 6, 7], "mig-enabled": False},
    ]
    assert layout(4, []) == [{"devices": "all", "mig-enabled": False}]
    with pytest.raises(InputError, match="9 GPUs of 'a' are to be cut into slices, but it has only 8"):
        layout(8, [cut(9)])


def test_mig_manager_finds_what_the_machines_labels_mean(engine: Engine) -> None:
    engine.deploy(MigLayouts, "m", {"gpus": {"a": 8, "b": 8}, "cuts": [cut(2)], "namespace": "nvidia"})
    config_map = engine.only("ConfigMap")
    assert (config_map.meta["namespace"], config_map.meta["name"]) == ("nvidia", "isthmus-mig")
    layouts = YAML(typ="safe").load(config_map.inputs["data"]["config.yaml"])
    assert layouts["version"] == "v1"
    assert set(layouts["mig-configs"]) == {"all-disabled", "isthmus-2x3g.40gb-of-8"}
    assert engine.outputs["config_map"] == "isthmus-mig"


def test_each_mig_machine_is_labelled_with_its_layout_and_owner(engine: Engine) -> None:
    pool(engine, [cut(2, owner="kyc"), cut(1, SMALL, 7, owner="public-1g.10gb")])
    first, second = (engine.only("NodePatch", f"p-node-{node}").meta["labels"] for node in "ab")
    assert first == {
        "isthmus.dev/pool": "h100",
        "nvidia.com/mig.config": "isthmus-1x1g.10gb-2x3g.40gb-of-8",
        "slices.isthmus.dev/kyc": "true",
        "slices.isthmus.dev/public-1g.10gb": "true",
    }
    assert second == {"isthmus.dev/pool": "h100", "nvidia.com/mig.config": "all-disabled"}


def test_the_queue_gives_out_slices_and_the_gpus_that_stay_whole(engine: Engine) -> None:
    pool(engine, [cut(2, node="a"), cut(1, node="b"), cut(1, SMALL, 7)], reserved_gpus=1)
    (group,) = engine.only("ClusterQueue").spec["resourceGroups"]
    quota = {resource["name"]: resource["nominalQuota"] for resource in group["flavors"][0]["resources"]}
    assert {name: count for name, count in quota.items() if name.startswith("nvidia.com/")} == {
        "nvidia.com/gpu": 16 - 1 - 4,
        "nvidia.com/mig-3g.40gb": 6,
        "nvidia.com/mig-1g.10gb": 7,
    }
    assert group["coveredResources"] == list(quota), "Kueue admits no pod that asks for something else"
    assert engine.outputs["capacity"] == 11


@pytest.mark.parametrize(
    ("message", "more"),
    [
        ("'c' is not known", {"cuts": [cut(1, node="c")]}),
        ("Allowed: ", {"cuts": [cut(1)], "node_names": []}),
        (
            "but the GPU Operator with its MIG manager",
            {"cuts": [cut(1)], "gpu_operator": "off"},
        ),
        ("13 are not reserved", {"cuts": [cut(8), cut(8, node="b")], "reserved_gpus": 3}),
    ],
)
def test_impossible_mig_layouts_are_refused(engine: Engine, message: str, more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=message):
        pool(engine, **more)


def test_a_replica_on_slices_asks_for_one_of_its_owners(engine: Engine) -> None:
    engine.deploy(ModelServer, "m", args(tensor_parallel=1, mig_profile=LARGE, slices="kyc"))
    pod = engine.only("Deployment").pod
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/mig-3g.40gb"] == "1"
    assert "nvidia.com/gpu" not in limits
    assert pod["nodeSelector"]["slices.isthmus.dev/kyc"] == "true"
    assert pod["nodeSelector"]["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"


@pytest.mark.parametrize("wide", [{"tensor_parallel": 2}, {"tensor_parallel": 1, "nodes_per_replica": 2}])
def test_a_replica_has_one_slice(engine: Engine, wide: dict[str, int]) -> None:
    with pytest.raises(InputError, match="uses exactly one slice"):
        engine.deploy(ModelServer, "m", args(mig_profile=LARGE, **wide))


def on_slices(platform: dict[str, Any], **change: Any) -> None:
    platform["endpoints"][0] |= {
        **{"mig_profile": LARGE, "tensor_parallel": 1, "replicas": 6, "gpus": 6, "survive": "node"},
        **change,
    }
    platform["pools"][0]["mig"] = [{"class": "restricted", "profile": LARGE, "gpus": 3}]


def test_a_platform_cuts_what_its_endpoints_need_and_counts_slices_in_quotas(
    engine: Engine, platform: dict[str, Any]
) -> None:
    on_slices(platform)
    build(engine, platform)
    pod = engine.pods()["restricted-llama-70b"]
    assert pod["nodeSelector"]["slices.isthmus.dev/restricted-llama-70b"] == "true"
    limits = pod["containers"][0]["resources"]["limits"]
    assert {name for name in limits if "nvidia" in name} == {"nvidia.com/mig-3g.40gb"}
    (quota,) = [
        resource_quota.spec["hard"]
        for resource_quota in engine.all("ResourceQuota")
        if resource_quota.name.endswith("restricted-quota")
    ]
    assert quota["requests.nvidia.com/mig-3g.40gb"] == "7", "one more for a pod that is ending"
    assert quota["requests.nvidia.com/gpu"] == "0"
    marks = {node_patch.meta["name"]: node_patch.meta["labels"] for node_patch in engine.all("NodePatch")}
    first, second = (marks[f"fra1-h100-sxm-80gb-{number}"] for number in (0, 1))
    assert first["nvidia.com/mig.config"] == "isthmus-2x3g.40gb-of-8"
    assert second["nvidia.com/mig.config"] == "isthmus-1x3g.40gb-of-8"
    assert first["slices.isthmus.dev/restricted-llama-70b"] == "true"
    assert "nvidia.com/mig.config" not in marks["fra1-l40s-48gb-0"], "nothing of it is cut"
    layouts = engine.only("ConfigMap", "isthmus-fra1-mig-layouts")
    assert layouts.meta["namespace"] == "gpu-operator"
    patch = engine.only("NodePatch", "isthmus-fra1-h100-sxm-80gb-node-fra1-h100-sxm-80gb-0")
    assert engine.made.index(layouts) < engine.made.index(patch), "a label's meaning is looked up at once"


def test_replicas_are_as_uneven_as_the_cut_gpus(engine: Engine, platform: dict[str, Any]) -> None:
    on_slices(platform)
    build(engine, platform)
    (spread,) = [
        topology_spread_constraint
        for topology_spread_constraint in engine.pods()["restricted-llama-70b"]["topologySpreadConstraints"]
        if topology_spread_constraint["whenUnsatisfiable"] == "DoNotSchedule"
    ]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["maxSkew"] == 2, "two GPUs on one machine and one on the other: four slices and two"


def test_a_pool_with_equal_mig_layouts_needs_no_layout_config(
    engine: Engine, platform: dict[str, Any]
) -> None:
    on_slices(platform, replicas=32, gpus=32)
    platform["pools"][0]["mig"][0]["gpus"] = 16
    build(engine, platform)
    assert not [config_map for config_map in engine.all("ConfigMap") if "mig" in config_map.name]
    labels = {
        node_patch.meta["labels"].get("nvidia.com/mig.config") for node_patch in engine.all("NodePatch")
    }
    assert labels == {"all-3g.40gb", None}
