"""A layer as its program meets it: what it is given, what it must not begin, what it says when all is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.vocabulary import UP_STANDING
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.project.project import Project
from stacks import estate_layer
from tests.estate import LAYERS, bank_estate

FOUNDATION, PLATFORM, INVESTIGATIONS, ONBOARDING = LAYERS


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return bank_estate(tmp_path_factory.mktemp("estate"))


def scope(project: Project, stack: str, layer_outputs: Any) -> Any:
    layer_stack = project.stack(stack)
    assert layer_stack.member is not None
    assert layer_stack.estate is not None
    return estate_layer.layer_scope(
        layer_stack.platform(), layer_stack.member, layer_stack.estate, layer_outputs
    )


def test_a_layer_without_the_one_below_it_is_refused(project: Project):
    with pytest.raises(EnvironmentFault, match="layer foundation of estate bank has not been deployed"):
        scope(project, PLATFORM, {FOUNDATION: {}})
    with pytest.raises(EnvironmentFault, match="layer platform of estate bank has not been deployed"):
        scope(project, ONBOARDING, {PLATFORM: {"gateways": []}})
    assert scope(project, FOUNDATION, {}).serves == frozenset()


class Backend(mocks.Mocks):
    """Answers a stack reference as the engine does, or not."""

    def __init__(self, outputs: dict[str, Any] | None, error_text: str = "") -> None:
        self.outputs, self.words = outputs, error_text
        self.asked: list[str] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.asked.append(args.inputs["name"])
        if self.outputs is None:
            raise RuntimeError(self.words)
        return args.resource_id or "x", {
            "name": args.inputs["name"],
            "outputs": self.outputs,
            "secretOutputNames": [],
        }

    def call(self, args: mocks.MockCallArgs) -> Any:
        return {}


def referred(backend: Backend) -> Any:
    from pulumi.runtime.sync_await import _ensure_event_loop

    _ensure_event_loop()
    mocks.set_mocks(backend, project="isthmus", stack="test")
    setattr(pulumi.runtime.settings.SETTINGS, "organization", "organization")  # noqa: B010
    return estate_layer._referenced_output("bank-foundation", "layer")


def test_lower_layers_are_read_by_a_stack_reference():
    backend = Backend({"layer": {"estate": "bank"}})
    assert referred(backend) == {"estate": "bank"}
    assert backend.asked == ["organization/isthmus/bank-foundation"]


def test_a_stack_without_layer_has_no_layer_outputs():
    assert referred(Backend({"other": 1})) is None


def test_a_missing_stack_is_not_a_backend_fault():
    assert referred(Backend(None, 'unknown stack "organization/isthmus/bank-foundation"')) is None
    with pytest.raises(EnvironmentFault, match=r"the stack below cannot be asked: .*access denied"):
        referred(Backend(None, "access denied"))


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    outputs_by_stack: dict[str, Any] = {}
    monkeypatch.delenv(UP_STANDING, raising=False)
    monkeypatch.setattr(estate_layer, "_stack_outputs", lambda stack: outputs_by_stack.get(stack, {}))
    return outputs_by_stack


def begin(project: Project, stack: str, monkeypatch: pytest.MonkeyPatch, *, dry: bool) -> list[str]:
    warnings_told: list[str] = []
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry)
    monkeypatch.setattr(pulumi.log, "warn", warnings_told.append)
    layer_stack = project.stack(stack)
    assert layer_stack.member is not None
    assert layer_stack.estate is not None
    estate_layer.check_serving_stacks(layer_stack.platform(), layer_stack.member, layer_stack.estate)
    return warnings_told


def test_plain_pulumi_up_is_refused_what_would_cut_a_model_off_and_its_preview_warned(
    project: Project, beside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    model, _ = migration_capacity.built_endpoints(project.stack(PLATFORM).platform())
    old = model.model_copy(update={"id": "restricted-old"}).model_dump(mode="json")
    beside[INVESTIGATIONS] = {"standing": [old]}
    for stack in (PLATFORM, INVESTIGATIONS):
        with pytest.raises(Refused, match=f"removes restricted-old from {INVESTIGATIONS}"):
            begin(project, stack, monkeypatch, dry=False)
        (warned,) = begin(project, stack, monkeypatch, dry=True)
        assert warned.startswith("`pulumi up` will refuse this: ")
    assert begin(project, ONBOARDING, monkeypatch, dry=False) == []
    assert begin(project, FOUNDATION, monkeypatch, dry=False) == []
    # `isthmus up` has asked by itself, and was told whether it may.
    monkeypatch.setenv(UP_STANDING, "[]")
    assert begin(project, PLATFORM, monkeypatch, dry=False) == []


def test_a_stack_creates_nothing_that_runs_in_another(
    project: Project, beside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    beside[ONBOARDING] = {
        "standing": [
            move.model_dump(mode="json")
            for move in migration_capacity.built_endpoints(project.stack(PLATFORM).platform())
        ]
    }
    with pytest.raises(
        Refused, match=f"runs in {ONBOARDING}, and {INVESTIGATIONS} would create it a second time"
    ):
        begin(project, INVESTIGATIONS, monkeypatch, dry=False)


class Cluster(mocks.Mocks):
    """Makes all but what is called `bad`."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.name == "bad":
            raise RuntimeError("it did not come")
        return args.name, args.inputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        return {}


@pytest.mark.parametrize("names", [["good", "other"], ["good", "bad"]])
def test_a_layer_sets_its_outputs_after_all_its_resources(project: Project, names: list[str]):
    from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

    stack = project.stack(PLATFORM)
    assert stack.member is not None
    _ensure_event_loop()
    mocks.set_mocks(Cluster(), project="isthmus", stack="test")
    root: Any = pulumi.runtime.settings.get_root_resource()
    root._transformations = []
    everything_made = estate_layer.register_resource_list()
    for name in names:
        pulumi.CustomResource("test:index:Thing", name, {})
    assert [component._name for component in everything_made] == names
    built: Any = SimpleNamespace(gives={"networks": {}, "doors": {"x": {"cluster_ip": "10.96.0.1"}}})
    later = estate_layer.layer_output(built, stack.platform(), stack.member, everything_made).future()
    if "bad" in names:
        with pytest.raises(Exception, match="it did not come"):
            _sync_await(later)
        return
    sync_await: Any = _sync_await(later)
    assert (sync_await["layer"], sync_await["doors"]) == ("platform", {"x": {"cluster_ip": "10.96.0.1"}})
    assert "networks" not in sync_await
