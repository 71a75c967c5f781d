"""Evaluates the policies for rendered stacks, and prints their findings."""

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


def judge_stacks(
    stacks: Sequence[Stack], settings: Settings, resources: Iterable[Resource], platform: Platform
) -> list[Finding]:
    """Findings in the resources of these stacks together."""
    from policies.evaluation.evaluation import judge

    return judge(resources, platform, settings, stack=", ".join(stack.name for stack in stacks))


def print_findings(findings: list[Finding]) -> None:
    """Print findings to stderr, the worst first."""
    from isthmus.cli import console
    from policies.evaluation import text_report

    for line in text_report.lines(findings):
        console.err().print(line, markup=False)


def refuse_if_violated(findings: list[Finding], where: str) -> None:
    """Raise `Refused` for a critical or high finding that is not silenced, and for an undecided one."""
    from policies.evaluation import text_report

    reason = text_report.refusal(findings)
    if reason:
        raise Refused(
            reason,
            where=where,
            fix="Correct the findings above; docs/policies.md describes each rule",
        )
