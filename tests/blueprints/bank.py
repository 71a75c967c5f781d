"""The bank's files, and copies of them with something changed."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from isthmus import blueprints
from isthmus.contracts.plan import document as plans
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.requirements import document as wanted
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.engine.render.rendering import Rendered

ROOT = Path(__file__).resolve().parents[2]
STACKS = ROOT / "stacks"
STACK = "bank-dev"
LOCK = ROOT / "images.lock.yaml"


def requirements_data() -> dict[str, Any]:
    return yaml_files.load(STACKS / f"{STACK}.requirements.yaml").data


def plan_data() -> dict[str, Any]:
    return copy.deepcopy(yaml_files.load(STACKS / f"{STACK}.plan.yaml").data)


def overrides() -> dict[str, Any]:
    return yaml_files.load(STACKS / f"Pulumi.{STACK}.yaml").data["config"]["isthmus:overrides"]


def without_teams(overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides with an amount for the workload, not for its team: no gateway counts it, and it needs no price."""
    budgets = [*overrides["budgets"], {"name": "policy-assistant", "monthly_usd": 4000}]
    return {key: value for key, value in overrides.items() if key != "teams"} | {"budgets": budgets}


def remove_pages(gateways: list[dict[str, Any]]) -> None:
    """Remove the chats and desks, where people sign on, and the notifiers, which lead to a desk."""
    for gateway in gateways:
        gateway.pop("chat", None)
        for part in ("desk", "notifier"):
            (gateway.get("reviews") or {}).pop(part, None)


def write(folder: Path, requirements: dict[str, Any], plan: dict[str, Any], *, sealed: bool = True) -> None:
    """A stack's two files; `sealed`: the plan names the digest of these requirements."""
    if sealed:
        plan = {**plan, "requirements_sha256": yaml_files.digest(requirements)}
    yaml_files.dump(requirements, "", folder / f"{STACK}.requirements.yaml")
    yaml_files.dump(plan, "", folder / f"{STACK}.plan.yaml")


def requirements_and_plan(folder: Path = STACKS) -> tuple[Requirements, Plan]:
    return (
        wanted.load(folder / f"{STACK}.requirements.yaml"),
        plans.load(folder / f"{STACK}.plan.yaml"),
    )


@functools.cache
def serving(workload: str) -> PlannedEndpoint:
    """The endpoint that the bank's plan has a workload run on."""
    _, plan = requirements_and_plan()
    [primary] = [
        placement
        for placement in plan.placements
        if (placement.workload, placement.role) == (workload, "primary")
    ]
    return next(endpoint for endpoint in plan.endpoints if endpoint.id == primary.endpoint)


@functools.cache
def rendered() -> Rendered:
    """The bank's stack as its program asks for it, once for all who only read."""
    return rendering.render(project.find_project(ROOT).stack(STACK))


def platform(folder: Path = STACKS, **changes: Any) -> Platform:
    """The bank's platform, `changes` laid over its overrides; the caller's own."""
    from isthmus.contracts.platform.overrides import merge

    if folder == STACKS and not changes:
        return _as_it_is().model_copy(deep=True)
    return assembled(merge(overrides(), changes), folder)


def assembled(overrides_given: dict[str, Any], folder: Path = STACKS) -> Platform:
    """The platform of these overrides alone, as a stack of the sandbox."""
    return blueprints.platform(folder, STACK, overrides_given, sandbox=True, lock=LOCK)


@functools.cache
def _as_it_is() -> Platform:
    return assembled(overrides())
