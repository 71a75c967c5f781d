"""Batches and repeated requests in a blueprint: the database that they need, and gateways that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus import blueprints
from isthmus.blueprints import missing_values, trial
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.planning import planner
from sandbox import sample_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def planned(example: str, interface: str) -> tuple[Requirements, Plan]:
    """An example whose first workload has an interface that stores."""
    data: dict[str, Any] = yaml_files.load(EXAMPLES / f"{example}.requirements.yaml").data
    data["workloads"][0]["interfaces"] = [interface]
    requirements = requirements_of.parse(yaml_files.loads(yaml_files.dumps(data), "r.yaml"))
    return requirements, planner.make_plan(requirements, offers(), "2026-11-25").plan


@pytest.mark.parametrize("interface", ["batches", "idempotency"])
def test_the_organisation_is_asked_for_the_database_and_the_plan_can_then_be_built(interface: str):
    requirements, plan = planned("pilot", interface)
    platform = blueprints.render(plan.blueprint, requirements, plan)
    missing = dict(missing_values.list_missing_values(platform))
    assert missing["gateways[internal-fra1].database.host"] == "postgres-internal.site.example"
    assert "gateways[internal-fra1].database.address" in missing
    assert trial.render_faults(requirements, plan, sample_settings.sample_value_source, {}) == []


def test_without_such_an_interface_nobody_is_asked():
    requirements, plan = planned("pilot", "completions")
    missing = missing_values.list_missing_values(blueprints.render(plan.blueprint, requirements, plan))
    assert not [path for path, _ in missing if "database" in path]


def test_a_gateway_on_fargate_is_refused_when_it_is_planned():
    requirements, plan = planned("cloud-managed", "batches")
    (fault,) = trial.render_faults(requirements, plan, sample_settings.sample_value_source, {})
    assert "gateway internal-frankfurt has no database where requests and answers are kept" in str(fault)
