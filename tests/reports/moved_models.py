"""The bank with a model elsewhere: internal work on its own GPUs, and a plan that would take restricted work to AWS."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.core import yaml_files
from isthmus.engine.project.project import Project, Stack
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from tests.blueprints import bank
from tests.contracts.bank import DIGEST
from tests.laying import lay

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
INTERNAL = "internal-llama-70b"


def plan_on_prem() -> dict[str, Any]:
    """The bank's plan, but for internal work on the site's own L40S."""
    plan = bank.plan_data()
    (old,) = [endpoint for endpoint in plan["endpoints"] if endpoint["class"] == "internal"]
    (like,) = [endpoint for endpoint in plan["endpoints"] if endpoint["class"] == "confidential"]
    plan["endpoints"][plan["endpoints"].index(old)] = like | {
        **{"id": INTERNAL, "class": "internal", "model": MODEL, "gpu": "l40s-48gb", "adapters": []},
        **{"tensor_parallel": 4, "replicas": 2, "gpus": 8, "predicted": None, "max_model_len": 32768},
    }
    for placement in plan["placements"]:
        if placement["endpoint"] == old["id"]:
            placement["endpoint"] = INTERNAL
    cloud = [
        cost_item for cost_item in plan["cost_items"] if cost_item["what"].startswith("policy-assistant")
    ]
    plan["cost_items"] = [cost_item for cost_item in plan["cost_items"] if cost_item not in cloud]
    plan["monthly_cost_usd"] = round(
        sum(cost_item["monthly_usd"] for cost_item in plan["cost_items"] if cost_item["counted"]), 2
    )
    return plan


@functools.cache
def on_prem() -> tuple[Resource, ...]:
    """The bank's resources while internal work runs on-prem."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(rendering.render(laid_on_prem(Path(folder))).resources)


def laid_on_prem(folder: Path) -> Stack:
    """The bank's files while internal work runs on-prem."""
    stack = _stack(folder, plan_on_prem())

    def moved(overrides: dict[str, Any]) -> None:
        overrides["budgets"] = [
            budget
            for budget in overrides["budgets"]
            if budget["name"] not in ("internal-frankfurt", "policy-assistant")
        ]
        weights = {"uri": "pvc://llama-70b", "volume": "weights-70b", "digest": DIGEST}
        # The plan prices no L40S, and the budget of the team hr needs a price.
        overrides["endpoints"].append({"id": INTERNAL, "weights": weights, "cost": {"usd_per_gpu_hour": 0.6}})

    _override(stack, moved)
    return Project(folder).stack(bank.STACK)


def lowered_to_the_cloud(folder: Path) -> Stack:
    """The bank's files where restricted work is called internal, and taken to Bedrock at once."""
    expected, plan = copy.deepcopy(bank.requirements_data()), bank.plan_data()
    (work,) = [workload for workload in expected["workloads"] if workload["sensitivity"] == "restricted"]
    (cloud,) = [endpoint for endpoint in plan["endpoints"] if endpoint["class"] == "internal"]
    work["sensitivity"] = "internal"
    work["model"]["candidates"].append({"id": cloud["model"], "scores": {"api": 0.93}})
    (placement,) = [placement for placement in plan["placements"] if placement["workload"] == work["name"]]
    placement |= {"sensitivity": "internal", "endpoint": cloud["id"]}
    for part in ("endpoints", "gateways"):
        plan[part] = [row for row in plan[part] if row["class"] != "restricted"]
    stack = _stack(folder, plan)
    bank.write(folder / "stacks", expected, plan)

    def moved(overrides: dict[str, Any]) -> None:
        overrides["endpoints"] = [
            endpoint for endpoint in overrides["endpoints"] if not endpoint["id"].startswith("restricted")
        ]
        overrides["gateways"] = [
            gateway for gateway in overrides["gateways"] if not gateway["name"].startswith("restricted")
        ]
        overrides["budgets"].append({"name": work["name"], "monthly_usd": 4000})

    _override(stack, moved)
    return Project(folder).stack(bank.STACK)


def _override(stack: Stack, change: Callable[[dict[str, Any]], None]) -> None:
    settings = yaml_files.load(stack.config_file).data
    change(settings["config"]["isthmus:overrides"])
    yaml_files.dump(settings, "", stack.config_file)


def restricted_in_the_cloud(folder: Path) -> Stack:
    """A stack whose plan places restricted work on Bedrock."""
    plan = bank.plan_data()
    (cloud,) = [endpoint for endpoint in plan["endpoints"] if endpoint["class"] == "internal"]
    index = next(at for at, row in enumerate(plan["endpoints"]) if row["class"] == "restricted")
    old_id = plan["endpoints"][index]["id"]
    plan["endpoints"][index] = {**cloud, "id": "restricted-claude", "class": "restricted"}
    for placement in plan["placements"]:
        if placement["endpoint"] == old_id:
            placement["endpoint"] = "restricted-claude"
    return _stack(folder, plan)


def _stack(folder: Path, plan: dict[str, Any]) -> Stack:
    stacks = lay(folder, bank=True)
    yaml_files.dump(plan, "", stacks / f"{bank.STACK}.plan.yaml")
    return Project(folder).stack(bank.STACK)
