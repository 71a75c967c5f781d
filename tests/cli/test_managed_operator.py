"""A managed GPU Operator in what `isthmus` writes: rendered for Helm, listed for the mirror."""

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
    ran = isthmus("render", "bank-dev", "-o", managed / "made", "--project", managed)
    assert ran.code == 0, ran.err
    helm_values = YAML(typ="safe").load(
        managed / "made" / "helm" / "fra1" / "gpu-operator" / "gpu-operator.yaml"
    )
    assert (helm_values["chart"], helm_values["version"]) == (f"{CHART}@{DIGEST}", "v26.7.0")
    assert helm_values["values"]["mig"] == {"strategy": "mixed"}
    assert not list(managed.glob("made/kubernetes/**/release-*")), "it is no manifest"
    assert not {"critical", "high", "undecided"} & set(ran.err.split()), "its namespace is privileged by need"


def test_a_privileged_operator_is_excused_where_the_platform_states_it_and_nowhere_else(
    isthmus: Isthmus, managed: Path
):
    other_settings = managed / "stacks" / "Pulumi.bank-dev.yaml"
    data = yaml_files.load(other_settings).data
    data["config"]["isthmus:overrides"]["operators"]["gpu_operator_namespace"] = "isthmus-restricted"
    yaml_files.dump(data, "", other_settings)
    ran = isthmus("render", "bank-dev", "-o", managed / "made", "--project", managed)
    assert ran.code != 0, "a class's namespace would be privileged"


def test_the_chart_is_listed_for_the_mirror_by_the_release_that_needs_it(isthmus: Isthmus, managed: Path):
    ran = isthmus("images", "bank-dev", "--format", "json", "--project", managed)
    assert ran.code in (0, 2), ran.err
    charts = {chart["name"]: chart for chart in json.loads(ran.out)["charts"]}
    assert "the release gpu-operator/gpu-operator" in charts["gpu-operator"]["used_by"]
