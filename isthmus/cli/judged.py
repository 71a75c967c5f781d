"""Holding what a command rendered to the policies, and saying what they found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.resources import Resource


def findings(
    stacks: Sequence[Stack], chosen: Settings, resources: Iterable[Resource], platform: Platform
) -> list[Finding]:
    """What the pack finds in what these stacks make together."""
    from policies.evaluation.evaluation import judge

    return judge(resources, platform, chosen, stack=", ".join(each.name for each in stacks))


def say(found: list[Finding]) -> None:
    """To stderr, the worst first."""
    from isthmus.cli import console
    from policies.evaluation import text_report

    for line in text_report.lines(found):
        console.err().print(line, markup=False)


def refuse(found: list[Finding], where: str) -> None:
    """Raise `Refused` where a critical or high finding stands, or one that could not be decided."""
    from policies.evaluation import text_report

    what = text_report.refusal(found)
    if what:
        raise Refused(
            what,
            where=where,
            fix="Mend what is named above; docs/policies.md says how to silence a finding that somebody answers for",
        )
