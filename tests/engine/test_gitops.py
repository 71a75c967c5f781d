"""Manifests for Argo CD and Flux: only objects that they can apply, in the order of their dependencies."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ruamel.yaml import YAML

from isthmus.engine.render import files as render_files
from isthmus.engine.render import gitops
from isthmus.engine.render.recorder import Resource
from tests.blueprints import bank

READ = YAML(typ="safe", pure=True)


def render_gitops(form: gitops.Form) -> tuple[dict[str, str], list[str]]:
    return gitops.build_gitops_files(bank.rendered().resources, "bank-dev", form, "fleet")


@pytest.fixture(scope="module")
def argocd() -> dict[str, str]:
    return render_gitops("argocd")[0]


@pytest.fixture(scope="module")
def flux() -> dict[str, str]:
    return render_gitops("flux")[0]


def applied(files: dict[str, str]) -> dict[tuple[str, str, str], dict[str, Any]]:
    objects = {}
    for path, text in files.items():
        if path.startswith("kubernetes/"):
            body = READ.load(text)
            objects[body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]] = body
    return objects


def test_every_object_is_written_once_under_its_own_name(argocd: dict[str, str]):
    files = render_files.build_files(bank.rendered(), {})
    names = sorted(path.split("/", 2)[2] for path in files if path.startswith("kubernetes/"))
    assert sorted(path.split("/", 2)[2] for path in argocd) == names


def test_applied_manifests_hold_no_secret_no_unknown_value_and_no_pulumi_annotation(
    argocd: dict[str, str], flux: dict[str, str]
):
    for files in (argocd, flux):
        for (kind, _, name), body in applied(files).items():
            assert kind not in ("Secret", "Node"), name
            assert "${" not in str(body), name
            assert "[secret]" not in str(body), name
            assert "pulumi.com" not in str(body["metadata"]), name


def test_unknown_values_and_patches_are_in_separate_folders_and_reported():
    files, messages = render_gitops("argocd")
    apart = {path.rpartition("/")[2] for path in files if path.startswith("unfilled/")}
    assert "deployment-restricted-gateway.yaml" in apart, "its model's address is the cluster's to choose"
    assert "deployment-internal-translator.yaml" in apart, "its role is AWS's"
    assert "deployment-confidential-gateway.yaml" in apart, (
        "its resolver's address is the cluster's to choose"
    )
    patches = [path for path in files if path.startswith("patches/")]
    assert patches
    assert all("node-patch" in path for path in patches)
    assert messages[0].startswith(f"{len(apart)} manifests under unfilled/")
    assert messages[1].startswith(f"{len(patches)} manifests under patches/")


def wave_of(bodies: dict[tuple[str, str, str], dict[str, Any]], *key: str) -> int:
    return int(bodies[key]["metadata"]["annotations"][gitops.WAVE])  # type: ignore[index]


def test_admission_policies_are_applied_before_namespaces_and_pods(argocd: dict[str, str]):
    bodies = applied(argocd)
    namespace = "isthmus-confidential"
    order = [
        wave_of(bodies, "ValidatingAdmissionPolicy", "", "isthmus-restricted-pods"),
        wave_of(bodies, "ValidatingAdmissionPolicyBinding", "", "isthmus-restricted-pods"),
        wave_of(bodies, "Namespace", "", namespace),
        wave_of(bodies, "NetworkPolicy", namespace, "confidential-llama-3-1-8b"),
        wave_of(bodies, "Deployment", namespace, "confidential-llama-3-1-8b"),
        wave_of(bodies, "PodDisruptionBudget", namespace, "confidential-gateway"),
    ]
    assert order == sorted(set(order)), order
    for (kind, where, name), body in bodies.items():
        if where.startswith("isthmus-"):
            own_wave = int(body["metadata"]["annotations"][gitops.WAVE])
            assert own_wave > wave_of(bodies, "Namespace", "", where), f"{kind} {name}"


def test_flux_applies_one_folder_after_the_other(flux: dict[str, str]):
    steps = list(YAML(typ="safe", pure=True).load_all(flux["flux-fra1.yaml"]))
    folders = {"/".join(path.split("/")[:3]) for path in flux if path.startswith("kubernetes/")}
    assert [f"./{folder}" for folder in sorted(folders)] == [step["spec"]["path"] for step in steps]
    for before, after in itertools.pairwise(steps):
        assert after["spec"]["dependsOn"] == [{"name": before["metadata"]["name"]}]
        assert after["spec"]["sourceRef"] == {"kind": "GitRepository", "name": "fleet"}
        assert after["spec"]["wait"] is True
    assert "dependsOn" not in steps[0]


def part(name: str, *needs: str, parent: str | None = None, is_manifest: bool = True) -> Resource:
    kind = "kubernetes:core/v1:ConfigMap" if is_manifest else "isthmus:index:Thing"
    return Resource(name, kind, name, is_manifest, parent, None, {}, list(needs), {}, {})


def test_the_wave_of_an_object_is_the_length_of_its_longest_chain_of_dependencies():
    resources = [
        part("a"),
        part("c", parent="thing"),
        part("thing", "b", is_manifest=False),
        part("b", "a"),
        part("d"),
    ]
    assert gitops.compute_waves(resources) == {"a": 0, "b": 1, "c": 2, "d": 0}
