"""What the policy pack and the boundaries' own proofs say of a stack as its program asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.findings import Finding
from isthmus.graph.resources import Graph

if TYPE_CHECKING:
    from isthmus.contracts.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.engine.project import Stack
    from isthmus.engine.recorder import Resource

BOUNDARY = "boundary/holds-in-what-is-rendered"


def findings(
    stack: Stack, resources: Sequence[Resource], platform: Platform, chosen: Settings | None = None
) -> list[Finding]:
    """The worst first. `resources`: of the whole estate, since a boundary is; those of other stacks are left out."""
    from policies import judging

    by_pack = judging.judge(resources, platform, chosen or settings(stack), stack.name)
    own = f"urn:pulumi:{stack.name}::"
    return [*boundaries(stack.name, resources, platform), *(each for each in by_pack if _of(each, own))]


def boundaries(stack: str, resources: Iterable[Resource], platform: Platform) -> list[Finding]:
    """What `isthmus up` refuses before anything is made."""
    from isthmus.report import proofs

    return [
        Finding(
            policy=BOUNDARY,
            title="A boundary holds in what is rendered",
            severity="critical",
            stack=stack,
            message=broken,
            why="data of this class could go where it must not, and `isthmus up` refuses to build it",
            fix="Take back the change to the components or the overrides that opened it",
        )
        for broken in proofs.all_of(Graph(resources), platform)
    ]


def settings(stack: Stack) -> Settings:
    """What the organisation says to the pack, and the stack besides. Raises `InputError` for what there is not."""
    from isthmus.contracts import policy_settings, yamlfile
    from policies.catalogue import RULES

    file = stack.project.root / policy_settings.FILE
    if not file.is_file():
        return policy_settings.Settings()
    return policy_settings.parse(yamlfile.load(file), [each.id for each in RULES])


def _of(finding: Finding, own: str) -> bool:
    return not finding.urn or finding.urn.startswith(own)
