"""Packing of replicas on nodes: it never exceeds a node, and finds a packing whenever one exists."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.hardware.packing import Replica, capacities, pack

NODES = st.lists(st.integers(0, 8), min_size=1, max_size=5)
REPLICAS = st.lists(st.builds(Replica, st.integers(1, 8), st.integers(1, 2)), max_size=5)


@given(NODES, REPLICAS)
def test_a_packing_never_uses_more_than_a_node_has(nodes: list[int], replicas: list[Replica]):
    placed = pack(nodes, replicas)
    if placed is None:
        return
    used = [0] * len(nodes)
    for replica, places in zip(replicas, placed, strict=True):
        assert len(set(places)) == replica.nodes, "a replica's parts share a node"
        for node in places:
            used[node] += replica.gpus
    assert all(spent <= room for spent, room in zip(used, nodes, strict=True))


def _by_hand(nodes: list[int], replicas: list[Replica]) -> bool:
    if not replicas:
        return True
    first, *remaining = replicas
    for places in itertools.combinations(range(len(nodes)), first.nodes):
        if all(nodes[node] >= first.gpus for node in places):
            left = [room - first.gpus * (node in places) for node, room in enumerate(nodes)]
            if _by_hand(left, remaining):
                return True
    return False


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.lists(st.builds(Replica, st.integers(1, 6)), max_size=4),
)
def test_a_packing_is_found_whenever_one_exists(nodes: list[int], replicas: list[Replica]):
    assert (pack(nodes, replicas) is not None) == _by_hand(nodes, replicas)


def test_free_gpus_that_are_spread_over_nodes_do_not_hold_a_large_replica():
    assert pack([4, 4], [Replica(5)]) is None
    assert pack([8, 8], [Replica(5)] * 3) is None


def test_replicas_of_sizes_that_do_not_divide_a_node_are_packed_too():
    assert pack([6, 4], [Replica(2), Replica(2), Replica(3), Replica(3)]) is not None


def test_a_large_pool_is_packed_quickly():
    assert pack([8] * 64, [Replica(4)] * 128) is not None
    assert pack([8] * 64, [Replica(5)] * 65) is None


def test_reserved_gpus_are_taken_from_as_few_nodes_as_possible():
    assert capacities(3, 8, 10) == [8, 6, 0]
    assert sum(capacities(2, 4, 8)) == 0
