"""How a rendering shows components of the Kubernetes SDK that a plugin fills with objects."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.engine.project.project import find_project
from isthmus.engine.render.recorder import Resource
from isthmus.engine.render.rendering import record_program
from tests.blueprints.bank import ROOT, STACK
from tests.policies.boundary_rows import stops


def _recorded(program: Any) -> list[Resource]:
    return record_program(program, find_project(ROOT).stack(STACK)).resources


def _config_group() -> None:
    from pulumi_kubernetes.yaml.v2 import ConfigGroup

    ConfigGroup("objects", files=["objects/*.yaml"])


def _chart() -> None:
    from pulumi_kubernetes.helm.v4 import Chart

    Chart("agent", chart="oci://ghcr.io/evil/agent", namespace="isthmus-restricted")


def _directory() -> None:
    from pulumi_kubernetes.kustomize.v2 import Directory

    Directory("overlay", directory="overlay")


@pytest.mark.parametrize("program", [_config_group, _chart, _directory])
def test_a_component_that_a_plugin_fills_is_recorded_as_one_and_is_undecided(program: Any):
    resources = _recorded(program)
    [component] = [resource for resource in resources if resource.type.startswith("kubernetes:")]
    assert not component.custom
    assert component.options["remote"] is True
    assert {finding.verdict for finding in stops(*resources)} == {"undecided"}
