"""A preview compares the stack in the state with the stack in the files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.preview import Diagnostic
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.preview import preview
from isthmus.engine.preview.assembly import PreviewDraft, Side
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project import project
from tests.blueprints import bank
from tests.reports import previews

SNAPSHOT = Path(__file__).parents[1] / "upgrades" / "snapshots" / "1398d34" / "state.json.gz"


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    """The bank's state as an engine once wrote it."""
    return json.loads(gzip.decompress(SNAPSHOT.read_bytes()))["deployment"]


def deployed_side(state: dict[str, Any], now: Side | None = None) -> tuple[Side, list[Diagnostic]]:
    diagnostics: list[Diagnostic] = []
    return preview.side_of_state(
        state, [], bank.platform(), now or previews.side(previews.resources()), diagnostics
    ), diagnostics


def test_the_deployed_stack_has_the_data_paths_and_cost_of_its_plan(state: dict[str, Any]):
    before, diagnostics = deployed_side(state)
    after = previews.side(previews.resources())
    assert diagnostics == []
    # When that plan was written, the fixed costs of AWS and guardrails were not priced.
    then_cost, now_cost = before.cost(), after.cost()
    assert then_cost is not None
    assert now_cost is not None
    priced = [
        item
        for item in now_cost.items
        if not item.what.startswith("frankfurt: ") and ": guardrail, " not in item.what
    ]
    assert then_cost.items == priced
    # The requirements have changed since, so the sizes of pools are unknown for that plan.
    used_before, used_after = (
        {pool.pool: pool.used for pool in side.capacity() or () if pool.used} for side in (before, after)
    )
    assert used_before == used_after == {"fra1-h100-sxm-80gb": 10.0}
    # When that state was written no record was sealed or loaded, no answer held in a database or notified of, and
    # nobody chatted.
    since = ("-sealer/", "-reviews/", "port 5432", "-chat/", "-sign-on/", "-notifier/", "-loader/")
    now = [path for path in after.data_paths or [] if not any(new_part in path.id for new_part in since)]
    # Gateways and translators asked the cluster's own resolver for every name.
    then = [path for path in before.data_paths or [] if "k8s-app=kube-dns" not in path.id]
    assert then
    assert then == now


def test_the_former_size_of_pools_is_unknown_if_the_requirements_changed(state: dict[str, Any]):
    requirements, plan = bank.requirements_and_plan()
    other_requirements = Side(plan.model_copy(update={"requirements_sha256": "0" * 64}), requirements)
    pools = deployed_side(state, other_requirements)[0].capacity() or []
    assert {pool.gpus for pool in pools} == {None}
    assert sum(pool.used for pool in pools) == 10


def test_an_override_without_a_price_makes_the_cost_unknown_and_counts_as_capacity():
    stack = project.find_project(bank.ROOT).stack(bank.STACK)
    name = bank.serving("kyc-extraction").id
    more = bank.platform(endpoints=[{"id": name, "replicas": 3, "gpus": 6}])
    now = preview.side_of_files(stack, more, previews.resources(), Settings())
    assert now.plan is not None
    assert [pool.used for pool in now.capacity() or [] if "h100" in pool.pool] == [12]
    cost = now.cost()
    assert cost is not None
    assert cost.monthly_usd is None
    usual = preview.side_of_files(stack, bank.platform(), previews.resources(), Settings()).cost()
    assert usual is not None
    assert usual.monthly_usd == now.plan.monthly_cost_usd


def test_a_secret_of_the_stack_is_masked_in_errors():
    stack = project.find_project(bank.ROOT).stack(bank.STACK)
    secret_parts = PreviewDraft(stack.name, masker=Masker(["hunter2-hunter2"]))
    shown = preview.failed_preview(stack, EnvironmentFault("hunter2-hunter2 is refused"), secret_parts)
    assert [diagnostic.message for diagnostic in shown.diagnostics] == ["[secret] is refused."]


def test_a_stack_without_resources_has_no_endpoints():
    assert deployed_side({"resources": []}) == (Side(), [])


def test_a_plan_of_another_version_is_reported_as_unknown(state: dict[str, Any]):
    old = json.loads(json.dumps(state))
    root = next(resource for resource in old["resources"] if resource["type"] == "pulumi:pulumi:Stack")
    root["outputs"]["plan"]["invented_later"] = True
    before, diagnostics = deployed_side(old)
    assert (before.plan, before.cost(), before.capacity()) == (None, None, None)
    assert "another version" in diagnostics[0].message
    assert before.data_paths, "the graph is read all the same"
