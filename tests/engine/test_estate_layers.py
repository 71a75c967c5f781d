"""What a layer checks in the states of other stacks before it is deployed or destroyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.migration import capacity as moves
from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.project.project import Project
from tests.estate import LAYERS, bank_estate

FOUNDATION, PLATFORM, INVESTIGATIONS, ONBOARDING = LAYERS
SERVER = "urn:pulumi:s::isthmus::isthmus:index:LlmPlatform$isthmus:index:ModelServer"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return bank_estate(tmp_path_factory.mktemp("estate"))


def holding(id_: str, pool: str = "fra1-h100-sxm-80gb") -> dict[str, Any]:
    """A state with a model server."""
    inputs = {"id": id_, "sensitivity": id_.partition("-")[0], "pool": pool, "weights": {"uri": "pvc://w"}}
    return {
        "resources": [
            {"urn": f"{SERVER}::{id_}", "type": "isthmus:index:ModelServer", "inputs": inputs},
            {
                "urn": f"{SERVER}$kubernetes:apps/v1:Deployment::{id_}-server",
                "type": "kubernetes:apps/v1:Deployment",
                "parent": f"{SERVER}::{id_}",
                "custom": True,
                "id": f"isthmus/{id_}",
                "inputs": {"spec": {"replicas": 2}},
            },
        ]
    }


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    states_by_name: dict[str, Any] = {}
    monkeypatch.setattr(estate_layers, "read_state", lambda _, name: states_by_name.get(name, {}))
    return states_by_name


def before_up(project: Project, stack: str, *, in_place: bool = False) -> None:
    loaded = project.stack(stack)
    estate_layers.before_up(loaded, loaded.platform(), in_place=in_place)


def test_a_new_or_unchanged_estate_is_not_refused(project: Project, states: Any):
    for _ in range(2):
        for stack in LAYERS:
            before_up(project, stack)
        states[INVESTIGATIONS] = holding("restricted-qwen3-32b")


def test_a_gateway_leaves_a_running_model_only_with_consent(project: Project, states: Any):
    states[INVESTIGATIONS] = holding("restricted-old")
    for stack in (PLATFORM, INVESTIGATIONS):
        with pytest.raises(Refused, match=f"removes restricted-old from {INVESTIGATIONS}"):
            before_up(project, stack)
        before_up(project, stack, in_place=True)
    for stack in (FOUNDATION, ONBOARDING):
        before_up(project, stack)


def hosting(id_: str) -> dict[str, Any]:
    """A state with a model on SageMaker."""
    inputs = {"id": id_, "sensitivity": "confidential", "replicas": 2}
    component = {"urn": f"x::{id_}", "type": "isthmus:index:SageMakerEndpoint", "inputs": inputs}
    served = [{"workload": "kyc-extraction", "endpoint": id_}]
    root = {"urn": "s", "type": "pulumi:pulumi:Stack", "outputs": {"plan": {"placements": served}}}
    return {"resources": [root, component]}


def test_a_sagemaker_model_is_not_removed_without_consent(project: Project, states: Any):
    states[ONBOARDING] = hosting("confidential-hosted")
    for stack in (PLATFORM, ONBOARDING):
        with pytest.raises(
            Refused, match=r"removes confidential-hosted .* kyc-extraction would get no answers"
        ):
            before_up(project, stack)
        before_up(project, stack, in_place=True)
    states[ONBOARDING] = hosting("restricted-qwen3-32b")
    with pytest.raises(Refused, match=f"runs in {ONBOARDING}, and {INVESTIGATIONS} would create it"):
        before_up(project, INVESTIGATIONS, in_place=True)


def test_a_model_is_never_created_in_two_stacks_even_with_consent(project: Project, states: Any):
    states[ONBOARDING] = holding("restricted-qwen3-32b")
    for in_place in (False, True):
        with pytest.raises(Refused, match=f"runs in {ONBOARDING}, and {INVESTIGATIONS} would create it"):
            before_up(project, INVESTIGATIONS, in_place=in_place)


def test_an_endpoint_that_moves_to_another_layer_is_removed_first(project: Project):
    stack = project.stack(INVESTIGATIONS)
    platform = stack.platform()
    (model,) = [move for move in moves.built_endpoints(platform) if move.class_ == "restricted"]
    old = model.model_copy(update={"id": "restricted-old"})
    plan_move = estate_layers.plan_move([model, old], platform, stack)
    assert (plan_move.going, plan_move.first, plan_move.beside) == ((old,), (old,), ())


def test_a_layer_is_destroyed_when_no_layer_depends_on_it(project: Project, states: Any):
    states[PLATFORM] = {"resources": [{"urn": "x", "type": "pulumi:pulumi:Stack"}]}
    estate_layers.before_destroy(project.stack(FOUNDATION))
    states[PLATFORM] = holding("restricted-old")
    with pytest.raises(Refused, match=f"stack {PLATFORM} depends on it and still has 1 resources"):
        estate_layers.before_destroy(project.stack(FOUNDATION))
    estate_layers.before_destroy(project.stack(PLATFORM))


def test_all_stacks_of_an_estate_must_be_in_the_sandbox_or_none(tmp_path: Path):
    project = bank_estate(tmp_path / "p")
    estate_layers.check_same_location(project.chosen(["bank"]))
    file = project.stacks_dir / f"Pulumi.{ONBOARDING}.yaml"
    data = yaml_files.load(file).data
    data["config"]["isthmus:sandbox"] = "false"
    yaml_files.dump(data, "", file)
    with pytest.raises(EnvironmentFault, match=f"{FOUNDATION} and {ONBOARDING} belong to one estate"):
        estate_layers.check_same_location(Project(project.root).chosen(["bank"]))
