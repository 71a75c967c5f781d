"""Replicas on nodes: spread as their workloads require, so that a failure takes no more than was planned."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replay import read
from isthmus.planning.options import hardware
from isthmus.planning.options.option import Column
from isthmus.planning.solver import node_placement
from isthmus.planning.solver.node_placement import PlacedReplicas
from tests.planning.test_planner import bank


def column(degree: int, survive: Any, name: str = "Qwen/Qwen3-8B") -> Column:
    return Column("restricted", "fra1", "h100-sxm-80gb", name, "fp8", degree, survive)


@functools.cache
def requirements(nodes: int, domains: int) -> Any:
    data = json.loads(json.dumps(bank()))
    data["sites"][0]["pools"][0].update(nodes=nodes, failure_domains=domains)
    return read(data)


def test_replicas_that_survive_a_domain_loss_are_spread_over_both_domains() -> None:
    gpu_column = column(2, "domain")
    placed = node_placement.place_replicas(requirements(2, 2), {gpu_column: 3})[gpu_column]
    assert isinstance(placed, PlacedReplicas)
    assert placed.by_domain("fra1") == {"fra1-a": 2, "fra1-b": 1}
    assert (placed.lost("domain"), placed.lost("node"), placed.lost("replica"), placed.lost("none")) == (
        2,
        2,
        1,
        0,
    )


def test_replicas_without_spread_fill_started_nodes() -> None:
    gpu_column = column(1, "none")
    placed = node_placement.place_replicas(requirements(3, 1), {gpu_column: 4})[gpu_column]
    assert isinstance(placed, PlacedReplicas)
    assert list(placed.by_node.values()) == [4]


def test_replica_counts_that_do_not_fit_the_pool_are_returned_unchanged() -> None:
    big, small = column(8, "none"), column(4, "none", "Qwen/Qwen3-14B")
    counts = {big: 2, small: 1}
    assert node_placement.place_replicas(requirements(2, 1), counts) == counts


@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from(["none", "replica", "node", "domain"])),
        max_size=4,
    ),
    st.data(),
)
def test_no_node_is_overfilled_and_losses_are_as_even_as_possible(
    nodes: int, kinds: list[tuple[int, Any]], data: st.DataObject
) -> None:
    domains = data.draw(st.integers(1, nodes))
    columns = [column(degree, survive, f"m{at}") for at, (degree, survive) in enumerate(kinds)]
    counts = {gpu_column: data.draw(st.integers(1, 6)) for gpu_column in columns}
    place = node_placement.place_replicas(requirements(nodes, domains), counts)
    used = [0] * nodes
    for gpu_column, placed in place.items():
        if not isinstance(placed, PlacedReplicas):
            return
        assert placed.count == counts[gpu_column]
        for node, count in placed.by_node.items():
            used[node] += count * gpu_column.degree
        if gpu_column.survive == "domain":
            assert placed.lost("domain") <= math.ceil(counts[gpu_column] / domains)
    assert max(used, default=0) <= 8


def test_the_placement_does_not_depend_on_the_order_of_replicas() -> None:
    first_column, second_column = column(4, "node"), column(1, "replica", "Qwen/Qwen3-14B")
    first = node_placement.place_replicas(requirements(2, 2), {first_column: 2, second_column: 5})
    assert first == node_placement.place_replicas(requirements(2, 2), {second_column: 5, first_column: 2})
    assert pytest.approx(sum(p.count for p in first.values() if isinstance(p, PlacedReplicas))) == 7


def test_a_full_pool_is_packed_even_if_no_heuristic_finds_a_packing() -> None:
    counts = {
        column(4, "none", "a"): 6,
        column(1, "domain", "b"): 4,
        column(1, "replica", "c"): 3,
        column(1, "node", "d"): 1,
    }
    needed = requirements(4, 2)
    site, pool = hardware.find_pool(needed, "fra1", "h100-sxm-80gb")
    assert sum(gpu_column.degree * count for gpu_column, count in counts.items()) == 32
    for rule in (node_placement._largest_first, node_placement._most_spread_first):
        assert node_placement._place_greedily(site, pool, counts, rule) is None
    place = node_placement.place_replicas(needed, counts)
    used = [0] * 4
    for gpu_column, placed in place.items():
        assert isinstance(placed, PlacedReplicas)
        assert placed.count == counts[gpu_column]
        for node, count in placed.by_node.items():
            used[node] += count * gpu_column.degree
        if gpu_column.survive in ("node", "domain"):
            assert placed.lost(gpu_column.survive) <= math.ceil(
                counts[gpu_column] / (4 if gpu_column.survive == "node" else 2)
            )
    assert used == [8] * 4
