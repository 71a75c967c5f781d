"""A pool of GPUs: labels, taints, queues."""

from typing import Any

import pytest

from components import GpuPool
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.core.errors import InputError
from tests.components.conftest import Engine

TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def deploy(engine: Engine, **more: Any) -> None:
    arguments = {
        "name": "h100",
        "product": "NVIDIA-H100-80GB-HBM3",
        "nodes": 2,
        "gpus_per_node": 8,
        "classes": ["confidential", "restricted"],
        **more,
    }
    engine.deploy(GpuPool, "p", arguments)


def test_machines_named_are_labelled_and_no_taint_of_others_is_touched(engine: Engine) -> None:
    deploy(engine, node_names=["a", "b"])
    for node in ("a", "b"):
        node_patch = engine.only("NodePatch", f"p-node-{node}")
        assert node_patch.meta["name"] == node
        assert node_patch.meta["labels"] == {"isthmus.dev/pool": "h100"}, "other labels are not ours"
        assert "spec" not in node_patch.inputs, "taints are one list: who applies it removes those of others"
    assert not engine.all("NodeFeatureRule")


def test_without_names_machines_are_found_by_what_they_show(engine: Engine) -> None:
    deploy(engine)
    (rule,) = engine.only("NodeFeatureRule").spec["rules"]
    assert rule["labels"] == {"isthmus.dev/pool": "h100"}
    assert rule["taints"] == [TAINT]
    assert not engine.all("NodePatch")


def feature(engine: Engine) -> dict[str, Any]:
    (rule,) = engine.only("NodeFeatureRule").spec["rules"]
    (matched,) = rule["matchFeatures"]
    return matched


def test_machines_are_found_by_their_pci_devices_which_are_there_before_a_driver(engine: Engine) -> None:
    deploy(engine, driver={"version": "595.91.07"})
    assert feature(engine) == {
        "feature": "pci.device",
        "matchExpressions": {
            "vendor": {"op": "In", "value": ["10de"]},
            "device": {"op": "In", "value": ["2330"]},
        },
    }
    order = [resource.name for resource in engine.made]
    assert order.index("p-nodes") < order.index("p-driver"), "the driver chooses machines by the pool's label"


def test_pci_devices_that_are_named_take_the_place_of_the_product_s(engine: Engine) -> None:
    deploy(engine, product="NVIDIA-H300", pci_devices=["3333"], driver={"version": "595.91.07"})
    assert feature(engine)["matchExpressions"]["device"]["value"] == ["3333"]


def test_a_product_without_known_pci_devices_is_found_by_its_label_where_no_driver_waits_for_it(
    engine: Engine,
) -> None:
    deploy(engine, product="NVIDIA-H300")
    assert feature(engine)["matchExpressions"]["nvidia.com/gpu.product"]["value"] == ["NVIDIA-H300"]


def test_a_driver_that_would_wait_for_itself_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="cannot be labelled before their driver") as caught:
        deploy(engine, product="NVIDIA-H300", driver={"version": "595.91.07"})
    assert "lspci -nn -d 10de:" in str(caught.value)
    deploy(engine, product="NVIDIA-H300", driver={"version": "595.91.07"}, node_names=["a", "b"])


def test_every_gpu_of_the_table_has_pci_devices_of_its_own() -> None:
    devices = [device for gpu in GPUS.values() for device in gpu.pci_devices]
    assert all(gpu.pci_devices for gpu in GPUS.values())
    assert len(devices) == len(set(devices)), "two products could not be told apart"


@pytest.mark.parametrize(
    ("more", "names", "waited"),
    [
        ({}, ["h100", "h100-internal"], {"p-queue-internal", "p-priority-internal"}),
        ({"classes": []}, ["h100"], {"p-queue"}),
        ({"kueue": "off"}, [], {"p"}),
    ],
    ids=["a class's queue", "one queue", "no queue"],
)
def test_resources_wait_for_the_queue_of_a_pool_and_not_every_machine(
    engine: Engine, more: dict[str, Any], names: list[str], waited: set[str]
) -> None:
    """A state lists what each endpoint waits for: with every machine it would grow as endpoints times machines."""
    pools: list[GpuPool] = []

    def program() -> GpuPool:
        arguments: Any = {
            **{"name": "h100", "product": "NVIDIA-H100-80GB-HBM3", "nodes": 2, "gpus_per_node": 8},
            **{"classes": ["internal", "restricted"], "node_names": ["a", "b"], **more},
        }
        pools.append(GpuPool("p", arguments))
        return pools[0]

    engine.run(program)
    (pool,) = pools
    assert {resource._name for resource in pool.waited_for("internal", names)} == waited
    if more.get("kueue") != "off":
        after = {resource.name: resource.depends_on for resource in engine.made}
        assert {"p-node-a", "p-node-b"} <= set(after["p-flavor"])
        assert all("p-flavor" in after[cluster_queue.name] for cluster_queue in engine.all("ClusterQueue"))
        assert all("p-queue" in after[local_queue.name] for local_queue in engine.all("LocalQueue"))


def test_as_many_machines_are_named_as_there_are(engine: Engine) -> None:
    with pytest.raises(InputError, match="has 2 nodes, but node_names lists 1"):
        deploy(engine, node_names=["a"])


def test_an_existing_gpu_operator_is_looked_for(engine: Engine) -> None:
    deploy(engine)
    assert engine.reads == ["kubernetes:nvidia.com/v1:ClusterPolicy cluster-policy"]


def test_without_a_gpu_operator_none_is_looked_for(engine: Engine) -> None:
    deploy(engine, gpu_operator="off")
    assert not engine.reads


def test_a_managed_gpu_operator_is_not_looked_for_since_it_comes_with_the_stack(engine: Engine) -> None:
    deploy(engine, gpu_operator="manage")
    assert not engine.reads


def test_installing_kueue_is_not_in_this_version(engine: Engine) -> None:
    with pytest.raises(InputError, match="manage' is not supported in this version"):
        deploy(engine, kueue="manage")


def test_a_queue_gives_out_what_is_not_reserved(engine: Engine) -> None:
    deploy(engine, reserved_gpus=4)
    (group,) = engine.only("ClusterQueue").spec["resourceGroups"]
    quota = {resource["name"]: resource["nominalQuota"] for resource in group["flavors"][0]["resources"]}
    assert quota["nvidia.com/gpu"] == 12
    assert engine.outputs["capacity"] == 12


def test_a_queue_covers_what_pods_request_or_kueue_would_never_admit_them(engine: Engine) -> None:
    deploy(engine)
    (group,) = engine.only("ClusterQueue").spec["resourceGroups"]
    assert set(group["coveredResources"]) == {"cpu", "memory", "nvidia.com/gpu"}
    assert [resource["name"] for resource in group["flavors"][0]["resources"]] == group["coveredResources"]


def test_a_flavor_leads_to_the_pools_machines(engine: Engine) -> None:
    deploy(engine)
    flavor = engine.only("ResourceFlavor").spec
    assert flavor["nodeLabels"] == {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "isthmus.dev/pool": "h100",
    }
    assert flavor["nodeTaints"] == [TAINT]


def test_each_class_has_a_local_queue_and_a_priority(engine: Engine) -> None:
    deploy(engine)
    queues = {local_queue.meta["namespace"]: local_queue.spec for local_queue in engine.all("LocalQueue")}
    assert queues == {
        f"isthmus-{sensitivity}": {"clusterQueue": "h100"} for sensitivity in ("confidential", "restricted")
    }
    priorities = {
        workload_priority_class.meta["name"]: workload_priority_class.inputs["value"]
        for workload_priority_class in engine.all("WorkloadPriorityClass")
    }
    assert priorities["h100-restricted"] > priorities["h100-confidential"]


def test_a_queue_takes_only_namespaces_of_the_pools_classes(engine: Engine) -> None:
    deploy(engine)
    (term,) = engine.only("ClusterQueue").spec["namespaceSelector"]["matchExpressions"]
    assert term == {
        "key": "isthmus.dev/class",
        "operator": "In",
        "values": ["confidential", "restricted"],
    }


def test_without_kueue_there_is_no_queue(engine: Engine) -> None:
    deploy(engine, kueue="off")
    assert not [resource for resource in engine.made if "kueue" in resource.type]
    assert engine.outputs["queue"] == ""


def test_a_pool_that_reserves_all_has_nothing_to_give(engine: Engine) -> None:
    with pytest.raises(InputError, match="has no GPU left for its queue"):
        deploy(engine, reserved_gpus=16)


def test_the_levels_of_a_topology_are_distinct_labels_that_end_with_the_machine(engine: Engine) -> None:
    def levels(*labels: str) -> None:
        deploy(engine, topology={"levels": list(labels)})

    levels("example.com/zone", "example.com/rack", "kubernetes.io/hostname")
    for wrong in (
        [],
        ["example.com/rack", "example.com/rack"],
        ["kubernetes.io/hostname", "example.com/rack"],
    ):
        with pytest.raises(InputError, match="the levels must be distinct node labels"):
            levels(*wrong)


def test_time_sliced_gpus_may_be_all_that_is_not_reserved_and_no_more(engine: Engine) -> None:
    slicing = {"sensitivity": "confidential", "replicas": 4, "nodes": ["a", "b"]}
    deploy(engine, node_names=["a", "b"], time_slicing=slicing)
    with pytest.raises(InputError, match="16 GPUs of pool 'h100' are to be time-sliced, but only 15"):
        deploy(engine, node_names=["a", "b"], time_slicing=slicing, reserved_gpus=1)


@pytest.mark.parametrize("gpus", [16, 17])
def test_classes_may_share_every_gpu_of_a_pool_and_no_more(engine: Engine, gpus: int) -> None:
    share = {"sensitivity": "confidential", "gpus": gpus - 6}
    sharing = {"classes": [share, {"sensitivity": "restricted", "gpus": 6}]}
    if gpus > 16:
        with pytest.raises(InputError, match="the classes have 17 GPUs of pool 'h100', but only 16"):
            deploy(engine, sharing=sharing)
    else:
        deploy(engine, sharing=sharing)


def test_teams_may_share_every_gpu_of_their_class_and_no_more(engine: Engine) -> None:
    def teams(*gpus: int) -> None:
        entries = [{"name": f"team-{number}", "gpus": count} for number, count in enumerate(gpus)]
        share = {"sensitivity": "confidential", "gpus": 8, "teams": entries}
        deploy(engine, sharing={"classes": [share, {"sensitivity": "restricted", "gpus": 6}]})

    teams(5, 3)
    with pytest.raises(InputError, match="teams of class confidential have 9 GPUs"):
        teams(5, 4)
