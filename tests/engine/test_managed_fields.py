"""FieldsV1 of Kubernetes: which manager set which field of an object."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.kubernetes import managed_fields
from isthmus.engine.kubernetes.managed_fields import Step, parse_fields, parse_step

NAMES = st.text(min_size=1, max_size=12)
VALUES = st.one_of(st.text(max_size=8), st.integers(-9, 99), st.booleans())
STEPS = st.one_of(
    st.builds(lambda name: Step("f", name), NAMES),
    st.builds(
        lambda keys: Step("k", json.dumps(keys, sort_keys=True)),
        st.dictionaries(NAMES, VALUES, min_size=1, max_size=3),
    ),
    st.builds(lambda value: Step("v", json.dumps(value)), VALUES),
    st.builds(lambda index: Step("i", json.dumps(index)), st.integers(0, 50)),
)
PATHS = st.lists(st.lists(STEPS, min_size=1, max_size=5).map(tuple), min_size=1, max_size=8, unique=True)


def spelt(paths: list[tuple[Step, ...]]) -> dict[str, Any]:
    """Paths as the API server spells them: a leaf is `{}`, and what is more than a leaf says `.` of itself."""
    tree: dict[str, Any] = {}
    for path in paths:
        at = tree
        for step in path:
            at = at.setdefault(step.spelt(), {})
        at["."] = {}

    def leaves(at: dict[str, Any]) -> dict[str, Any]:
        return {key: {} if child == {".": {}} else leaves(child) for key, child in at.items()}

    return leaves(tree)


def managed(manager: str, fields_v1: Any, **more: Any) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Apply",
        "time": "2026-11-26T15:00:00Z",
        "fieldsV1": fields_v1,
        **more,
    }


@given(PATHS, PATHS)
def test_every_managed_path_is_read_with_exactly_its_managers(first_paths, second_paths):
    second_paths = [path for path in second_paths if path[0] != Step("f", "status")]
    first_paths = [path for path in first_paths if path[0] != Step("f", "status")]
    ownership = parse_fields([managed("one", spelt(first_paths)), managed("other", spelt(second_paths))])
    assert set(ownership.tree.paths()) == {*first_paths, *second_paths}
    assert ownership.tree.all() == {
        name for name, paths in (("one", first_paths), ("other", second_paths)) if paths
    }
    for path in {*first_paths, *second_paths}:
        at = ownership.tree
        for step in path:
            at = at.below[step]
        assert at.managers == {
            name for name, paths in (("one", first_paths), ("other", second_paths)) if path in paths
        }


@given(STEPS)
def test_a_path_step_is_parsed_back_from_its_text(step):
    assert parse_step(step.spelt()) == step


@given(st.text(max_size=20))
def test_an_unparseable_field_key_belongs_to_its_manager_without_an_error(text):
    if parse_step(text) is None:
        spec = parse_fields([managed("odd", {"f:spec": {text: {"f:x": {}}}})]).tree.name("spec")
        assert spec is not None
        assert spec.managers == {"odd"}


@given(st.dictionaries(NAMES, VALUES, min_size=2, max_size=3))
def test_the_order_of_keys_in_managed_fields_does_not_matter(keys):
    turned = dict(reversed(keys.items()))
    assert parse_step("k:" + json.dumps(keys)) == parse_step("k:" + json.dumps(turned))


def test_a_field_name_may_contain_colons_dots_and_slashes():
    assert parse_step("f:a.b/c:d") == Step("f", "a.b/c:d")
    assert parse_step("f:") == Step("f", "")


def test_an_invalid_field_key_is_ignored():
    assert [parse_step(part) for part in (".", "spec", "k:[1]", "k:{", 'i:"x"', "z:1")] == [None] * 6


def test_controller_status_is_ignored_and_other_controller_fields_are_not():
    label = {"f:metadata": {"f:labels": {"f:x": {}}}}
    ownership = parse_fields(
        [
            managed("controller", {"f:status": {"f:replicas": {}}}, subresource="status"),
            managed("sly", {"f:status": {"f:replicas": {}}, **label}, subresource="status"),
        ]
    )
    assert ownership.tree.all() == {"sly"}
    assert {path[0].text for path in ownership.tree.paths()} == {"metadata"}


def test_the_latest_time_of_a_manager_is_used():
    later = {**managed("a", {"f:y": {}}), "time": "2026-11-26T16:00:00Z"}
    assert parse_fields([later, managed("a", {"f:x": {}})]).since == {"a": "2026-11-26T16:00:00Z"}


def test_an_object_without_managed_fields_has_no_owner():
    for managers in (None, [], "x", [None]):
        assert managed_fields.parse_fields(managers).tree.all() == set()
