"""What the policy pack says of a stack as its program asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.vocabulary import Sensitivity
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.resources import Resource


def findings(
    stack: Stack, resources: Sequence[Resource], platform: Platform, chosen: Settings | None = None
) -> list[Finding]:
    """The worst first. `resources`: of the whole estate, since a boundary is; those of other stacks are left out."""
    return of(stack.name, resources, platform, chosen or settings([stack]))


def of(
    stack: str,
    resources: Sequence[Resource],
    platform: Platform,
    chosen: Settings,
    held: Mapping[str, Sensitivity] | None = None,
) -> list[Finding]:
    """As `findings`, of a stack by its name. `held`: workloads that are judged by a stricter class."""
    from policies.evaluation import evaluation

    found = evaluation.judge(resources, platform, chosen, stack, raised_sensitivities=held)
    own = f"urn:pulumi:{stack}::"
    return [each for each in found if not each.urn or each.urn.startswith(own)]


def settings(stacks: Sequence[Stack]) -> Settings:
    """What the project's `policies.yaml` and the config of each of these stacks say. Raises `InputError` for a rule or
    a key that there is not."""
    from isthmus.contracts.policy_settings import joined
    from policies.evaluation import settings as policy_settings_files

    found = policy_settings_files.load_settings(stacks[0].project.root)
    for each in stacks:
        key = f"{each.project.name}:{policy_settings_files.KEY}"
        if key in each.config:
            where = f"{each.config_file.parent.name}/{each.config_file.name} ({key})"
            found = joined(found, policy_settings_files.parse_stack_settings(each.config[key], where))
    return found
