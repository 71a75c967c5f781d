"""Differences between two values, and the notation of their paths."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.preview.value_diff import differences, path_keys, path_step, value_at

LEAF = st.booleans() | st.integers() | st.text(max_size=5)
VALUE = st.recursive(
    LEAF, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside), max_leaves=8
)


def test_a_change_is_reported_at_the_deepest_common_path():
    old = {"spec": {"replicas": 2, "template": {"a": 1}}, "kind": "Deployment"}
    new = {"spec": {"replicas": 3, "template": {"a": 1, "b": {"c": 2}}}, "kind": "Deployment"}
    assert list(differences(old, new)) == [("spec.replicas", 2, 3), ("spec.template.b", None, {"c": 2})]


def test_an_element_added_to_the_front_of_a_list_is_one_difference():
    assert list(differences({"args": ["a", "b"]}, {"args": ["new", "a", "b"]})) == [("args[0]", None, "new")]


def test_a_key_with_special_characters_is_quoted_and_read_back():
    path = path_step("metadata.labels", 'app."kubernetes".io/[name]')
    assert path_keys(path) == ["metadata", "labels", 'app."kubernetes".io/[name]']


def test_a_json_policy_in_a_text_is_compared_by_its_content():
    old, new = ({"policy": json.dumps({"Statement": [{"Action": action}]})} for action in ("s3:Get", "s3:*"))
    assert list(differences(old, new)) == [("policy.Statement[0].Action", "s3:Get", "s3:*")]
    assert value_at(new, "policy.Statement[0].Action") == "s3:*"


def test_another_layout_of_a_json_text_is_a_difference():
    assert list(differences({"policy": '{"a":1}'}, {"policy": '{"a": 1}'})) == [
        ("policy", '{"a":1}', '{"a": 1}')
    ]


def test_true_and_the_number_one_are_different():
    assert list(differences({"a": True}, {"a": 1})) == [("a", True, 1)]


@given(VALUE, VALUE)
def test_only_different_values_are_reported_as_different(old: Any, new: Any):
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert (not list(differences({"it": old}, {"it": new}))) == same


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_written_path_is_parsed_back_into_its_keys(names: list[str]):
    path = ""
    for name in names:
        path = path_step(path, name)
    assert path_keys(path) == names
