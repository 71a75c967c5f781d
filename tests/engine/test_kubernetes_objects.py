"""What of the bank's cluster is not as its stack left it: on objects as a real API server once had them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.reports.drift import Drifted
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.kubernetes.discovery import Live
from tests.engine.drift_world import RESTRICTED, Api, claim, looked, state, taken

MODEL = "restricted-qwen3-32b"


OTHERS = ("e38f2fa-cloud-private", "e38f2fa-hosted")
"""States of other stacks."""


@pytest.fixture
def api() -> Api:
    return Api(state()["resources"])


def one(found: list[Drifted], kind: str) -> Drifted:
    (each,) = [each for each in found if each.type.endswith(f":{kind}")]
    return each


def template(api: Api, name: str = MODEL) -> dict[str, Any]:
    return api.one("Deployment", name)["spec"]["template"]["spec"]


def put(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": RESTRICTED}, **more}


def test_a_cluster_that_is_as_it_was_left_shows_nothing(api: Api):
    found = looked(api)
    assert (found.drifts, found.unseen, found.foreign, found.gone, found.inputs) == ([], [], [], set(), {})
    assert len(found.looked) > 80


@pytest.mark.parametrize("snapshot", OTHERS)
def test_so_do_the_clusters_of_other_stacks(snapshot: str):
    one = state(snapshot)
    found = looked(Api(one["resources"]), one)
    assert (found.drifts, found.unseen) == ([], [])
    assert found.looked


def test_no_secret_is_ever_read_whole(api: Api):
    api.add(put("Secret", "theirs", data={"key": "aHVudGVyMg=="}), kubectl={"f:data": {"f:key": {}}})
    drift = one(looked(api).drifts, "Secret")
    assert [(each.path, each.new, each.secret) for each in drift.properties] == [
        ('data["key"]', "[secret]", True)
    ]
    assert "hunter2" not in drift.model_dump_json()
    assert "aHVudGVyMg" not in drift.model_dump_json()


def test_replicas_that_somebody_changed_are_found_with_who_and_when(api: Api):
    model = api.one("Deployment", MODEL)
    model["spec"]["replicas"] = 7
    taken(model, "f:spec", "f:replicas")
    found = looked(api)
    (drift,) = found.drifts
    (change,) = drift.properties
    assert (drift.what, drift.by, drift.since) == ("changed", ["kubectl-edit"], "2026-11-26T15:00:00Z")
    assert (change.path, change.new) == ("spec.replicas", 7)
    assert found.inputs[drift.urn]["spec"]["replicas"] == 7
    assert "status" not in found.inputs[drift.urn]


def test_replicas_within_a_scaler_of_ours_were_asked_for(api: Api):
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
    like = next(each for each in built["resources"] if each["urn"].endswith(f"{MODEL}-server"))
    type_ = "kubernetes:keda.sh/v1alpha1:ScaledObject"
    urn = f"{like['urn'].rsplit('::', 2)[0]}::{type_}::scaler"
    made = {
        **like,
        "urn": urn,
        "type": type_,
        "id": f"{RESTRICTED}/{MODEL}",
        "inputs": scaler,
        "outputs": scaler,
    }
    built["resources"].append(made)
    api = Api(built["resources"])
    api.one("Deployment", MODEL)["spec"]["replicas"] = 7
    (drift,) = looked(api, built).drifts
    assert "ScaledObject" in drift.expected
    api.one("Deployment", MODEL)["spec"]["replicas"] = 9
    (drift,) = looked(api, built).drifts
    assert drift.expected == ""


def test_a_sidecar_and_a_variable_are_named_and_what_is_secret_in_them_is_not_shown(api: Api):
    box = template(api)["containers"][0]
    box["env"].append({"name": "DB_PASSWORD", "value": "hunter2-x"})
    template(api)["containers"].append({"name": "side", "image": "evil", "args": ["--token=hunter2-y"]})
    (drift,) = looked(api).drifts
    assert (drift.what, drift.severity) == ("added", "high")
    paths = [each.path for each in drift.properties]
    assert [each.rpartition(".")[2] for each in paths] == ['containers["side"]', 'env["DB_PASSWORD"]']
    assert "hunter2" not in json.dumps([each.model_dump() for each in drift.properties])


def test_a_secret_of_the_stack_is_hidden_wherever_somebody_writes_it(api: Api):
    template(api)["containers"].append({"name": "side", "image": "evil/hunter2-0123456789"})
    assert "hunter2" not in looked(api, None, "hunter2-0123456789").drifts[0].model_dump_json()


def test_an_opened_network_policy_is_grave_and_stands_in_the_live_graph(api: Api):
    policy = next(
        each for key, each in api.objects.items() if key[1] == "NetworkPolicy" and key[2] == RESTRICTED
    )
    policy["spec"].setdefault("egress", []).append({})
    taken(policy, "f:spec", "f:egress")
    found = looked(api)
    (drift,) = found.drifts
    assert (drift.severity, drift.by) == ("high", ["kubectl-edit"])
    assert found.inputs[drift.urn]["spec"]["egress"][-1] == {}


def test_who_wipes_the_claims_on_an_object_is_seen_by_that(api: Api):
    api.one("Deployment", MODEL)["metadata"]["managedFields"] = []
    (drift,) = looked(api).drifts
    assert (drift.severity, [each.path for each in drift.properties]) == ("high", ["metadata.managedFields"])


def test_what_is_gone_is_missed(api: Api):
    name = next(key[3] for key in api.objects if key[1] == "ConfigMap" and key[2] == RESTRICTED)
    api.remove("ConfigMap", name)
    found = looked(api)
    (drift,) = found.drifts
    assert (drift.what, drift.op, drift.urn) == ("gone", "delete", next(iter(found.gone)))


def test_what_is_being_deleted_is_as_good_as_gone_and_stands_in_the_graph(api: Api):
    api.one("Deployment", MODEL)["metadata"]["deletionTimestamp"] = "2026-11-26T15:00:00Z"
    found = looked(api)
    assert [(each.what, each.why) for each in found.drifts] == [("gone", "it is being deleted")]
    assert found.gone == set()


def test_what_is_not_ours_is_found_and_joins_the_graph(api: Api):
    spec = {"template": {"spec": {"containers": [{"name": "x", "image": "miner"}]}}}
    api.add(put("Deployment", "miner", "apps/v1", spec=spec), kubectl={"f:spec": {}})
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "admin"}
    api.add(
        put("RoleBinding", "all", f"{group}/v1", roleRef=role, subjects=[{"kind": "User", "name": "eve"}])
    )
    found = looked(api)
    assert {(each.what, each.name, each.severity) for each in found.drifts} == {
        ("foreign", "miner", "high"),
        ("foreign", "all", "high"),
    }
    assert one(found.drifts, "RoleBinding").properties[-1].new == [{"kind": "User", "name": "eve"}]
    assert {each.name for each in found.foreign} == {"miner", "all"}
    assert all(each.provider and each.urn.startswith("urn:pulumi:bank-dev::") for each in found.foreign)


def test_what_a_cluster_brings_by_itself_is_no_drift(api: Api):
    server = api.one("Deployment", MODEL)
    for kind, name, version, owner in (
        ("ReplicaSet", f"{MODEL}-1", "apps/v1", server),
        ("Event", "something", "v1", None),
        ("ConfigMap", "kube-root-ca.crt", "v1", None),
        ("ServiceAccount", "default", "v1", None),
    ):
        made = api.add(put(kind, name, version))
        if owner:
            refers = {"apiVersion": "apps/v1", "kind": "Deployment", "name": MODEL}
            made["metadata"]["ownerReferences"] = [{**refers, "uid": owner["metadata"]["uid"]}]
    notes = server["metadata"].setdefault("annotations", {})
    notes["deployment.kubernetes.io/revision"] = "2"
    mark = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}
    server["metadata"]["managedFields"].append(claim("kube-controller-manager", mark))
    assert looked(api).drifts == []


def test_a_pod_is_held_to_the_template_that_made_it(api: Api):
    box = {"name": "vllm", "image": "a"}
    made = api.add(put("ReplicaSet", "rs", "apps/v1", spec={"template": {"spec": {"containers": [box]}}}))
    refers = {"apiVersion": "apps/v1", "kind": "Deployment", "name": MODEL}
    made["metadata"]["ownerReferences"] = [{**refers, "uid": api.one("Deployment", MODEL)["metadata"]["uid"]}]
    pod = api.add(put("Pod", "rs-1", spec={"containers": [box]}))
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "controller": True}
    pod["metadata"]["ownerReferences"] = [{**owner, "uid": made["metadata"]["uid"]}]
    assert looked(api).drifts == []
    pod["spec"]["containers"] = [{**box, "image": "b"}, {"name": "istio-proxy", "image": "envoy"}]
    (drift,) = looked(api).drifts
    assert (drift.what, drift.severity, drift.component) == ("added", "high", "rs")
    assert [each.path for each in drift.properties] == [
        'spec.containers["vllm"].image',
        'spec.containers["istio-proxy"]',
    ]


def test_a_kind_that_may_not_be_listed_is_named_and_is_no_absence(api: Api):
    api.refused["rolebindings"] = 403
    found = looked(api)
    assert found.drifts == []
    spaces = {each.where for each in found.unseen}
    assert {each.what for each in found.unseen} == {"rolebindings"}
    assert f"fra1, namespace {RESTRICTED}" in spaces
    assert all("403" in each.why for each in found.unseen)


def test_an_object_of_ours_that_may_not_be_read_is_not_gone(api: Api):
    api.refused["networkpolicys"] = 403
    found = looked(api)
    assert found.gone == set()
    assert any(each.what.startswith("NetworkPolicy isthmus-") for each in found.unseen)
    assert not any("NetworkPolicy" in urn for urn in found.looked)


def test_a_group_whose_server_is_down_is_named_and_its_objects_are_not_gone(api: Api):
    api.refused["networking.k8s.io/v1"] = 503
    found = looked(api)
    assert found.gone == set()
    assert "kinds of networking.k8s.io/v1" in {each.what for each in found.unseen}


def test_who_is_not_known_to_the_server_learns_nothing(api: Api):
    api.refused["rolebindings"] = 401
    with pytest.raises(EnvironmentFault, match="rejected the credentials"):
        looked(api)


def test_every_page_is_read(api: Api):
    for index in range(7):
        api.add(put("RoleBinding", f"r{index}", "rbac.authorization.k8s.io/v1"))
    api.page = 2
    assert {each.name for each in looked(api).drifts} == {f"r{index}" for index in range(7)}


def test_a_list_that_expires_is_begun_anew_and_one_that_always_does_is_named(api: Api):
    live = Live(api)
    kind = live.kind("v1", "Pod")
    assert kind is not None
    api.refused["pods"] = 410
    assert live.listed(kind, RESTRICTED) == []
    assert [each.what for each in live.unseen] == ["pods"]
    assert sum(path.endswith("/pods") for path, _ in api.asked) == 3


def test_a_secret_of_ours_whose_key_somebody_changed_is_told_by_the_key(api: Api):
    built = state()
    like = next(each for each in built["resources"] if each["type"] == "kubernetes:core/v1:ConfigMap")
    inputs = {**put("Secret", "own"), "data": {"a": "[secret]", "b": "[secret]"}}
    fields = {"f:data": {"f:a": {}, "f:b": {}}}
    outputs = {
        **inputs,
        "metadata": {**inputs["metadata"], "managedFields": [claim("pulumi-kubernetes-7", fields)]},
    }
    type_ = "kubernetes:core/v1:Secret"
    urn = f"{like['urn'].rsplit('::', 2)[0]}::{type_}::own"
    made = {**like, "urn": urn, "type": type_, "id": f"{RESTRICTED}/own", "inputs": inputs}
    built["resources"].append({**made, "outputs": {**outputs, "__fieldManager": "pulumi-kubernetes-7"}})
    api = Api(built["resources"])
    assert looked(api, built).drifts == []
    taken(api.one("Secret", "own"), "f:data", "f:b")
    api.one("Secret", "own")["metadata"]["managedFields"].append(claim("eve", {"f:data": {"f:c": {}}}))
    found = {each.what: each for each in looked(api, built).drifts}
    assert [each.path for each in found["changed"].properties] == ["data.b"]
    assert [each.path for each in found["added"].properties] == ["data.c"]
    assert all(each.secret for drift in found.values() for each in drift.properties)
