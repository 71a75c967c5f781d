"""Whether a Kubernetes object is the one whose creation was interrupted."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.engine.recovery.kubernetes_lookup import look_up
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown

LABELS = {"app.kubernetes.io/part-of": "isthmus"}
PATH = "/apis/apps/v1/namespaces/isthmus-internal/deployments/model"
NODE = "/api/v1/nodes/fra1-a"
MANAGER = "pulumi-kubernetes-0a1b2c3d"
NOON = "2026-11-25T12:00:00Z"


class Api(KubeClient):
    """An API server with a few kinds and the objects it is given by path."""

    def __init__(self, **objects: Any) -> None:
        super().__init__("fra1", "https://fra1", None)
        self.objects: dict[str, list[Any]] = {path: [resource] for path, resource in objects.items()}

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        assert method == "GET", "looking changes nothing"
        served = {
            "/apis/apps/v1": [("deployments", "Deployment", True), ("deployments/scale", "Scale", True)],
            "/api/v1": [("nodes", "Node", False)],
        }
        if path in served:
            keys = ("name", "kind", "namespaced")
            return {"resources": [dict(zip(keys, values, strict=True)) for values in served[path]]}
        answers = self.objects.get(path) or [ApiRefusal(404, "not found")]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def creation(kind: str = "Deployment", patch: bool = False, **metadata: Any) -> Creation:
    version = "v1" if kind == "Node" else "apps/v1"
    inputs = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "model", "namespace": "isthmus-internal", "labels": LABELS, **metadata},
        "spec": {"replicas": 1},
    }
    token = f"kubernetes:{version}:{kind}{'Patch' if patch else ''}"
    return Creation({"urn": f"urn:pulumi:dev::isthmus::{token}::model", "type": token, "inputs": inputs})


def claim(manager: str = MANAGER, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    claimed_labels = {f"f:{name}": {} for name in LABELS}
    fields = fields or {"f:metadata": {"f:labels": claimed_labels}, "f:spec": {}}
    return {"manager": manager, "operation": "Apply", "time": NOON, "fieldsV1": fields}


def live(*claims: dict[str, Any], labels: dict[str, str] = LABELS, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "labels": labels,
            "creationTimestamp": NOON,
            "managedFields": list(claims),
            **metadata,
        }
    }


def test_a_missing_object_was_not_created():
    assert look_up(creation(), Api()) == NotMade()


def test_an_object_with_our_fields_is_adopted_with_its_field_manager():
    verdict = look_up(creation(), Api(**{PATH: live(claim())}))
    assert isinstance(verdict, Made)
    assert verdict.id == "isthmus-internal/model"
    assert verdict.outputs["__fieldManager"] == MANAGER, "a second manager would claim the fields again"
    assert verdict.outputs["__initialApiVersion"] == "apps/v1"


def test_an_object_of_another_manager_is_never_adopted():
    for foreign_objects in (
        live(),
        live(claim("kubectl-apply")),
        live(claim(), labels={}),
        live(claim(fields={"f:spec": {}})),
    ):
        assert isinstance(look_up(creation(), Api(**{PATH: foreign_objects})), NotMade)


def test_an_object_with_a_known_manager_belongs_to_another_resource():
    verdict = look_up(creation(), Api(**{PATH: live(claim())}), known_managers=[MANAGER])
    assert isinstance(verdict, NotMade)


def test_an_object_with_a_generated_name_is_adopted_without_comparing_fields():
    autonamed = creation(annotations={"pulumi.com/autonamed": "true"})
    assert isinstance(look_up(autonamed, Api(**{PATH: live()})), Made)


@pytest.mark.parametrize(
    ("since", "kind"),
    [("2026-11-25T12:00:30+00:00", Made), ("2026-11-25T12:05:00+00:00", NotMade), (None, Made)],
)
def test_an_object_older_than_the_stack_is_not_adopted_within_clock_tolerance(since, kind):
    assert isinstance(look_up(creation(), Api(**{PATH: live(claim())}), since=since), kind)


def test_an_object_being_deleted_is_waited_for():
    api = Api()
    api.objects[PATH] = [live(claim(), deletionTimestamp=NOON)] * 3 + [ApiRefusal(404, "gone")]
    waited: list[float] = []
    assert look_up(creation(), api, sleep=waited.append) == NotMade()
    assert len(waited) == 3


def test_an_object_stuck_in_deletion_is_reported_with_its_finalizers():
    api = Api(**{PATH: live(claim(), deletionTimestamp=NOON)})
    with pytest.raises(EnvironmentFault, match=r"Deployment model.*still exists.*finalizers"):
        look_up(creation(), api, sleep=lambda _: None)


def test_an_object_of_a_missing_kind_was_not_created():
    assert isinstance(look_up(creation("StatefulSet"), Api()), NotMade)


def test_a_patch_is_adopted_by_a_field_manager_that_the_state_does_not_know():
    patch = creation("Node", patch=True, name="fra1-a", namespace=None)
    assert isinstance(look_up(patch, Api(**{NODE: live()})), NotMade), "the node is there anyway"
    verdict = look_up(
        patch,
        Api(**{NODE: live(claim("pulumi-kubernetes-old"), claim())}),
        known_managers=["pulumi-kubernetes-old"],
    )
    assert isinstance(verdict, Made)
    assert (verdict.id, verdict.outputs["__fieldManager"]) == ("fra1-a", MANAGER)


def test_two_possible_patches_are_named_and_neither_is_adopted():
    patch = creation("Node", patch=True, name="fra1-a", namespace=None)
    verdict = look_up(patch, Api(**{NODE: live(claim(), claim("pulumi-kubernetes-ffff"))}))
    assert isinstance(verdict, Unknown)
    assert "pulumi-kubernetes-ffff" in verdict.may
    assert verdict.look == "kubectl --context fra1 get nodes fra1-a -o yaml --show-managed-fields"


def test_a_patch_with_a_named_manager_is_recognised_by_it():
    patch = creation(
        "Node", patch=True, name="fra1-a", namespace=None,
        annotations={"pulumi.com/patchFieldManager": "isthmus"},
    )  # fmt: skip
    claimed_labels = {
        "f:labels": {f"f:{name}": {} for name in LABELS},
        "f:annotations": {"f:pulumi.com/patchFieldManager": {}},
    }
    verdict = look_up(
        patch, Api(**{NODE: live(claim("isthmus", {"f:metadata": claimed_labels, "f:spec": {}}))})
    )
    assert isinstance(verdict, Made)


def test_a_denied_lookup_is_an_error_and_decides_nothing():
    with pytest.raises(EnvironmentFault, match="refused a read"):
        look_up(creation(), Api(**{PATH: ApiRefusal(403, "forbidden")}))


def test_a_provider_without_a_context_is_reported():
    with pytest.raises(EnvironmentFault, match="fra1 has no context"):
        kubernetes_lookup.cluster_of(
            {"urn": "urn:pulumi:dev::isthmus::pulumi:providers:kubernetes::fra1", "inputs": {}}
        )
