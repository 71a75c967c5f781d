"""MIG slices: how many GPUs they need, and a layout over nodes that Kubernetes can schedule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.hardware.mig import (
    Cut,
    Sliced,
    cut_gpus,
    cuts,
    instances,
    lay_out,
    owner_of,
    skew,
)
from isthmus.contracts.hardware.packing import Replica, pack
from isthmus.core.errors import FieldError

H100 = "h100-sxm-80gb"
SMALL, LARGE = "1g.10gb", "3g.40gb"


def sliced(
    id_: str, replicas: int, survive: str = "none", class_: str = "internal", profile: str = LARGE
) -> Sliced:
    return Sliced(id_, class_, profile, replicas, survive)


def test_the_mig_table_equals_the_catalogue():
    rows = json.loads((Path(__file__).parents[2] / "isthmus/planning/catalogues/data/gpus.json").read_text())
    for row in rows:
        expected = tuple((row["profile"], row["instances"]) for row in row["mig"])
        assert GPUS[row["id"]].mig == expected, row["id"]


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(FieldError) as caught:
        instances(H100, "3g.20gb")
    assert "1g.10gb, 1g.20gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb" in caught.value.fix
    with pytest.raises(FieldError) as caught:
        instances("l4-24gb", "1g.10gb")
    assert "this GPU does not support MIG" in caught.value.fix


def test_endpoints_of_one_class_and_profile_share_mig_gpus():
    gpus = cut_gpus(H100, [sliced("a", 3), sliced("b", 2, "replica"), sliced("c", 1, class_="public")])
    assert gpus == {("internal", LARGE): 3, ("public", LARGE): 1}
    assert cut_gpus(H100, [sliced("a", 7, profile=SMALL), sliced("b", 1, profile=SMALL)]) == {
        ("internal", SMALL): 2
    }


@pytest.mark.parametrize("survive", ["node", "domain"])
def test_an_endpoint_that_survives_a_node_loss_has_its_own_mig_gpus(survive: str):
    guarded, shared = sliced("a", 4, survive), sliced("b", 1)
    assert [(cut.owner, cut.gpus, cut.spread) for cut in cuts(H100, [guarded, shared])] == [
        ("a", 2, survive),
        ("internal-3g.40gb", 1, None),
    ]
    assert owner_of(guarded) == "a"
    assert owner_of(shared) == "internal-3g.40gb"


@pytest.mark.parametrize(
    ("replicas", "message"),
    [
        (3, "a must survive the loss of a node, so it needs MIG GPUs of its own, but its 3"),
        (2, "a must survive the loss of a node, but its slices are on one GPU"),
    ],
)
def test_slices_of_an_endpoint_that_survives_a_node_loss_fill_at_least_two_gpus(replicas: int, message: str):
    with pytest.raises(FieldError, match=message):
        cuts(H100, [sliced("a", replicas, "node")])


def test_slices_in_each_failure_domain_must_fill_whole_gpus():
    lopsided = Sliced("a", "internal", LARGE, 4, "domain", (1, 3))
    with pytest.raises(FieldError, match="in each place"):
        cuts(H100, [lopsided])
    (cut,) = cuts(H100, [Sliced("a", "internal", LARGE, 6, "domain", (4, 2))])
    assert cut.by_domain == (2, 1)


def test_shared_mig_gpus_are_on_one_node_beside_whole_gpus():
    shared = Cut("internal-3g.40gb", "internal", LARGE, 2)
    assert lay_out([shared], [8, 8], 2, [Replica(8), Replica(6)]) == [{"internal-3g.40gb": 2}, {}]
    assert lay_out([shared], [8, 8], 2, [Replica(8), Replica(7)]) is None


def test_mig_gpus_of_one_profile_on_a_node_belong_to_one_class():
    two = [Cut("a", "internal", LARGE, 1), Cut("b", "public", LARGE, 1)]
    layout = lay_out(two, [8, 8], 1, [])
    assert layout is not None
    assert all(len(node) == 1 for node in layout), "a pod of one class could get a slice of the other's GPU"
    assert lay_out(two, [8], 1, []) is None
    other_profile = [two[0], Cut("b", "public", SMALL, 1)]
    assert lay_out(other_profile, [8], 1, []) == [{"a": 1, "b": 1}], (
        "slices of another profile have another name"
    )


def test_an_endpoint_that_survives_a_node_loss_is_spread_evenly_over_nodes():
    assert lay_out([Cut("a", "internal", LARGE, 4, "node")], [8, 8], 1, []) == [{"a": 2}, {"a": 2}]
    assert lay_out([Cut("a", "internal", LARGE, 2, "node")], [8], 1, []) is None


def test_an_endpoint_that_survives_a_domain_loss_is_spread_over_domains():
    # Nodes 0 and 2 are in domain 0, 1 and 3 in domain 1.
    layout = lay_out([Cut("a", "internal", LARGE, 2, "domain")], [8, 0, 8, 8], 2, [])
    assert layout is not None
    assert (
        sum(node.get("a", 0) for node in layout[::2]) == sum(node.get("a", 0) for node in layout[1::2]) == 1
    )
    assert lay_out([Cut("a", "internal", LARGE, 2, "domain")], [8, 0, 8, 0], 2, []) is None
    spread = Cut("a", "internal", LARGE, 3, "domain", (1, 2))
    layout = lay_out([spread], [8, 8, 8, 8], 2, [])
    assert layout is not None
    assert [sum(node.get("a", 0) for node in layout[at::2]) for at in (0, 1)] == [1, 2]


def test_every_failure_domain_keeps_room_for_its_whole_gpu_replicas():
    # Four nodes in two domains; a group of two whole nodes for each.
    spread = Cut("a", "internal", LARGE, 2, "node")
    groups = [Replica(8, 2)]
    assert lay_out([spread], [8] * 4, 2, groups) == [{"a": 1}, {"a": 1}, {}, {}]
    layout = lay_out([spread], [8] * 6, 2, groups * 2, [groups, groups])
    assert layout is not None
    assert [sum(not node for node in layout[at::2]) for at in (0, 1)] == [2, 2]
    both_in_one = Cut("a", "internal", LARGE, 2, "domain", (2, 0))
    assert lay_out([both_in_one], [8] * 4, 2, groups, [groups, []]) is None
    assert lay_out([both_in_one], [8] * 4, 2, groups, [[], groups]) is not None


def test_pods_may_be_spread_as_unevenly_as_the_gpus_are():
    cut = Cut("a", "internal", LARGE, 3, "node")
    layout = lay_out([cut], [8, 8], 1, [])
    assert layout is not None
    assert skew(cut, layout, 1, 2) == 2, "with less, the last slices could not be used"
    even = Cut("a", "internal", LARGE, 2, "node")
    assert skew(even, [{"a": 1}, {"a": 1}], 1, 2) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["public", "internal"]),
            st.sampled_from([SMALL, LARGE]),
            st.integers(1, 4),
            st.sampled_from(["none", "node", "domain"]),
        ),
        max_size=4,
    ),
    st.lists(st.integers(1, 3), max_size=3),
    st.integers(2, 4),
)
def test_a_layout_fits_its_nodes_separates_classes_and_survives_the_stated_losses(
    endpoint_shapes: list[tuple[str, str, int, str]], whole_replicas: list[int], nodes: int
):
    endpoints = []
    for number, (class_, profile, count, survive) in enumerate(endpoint_shapes):
        slices_per_gpu = instances(H100, profile)
        endpoints.append(Sliced(f"e{number}", class_, profile, (count + 1) * slices_per_gpu, survive))
    expected_cuts = cuts(H100, endpoints)
    free, replicas = [4] * nodes, [Replica(gpus) for gpus in whole_replicas]
    layout = lay_out(expected_cuts, free, 2, replicas)
    if layout is None:
        return
    assert {
        owner: sum(node.get(owner, 0) for node in layout) for owner in {c.owner for c in expected_cuts}
    } == {cut.owner: cut.gpus for cut in expected_cuts}
    assert (
        pack([room - sum(node.values()) for room, node in zip(free, layout, strict=True)], replicas)
        is not None
    )
    cut_of = {cut.owner: cut for cut in expected_cuts}
    for node in layout:
        classes: dict[str, set[str]] = {}
        for owner in node:
            classes.setdefault(cut_of[owner].profile, set()).add(cut_of[owner].class_)
        assert all(len(classes_of_profile) == 1 for classes_of_profile in classes.values())
    for cut in expected_cuts:
        places = {
            (node % 2 if cut.spread == "domain" else node)
            for node, owners in enumerate(layout)
            if cut.owner in owners
        }
        assert cut.spread is None or len(places) >= 2
