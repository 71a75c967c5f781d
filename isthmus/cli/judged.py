"""Evaluates the policies for rendered stacks, and prints their findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.trust import Kind
    from isthmus.engine.project.project import Stack
    from isthmus.graph.resources.resources import Resource


def judge_stacks(
    stacks: Sequence[Stack], settings: Settings, resources: Iterable[Resource], platform: Platform
) -> list[tuple[Finding, tuple[Kind, str] | None]]:
    """Findings in the resources of these stacks together, each with the entry of trust.yaml that would allow it."""
    from datetime import UTC, datetime

    from policies.evaluation.evaluation import judge_subject, subject_of

    subject = subject_of(resources, platform, settings, datetime.now(UTC).date())
    return judge_subject(subject, ", ".join(stack.name for stack in stacks))


def print_findings(findings: list[Finding]) -> None:
    """Print findings to stderr, the worst first."""
    from isthmus.cli import console
    from policies.evaluation import text_report

    for line in text_report.lines(findings):
        console.err().print(line, markup=False)


def refuse_if_violated(
    judged: Sequence[tuple[Finding, tuple[Kind, str] | None]], where: str, stack: str
) -> None:
    """Raise `Refused` for a critical or high finding that is not silenced, and for an undecided one."""
    from policies.evaluation import text_report
    from policies.evaluation.evaluation import blocking_findings

    reason = text_report.refusal(finding for finding, _ in judged)
    if reason:
        has_entries = bool(blocking_findings(finding for finding, entry in judged if entry is not None))
        fix = "Correct the findings above; docs/policies.md describes each rule"
        if has_entries:
            fix += f". `isthmus trust propose {stack}` prints the entries of trust.yaml that would allow some"
        raise Refused(reason, where=where, fix=fix)
