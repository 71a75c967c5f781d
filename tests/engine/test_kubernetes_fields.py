"""A live object compared with its stack's inputs: changed and added fields, and defaults of the API server."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.pulumi_values import MASK
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.kubernetes.managed_fields import parse_fields

OURS, THEIRS = "pulumi-kubernetes-1", "kubectl-edit"


def claims(stated_fields: Any) -> Any:
    """The FieldsV1 of an applied object, as the API server has it where lists of named things are keyed by name."""
    if isinstance(stated_fields, dict):
        return {f"f:{key}": claims(value) for key, value in stated_fields.items()} or {}
    if (
        isinstance(stated_fields, list)
        and stated_fields
        and all(isinstance(element, dict) and "name" in element for element in stated_fields)
    ):
        return {
            f'k:{{"name":"{element["name"]}"}}': {".": {}, **claims(element)} for element in stated_fields
        }
    return {}


def compare(
    stated_fields: Any, live: Any, foreign_fields: Any = None, own_fields: Any = None
) -> dict[str, tuple[str, Any, Any, set[str]]]:
    """What is found, by path. `theirs`: what another manager has set."""
    managed = [{"manager": OURS, "fieldsV1": claims(stated_fields if own_fields is None else own_fields)}]
    managed += [{"manager": THEIRS, "fieldsV1": foreign_fields}] if foreign_fields is not None else []
    differences = kubernetes_fields.compare_fields(stated_fields, live, parse_fields(managed), [OURS])
    return {
        difference.path: (difference.what, difference.old, difference.new, set(difference.by))
        for difference in differences
    }


def pod(*boxes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(boxes), **more}}}}


BOX = {"name": "vllm", "image": "a@sha256:1", "args": ["--x"], "env": [{"name": "A", "value": "1"}]}
JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(1, 99), st.text(min_size=1, max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from("abcdef"), inner, min_size=1, max_size=3),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abcdef"), JSON, min_size=1, max_size=4))
def test_an_object_that_equals_its_inputs_has_no_drift(stated_fields):
    assert compare({"spec": stated_fields}, {"spec": stated_fields, "status": {"phase": "Running"}}) == {}


@given(st.dictionaries(st.sampled_from("abcdef"), JSON, min_size=2, max_size=4), st.data())
def test_a_removed_field_is_reported_with_its_path(stated_fields, data):
    key = data.draw(st.sampled_from(sorted(stated_fields)))
    live = {name: value for name, value in stated_fields.items() if name != key}
    differences = compare({"spec": stated_fields}, {"spec": live})
    assert set(differences) == {f"spec.{key}"}
    assert differences[f"spec.{key}"][:3] == ("changed", stated_fields[key], None)


def test_defaults_of_the_api_server_are_ignored_and_owned_fields_are_reported():
    live = {"spec": {"replicas": 2, "minReadySeconds": 5, "paused": True}}
    differences = compare({"spec": {"replicas": 2}}, live, foreign_fields={"f:spec": {"f:paused": {}}})
    assert differences == {"spec.paused": ("added", None, True, {THEIRS})}


def test_a_changed_value_is_reported_with_its_manager():
    foreign_fields = {"f:spec": {"f:replicas": {}}}
    differences = compare({"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, foreign_fields, own_fields={})
    assert differences == {"spec.replicas": ("changed", 2, 3, {THEIRS})}


def test_an_added_sidecar_is_found_in_any_position():
    stated_fields = pod(BOX)
    side = {"name": "side", "image": "evil"}
    at = 'spec.template.spec.containers["side"]'
    claimed = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"side"}': {".": {}}}}}}}
    assert compare(stated_fields, pod(side, BOX), claimed) == {at: ("added", None, side, {THEIRS})}
    # A webhook claims nothing.
    assert compare(stated_fields, pod(BOX, side)) == {at: ("added", None, side, set())}


def test_an_added_variable_is_reported_in_its_container():
    more = {**BOX, "env": [*BOX["env"], {"name": "B", "value": "2"}]}
    differences = compare(pod(BOX), pod(more))
    assert set(differences) == {'spec.template.spec.containers["vllm"].env["B"]'}


def test_an_appended_rule_of_a_network_policy_is_reported():
    stated_fields = {"spec": {"egress": [{"ports": [{"port": 53}]}]}}
    live = {"spec": {"egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}, {}]}}
    assert compare(stated_fields, live, {"f:spec": {"f:egress": {}}}, own_fields={}) == {
        "spec.egress[1]": ("changed", None, {}, {THEIRS})
    }


def test_a_widened_rule_is_found_even_if_another_manager_wrote_it():
    stated_fields = {"spec": {"egress": [{"ports": [{"port": 443}]}]}}
    live = {"spec": {"egress": [{"ports": [{"port": 443, "protocol": "TCP", "endPort": 65535}]}]}}
    differences = compare(stated_fields, live, {"f:spec": {"f:egress": {}}}, own_fields={"spec": {}})
    assert set(differences) == {"spec.egress[0].ports[0].endPort"}


def test_the_order_of_rules_is_not_drift():
    first, second = {"to": [{"a": 1}]}, {"to": [{"b": 2}]}
    assert compare({"spec": {"egress": [first, second]}}, {"spec": {"egress": [second, first]}}) == {}


def test_values_normalised_by_the_api_server_are_equal():
    stated_fields = {
        "spec": {
            "limits": {"memory": "1024Mi", "cpu": 1, "nvidia.com/gpu": "2"},
            "hostNetwork": False,
            "ingress": [],
            "seconds": 0,
        }
    }
    assert (
        compare(stated_fields, {"spec": {"limits": {"memory": "1Gi", "cpu": "1000m", "nvidia.com/gpu": "2"}}})
        == {}
    )


def test_different_quantities_are_reported_and_similar_text_is_compared_as_text():
    assert set(compare({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1001m"}})) == {"limits.cpu"}
    assert set(compare({"data": {"x": "1"}}, {"data": {"x": "1000m"}})) == {"data.x"}


def test_a_removed_field_with_a_different_default_is_reported():
    stated_fields = {"spec": {"automountServiceAccountToken": False}}
    assert compare(stated_fields, {"spec": {}})["spec.automountServiceAccountToken"][:3] == (
        "changed",
        False,
        None,
    )


def test_a_changed_secret_value_is_reported_by_its_manager_and_never_shown():
    stated_fields, live = {"data": {"config": MASK}}, {"data": {"config": "hunter2"}}
    assert compare(stated_fields, live) == {}
    differences = compare(stated_fields, live, {"f:data": {"f:config": {}}}, own_fields={})
    assert differences == {"data.config": ("changed", MASK, MASK, {THEIRS})}


def test_a_port_without_a_protocol_equals_a_tcp_port():
    stated_fields = {"spec": {"ports": [{"port": 80, "name": "http"}]}}
    own_fields = {
        "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}}
    }
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "http", "targetPort": 80}]}}
    managed = parse_fields([{"manager": OURS, "fieldsV1": own_fields}])
    assert kubernetes_fields.compare_fields(stated_fields, live, managed, [OURS]) == []


def test_a_value_added_to_a_set_is_reported():
    own_fields = {"f:metadata": {"f:finalizers": {'v:"a"': {}}}}
    foreign_fields = {"f:metadata": {"f:finalizers": {'v:"b"': {}}}}
    managed = parse_fields(
        [{"manager": OURS, "fieldsV1": own_fields}, {"manager": THEIRS, "fieldsV1": foreign_fields}]
    )
    stated_fields, live = (
        {"metadata": {"finalizers": ["a"]}},
        {"metadata": {"finalizers": ["a", "b"], "uid": "1"}},
    )
    (difference,) = kubernetes_fields.compare_fields(stated_fields, live, managed, [OURS])
    assert (difference.what, difference.new, set(difference.by)) == ("added", "b", {THEIRS})
