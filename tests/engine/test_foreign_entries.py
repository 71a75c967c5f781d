"""What others added to a stack's live objects: what is foreign, what is left in peace, and how it is set back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.reports.preview import Change, PropertyChange
from isthmus.contracts.trust import Trust
from isthmus.core.errors import Refused
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.foreign import preview as foreign_preview
from isthmus.engine.foreign.entries import BOUNDARY_KINDS, ForeignEntries, Found
from isthmus.engine.foreign.restoring import restored
from isthmus.engine.foreign.set_back import SetBack, check, set_back
from isthmus.engine.kubernetes.managed_fields import parse_fields
from isthmus.engine.preview.assembly import PreviewDraft
from tests.engine.foreign_world import (
    BODIES,
    EDITOR,
    Cluster,
    path_of,
    refuses,
    resource_of,
    search,
    type_of,
    urn_of,
)

EVERYBODY = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
OPENED: dict[str, dict[str, Any]] = {
    "NetworkPolicy": {"spec": {**BODIES["NetworkPolicy"]["spec"], "egress": [{}]}},
    "Role": {"rules": [*BODIES["Role"]["rules"], ALL]},
    "RoleBinding": {"subjects": [*BODIES["RoleBinding"]["subjects"], EVERYBODY]},
    "ClusterRole": {"rules": [*BODIES["ClusterRole"]["rules"], ALL]},
    "ClusterRoleBinding": {"subjects": [*BODIES["ClusterRoleBinding"]["subjects"], EVERYBODY]},
    "ValidatingAdmissionPolicy": {
        "spec": {
            **BODIES["ValidatingAdmissionPolicy"]["spec"],
            "matchConditions": [{"name": "never", "expression": "false"}],
        }
    },
    "ValidatingAdmissionPolicyBinding": {
        "spec": {
            **BODIES["ValidatingAdmissionPolicyBinding"]["spec"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"none": "none"}}},
        }
    },
}
"""Kind → an entry more, in the section that it changes."""
TRUSTED = Trust.model_validate(
    {"managers": [{"value": EDITOR, "reason": "The mesh", "owner": "platform-team"}]}
)


def open_object(cluster: Cluster, kind: str, manager: str = EDITOR) -> None:
    cluster.of(kind).update(copy.deepcopy(OPENED[kind]))
    (section,) = OPENED[kind]
    cluster.claim(kind, manager, section)


def label(cluster: Cluster, kind: str, manager: str = EDITOR) -> None:
    cluster.of(kind)["metadata"]["labels"]["team"] = "risk"
    cluster.claim(kind, manager, "metadata", "labels", "team")


def kinds(found: Found) -> list[str]:
    return sorted(foreign.label.partition(" ")[0] for foreign in found.objects)


def test_a_cluster_without_foreign_entries_is_asked_once_for_each_kind():
    cluster = Cluster()
    assert search(cluster).find() == Found()
    assert len(cluster.asked) == len(BODIES)
    assert {method for method, _ in cluster.asked} == {"GET"}


@pytest.mark.parametrize("kind", BOUNDARY_KINDS)
def test_an_entry_more_in_a_boundary_is_found_with_its_author_and_set_back(kind: str):
    cluster = Cluster()
    before = copy.deepcopy(cluster.of(kind))
    open_object(cluster, kind)
    looked = search(cluster)
    (foreign,) = looked.find().objects
    assert foreign.label.startswith(f"{kind} ")
    assert foreign.managers == f"`{EDITOR}`"
    said: list[str] = []
    set_back(looked, [foreign], said.append)
    assert "kubectl-edit" in said[0]
    for section in OPENED[kind]:
        assert cluster.of(kind)[section] == before[section]
    assert {path for _, path in cluster.written} == {path_of(kind)}
    assert {method for method, _ in cluster.written} <= {"PATCH", "PUT"}, "nothing is deleted or created"


@pytest.mark.parametrize("kind", BOUNDARY_KINDS)
def test_an_entry_that_no_manager_claims_is_foreign_in_a_boundary(kind: str):
    cluster = Cluster()
    cluster.of(kind).update(copy.deepcopy(OPENED[kind]))
    cluster.of(kind)["metadata"]["managedFields"] = []
    (foreign,) = search(cluster).find().objects
    assert "does not name" in foreign.described


def test_defaults_of_the_api_server_are_not_foreign():
    cluster = Cluster()
    spec = cluster.of("ValidatingAdmissionPolicy")["spec"]
    spec["failurePolicy"] = "Fail"
    spec["matchConstraints"] |= {"matchPolicy": "Equivalent", "objectSelector": {}}
    assert search(cluster).find() == Found()


def test_a_weaker_failure_policy_is_foreign():
    cluster = Cluster()
    cluster.of("ValidatingAdmissionPolicy")["spec"]["failurePolicy"] = "Ignore"
    assert kinds(search(cluster).find()) == ["ValidatingAdmissionPolicy"]


def test_a_trusted_manager_may_label_a_boundary_but_not_open_it():
    cluster = Cluster()
    label(cluster, "NetworkPolicy")
    assert kinds(search(cluster).find()) == ["NetworkPolicy"]
    assert search(cluster, trust=TRUSTED).find() == Found()
    open_object(cluster, "NetworkPolicy")
    (foreign,) = search(cluster, trust=TRUSTED).find().objects
    assert [entry.path for entry in foreign.entries] == ["spec.egress"]


def test_an_expired_trust_no_longer_counts():
    cluster = Cluster()
    label(cluster, "NetworkPolicy")
    expired = Trust.model_validate(
        {"managers": [{"value": EDITOR, "reason": "x", "owner": "y", "expires": "2026-11-28"}]}
    )
    assert kinds(search(cluster, trust=expired).find()) == ["NetworkPolicy"]


@pytest.mark.parametrize("kind", ["Namespace", "Deployment"])
def test_in_other_objects_only_what_the_policies_refuse_is_foreign(kind: str):
    cluster = Cluster()
    label(cluster, kind)
    assert search(cluster).find() == Found()
    assert kinds(search(cluster, refused=refuses(kind)).find()) == [kind]
    assert search(cluster, refused=refuses(kind), trust=TRUSTED).find() == Found()


def test_of_several_changed_objects_only_the_refused_ones_are_set_back():
    cluster = Cluster()
    label(cluster, "Namespace")
    label(cluster, "Deployment")
    assert kinds(search(cluster, refused=refuses("Namespace")).find()) == ["Namespace"]


def test_a_refused_container_is_removed_and_the_rest_of_the_object_stays():
    cluster = Cluster()
    pod = cluster.of("Deployment")["spec"]["template"]["spec"]
    pod["containers"].append({"name": "side", "image": "evil"})
    cluster.of("Deployment")["spec"]["replicas"] = 5
    cluster.claim("Deployment", EDITOR, "spec", "template", "spec", "containers")
    looked = search(cluster, refused=refuses("Deployment"))
    set_back(looked, looked.find().objects, lambda _: None)
    spec = cluster.of("Deployment")["spec"]
    assert [container["name"] for container in spec["template"]["spec"]["containers"]] == ["vllm"]
    assert spec["replicas"] == 5
    assert cluster.written == [("PUT", path_of("Deployment"))]


def test_the_replicas_of_an_autoscaler_are_never_set_back():
    cluster = Cluster()
    cluster.of("Deployment")["spec"]["replicas"] = 7
    cluster.claim("Deployment", "kube-controller-manager", "spec", "replicas")
    assert search(cluster, refused=refuses("Deployment")).find() == Found()


def test_what_another_stack_of_the_estate_sets_is_left_in_peace():
    cluster = Cluster()
    label(cluster, "NetworkPolicy", manager="pulumi-kubernetes-2")
    assert kinds(search(cluster).find()) == ["NetworkPolicy"]
    other = {"resources": [resource_of("NetworkPolicy", manager="pulumi-kubernetes-2", suffix="Patch")]}
    assert search(cluster, siblings=[other]).find() == Found()


def test_states_of_other_stacks_are_read_only_if_something_differs():
    looked = search(Cluster())
    looked.siblings = lambda: pytest.fail("nothing differs")
    assert looked.find() == Found()


def test_an_adopted_object_is_left_to_its_owner():
    cluster = Cluster("Namespace")
    label(cluster, "Namespace")
    looked = search(cluster, [resource_of("Namespace", suffix="Patch")], refused=refuses("Namespace"))
    assert looked.find() == Found()
    assert cluster.asked == []


def test_an_object_that_is_being_deleted_or_gone_has_no_foreign_entries():
    cluster = Cluster()
    open_object(cluster, "Role")
    cluster.of("Role")["metadata"]["deletionTimestamp"] = "2026-11-29T12:00:00Z"
    del cluster.objects[path_of("ClusterRole")]
    assert search(cluster).find() == Found()


def test_a_kind_that_may_not_be_listed_is_read_by_name_and_an_unreadable_object_is_named():
    cluster = Cluster()
    open_object(cluster, "Role")
    cluster.refused["GET", "/apis/rbac.authorization.k8s.io/v1/roles"] = [403]
    assert kinds(search(cluster).find()) == ["Role"]
    cluster.refused = {
        ("GET", "/apis/rbac.authorization.k8s.io/v1/roles"): [403],
        ("GET", path_of("Role")): [403],
    }
    (line,) = search(cluster).find().unread
    assert "Role isthmus-restricted/x in fra1 cannot be read (403" in line


def opened(webhook: Any = None) -> tuple[Cluster, ForeignEntries, SetBack]:
    """A network policy that was opened, and set back."""
    cluster = Cluster()
    open_object(cluster, "NetworkPolicy")
    cluster.webhook = webhook or (lambda _: None)
    looked = search(cluster)
    return cluster, looked, set_back(looked, looked.find().objects, lambda _: None)


def test_what_stays_away_passes_the_check():
    cluster, looked, done = opened()
    check(looked, done, "s")
    assert cluster.of("NetworkPolicy")["spec"] == BODIES["NetworkPolicy"]["spec"]


def test_who_adds_an_entry_again_is_named_and_no_trust_is_suggested():
    cluster, looked, done = opened()
    open_object(cluster, "NetworkPolicy", manager="netbot")
    with pytest.raises(Refused, match=r"spec.egress, added again by .*`netbot`") as refusal:
        check(looked, done, "s")
    assert "trust.yaml" not in refusal.value.fix


def test_a_webhook_that_adds_an_entry_on_every_write_ends_the_run():
    def inject(live: dict[str, Any]) -> None:
        live["spec"]["egress"] = [{}]
        live["metadata"]["managedFields"] = []

    _, looked, done = opened(inject)
    with pytest.raises(Refused, match="an admission webhook or another writer"):
        check(looked, done, "s")


def test_who_adds_a_label_again_may_be_trusted_by_the_organisation():
    cluster = Cluster()
    label(cluster, "NetworkPolicy")
    looked = search(cluster)
    done = set_back(looked, looked.find().objects, lambda _: None)
    assert "team" not in cluster.of("NetworkPolicy")["metadata"]["labels"]
    label(cluster, "NetworkPolicy")
    with pytest.raises(Refused) as refusal:
        check(looked, done, "s")
    assert "trust.yaml" in refusal.value.fix


def test_an_object_that_somebody_writes_at_the_same_time_is_read_and_set_back_again():
    cluster = Cluster()
    open_object(cluster, "NetworkPolicy")
    cluster.refused["PUT", path_of("NetworkPolicy")] = [409]
    looked = search(cluster)
    done = set_back(looked, looked.find().objects, lambda _: None)
    assert done.refused == {}
    check(looked, done, "s")


def test_the_api_servers_reason_is_told_if_it_refuses_to_set_an_object_back():
    cluster = Cluster()
    open_object(cluster, "NetworkPolicy")
    cluster.refused["PUT", path_of("NetworkPolicy")] = [403]
    looked = search(cluster)
    done = set_back(looked, looked.find().objects, lambda _: None)
    with pytest.raises(Refused, match="setting it back was refused: 403: it is forbidden"):
        check(looked, done, "s")


def draft(*changes: Change) -> PreviewDraft:
    return PreviewDraft("s", changes=list(changes), summary={"same": 9})


def found(kind: str) -> Found:
    cluster = Cluster()
    open_object(cluster, kind)
    return search(cluster).find()


def test_a_preview_shows_foreign_entries_as_updates_with_their_author():
    shown = draft()
    foreign_preview.add(shown, found("NetworkPolicy"))
    (change,) = shown.changes
    assert (change.op, [(entry.path, entry.old, entry.new) for entry in change.properties]) == (
        "update",
        [("spec.egress", [{}], None)],
    )
    assert shown.summary == {"same": 8, "update": 1}
    assert "`kubectl-edit`" in shown.diagnostics[0].message


def test_a_preview_adds_foreign_entries_to_the_engines_change_and_repeats_none():
    change = Change(
        urn=urn_of("Role"),
        op="update",
        type=type_of("Role"),
        properties=[PropertyChange(path="metadata.labels.a"), PropertyChange(path="rules[0]")],
    )
    shown = draft(change)
    foreign_preview.add(shown, found("Role"))
    assert [entry.path for entry in shown.changes[0].properties] == ["metadata.labels.a", "rules[0]"]
    shown = draft(change.model_copy(update={"properties": []}))
    foreign_preview.add(shown, found("Role"))
    assert [entry.path for entry in shown.changes[0].properties] == ["rules[1]"]
    assert shown.summary == {"same": 9}


JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(1, 99), st.text(min_size=1, max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from("abcdef"), inner, min_size=1, max_size=3),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcdef"), JSON, min_size=1, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_restored_object_does_not_differ_from_what_the_stack_sets(inputs: Any, live: Any):
    fields = parse_fields([])
    differences = kubernetes_fields.compare_exactly(inputs, live, fields, [])
    content = restored(live, inputs, differences)
    assert kubernetes_fields.compare_exactly(inputs, content, fields, []) == []
