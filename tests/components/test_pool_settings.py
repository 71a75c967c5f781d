"""What a pool may say beyond its machines: shares of GPUs, a driver, claims, a fabric; and what it shows when well."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import DevicePluginConfigs, GpuPool, ModelServer
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.test_model_server import args

LARGE = "3g.40gb"


def deploy(engine: Engine, **more: Any) -> None:
    arguments = {
        "name": "h100",
        "product": "NVIDIA-H100-80GB-HBM3",
        "nodes": 2,
        "gpus_per_node": 8,
        "node_names": ["a", "b"],
        "classes": ["internal"],
        **more,
    }
    engine.deploy(GpuPool, "p", arguments)


def serve(engine: Engine, **more: Any) -> None:
    engine.deploy(ModelServer, "m", args(**more))


def slicing(*nodes: str, replicas: int = 4) -> dict[str, Any]:
    return {"sensitivity": "internal", "replicas": replicas, "nodes": list(nodes)}


def signs(engine: Engine, kind: str) -> list[dict[str, Any]]:
    return [check for check in engine.outputs["verify"] if check["kind"] == kind]


def test_the_device_plugin_shares_gpus_under_a_name_of_their_own(engine: Engine) -> None:
    engine.deploy(DevicePluginConfigs, "d", {"replicas": [4, 2, 4], "namespace": "nvidia"})
    config_map = engine.only("ConfigMap")
    assert (config_map.meta["namespace"], config_map.meta["name"]) == ("nvidia", "isthmus-device-plugin")
    configs = {key: YAML(typ="safe").load(text) for key, text in config_map.inputs["data"].items()}
    assert set(configs) == {"whole", "shared-2", "shared-4"}
    assert "sharing" not in configs["whole"], "a machine that bears no label shares nothing"
    sliced = configs["shared-4"]["sharing"]["timeSlicing"]
    assert sliced["renameByDefault"], "who asks for a whole GPU would get a share"
    assert sliced["failRequestsGreaterThanOne"]
    assert sliced["resources"] == [{"name": "nvidia.com/gpu", "replicas": 4}]
    assert engine.outputs["config_map"] == "isthmus-device-plugin"


def test_only_machines_named_share_their_gpus_and_the_queue_counts_both(engine: Engine) -> None:
    deploy(engine, time_slicing=slicing("b"))
    assert "nvidia.com/device-plugin.config" not in engine.only("NodePatch", "p-node-a").meta["labels"]
    assert (
        engine.only("NodePatch", "p-node-b").meta["labels"]["nvidia.com/device-plugin.config"] == "shared-4"
    )
    (group,) = engine.only("ClusterQueue").spec["resourceGroups"]
    quota = {resource["name"]: resource["nominalQuota"] for resource in group["flavors"][0]["resources"]}
    assert (quota["nvidia.com/gpu"], quota["nvidia.com/gpu.shared"]) == (8, 32)
    assert engine.outputs["capacity"] == 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"time_slicing": slicing("c")}, "'c' is not known"),
        ({"time_slicing": slicing("a", replicas=1)}, "1 pod shares"),
        (
            {"time_slicing": slicing("a", "b"), "reserved_gpus": 1},
            "16 GPUs of pool 'h100' are to be time-sliced, but only 15",
        ),
        (
            {"time_slicing": slicing("a"), "gpu_operator": "off"},
            "the GPU Operator with its device plugin is off",
        ),
        (
            {
                "time_slicing": slicing("a"),
                "mig": [{"node": "b", "profile": LARGE, "gpus": 1, "slices": 2}],
            },
            "has both MIG slices and time-sliced GPUs",
        ),
    ],
)
def test_shares_of_gpus_that_cannot_be_are_refused(
    engine: Engine, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, **more)


def test_a_replica_on_a_share_asks_for_one(engine: Engine) -> None:
    serve(engine, time_sliced=True, gpu_memory_utilization=0.2, tensor_parallel=1)
    (engine_box,) = next(iter(engine.pods().values()))["containers"]
    assert engine_box["resources"]["limits"]["nvidia.com/gpu.shared"] == "1"
    assert "nvidia.com/gpu" not in engine_box["resources"]["limits"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tensor_parallel": 2, "gpu_memory_utilization": 0.2}, "uses exactly one share"),
        ({"tensor_parallel": 1, "mig_profile": LARGE}, "uses exactly one share"),
        ({"tensor_parallel": 1, "gpu_memory_utilization": None}, "required on time-sliced GPUs"),
    ],
)
def test_a_replica_on_a_share_leaves_the_others_theirs(
    engine: Engine, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        serve(engine, time_sliced=True, **more)


def test_a_pools_driver_is_an_object_that_selects_its_machines(engine: Engine) -> None:
    drain = {"enable": True, "delete_empty_dir": True, "timeout_seconds": 900}
    upgrade = {"max_parallel": 2, "max_unavailable": "2", "drain": drain}
    deploy(engine, driver={"version": "595.91.07", "kernel_module": "open", "upgrade": upgrade})
    nvidiadriver = engine.only("NVIDIADriver")
    assert nvidiadriver.meta["name"] == "h100"
    assert nvidiadriver.spec["nodeSelector"] == {"isthmus.dev/pool": "h100"}
    assert (nvidiadriver.spec["version"], nvidiadriver.spec["kernelModuleType"]) == ("595.91.07", "open")
    assert nvidiadriver.spec["usePrecompiled"] is False
    assert nvidiadriver.spec["upgradePolicy"] == {
        "autoUpgrade": True,
        "maxParallelUpgrades": 2,
        "maxUnavailable": 2,
        "drain": {"enable": True, "force": False, "deleteEmptyDir": True, "timeoutSeconds": 900},
    }
    assert nvidiadriver.spec["tolerations"], "the machines are tainted"


def test_a_precompiled_driver_goes_by_its_branch(engine: Engine) -> None:
    deploy(engine, driver={"version": "595", "precompiled": True, "repository": "registry.example/nvidia"})
    nvidiadriver = engine.only("NVIDIADriver").spec
    assert (nvidiadriver["version"], nvidiadriver["usePrecompiled"]) == ("595", True)
    assert nvidiadriver["repository"] == "registry.example/nvidia"
    assert nvidiadriver["upgradePolicy"]["maxUnavailable"] == "25%"


@pytest.mark.parametrize(
    ("driver", "more", "message"),
    [
        ({"version": "595"}, {}, "a branch selects precompiled drivers only"),
        ({"version": "595.91.07", "precompiled": True}, {}, "selected by branch"),
        ({"version": "595.91.07", "kernel_module": "closed"}, {}, "'closed' is not known"),
        ({"version": "595.91.07"}, {"gpu_operator": "off"}, "no GPU Operator would install it"),
    ],
)
def test_an_impossible_driver_is_refused(
    engine: Engine, driver: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, driver=driver, **more)


def test_gpus_by_claim_are_a_device_class_of_the_pools_product(engine: Engine) -> None:
    deploy(engine, allocation="dra")
    device_class = engine.only("DeviceClass")
    assert device_class.meta["name"] == "isthmus-h100"
    (selector,) = device_class.spec["selectors"]
    assert '== "NVIDIA-H100-80GB-HBM3"' in selector["cel"]["expression"]
    assert 'device.driver == "gpu.nvidia.com"' in selector["cel"]["expression"]
    assert [sign["name"] for sign in signs(engine, "DeviceClass")] == ["isthmus-h100"]
    assert not [sign for sign in signs(engine, "Node") if sign["path"][-1] == "nvidia.com/gpu"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"allocation": "claims"}, "'claims' is not known"),
        ({"allocation": "dra", "time_slicing": slicing("a")}, "claims whole GPUs"),
        ({"allocation": "dra", "product": 'H100" || true || "'}, "is not a valid GPU product name"),
    ],
)
def test_impossible_claims_are_refused(engine: Engine, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, **more)


def test_pods_claim_their_gpus_and_ask_for_no_count(engine: Engine) -> None:
    serve(engine, device_class="isthmus-h100", tensor_parallel=4)
    template = engine.only("ResourceClaimTemplate")
    (request,) = template.spec["spec"]["devices"]["requests"]
    assert request["exactly"] == {
        "deviceClassName": "isthmus-h100",
        "allocationMode": "ExactCount",
        "count": 4,
    }
    pod = next(iter(engine.pods().values()))
    assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": template.meta["name"]}]
    resources = pod["containers"][0]["resources"]
    assert resources["claims"] == [{"name": "gpus"}]
    assert set(resources["limits"]) == {"cpu", "memory"}


def test_a_slice_is_not_claimed(engine: Engine) -> None:
    with pytest.raises(InputError, match="claims whole GPUs"):
        serve(engine, device_class="isthmus-h100", mig_profile=LARGE, tensor_parallel=1)
    assert not engine.made


def templates(engine: Engine) -> list[dict[str, Any]]:
    group = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    return [group["leaderTemplate"], group["workerTemplate"]]


@pytest.mark.parametrize("how", ["required", "preferred"])
def test_kueue_places_leader_and_workers_together(engine: Engine, how: str) -> None:
    serve(engine, nodes_per_replica=2, tensor_parallel=8, topology={how: "example.com/rack"})
    for template in templates(engine):
        annotations = template["metadata"]["annotations"]
        assert annotations[f"kueue.x-k8s.io/podset-{how}-topology"] == "example.com/rack"
        assert annotations["kueue.x-k8s.io/podset-group-name"] == "group"


def test_a_group_joins_its_classs_rdma_network_and_shares_nvlink_memory(engine: Engine) -> None:
    rdma = {"resource": "rdma/hca", "count": 2, "network": "fabric/internal"}
    serve(engine, nodes_per_replica=2, tensor_parallel=8, rdma=rdma, compute_domain=True)
    domain = engine.only("ComputeDomain").spec
    claimed = domain["channel"]["resourceClaimTemplate"]["name"]
    for template in templates(engine):
        assert template["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] == "fabric/internal"
        resources = template["spec"]["containers"][0]["resources"]
        assert resources["limits"]["rdma/hca"] == resources["requests"]["rdma/hca"] == "2"
        assert resources["claims"] == [{"name": "channel"}]
        assert template["spec"]["resourceClaims"] == [
            {"name": "channel", "resourceClaimTemplateName": claimed}
        ]
        added = template["spec"]["containers"][0]["securityContext"]["capabilities"]
        assert added == {"drop": ["ALL"]}, "Pod Security restricted allows no IPC_LOCK"


@pytest.mark.parametrize(
    "more",
    [
        {"topology": {"required": "example.com/rack"}},
        {"rdma": {"resource": "rdma/hca", "network": "x"}},
        {"compute_domain": True},
    ],
)
def test_machine_fabric_is_only_for_groups(engine: Engine, more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a replica on one machine does not use this setting"):
        serve(engine, **more)


def test_a_healthy_pool_shows_its_machines_by_what_they_are_marked_with(engine: Engine) -> None:
    topology = {"levels": ["example.com/rack"]}
    fabric = {"rdma": {"resource": "rdma/hca", "networks": []}}
    deploy(engine, time_slicing=slicing("b"), topology=topology, fabric=fabric)
    nodes = signs(engine, "Node")
    by_count = {str(node["labels"].get("nvidia.com/device-plugin.config")): node["count"] for node in nodes}
    assert by_count == {"None": 1, "shared-4": 1}
    assert {
        str(node["labels"].get("nvidia.com/device-plugin.config")): node.get("without") for node in nodes
    } == {
        "None": ["nvidia.com/device-plugin.config"],
        "shared-4": None,
    }, "the machine that shares bears the pool's label too"
    shown = {
        (node["labels"].get("nvidia.com/device-plugin.config"), node["path"][-1]): node["value"]
        for node in nodes
    }
    assert shown[(None, "nvidia.com/gpu")] == "8"
    assert shown[("shared-4", "nvidia.com/gpu.shared")] == "32"
    assert shown[(None, "Ready")] == "True"
    assert shown[(None, "nvidia.com/gpu.product")] == "NVIDIA-H100-80GB-HBM3"
    assert shown[(None, "example.com/rack")] == shown[(None, "rdma/hca")] == "", "they are there"


def test_a_healthy_pool_shows_operator_driver_and_queues(engine: Engine) -> None:
    deploy(engine, driver={"version": "595.91.07"})
    shown = {
        (check["kind"], check["name"]): (check["path"], check["value"])
        for check in engine.outputs["verify"]
        if "name" in check
    }
    assert shown == {
        ("ClusterPolicy", "cluster-policy"): (["status", "state"], "ready"),
        ("NVIDIADriver", "h100"): (["status", "state"], "ready"),
        ("ResourceFlavor", "h100"): ([], ""),
        ("ClusterQueue", "h100"): (["status", "conditions", "Active"], "True"),
        ("LocalQueue", "h100"): (["status", "conditions", "Active"], "True"),
    }


def test_slices_are_a_sign_of_the_machines_that_have_them(engine: Engine) -> None:
    deploy(engine, mig=[{"node": "b", "profile": LARGE, "gpus": 2, "slices": 4, "owner": "x"}])
    nodes = [sign for sign in signs(engine, "Node") if sign["labels"].get("slices.isthmus.dev/x")]
    shown = {node["path"][-1]: node["value"] for node in nodes}
    assert shown["nvidia.com/mig-3g.40gb"] == "4"
    assert shown["nvidia.com/gpu"] == "6"
    assert shown["nvidia.com/mig.config.state"] == "success"


def test_hundreds_of_machines_that_are_alike_are_as_few_signs_as_two(engine: Engine) -> None:
    names = [f"n{number}" for number in range(300)]
    deploy(engine, nodes=300, node_names=names)
    assert {sign["count"] for sign in signs(engine, "Node")} == {300}
    assert len(engine.outputs["verify"]) < 10
