"""Which stacks of a project have classified work in a cluster of a stack that has none itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from isthmus.engine.policy import evaluation
from isthmus.engine.project.project import Stack, find_project
from tests.blueprints.bank import platform


def public_only() -> Platform:
    parts = [endpoint for endpoint in platform().endpoints if endpoint.class_ == "public"]
    return platform().model_copy(update={"gateways": [], "endpoints": parts})


def elsewhere(of: Platform) -> Platform:
    sites = [
        site.model_copy(update={"kube_context": f"other-{site.name}", "cluster_uid": None})
        for site in of.sites
    ]
    return of.model_copy(update={"sites": sites})


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Platform]:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\nruntime: python\n")
    known: dict[str, Platform] = {
        "bank": platform(),
        "shadow": public_only(),
        "far": elsewhere(public_only()),
    }
    for name in (*known, "broken"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config: {}\n")

    def stated(self: Stack) -> Platform:
        if self.name == "broken":
            raise InputError("there is no plan", where=self.name, fix="Plan it")
        return known[self.name]

    monkeypatch.setattr(Stack, "platform", stated)
    monkeypatch.chdir(tmp_path)
    return known


@pytest.mark.parametrize(
    ("stack", "neighbours"), [("shadow", ["bank"]), ("far", []), ("bank", []), ("broken", [])]
)
def test_a_public_stack_knows_who_has_classified_work_in_its_cluster(
    stack: str, neighbours: list[str], stacks: dict[str, Platform]
):
    assert evaluation.settings([find_project().stack(stack)]).classified_neighbours == neighbours
