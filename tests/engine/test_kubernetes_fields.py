"""A live object held beside what a stack said: what was changed, what was added, and what the API server brings."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.pulumi_values import MASK
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.kubernetes.managed_fields import parse_fields

OURS, THEIRS = "pulumi-kubernetes-1", "kubectl-edit"


def claims(said: Any) -> Any:
    """The FieldsV1 of an applied object, as the API server has it where lists of named things are keyed by name."""
    if isinstance(said, dict):
        return {f"f:{key}": claims(value) for key, value in said.items()} or {}
    if isinstance(said, list) and said and all(isinstance(each, dict) and "name" in each for each in said):
        return {f'k:{{"name":"{each["name"]}"}}': {".": {}, **claims(each)} for each in said}
    return {}


def looked(
    said: Any, live: Any, theirs: Any = None, ours: Any = None
) -> dict[str, tuple[str, Any, Any, set[str]]]:
    """What is found, by path. `theirs`: what another manager has set."""
    managed = [{"manager": OURS, "fieldsV1": claims(said if ours is None else ours)}]
    managed += [{"manager": THEIRS, "fieldsV1": theirs}] if theirs is not None else []
    found = kubernetes_fields.compare_fields(said, live, parse_fields(managed), [OURS])
    return {each.path: (each.what, each.old, each.new, set(each.by)) for each in found}


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
def test_what_stands_as_it_was_said_is_no_drift(said):
    assert looked({"spec": said}, {"spec": said, "status": {"phase": "Running"}}) == {}


@given(st.dictionaries(st.sampled_from("abcdef"), JSON, min_size=2, max_size=4), st.data())
def test_a_field_that_is_gone_is_found_at_its_path(said, data):
    key = data.draw(st.sampled_from(sorted(said)))
    live = {name: value for name, value in said.items() if name != key}
    found = looked({"spec": said}, {"spec": live})
    assert set(found) == {f"spec.{key}"}
    assert found[f"spec.{key}"][:3] == ("changed", said[key], None)


def test_a_default_of_the_api_server_is_none_and_a_field_that_somebody_owns_was_added():
    live = {"spec": {"replicas": 2, "minReadySeconds": 5, "paused": True}}
    found = looked({"spec": {"replicas": 2}}, live, theirs={"f:spec": {"f:paused": {}}})
    assert found == {"spec.paused": ("added", None, True, {THEIRS})}


def test_a_changed_value_names_who_changed_it():
    theirs = {"f:spec": {"f:replicas": {}}}
    found = looked({"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, theirs, ours={})
    assert found == {"spec.replicas": ("changed", 2, 3, {THEIRS})}


def test_a_sidecar_is_found_wherever_it_stands_and_whoever_put_it_there():
    said = pod(BOX)
    side = {"name": "side", "image": "evil"}
    at = 'spec.template.spec.containers["side"]'
    claimed = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"side"}': {".": {}}}}}}}
    assert looked(said, pod(side, BOX), claimed) == {at: ("added", None, side, {THEIRS})}
    # A webhook claims nothing.
    assert looked(said, pod(BOX, side)) == {at: ("added", None, side, set())}


def test_a_variable_that_was_added_is_found_in_its_container():
    more = {**BOX, "env": [*BOX["env"], {"name": "B", "value": "2"}]}
    found = looked(pod(BOX), pod(more))
    assert set(found) == {'spec.template.spec.containers["vllm"].env["B"]'}


def test_a_rule_more_in_a_policy_is_found_though_all_before_it_stand():
    said = {"spec": {"egress": [{"ports": [{"port": 53}]}]}}
    live = {"spec": {"egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}, {}]}}
    assert looked(said, live, {"f:spec": {"f:egress": {}}}, ours={}) == {
        "spec.egress[1]": ("changed", None, {}, {THEIRS})
    }


def test_a_rule_that_is_made_wider_within_is_found_where_others_had_the_last_word():
    said = {"spec": {"egress": [{"ports": [{"port": 443}]}]}}
    live = {"spec": {"egress": [{"ports": [{"port": 443, "protocol": "TCP", "endPort": 65535}]}]}}
    found = looked(said, live, {"f:spec": {"f:egress": {}}}, ours={"spec": {}})
    assert set(found) == {"spec.egress[0].ports[0].endPort"}


def test_the_order_of_rules_is_no_drift():
    one, other = {"to": [{"a": 1}]}, {"to": [{"b": 2}]}
    assert looked({"spec": {"egress": [one, other]}}, {"spec": {"egress": [other, one]}}) == {}


def test_what_the_api_server_writes_otherwise_is_the_same():
    said = {
        "spec": {
            "limits": {"memory": "1024Mi", "cpu": 1, "nvidia.com/gpu": "2"},
            "hostNetwork": False,
            "ingress": [],
            "seconds": 0,
        }
    }
    assert looked(said, {"spec": {"limits": {"memory": "1Gi", "cpu": "1000m", "nvidia.com/gpu": "2"}}}) == {}


def test_a_quantity_that_is_another_is_found_and_text_that_looks_like_one_is_text():
    assert set(looked({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1001m"}})) == {"limits.cpu"}
    assert set(looked({"data": {"x": "1"}}, {"data": {"x": "1000m"}})) == {"data.x"}


def test_a_switch_that_defaults_to_on_is_missed_when_it_is_gone():
    said = {"spec": {"automountServiceAccountToken": False}}
    assert looked(said, {"spec": {}})["spec.automountServiceAccountToken"][:3] == ("changed", False, None)


def test_a_secret_value_is_told_by_who_has_the_last_word_and_never_shown():
    said, live = {"data": {"config": MASK}}, {"data": {"config": "hunter2"}}
    assert looked(said, live) == {}
    found = looked(said, live, {"f:data": {"f:config": {}}}, ours={})
    assert found == {"data.config": ("changed", MASK, MASK, {THEIRS})}


def test_a_port_that_leaves_its_protocol_out_is_the_same_port():
    said = {"spec": {"ports": [{"port": 80, "name": "http"}]}}
    ours = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}}}
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "http", "targetPort": 80}]}}
    managed = parse_fields([{"manager": OURS, "fieldsV1": ours}])
    assert kubernetes_fields.compare_fields(said, live, managed, [OURS]) == []


def test_a_set_tells_what_was_put_into_it():
    ours = {"f:metadata": {"f:finalizers": {'v:"a"': {}}}}
    theirs = {"f:metadata": {"f:finalizers": {'v:"b"': {}}}}
    managed = parse_fields([{"manager": OURS, "fieldsV1": ours}, {"manager": THEIRS, "fieldsV1": theirs}])
    said, live = {"metadata": {"finalizers": ["a"]}}, {"metadata": {"finalizers": ["a", "b"], "uid": "1"}}
    (found,) = kubernetes_fields.compare_fields(said, live, managed, [OURS])
    assert (found.what, found.new, set(found.by)) == ("added", "b", {THEIRS})
