"""A GPU Operator that Isthmus manages: rendered for Helm, and listed among the images to mirror."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from isthmus.core import yaml_files
from tests.cli.conftest import Isthmus
from tests.contracts.bank import DIGEST

CHART = "oci://registry.bank.example/llm/charts/gpu-operator"


@pytest.fixture
def managed(project: Path) -> Path:
    settings = project / "stacks" / "Pulumi.bank-dev.yaml"
    data = yaml_files.load(settings).data
    release = {"chart": CHART, "version": "v26.7.0", "digest": DIGEST}
    operators = {"gpu_operator": "manage", "gpu_operator_release": release}
    data["config"]["isthmus:overrides"]["operators"] = operators
    yaml_files.dump(data, "", settings)
    return project


def test_a_helm_release_is_rendered_beside_the_manifests(isthmus: Isthmus, managed: Path):
    result = isthmus("render", "bank-dev", "-o", managed / "made", "--project", managed)
    assert result.code == 0, result.err
    helm_values = YAML(typ="safe").load(
        managed / "made" / "helm" / "fra1" / "gpu-operator" / "gpu-operator.yaml"
    )
    assert (helm_values["chart"], helm_values["version"]) == (f"{CHART}@{DIGEST}", "v26.7.0")
    assert helm_values["values"]["mig"] == {"strategy": "mixed"}
    assert not list(managed.glob("made/kubernetes/**/release-*")), "it is no manifest"
    assert not {"critical", "high", "undecided"} & set(result.err.split()), (
        "its namespace is privileged by need"
    )


def test_a_privileged_operator_in_a_class_namespace_is_refused(isthmus: Isthmus, managed: Path):
    other_settings = managed / "stacks" / "Pulumi.bank-dev.yaml"
    data = yaml_files.load(other_settings).data
    data["config"]["isthmus:overrides"]["operators"]["gpu_operator_namespace"] = "isthmus-restricted"
    yaml_files.dump(data, "", other_settings)
    result = isthmus("render", "bank-dev", "-o", managed / "made", "--project", managed)
    assert result.code != 0, "a class's namespace would be privileged"


def test_images_lists_the_operators_chart_and_the_release_that_uses_it(isthmus: Isthmus, managed: Path):
    result = isthmus("images", "bank-dev", "--format", "json", "--project", managed)
    assert result.code in (0, 2), result.err
    charts = {chart["name"]: chart for chart in json.loads(result.out)["charts"]}
    assert "the release gpu-operator/gpu-operator" in charts["gpu-operator"]["used_by"]
