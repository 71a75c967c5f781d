"""Overrides of a stack: which values merge, replace or delete, and which overrides are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.platform import overrides
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import platform_data

KEYS = st.sampled_from(["a", "b", "c", "name", "id"])
LEAVES = st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"])
NAMED = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["x", "y", "z"])}, optional={"a": LEAVES, "b": LEAVES}),
    max_size=3,
    unique_by=lambda item: item["name"],
)
TREES = st.recursive(
    LEAVES | NAMED | st.lists(LEAVES, max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
MAPS = st.dictionaries(KEYS, TREES, max_size=4)


@given(MAPS, MAPS)
def test_applying_overrides_twice_equals_applying_them_once(base: dict[str, Any], over: dict[str, Any]):
    once = overrides.merge(base, over)
    assert overrides.merge(once, over) == once


@given(MAPS, MAPS)
def test_a_merge_keeps_other_keys_and_does_not_change_its_inputs(base: dict[str, Any], over: dict[str, Any]):
    before = copy.deepcopy((base, over))
    merged = overrides.merge(base, over)
    assert (base, over) == before
    for key in base.keys() - over.keys():
        assert merged[key] == base[key]


@given(MAPS, MAPS)
def test_null_deletes_a_value(base: dict[str, Any], over: dict[str, Any]):
    merged = overrides.merge(base, over)
    for key, value in over.items():
        assert (key in merged) == (value is not None)


@given(MAPS)
def test_no_overrides_change_nothing(base: dict[str, Any]):
    assert overrides.merge(base, {}) == base


def test_lists_of_parts_merge_by_name_and_an_unknown_one_is_appended():
    base = {"pools": [{"name": "a", "nodes": 1, "gpu": "x"}, {"name": "b", "nodes": 2}]}
    merged = overrides.merge(
        base, {"pools": [{"name": "c", "nodes": 3}, {"name": "a", "nodes": 9, "gpu": None}]}
    )
    assert merged["pools"] == [
        {"name": "a", "nodes": 9},
        {"name": "b", "nodes": 2},
        {"name": "c", "nodes": 3},
    ]


def test_endpoints_merge_by_id():
    merged = overrides.merge({"endpoints": [{"id": "a", "x": 1}]}, {"endpoints": [{"id": "a", "y": 2}]})
    assert merged["endpoints"] == [{"id": "a", "x": 1, "y": 2}]


def test_lists_without_names_are_replaced():
    assert overrides.merge({"dns": ["a", "b"]}, {"dns": ["c"]}) == {"dns": ["c"]}
    assert overrides.merge({"pools": [{"name": "a"}]}, {"pools": []}) == {"pools": []}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"imges": {}}, "isthmus:overrides.imges", "Did you mean `images`?"),
    ({"images": {"vlm": "x"}}, "isthmus:overrides.images.vlm", "Did you mean `vllm`?"),
    (
        {"endpoints": [{"id": "e", "tensor_paralel": 4}]},
        "isthmus:overrides.endpoints[e].tensor_paralel",
        "Did you mean `tensor_parallel`?",
    ),
    (
        {"endpoints": [{"id": "e", "tensor_parallel": "four"}]},
        "isthmus:overrides.endpoints[e].tensor_parallel",
        "`four` is not valid: expected a whole number",
    ),
    ({"endpoints": [{"id": "e", "target": "bedrok"}]}, "isthmus:overrides.endpoints[e].target", "`bedrock`"),
    ({"endpoints": {}}, "isthmus:overrides.endpoints", "a list is expected, not `{}`"),
    ({"images": "x"}, "isthmus:overrides.images", "a mapping is expected"),
    ({"operators": {"kueue": "of"}}, "isthmus:overrides.operators.kueue", "manage, existing, off"),
    (
        {"pools": [{"name": "p", "nodes": 0}]},
        "isthmus:overrides.pools[p].nodes",
        "greater than or equal to 1",
    ),
    ({"images": {"registries": ["a", 3]}}, "isthmus:overrides.images.registries[1]", "valid string"),
    (
        {"pools": [{"name": "p"}, {"name": "p"}]},
        "isthmus:overrides.pools[p]",
        "`p` appears twice in the list",
    ),
    ({"tags": {"a": 1}}, "isthmus:overrides.tags.a", "valid string"),
]


@pytest.mark.parametrize(("wrong", "where", "message"), WRONG)
def test_a_wrong_override_is_reported_with_its_path(wrong: dict[str, Any], where: str, message: str):
    with pytest.raises(InputError) as caught:
        overrides.check(wrong)
    assert caught.value.where == where
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_that_are_not_a_mapping_are_refused():
    with pytest.raises(InputError, match="the overrides must be a mapping"):
        overrides.check(["a"])


def test_null_is_allowed_everywhere():
    overrides.check({"issuer": None, "endpoints": [{"id": "x", "replicas": None}], "tags": None})


def test_an_override_that_breaks_a_boundary_is_refused():
    with pytest.raises(Refused, match="restricted work may not run on bedrock"):
        overrides.apply(platform_data(), {"endpoints": [{"id": "restricted-llama-70b", "target": "bedrock"}]})


def test_an_appended_part_must_be_complete():
    with pytest.raises(InputError, match=r"pools\[b200\]\.site.*the key `site` is missing"):
        overrides.apply(platform_data(), {"pools": [{"name": "b200", "gpu": "b200-sxm-180gb"}]})


def test_a_valid_override_gives_a_checked_platform():
    change = {
        "endpoints": [{"id": "restricted-llama-70b", "replicas": 3, "gpus": 12}],
        "tags": {"cost-centre": "4711"},
    }
    platform = overrides.apply(platform_data(), change)
    assert (platform.endpoints[0].replicas, platform.tags["cost-centre"]) == (3, "4711")


def test_one_run_reports_every_wrong_override():
    wrong = {
        "imags": {},
        "endpoints": [{"id": "a", "replicas": "two"}, {"id": "a", "gpu": 1}],
        "sites": {"x": 1},
    }
    with pytest.raises(InputError) as caught:
        overrides.check(wrong, file="Pulumi.x.yaml")
    places = [
        line.removeprefix("Pulumi.x.yaml isthmus:overrides.").split(": ")[0] for line in caught.value.lines()
    ]
    assert places == ["imags", "endpoints[a].replicas", "endpoints[a].gpu", "endpoints[a]", "sites"]
