"""EKS nodes without GPUs: their number, computed from the pods that run on them."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.hardware import system_nodes
from isthmus.contracts.hardware.system_nodes import (
    ADDONS,
    OPERATORS,
    Replicas,
    Room,
    Size,
    fits,
    smallest,
)
from isthmus.contracts.platform.lookups import system_nodes as platform_system_nodes
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from tests import private
from tests.contracts.test_platform_model import parse, refused

ZONES = ["eu-central-1a", "eu-central-1b"]


def size_of(platform: Platform) -> Size:
    return platform_system_nodes.system_nodes_size(platform, platform.clusters[0])


def test_kubelet_and_daemon_sets_reduce_what_a_node_offers() -> None:
    node = system_nodes.allocatable("m7i.xlarge")
    assert node is not None
    # 4000m less 80m of kubelet's; 16 GiB as shown, less 11 MiB for each of 58 pods, 255 and 100.
    assert node == Room(3920, 15155 - 893 - 100, 58) - system_nodes.DAEMONS
    assert system_nodes.allocatable("mac2.metal") is None


def test_four_deployments_over_two_zones_do_not_fit_two_small_nodes() -> None:
    pods = [Replicas(name, 2, Room(1100, 1024)) for name in ("a", "b", "c", "d")]
    assert not fits(pods, Size("m7i.xlarge", 2), ZONES), "zone b needs 4.4 CPUs on a node of 4"
    assert fits(pods, Size("m7i.2xlarge", 2), ZONES)


def test_a_rolling_deployment_has_room_for_one_more_pod() -> None:
    pods = [Replicas("a", 2, Room(3000, 1024))]
    assert not fits(pods, Size("m7i.xlarge", 2), ZONES)
    assert fits(pods, Size("m7i.xlarge", 4), ZONES)


def test_a_pod_must_fit_one_node_and_not_the_sum_of_several() -> None:
    pods = [Replicas("wide", 1, Room(6000, 1024), over_zones=False)]
    assert not fits(pods, Size("m7i.xlarge", 8), ZONES)
    assert smallest(pods, ZONES) == Size("m7i.2xlarge", 2)


def test_memory_and_the_maximum_of_pods_limit_a_node() -> None:
    assert not fits([Replicas("fat", 2, Room(100, 15_000))], Size("m7i.xlarge", 2), ZONES)
    assert not fits([Replicas("many", 120, Room(1, 1), over_zones=False)], Size("m7i.xlarge", 2), ZONES)


def test_zonal_replicas_need_room_in_whichever_zone_they_are() -> None:
    pods = [Replicas("a", 3, Room(2500, 1024))]
    # Two of the three stand in one zone, and which it is nobody knows: each has room for two, and for one that rolls.
    assert not fits(pods, Size("m7i.xlarge", 4), ZONES)
    assert fits(pods, Size("m7i.xlarge", 6), ZONES)


def test_the_nodes_of_a_platform_are_sized_from_what_it_runs() -> None:
    plain = size_of(private.platform())
    reviewed = size_of(parse(private.reviewed()))
    assert fits(
        platform_system_nodes.system_pods(private.platform(), private.platform().clusters[0]), plain, ZONES
    )
    data = private.data()
    for gateway in data["gateways"]:
        gateway["replicas"] = 8
    many = size_of(parse(data))
    assert plain.vcpus <= reviewed.vcpus < many.vcpus


def test_too_few_nodes_are_refused_with_a_sufficient_number() -> None:
    def change(data: dict[str, Any]) -> None:
        data["clusters"][0]["system_nodes"] = {"instance_type": "m7i.xlarge", "nodes": 2}

    message = refused(InputError, change, private.reviewed)
    assert "2 system nodes of m7i.xlarge in cluster frankfurt are too small for their pods" in message
    assert "clusters[frankfurt].system_nodes.nodes" in message
    assert "Set `nodes: " in message
    data = private.reviewed()
    enough = int(message.partition("Set `nodes: ")[2].partition("`")[0])
    data["clusters"][0]["system_nodes"] = {"instance_type": "m7i.xlarge", "nodes": enough}
    assert size_of(parse(data)) == Size("m7i.xlarge", enough), "the message must say what is accepted"


@pytest.mark.parametrize(
    ("system_nodes", "expected"),
    [({"instance_type": "m7i.4xlarge"}, "m7i.4xlarge"), ({"instance_type": "u7i-12tb.224xlarge"}, None)],
)
def test_a_stated_instance_type_is_kept_even_if_it_is_unknown(
    system_nodes: dict[str, Any], expected: str | None
) -> None:
    data = private.reviewed()
    data["clusters"][0]["system_nodes"] = system_nodes
    assert size_of(parse(data)).instance_type == (expected or system_nodes["instance_type"])


def test_addons_and_operators_are_included_in_the_size() -> None:
    assert fits([], Size("m7i.xlarge", 2), ZONES)
    alone = smallest([*ADDONS, *OPERATORS], ZONES)
    assert alone == Size("m7i.xlarge", 2)
