"""Drift of the bank's Kubernetes objects, tested on objects as a real API server returned them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.reports.drift import Drifted
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.kubernetes.discovery import Live
from tests.engine.drift_world import RESTRICTED, Api, claim, find_object_drift, state, take_over

MODEL = "restricted-qwen3-32b"


OTHERS = ("e38f2fa-cloud-private", "e38f2fa-hosted")
"""States of other stacks."""


@pytest.fixture
def api() -> Api:
    return Api(state()["resources"])


def only(drifts: list[Drifted], kind: str) -> Drifted:
    (drift,) = [candidate for candidate in drifts if candidate.type.endswith(f":{kind}")]
    return drift


def template(api: Api, name: str = MODEL) -> dict[str, Any]:
    return api.one("Deployment", name)["spec"]["template"]["spec"]


def put(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": RESTRICTED}, **more}


def test_an_unchanged_cluster_shows_no_drift(api: Api):
    live = find_object_drift(api)
    assert (live.drifts, live.unseen, live.foreign, live.gone, live.inputs) == ([], [], [], set(), {})
    assert len(live.looked) > 80


@pytest.mark.parametrize("snapshot", OTHERS)
def test_unchanged_clusters_of_other_stacks_show_no_drift(snapshot: str):
    other_stack = state(snapshot)
    live = find_object_drift(Api(other_stack["resources"]), other_stack)
    assert (live.drifts, live.unseen) == ([], [])
    assert live.looked


def test_values_of_secrets_are_never_reported(api: Api):
    api.add(put("Secret", "theirs", data={"key": "aHVudGVyMg=="}), kubectl={"f:data": {"f:key": {}}})
    drift = only(find_object_drift(api).drifts, "Secret")
    assert [(property.path, property.new, property.secret) for property in drift.properties] == [
        ('data["key"]', "[secret]", True)
    ]
    assert "hunter2" not in drift.model_dump_json()
    assert "aHVudGVyMg" not in drift.model_dump_json()


def test_changed_replicas_are_reported_with_manager_and_time(api: Api):
    model = api.one("Deployment", MODEL)
    model["spec"]["replicas"] = 7
    take_over(model, "f:spec", "f:replicas")
    live = find_object_drift(api)
    (drift,) = live.drifts
    (change,) = drift.properties
    assert (drift.what, drift.by, drift.since) == ("changed", ["kubectl-edit"], "2026-11-26T15:00:00Z")
    assert (change.path, change.new) == ("spec.replicas", 7)
    assert live.inputs[drift.urn]["spec"]["replicas"] == 7
    assert "status" not in live.inputs[drift.urn]


def test_replicas_within_the_bounds_of_our_scaler_are_expected(api: Api):
    built = state()
    scaler = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": MODEL, "namespace": RESTRICTED},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": MODEL},
            "minReplicaCount": 1,
            "maxReplicaCount": 8,
        },
    }
    like = next(resource for resource in built["resources"] if resource["urn"].endswith(f"{MODEL}-server"))
    type_ = "kubernetes:keda.sh/v1alpha1:ScaledObject"
    urn = f"{like['urn'].rsplit('::', 2)[0]}::{type_}::scaler"
    component = {
        **like,
        "urn": urn,
        "type": type_,
        "id": f"{RESTRICTED}/{MODEL}",
        "inputs": scaler,
        "outputs": scaler,
    }
    built["resources"].append(component)
    api = Api(built["resources"])
    api.one("Deployment", MODEL)["spec"]["replicas"] = 7
    (drift,) = find_object_drift(api, built).drifts
    assert "ScaledObject" in drift.expected
    api.one("Deployment", MODEL)["spec"]["replicas"] = 9
    (drift,) = find_object_drift(api, built).drifts
    assert drift.expected == ""


def test_an_added_sidecar_and_variable_are_reported_without_secret_values(api: Api):
    box = template(api)["containers"][0]
    box["env"].append({"name": "DB_PASSWORD", "value": "hunter2-x"})
    template(api)["containers"].append({"name": "side", "image": "evil", "args": ["--token=hunter2-y"]})
    (drift,) = find_object_drift(api).drifts
    assert (drift.what, drift.severity) == ("added", "high")
    paths = [property.path for property in drift.properties]
    assert [path.rpartition(".")[2] for path in paths] == ['containers["side"]', 'env["DB_PASSWORD"]']
    assert "hunter2" not in json.dumps([property.model_dump() for property in drift.properties])


def test_a_secret_of_the_stack_is_masked_in_every_field(api: Api):
    template(api)["containers"].append({"name": "side", "image": "evil/hunter2-0123456789"})
    assert "hunter2" not in find_object_drift(api, None, "hunter2-0123456789").drifts[0].model_dump_json()


def test_an_opened_network_policy_is_a_critical_drift(api: Api):
    policy = next(
        resource
        for key, resource in api.objects.items()
        if key[1] == "NetworkPolicy" and key[2] == RESTRICTED
    )
    policy["spec"].setdefault("egress", []).append({})
    take_over(policy, "f:spec", "f:egress")
    live = find_object_drift(api)
    (drift,) = live.drifts
    assert (drift.severity, drift.by) == ("high", ["kubectl-edit"])
    assert live.inputs[drift.urn]["spec"]["egress"][-1] == {}


def test_removing_managed_fields_is_reported(api: Api):
    api.one("Deployment", MODEL)["metadata"]["managedFields"] = []
    (drift,) = find_object_drift(api).drifts
    assert (drift.severity, [property.path for property in drift.properties]) == (
        "high",
        ["metadata.managedFields"],
    )


def test_a_deleted_object_is_reported(api: Api):
    name = next(key[3] for key in api.objects if key[1] == "ConfigMap" and key[2] == RESTRICTED)
    api.remove("ConfigMap", name)
    live = find_object_drift(api)
    (drift,) = live.drifts
    assert (drift.what, drift.op, drift.urn) == ("gone", "delete", next(iter(live.gone)))


def test_an_object_being_deleted_is_reported_as_gone_and_stays_in_the_graph(api: Api):
    api.one("Deployment", MODEL)["metadata"]["deletionTimestamp"] = "2026-11-26T15:00:00Z"
    live = find_object_drift(api)
    assert [(drift.what, drift.why) for drift in live.drifts] == [("gone", "it is being deleted")]
    assert live.gone == set()


def test_foreign_objects_are_found_and_join_the_graph(api: Api):
    spec = {"template": {"spec": {"containers": [{"name": "x", "image": "miner"}]}}}
    api.add(put("Deployment", "miner", "apps/v1", spec=spec), kubectl={"f:spec": {}})
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "admin"}
    api.add(
        put("RoleBinding", "all", f"{group}/v1", roleRef=role, subjects=[{"kind": "User", "name": "eve"}])
    )
    live = find_object_drift(api)
    assert {(drift.what, drift.name, drift.severity) for drift in live.drifts} == {
        ("foreign", "miner", "high"),
        ("foreign", "all", "high"),
    }
    assert only(live.drifts, "RoleBinding").properties[-1].new == [{"kind": "User", "name": "eve"}]
    assert {foreign.name for foreign in live.foreign} == {"miner", "all"}
    assert all(
        foreign.provider and foreign.urn.startswith("urn:pulumi:bank-dev::") for foreign in live.foreign
    )


def test_built_in_objects_of_a_cluster_are_not_drift(api: Api):
    server = api.one("Deployment", MODEL)
    for kind, name, version, owner in (
        ("ReplicaSet", f"{MODEL}-1", "apps/v1", server),
        ("Event", "something", "v1", None),
        ("ConfigMap", "kube-root-ca.crt", "v1", None),
        ("ServiceAccount", "default", "v1", None),
    ):
        add = api.add(put(kind, name, version))
        if owner:
            refers = {"apiVersion": "apps/v1", "kind": "Deployment", "name": MODEL}
            add["metadata"]["ownerReferences"] = [{**refers, "uid": owner["metadata"]["uid"]}]
    notes = server["metadata"].setdefault("annotations", {})
    notes["deployment.kubernetes.io/revision"] = "2"
    mark = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}
    server["metadata"]["managedFields"].append(claim("kube-controller-manager", mark))
    assert find_object_drift(api).drifts == []


def test_a_pod_is_compared_with_the_template_of_its_owner(api: Api):
    box = {"name": "vllm", "image": "a"}
    add = api.add(put("ReplicaSet", "rs", "apps/v1", spec={"template": {"spec": {"containers": [box]}}}))
    refers = {"apiVersion": "apps/v1", "kind": "Deployment", "name": MODEL}
    add["metadata"]["ownerReferences"] = [{**refers, "uid": api.one("Deployment", MODEL)["metadata"]["uid"]}]
    pod = api.add(put("Pod", "rs-1", spec={"containers": [box]}))
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "controller": True}
    pod["metadata"]["ownerReferences"] = [{**owner, "uid": add["metadata"]["uid"]}]
    assert find_object_drift(api).drifts == []
    pod["spec"]["containers"] = [{**box, "image": "b"}, {"name": "istio-proxy", "image": "envoy"}]
    (drift,) = find_object_drift(api).drifts
    assert (drift.what, drift.severity, drift.component) == ("added", "high", "rs")
    assert [property.path for property in drift.properties] == [
        'spec.containers["vllm"].image',
        'spec.containers["istio-proxy"]',
    ]


def test_a_kind_that_may_not_be_listed_is_reported_as_unseen(api: Api):
    api.refused["rolebindings"] = 403
    live = find_object_drift(api)
    assert live.drifts == []
    spaces = {unseen.where for unseen in live.unseen}
    assert {unseen.what for unseen in live.unseen} == {"rolebindings"}
    assert f"fra1, namespace {RESTRICTED}" in spaces
    assert all("403" in unseen.why for unseen in live.unseen)


def test_an_unreadable_object_is_not_reported_as_deleted(api: Api):
    api.refused["networkpolicys"] = 403
    live = find_object_drift(api)
    assert live.gone == set()
    assert any(unseen.what.startswith("NetworkPolicy isthmus-") for unseen in live.unseen)
    assert not any("NetworkPolicy" in urn for urn in live.looked)


def test_objects_of_an_unreachable_api_group_are_reported_as_unseen_not_deleted(api: Api):
    api.refused["networking.k8s.io/v1"] = 503
    live = find_object_drift(api)
    assert live.gone == set()
    assert "kinds of networking.k8s.io/v1" in {unseen.what for unseen in live.unseen}


def test_rejected_credentials_are_an_error(api: Api):
    api.refused["rolebindings"] = 401
    with pytest.raises(EnvironmentFault, match="rejected the credentials"):
        find_object_drift(api)


def test_every_page_of_a_list_is_read(api: Api):
    for index in range(7):
        api.add(put("RoleBinding", f"r{index}", "rbac.authorization.k8s.io/v1"))
    api.page = 2
    assert {drift.name for drift in find_object_drift(api).drifts} == {f"r{index}" for index in range(7)}


def test_an_expired_list_is_restarted_and_one_that_always_expires_is_reported(api: Api):
    live = Live(api)
    kind = live.kind("v1", "Pod")
    assert kind is not None
    api.refused["pods"] = 410
    assert live.listed(kind, RESTRICTED) == []
    assert [unseen.what for unseen in live.unseen] == ["pods"]
    assert sum(path.endswith("/pods") for path, _ in api.asked) == 3


def test_a_changed_key_of_our_secret_is_reported_by_its_name(api: Api):
    built = state()
    like = next(
        resource for resource in built["resources"] if resource["type"] == "kubernetes:core/v1:ConfigMap"
    )
    inputs = {**put("Secret", "own"), "data": {"a": "[secret]", "b": "[secret]"}}
    fields = {"f:data": {"f:a": {}, "f:b": {}}}
    outputs = {
        **inputs,
        "metadata": {**inputs["metadata"], "managedFields": [claim("pulumi-kubernetes-7", fields)]},
    }
    type_ = "kubernetes:core/v1:Secret"
    urn = f"{like['urn'].rsplit('::', 2)[0]}::{type_}::own"
    own_secret = {**like, "urn": urn, "type": type_, "id": f"{RESTRICTED}/own", "inputs": inputs}
    built["resources"].append({**own_secret, "outputs": {**outputs, "__fieldManager": "pulumi-kubernetes-7"}})
    api = Api(built["resources"])
    assert find_object_drift(api, built).drifts == []
    take_over(api.one("Secret", "own"), "f:data", "f:b")
    api.one("Secret", "own")["metadata"]["managedFields"].append(claim("eve", {"f:data": {"f:c": {}}}))
    drifts = {drift.what: drift for drift in find_object_drift(api, built).drifts}
    assert [property.path for property in drifts["changed"].properties] == ["data.b"]
    assert [property.path for property in drifts["added"].properties] == ["data.c"]
    assert all(property.secret for drift in drifts.values() for property in drift.properties)
