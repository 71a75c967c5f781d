"""What the policies found, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from isthmus.contracts.reports.findings import SEVERITIES, Finding
from policies.evaluation.evaluation import standing


def lines(findings: Sequence[Finding], most: int = 50) -> Iterator[str]:
    """A finding and its fix on two lines each, the worst first; then how many there are."""
    for each in findings[:most]:
        mark = "undecided" if each.verdict == "undecided" else "silenced" if each.silenced else each.severity
        yield f"{mark:>9}  {each.policy}: {each.message}"
        if each.silenced:
            yield f"           {each.silenced.owner} answers for it until {each.silenced.until}: {each.silenced.reason}"
        else:
            yield f"           {each.fix}{f': `{each.patch}`' if each.patch else ''}"
    if len(findings) > most:
        yield f"           and {len(findings) - most} more"
    if findings:
        yield counts(findings)


def counts(findings: Iterable[Finding]) -> str:
    """`Policies: 2 critical, 1 low, 1 silenced`."""
    every = list(findings)
    open_ = [each for each in every if not each.silenced]
    parts = [(level, sum(1 for each in open_ if each.severity == level)) for level in SEVERITIES]
    parts.append(("undecided", sum(1 for each in open_ if each.verdict == "undecided")))
    parts.append(("silenced", len(every) - len(open_)))
    said = ", ".join(f"{number} {what}" for what, number in parts if number)
    return f"Policies: {said or 'nothing found'}"


def refusal(findings: Iterable[Finding]) -> str:
    """What stops a change, in a sentence; empty where nothing does."""
    stopping = standing(findings)
    if not stopping:
        return ""
    named = ", ".join(dict.fromkeys(each.policy for each in stopping))
    many = f"{len(stopping)} findings stop" if len(stopping) > 1 else "a finding stops"
    return f"{many} this change: {named}"
