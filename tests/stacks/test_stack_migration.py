"""What the program does with a plan that moves workloads: by `isthmus up`, by plain `pulumi`, to make room."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from isthmus.contracts.platform.migration import capacity as moves
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.vocabulary import UP_ROOM, UP_STANDING
from isthmus.core.errors import Refused
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from stacks import migration as stack_migration
from tests.blueprints import bank

OLD = Standing(
    id="restricted-old",
    class_="restricted",
    site="fra1",
    pool="fra1-h100-sxm-80gb",
    gpus=4,
    replicas=2,
    workloads=["transaction-narratives"],
)


@pytest.fixture
def stood(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stack's own outputs, under plain `pulumi`."""
    outputs: dict[str, Any] = {}
    monkeypatch.delenv(UP_STANDING, raising=False)
    monkeypatch.setattr(stack_migration, "_previous_outputs", lambda _: outputs)
    return outputs


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", messages.append)
    return messages


def dry(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: yes)


def test_a_new_stack_and_one_that_is_as_planned_have_nothing_that_goes(
    stood: dict[str, Any], warnings: list[str]
):
    assert stack_migration.endpoints_going_later(bank.platform(), "bank-dev") == ()
    stood[moves.STANDING_OUTPUT] = [move.model_dump() for move in moves.built_endpoints(bank.platform())]
    assert stack_migration.endpoints_going_later(bank.platform(), "bank-dev") == ()
    assert warnings == []


def test_plain_pulumi_refuses_the_run_and_warns_in_the_preview(
    stood: dict[str, Any], warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    stood[moves.STANDING_OUTPUT] = [OLD.model_dump()]
    dry(monkeypatch, yes=False)
    with pytest.raises(Refused, match="isthmus up bank-dev --replace-in-place"):
        stack_migration.endpoints_going_later(bank.platform(), "bank-dev")
    dry(monkeypatch, yes=True)
    assert [move.id for move in stack_migration.endpoints_going_later(bank.platform(), "bank-dev")] == [
        "restricted-old"
    ]
    assert "`pulumi up` will refuse this" in warnings[0]


def test_plain_pulumi_warns_that_quotas_stay_wide_for_one_run(stood: dict[str, Any], warnings: list[str]):
    stood[moves.STANDING_OUTPUT] = [OLD.model_copy(update={"gpus": 2}).model_dump()]
    assert [move.id for move in stack_migration.endpoints_going_later(bank.platform(), "bank-dev")] == [
        "restricted-old"
    ]
    assert "until the next run" in warnings[0]


def test_outputs_passed_by_isthmus_up_are_not_read_again(
    stood: dict[str, Any], warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    stood[moves.STANDING_OUTPUT] = [OLD.model_dump()]
    monkeypatch.setenv(UP_STANDING, "[]")
    assert stack_migration.endpoints_going_later(bank.platform(), "bank-dev") == ()
    monkeypatch.setenv(UP_STANDING, json.dumps([OLD.model_dump()]))
    assert stack_migration.endpoints_going_later(bank.platform(), "bank-dev"), (
        "the first step comes before room is made, with consent"
    )
    assert warnings == []


def test_making_room_scales_the_same_object_to_zero(
    monkeypatch: pytest.MonkeyPatch,
):
    body = {"kind": "Deployment", "metadata": {"name": "old"}, "spec": {"replicas": 2, "template": {"a": 1}}}
    server = {
        "site": "fra1",
        "name": "bank-old",
        "inputs": {"id": "old"},
        "type": "kubernetes:apps/v1:Deployment",
        "workload": "bank-old-server",
        "body": body,
        "scaler": {
            "type": "kubernetes:keda.sh/v1alpha1:ScaledObject",
            "name": "bank-old-scaling",
            "body": {
                "kind": "ScaledObject",
                "metadata": {"name": "old", "annotations": {"a": "b"}},
                "spec": {"maxReplicaCount": 5},
            },
        },
    }
    monkeypatch.setenv(UP_ROOM, json.dumps({"outputs": {"audit": ["kept"]}, "servers": [server]}))

    def program() -> None:
        from stacks import providers

        platform = bank.platform()
        site = next(site for site in platform.sites if site.name == "fra1")
        stack_migration.make_room(platform, {"fra1": providers.kubernetes(site, "/k")})

    record = rendering.record_program(program, project.find_project(bank.ROOT).stack(bank.STACK))
    custom = [
        resource
        for resource in record.resources
        if resource.custom and not resource.type.startswith("pulumi:")
    ]
    [deployment] = [resource for resource in custom if "Deployment" in resource.type]
    [scaler] = [resource for resource in custom if "ScaledObject" in resource.type]
    assert scaler.inputs["metadata"]["annotations"] == {"a": "b", "autoscaling.keda.sh/paused-replicas": "0"}
    # By its URN the engine knows what it is: another would be a second Deployment.
    above = "isthmus:index:LlmPlatform$isthmus:index:ModelServer"
    assert (
        deployment.urn
        == f"urn:pulumi:bank-dev::isthmus::{above}$kubernetes:apps/v1:Deployment::bank-old-server"
    )
    assert deployment.inputs == {**body, "spec": {"replicas": 0, "template": {"a": 1}}}
    assert record.outputs == {"audit": ["kept"]}
