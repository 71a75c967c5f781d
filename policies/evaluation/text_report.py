"""Renders findings as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from isthmus.contracts.reports.findings import SEVERITIES, Finding
from policies.evaluation.evaluation import blocking_findings


def lines(findings: Sequence[Finding], most: int = 50) -> Iterator[str]:
    """Two lines for each finding (message and fix), the most severe first, then the counts."""
    for finding in findings[:most]:
        mark = (
            "undecided"
            if finding.verdict == "undecided"
            else "silenced"
            if finding.silenced
            else finding.severity
        )
        yield f"{mark:>9}  {finding.policy}: {finding.message}"
        silence = finding.silenced
        if silence:
            yield f"           silenced by {silence.owner} until {silence.until}: {silence.reason}"
        else:
            yield f"           {finding.fix}{f': `{finding.patch}`' if finding.patch else ''}"
    if len(findings) > most:
        yield f"           and {len(findings) - most} more"
    if findings:
        yield counts(findings)


def counts(findings: Iterable[Finding]) -> str:
    """`Policies: 2 critical, 1 low, 1 silenced`."""
    all_findings = list(findings)
    open_ = [finding for finding in all_findings if not finding.silenced]
    violated = [finding for finding in open_ if finding.verdict != "undecided"]
    numbers = [(level, sum(1 for finding in violated if finding.severity == level)) for level in SEVERITIES]
    numbers.append(("undecided", sum(1 for finding in open_ if finding.verdict == "undecided")))
    numbers.append(("silenced", len(all_findings) - len(open_)))
    summary = ", ".join(f"{number} {label}" for label, number in numbers if number)
    return f"Policies: {summary or 'nothing found'}"


def refusal(findings: Iterable[Finding]) -> str:
    """One sentence with the policies that stop a change; empty if none does."""
    stopping = blocking_findings(findings)
    if not stopping:
        return ""
    policies = ", ".join(dict.fromkeys(finding.policy for finding in stopping))
    many = f"{len(stopping)} findings stop" if len(stopping) > 1 else "a finding stops"
    return f"{many} this change: {policies}"
