"""The state after interrupted creations of a crashed run were decided."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.state.interrupted_creations import (
    Creation,
    Made,
    NotMade,
    Unknown,
    apply_verdicts,
    find_interrupted_creations,
    state_entry,
)

PREFIX = "urn:pulumi:dev::isthmus::"
PROVIDER = f"{PREFIX}pulumi:providers:aws::frankfurt"
PARENT = f"{PREFIX}isthmus:index:Network::net"
VPC = f"{PREFIX}isthmus:index:Network$aws:ec2/vpc:Vpc::net-vpc"


def entry(urn: str = VPC, **fields) -> dict:
    return {
        "urn": urn,
        "custom": True,
        "type": "aws:ec2/vpc:Vpc",
        "inputs": {"__defaults": [], "cidrBlock": "10.0.0.0/16"},
        "parent": PARENT,
        "provider": f"{PROVIDER}::old-id",
        **fields,
    }


def state(*resources: dict, pending: tuple[dict, ...] = ()) -> dict:
    base = [
        {"urn": PROVIDER, "custom": True, "type": "pulumi:providers:aws", "id": "new-id"},
        {"urn": PARENT, "type": "isthmus:index:Network"},
    ]
    return {
        "resources": [*base, *resources],
        "pending_operations": [{"resource": resource, "type": "creating"} for resource in pending],
    }


def test_an_existing_resource_is_adopted_with_its_id_and_the_current_provider():
    before = state(pending=(entry(),))
    after = apply_verdicts(before, [(find_interrupted_creations(before)[0], Made("vpc-1"))])
    assert "pending_operations" not in after
    adopted = after["resources"][-1]
    assert (adopted["urn"], adopted["id"], adopted["provider"]) == (VPC, "vpc-1", f"{PROVIDER}::new-id")
    assert adopted["outputs"] == {"cidrBlock": "10.0.0.0/16"}, "the next reading knows it by its inputs"


def test_a_creation_that_does_not_exist_is_forgotten():
    before = state(pending=(entry(),))
    assert (
        apply_verdicts(before, [(find_interrupted_creations(before)[0], NotMade())])["resources"]
        == before["resources"]
    )


def test_an_adopted_replacement_marks_the_old_resource_for_deletion():
    before = state(entry(id="vpc-0"), pending=(entry(),))
    after = apply_verdicts(before, [(find_interrupted_creations(before)[0], Made("vpc-1"))])
    assert [(resource["id"], resource.get("delete")) for resource in after["resources"][2:]] == [
        ("vpc-0", True),
        ("vpc-1", None),
    ]


def test_a_resource_deleted_before_its_replacement_leaves_the_state():
    before = state(entry(id="vpc-0", pendingReplacement=True), pending=(entry(),))
    after = apply_verdicts(before, [(find_interrupted_creations(before)[0], Made("vpc-1"))])
    assert [resource["id"] for resource in after["resources"][2:]] == ["vpc-1"]


def test_a_resource_in_the_state_is_not_adopted_twice():
    before = state(entry(id="vpc-1"))
    after = apply_verdicts(before, [(Creation(entry()), Made("vpc-1"))])
    assert after["resources"] == before["resources"]


def test_a_resource_without_id_in_the_state_is_an_interrupted_creation():
    """The engine refuses its own state then, until somebody deletes the entry by hand."""
    rule = f"{PREFIX}aws:ec2/route:Route::rule"
    before = state(entry(), entry(rule, id="r-1", dependencies=[VPC], propertyDependencies={"vpcId": [VPC]}))
    (interrupted_creation,) = find_interrupted_creations(before)
    assert interrupted_creation.urn == VPC
    resources = apply_verdicts(before, [(interrupted_creation, Made("vpc-1"))])["resources"]
    assert sorted(resource["id"] for resource in resources[2:]) == ["r-1", "vpc-1"]
    assert next(resource for resource in resources if resource["urn"] == rule)["dependencies"] == [VPC]
    gone = apply_verdicts(before, [(interrupted_creation, NotMade())])["resources"]
    assert [resource["urn"] for resource in gone[2:]] == [rule]
    assert (gone[2]["dependencies"], gone[2]["propertyDependencies"]) == ([], {"vpcId": []})


def test_a_resource_marked_for_deletion_is_left_to_the_engine():
    before = state(entry(delete=True))
    assert not find_interrupted_creations(before)
    assert apply_verdicts(before, [])["resources"] == before["resources"]


def test_an_adopted_resource_has_no_references_to_missing_resources():
    gone = f"{PREFIX}aws:ec2/vpc:Vpc::gone"
    before = state()
    lost = entry(parent=gone, dependencies=[gone, PARENT], propertyDependencies={"a": [gone], "b": None})
    adopted = apply_verdicts(before, [(Creation(lost), Made("x"))])["resources"][-1]
    assert "parent" not in adopted
    assert adopted["dependencies"] == [PARENT]
    assert adopted["propertyDependencies"] == {"a": [], "b": []}


def test_an_undecided_creation_is_never_dropped():
    before = state(pending=(entry(),))
    with pytest.raises(ValueError, match="is not decided"):
        apply_verdicts(before, [(find_interrupted_creations(before)[0], Unknown("it", "look"))])


def test_components_and_other_operations_are_not_interrupted_creations():
    before = state()
    before["pending_operations"] = [
        {"resource": entry(), "type": "updating"},
        {"resource": {"urn": PARENT, "type": "isthmus:index:Network", "custom": False}, "type": "creating"},
    ]
    assert find_interrupted_creations(before) == []


def test_a_masked_secret_of_an_event_stays_a_secret_in_the_state():
    step = SimpleNamespace(
        urn=VPC, type="t", parent="", provider="", protect=None, retain_on_delete=True,
        inputs={"data": {"key": "[secret]"}, "list": ["[secret]"], "plain": "x"},
    )  # fmt: skip
    adopted = state_entry(step)
    assert adopted["retainOnDelete"] is True
    assert adopted["inputs"]["plain"] == "x"
    for value in (adopted["inputs"]["data"]["key"], adopted["inputs"]["list"][0]):
        assert value["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"


verdicts = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.one_of(st.just(NotMade()), st.builds(Made, st.sampled_from("1234")))
    ),
    max_size=6,
)


@given(
    existing=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("5678")), unique_by=lambda e: e[0]),
    verdicts=verdicts,
)
def test_no_urn_is_twice_in_the_state_except_if_marked_for_deletion(existing, verdicts):
    before = state(*(entry(f"{PREFIX}t::{name}", id=id) for name, id in existing))
    unchanged = copy.deepcopy(before)
    after = apply_verdicts(
        before, [(Creation(entry(f"{PREFIX}t::{name}")), verdict) for name, verdict in verdicts]
    )
    living = [resource["urn"] for resource in after["resources"] if not resource.get("delete")]
    assert len(living) == len(set(living))
    assert before == unchanged, "the old state was changed"
    ids = {resource.get("id") for resource in after["resources"]}
    assert {verdict.id for _, verdict in verdicts if isinstance(verdict, Made)} | {
        id for _, id in existing
    } <= ids
