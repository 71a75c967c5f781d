"""What a change does to what judges it: classes, handling, silences, rules, placements.

Found by holding two commits together (`isthmus.engine.pull_request.relaxed_files`), so these rules look at no
resource. Silences of them are read from the base commit alone: a change cannot silence what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.findings import Verdict
from isthmus.contracts.reports.preview import RuleChange
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

ITSELF = "the rules themselves"
"""`what` of a `RuleChange` of code that base's own rules have been held to as well."""
UNJUDGED = "the rules themselves, by which alone this was judged"
"""`what`, where the base's could not be run."""
UNDER_ANOTHER_NAME = "under another name"
"""Ends `what` of new work that may be old work of a stricter class."""


@dataclass(frozen=True)
class Stated:
    """What a finding is about where it is no resource: a workload, a rule, a silence."""

    name: str
    urn: str = ""
    type: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    made: bool = False


def _said(
    wanted: Callable[[RuleChange], bool], verdict: Verdict = "violated"
) -> Callable[[Subject], Iterator[Broken]]:
    def check(subject: Subject) -> Iterator[Broken]:
        for each in subject.changed:
            if each.loosens and wanted(each):
                told = f"{each.what}: {each.old or 'none'} before, {each.new or 'none'} with this change"
                yield Broken(told, Stated(each.what), verdict)

    return check


def _renamed(each: RuleChange) -> bool:
    return each.kind == "sensitivity" and each.what.endswith(UNDER_ANOTHER_NAME)


def _code(each: RuleChange) -> bool:
    return each.kind == "rule" and each.what in (ITSELF, UNJUDGED)


RULES = (
    Rule(
        id="change/sensitivity-lowered",
        title="A change does not lower the class of the data that it moves",
        severity="high",
        supports=(*fw.nist("AC-16", "CM-3"), *fw.iso_27001("A.5.12", "A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Data that is called less sensitive may go where it might not: every other rule follows the class",
        fix="Have the data's owner decide it, in a change of its own that moves nothing",
        check=_said(lambda each: each.kind == "sensitivity" and not _renamed(each)),
    ),
    Rule(
        id="change/work-under-another-name",
        title="Work that goes and comes back under another name keeps its class",
        severity="high",
        supports=(*fw.nist("AC-16", "CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="A class that may not be lowered could be given up and taken anew with the same data",
        fix="Keep the workload's name, or take the old one away in a change of its own",
        check=_said(_renamed, "undecided"),
    ),
    Rule(
        id="change/handling-loosened",
        title="A change does not loosen what a class or a workload demands",
        severity="high",
        supports=(*fw.nist("CM-3"), *fw.gdpr("Chapter V"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Residency, regimes, retention and review bind whoever is about to change the platform",
        fix="Have whoever answers for the data decide it, in a change of its own",
        check=_said(lambda each: each.kind == "handling"),
    ),
    Rule(
        id="change/silence-added",
        title="A change does not silence what is found of it",
        severity="high",
        supports=(*fw.nist("CM-3", "CA-7"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="A finding that its own change silences has been accepted by nobody else",
        fix="Bring the silence in by a change of its own, which its owner approves",
        check=_said(lambda each: each.kind == "silence"),
    ),
    Rule(
        id="change/rule-loosened",
        title="A change does not switch off, take away or loosen a rule",
        severity="high",
        supports=(*fw.nist("CM-3", "CA-7"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="What a rule no longer looks for is not found in this change nor in any after it",
        fix="Change the rule by a change of its own, which its owner approves",
        check=_said(lambda each: each.kind == "rule" and not _code(each)),
    ),
    Rule(
        id="change/judged-by-itself",
        title="A change to the rules is judged by the rules before it",
        severity="high",
        supports=(*fw.nist("CM-3", "CM-5"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Rules that a change has written, and nobody else has run, say of it what it wants them to say",
        fix="Run `isthmus ci` from a checkout of the base commit, with --project naming the branch's",
        check=_said(lambda each: each.kind == "rule" and each.what == UNJUDGED, "undecided"),
    ),
    Rule(
        id="change/rules-rewritten",
        title="A change to the code of the rules is read by a person",
        severity="medium",
        supports=(*fw.nist("CM-3", "CM-5"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Both codes have judged this change, and only the new one will judge those after it",
        fix="Read the files that are named, and what their tests demand",
        check=_said(lambda each: each.kind == "rule" and each.what == ITSELF),
    ),
    Rule(
        id="change/placed-less-strictly",
        title="Work that moves to a less guarded place is looked at",
        severity="medium",
        supports=(*fw.nist("CM-3", "AC-4"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        why="Its class may go there, and it has not been there before",
        fix="Look at the data paths that change, and at what they cost",
        check=_said(lambda each: each.kind == "placement"),
    ),
)
