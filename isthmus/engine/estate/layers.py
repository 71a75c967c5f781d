"""Checks the other stacks of an estate before `isthmus up` or `destroy` of one layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import estate_migration as layered_moves
from isthmus.contracts.platform.migration import capacity as moves
from isthmus.contracts.platform.migration.capacity import Move, Standing
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.automation import failures
from isthmus.engine.estate import migration as estate_migration

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack


def before_up(
    stack: Stack, platform: Platform, *, in_place: bool, states: dict[str, dict[str, Any]] | None = None
) -> None:
    """Raise `Refused` if this run would interrupt running models without consent, or build a model twice.

    `states`: cache of states by stack; states that are read here are added.
    """
    states_by_stack = {} if states is None else states
    if stack.member is None or stack.estate is None or stack.layer == "foundation":
        return
    for holder in stack.estate.in_layer("serving"):
        if holder.stack not in states_by_stack:
            states_by_stack[holder.stack] = read_state(stack, holder.stack)
        endpoints = [
            *estate_migration.gpu_endpoints(states_by_stack[holder.stack]),
            *estate_migration.sagemaker_endpoints(states_by_stack[holder.stack]),
        ]
        refused = layered_moves.double_serving_refusal(
            endpoints, platform, stack.estate, stack.member, holder
        )
        acts_on_holder = stack.layer == "platform" or holder == stack.member
        if refused is None and acts_on_holder and not in_place:
            refused = layered_moves.outage_refusal(endpoints, platform, stack.estate, stack.member, holder)
        if refused is not None:
            raise refused


def plan_move(endpoints: Sequence[Standing], platform: Platform, stack: Stack) -> Move:
    """The move from the deployed endpoints to the platform.

    In a layer, old endpoints are removed first, because the gateway in another layer has already switched over.
    """
    planned = moves.plan_move(endpoints, platform)
    if stack.member is None or stack.estate is None:
        return planned
    removed = layered_moves.removed_endpoints(
        endpoints, platform, stack.estate.served_by(platform, stack.member)
    )
    return replace(planned, going=removed, first=removed)


def before_destroy(stack: Stack) -> None:
    """Raise `Refused` if another stack of the estate depends on this one."""
    if stack.member is None or stack.estate is None:
        return
    for above in stack.estate.above(stack.member):
        resources = [
            resource
            for resource in read_state(stack, above.stack).get("resources") or []
            if resource.get("custom") and not resource["type"].startswith("pulumi:")
        ]
        if resources:
            raise Refused(
                f"stack {above.stack} depends on it and still has {len(resources)} resources",
                where=f"stack {stack.name}",
                fix=f"Run `isthmus destroy {above.stack}` first, or `isthmus destroy {stack.estate.name}`",
            )


def check_same_location(stacks: Sequence[Stack]) -> None:
    """Raise `EnvironmentFault` if stacks of one estate use different clusters or accounts."""
    first_stacks: dict[str, Stack] = {}
    for stack in stacks:
        if stack.member is None:
            continue
        first_of_estate = first_stacks.setdefault(stack.member.estate, stack)
        if (first_of_estate.sandbox, first_of_estate.kubeconfig) != (stack.sandbox, stack.kubeconfig):
            raise EnvironmentFault(
                f"{first_of_estate.name} and {stack.name} belong to one estate, but differ in `isthmus:sandbox` or"
                " `isthmus:kubeconfig`",
                where=stack.member.file,
                fix="Set the same values in both",
            )


def read_state(stack: Stack, name: str) -> dict[str, Any]:
    """The state of another stack of the project, with encrypted secrets; `{}` if there is none."""
    from pulumi import automation

    root = str(stack.project.root)
    try:
        command = automation.LocalWorkspace(work_dir=root).pulumi_command
        result = command.run(["stack", "export", "--stack", name, "--non-interactive"], root, {})
    except automation.StackNotFoundError:
        return {}
    except automation.CommandError as error:
        raise failures.failure([], str(error), name, None) from error
    return json.loads(result.stdout).get("deployment") or {}
