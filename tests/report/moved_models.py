"""The bank with a model elsewhere: internal work on its own GPUs, and a plan that would take restricted work to AWS."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from isthmus.contracts import yamlfile
from isthmus.engine import render
from isthmus.engine.project import Project, Stack
from isthmus.engine.recorder import Resource
from tests.catalogue import bank
from tests.contracts.bank import DIGEST
from tests.laying import lay

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
INTERNAL = "internal-llama-70b"


def plan_on_prem() -> dict[str, Any]:
    """The bank's plan, but for internal work on the site's own L40S."""
    plan = bank.plan_data()
    (old,) = [each for each in plan["endpoints"] if each["class"] == "internal"]
    (like,) = [each for each in plan["endpoints"] if each["class"] == "confidential"]
    plan["endpoints"][plan["endpoints"].index(old)] = like | {
        **{"id": INTERNAL, "class": "internal", "model": MODEL, "gpu": "l40s-48gb", "adapters": []},
        **{"tensor_parallel": 4, "replicas": 2, "gpus": 8, "predicted": None, "max_model_len": 32768},
    }
    for each in plan["placements"]:
        if each["endpoint"] == old["id"]:
            each["endpoint"] = INTERNAL
    cloud = [each for each in plan["cost_items"] if each["what"].startswith("policy-assistant")]
    plan["cost_items"] = [each for each in plan["cost_items"] if each not in cloud]
    plan["monthly_cost_usd"] = round(
        sum(each["monthly_usd"] for each in plan["cost_items"] if each["counted"]), 2
    )
    return plan


@functools.cache
def on_prem() -> tuple[Resource, ...]:
    """The bank's resources while internal work runs on-prem."""
    with tempfile.TemporaryDirectory() as folder:
        stack = _stack(Path(folder), plan_on_prem())
        settings = yamlfile.load(stack.config_file).data
        given = settings["config"]["isthmus:overrides"]
        given["budgets"] = [
            each
            for each in given["budgets"]
            if each["name"] not in ("internal-frankfurt", "policy-assistant")
        ]
        given["endpoints"].append(
            {"id": INTERNAL, "weights": {"uri": "pvc://llama-70b", "volume": "weights-70b", "digest": DIGEST}}
        )
        yamlfile.dump(settings, "", stack.config_file)
        return tuple(render.render(Project(Path(folder)).stack(bank.STACK)).resources)


def restricted_in_the_cloud(folder: Path) -> Stack:
    """A stack whose plan places restricted work on Bedrock."""
    plan = bank.plan_data()
    (cloud,) = [each for each in plan["endpoints"] if each["class"] == "internal"]
    index = next(at for at, each in enumerate(plan["endpoints"]) if each["class"] == "restricted")
    was = plan["endpoints"][index]["id"]
    plan["endpoints"][index] = {**cloud, "id": "restricted-claude", "class": "restricted"}
    for each in plan["placements"]:
        if each["endpoint"] == was:
            each["endpoint"] = "restricted-claude"
    return _stack(folder, plan)


def _stack(folder: Path, plan: dict[str, Any]) -> Stack:
    stacks = lay(folder, bank=True)
    yamlfile.dump(plan, "", stacks / f"{bank.STACK}.plan.yaml")
    return Project(folder).stack(bank.STACK)
