"""A layer of an estate under `isthmus up` and `destroy`: what stands in the other stacks is asked first."""

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
    """Raise where models stand that this run would cut off without consent, or make a second time.

    `states`: those that were read already, by stack; more are added.
    """
    read = {} if states is None else states
    if stack.member is None or stack.estate is None or stack.layer == "foundation":
        return
    for holder in stack.estate.of("serving"):
        if holder.stack not in read:
            read[holder.stack] = state_of(stack, holder.stack)
        stands = [
            *estate_migration.standing(read[holder.stack]),
            *estate_migration.hosted(read[holder.stack]),
        ]
        refused = layered_moves.twice(stands, platform, stack.estate, stack.member, holder)
        own = stack.layer == "platform" or holder == stack.member
        if refused is None and own and not in_place:
            refused = layered_moves.refusal(stands, platform, stack.estate, stack.member, holder)
        if refused is not None:
            raise refused


def move(stands: Sequence[Standing], platform: Platform, stack: Stack) -> Move:
    """How to come from what stands to the platform. In a layer the old goes first: its gateway has gone over."""
    found = moves.move(stands, platform)
    if stack.member is None or stack.estate is None:
        return found
    going = layered_moves.gone(stands, platform, stack.estate.served_by(platform, stack.member))
    return replace(found, going=going, first=going)


def before_destroy(stack: Stack) -> None:
    """Raise where a stack stands on this one."""
    if stack.member is None or stack.estate is None:
        return
    for above in stack.estate.above(stack.member):
        held = [
            each
            for each in state_of(stack, above.stack).get("resources") or []
            if each.get("custom") and not each["type"].startswith("pulumi:")
        ]
        if held:
            raise Refused(
                f"{above.stack} stands on it, with {len(held)} resources",
                where=f"stack {stack.name}",
                fix=f"Run `isthmus destroy {above.stack}` first, or `isthmus destroy {stack.estate.name}`",
            )


def agree(stacks: Sequence[Stack]) -> None:
    """`EnvironmentFault` where stacks of one estate live in different places."""
    first: dict[str, Stack] = {}
    for each in stacks:
        if each.member is None:
            continue
        one = first.setdefault(each.member.estate, each)
        if (one.sandbox, one.kubeconfig) != (each.sandbox, each.kubeconfig):
            raise EnvironmentFault(
                f"{one.name} and {each.name} are of one estate, and say different `isthmus:sandbox` or"
                " `isthmus:kubeconfig`",
                where=each.member.file,
                fix="Say the same in both",
            )


def state_of(stack: Stack, name: str) -> dict[str, Any]:
    """The state of another stack of the project, secrets encrypted; nothing where there is none."""
    from pulumi import automation

    root = str(stack.project.root)
    try:
        command = automation.LocalWorkspace(work_dir=root).pulumi_command
        said = command.run(["stack", "export", "--stack", name, "--non-interactive"], root, {})
    except automation.StackNotFoundError:
        return {}
    except automation.CommandError as error:
        raise failures.failure([], str(error), name, None) from error
    return json.loads(said.stdout).get("deployment") or {}
