"""Pools proposed from nodes: what labels say, and what is left out and told."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.requirements.sites import Pool
from isthmus.core.errors import InputError
from isthmus.discovery.cluster_pools import propose_pools

H100 = "NVIDIA-H100-80GB-HBM3"


def node(name: str, product: str | None = H100, gpus: int = 8, **more: Any) -> dict[str, Any]:
    labels = {"topology.kubernetes.io/zone": more.pop("zone", "a"), **more.pop("labels", {})}
    if product:
        labels |= {"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": str(gpus)}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": more.pop("spec", {}),
        "status": {
            "capacity": {"nvidia.com/gpu": str(gpus)} if gpus else {},
            "allocatable": {"cpu": more.pop("cpu", "127500m"), "memory": more.pop("memory", "1031Gi")},
            "conditions": [{"type": "Ready", "status": more.pop("ready", "True")}],
        },
    }


def test_nodes_of_one_kind_are_a_pool_with_their_zones_and_the_smallest_size():
    nodes = [node("n1"), node("n2", zone="b", cpu="96", memory="1000Gi"), node("n3", zone="b")]
    proposed = propose_pools(nodes)
    assert proposed.pools == [
        {
            **{"gpu": "h100-sxm-80gb", "nodes": 3, "gpus_per_node": 8, "failure_domains": 2},
            **{"cpus_per_node": 96, "memory_gib_per_node": 1000},
        }
    ]
    assert proposed.notes == []
    Pool.model_validate(proposed.pools[0])


def test_kinds_and_numbers_of_gpus_make_pools_of_their_own_those_with_more_gpus_first():
    nodes = [node("s", "NVIDIA-L40S", 4), node("a"), node("b"), node("c", gpus=4), node("cpu", None, 0)]
    proposed = propose_pools(nodes)
    assert [(pool["gpu"], pool["nodes"], pool["gpus_per_node"]) for pool in proposed.pools] == [
        ("h100-sxm-80gb", 2, 8),
        ("l40s-48gb", 1, 4),
        ("h100-sxm-80gb", 1, 4),
    ]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (node("odd", spec={"unschedulable": True}), "cordoned"),
        (node("odd", ready="False"), "not ready"),
        (node("odd", "Tesla-V100-SXM2-32GB"), "the GPU Tesla-V100-SXM2-32GB is in no catalogue"),
        (node("odd", None), "no label nvidia.com/gpu.product"),
        (node("odd", gpus=0), "the number of their GPUs is not known"),
    ],
)
def test_a_node_that_cannot_be_used_is_left_out_and_named(odd: dict[str, Any], why: str):
    proposed = propose_pools([node("good"), odd])
    assert [pool["nodes"] for pool in proposed.pools] == [1]
    (note,) = proposed.notes
    assert why in note
    assert note.endswith(": odd")


def test_gpus_that_are_cut_or_shared_now_count_whole():
    cut = node("cut", f"{H100}-MIG-1g.10gb", labels={"nvidia.com/mig.config": "all-1g.10gb"})
    assert propose_pools([cut]).pools[0] | {"mig": "allowed"} == propose_pools([cut]).pools[0]
    shared = propose_pools([node("shared", "NVIDIA-L40S-SHARED", 4)])
    assert (shared.pools[0]["gpu"], shared.pools[0]["gpus_per_node"]) == ("l40s-48gb", 4)
    assert "shared by time" in shared.notes[0]


def test_a_cluster_without_zones_or_in_aws_is_told():
    bare = node("n", spec={"providerID": "aws:///eu-central-1a/i-1"})
    del bare["metadata"]["labels"]["topology.kubernetes.io/zone"]
    assert ["one failure domain is assumed" in note for note in propose_pools([bare]).notes] == [True, False]
    assert "in AWS" in propose_pools([bare]).notes[1]


def test_a_cluster_without_gpus_is_told_and_what_is_no_node_refused():
    assert "no node has GPUs" in propose_pools([node("cpu", None, 0)]).notes[0]
    with pytest.raises(InputError, match="not a list of Kubernetes nodes"):
        propose_pools([{"kind": "Pod"}])
