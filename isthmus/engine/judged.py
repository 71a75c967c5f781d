"""What the policy pack says of a stack as its program asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.findings import Finding
    from isthmus.contracts.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.engine.project import Stack
    from isthmus.graph.resources import Resource


def findings(
    stack: Stack, resources: Sequence[Resource], platform: Platform, chosen: Settings | None = None
) -> list[Finding]:
    """The worst first. `resources`: of the whole estate, since a boundary is; those of other stacks are left out."""
    from policies import judging

    found = judging.judge(resources, platform, chosen or settings(stack), stack.name)
    own = f"urn:pulumi:{stack.name}::"
    return [each for each in found if not each.urn or each.urn.startswith(own)]


def settings(stack: Stack) -> Settings:
    """What the organisation says to the pack, and the stack besides. Raises `InputError` for a rule or a key that
    there is not."""
    from policies import reading

    key = f"{stack.project.name}:{reading.KEY}"
    where = f"{stack.config_file.parent.name}/{stack.config_file.name} ({key})"
    return reading.settings(stack.project.root, stack.config.get(key), where)
