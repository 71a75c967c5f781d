"""Estates whose platform stands in AWS alone, in EKS and on Fargate: up, unchanged, down. No EKS is in the sandbox.

The bank's, with models on its own machines and on SageMaker, is `test_estate_up`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.estate import into_layers
from tests.laying import ROOT
from tests.sandbox.begun import begun
from tests.sandbox.projects import standing
from tests.sandbox.test_cloud_private_up import Private

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]

BELOW = ("insurer-foundation", "insurer-platform")
MODELS = "insurer-models"


class Layered(Private):
    """The example in EKS, as an estate."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, home)
        into_layers(root, "insurer", {MODELS: None})
        self.env |= {"ISTHMUS_HOME": str(home)}


def test_an_estate_in_eks_comes_up_with_its_models_in_the_cluster_of_its_platform(
    toolchain: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with standing(Layered, tmp_path_factory.mktemp("eks")) as estate:
        assert "The platform insurer is up." in estate.up()
        assert len(estate.pods("model")) == 2
        held = {stack: " ".join(estate.held(stack)) for stack in (*BELOW, MODELS)}
        assert "aws:ec2/vpc:Vpc" in held[BELOW[0]]
        assert "aws:eks/cluster:Cluster" in held[BELOW[1]]
        assert "aws:" not in held[MODELS].replace("pulumi:providers:aws", "")
        for stack in (*BELOW, MODELS):
            estate.unchanged(stack=stack)
        estate.must("destroy", "insurer", "--yes")
        assert not any(estate.held(stack) for stack in (*BELOW, MODELS))


def test_an_estate_on_fargate_has_nothing_to_serve_and_two_stacks(
    toolchain: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    example = ROOT / "examples" / "cloud-managed.requirements.yaml"
    with begun("insurer", example, tmp_path_factory.mktemp("fargate")) as estate:
        into_layers(estate.root, "insurer", {})
        estate.env |= {"ISTHMUS_HOME": str(estate.home)}
        assert "The platform insurer is up." in estate.must("up", "insurer", "--yes")
        for stack in BELOW:
            estate.unchanged(stack=stack)
        estate.must("destroy", "insurer", "--yes")
        assert estate.in_account() == {}
